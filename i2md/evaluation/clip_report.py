"""The report of a run on any clips, labelled or not: their map, their clusters, and each clip played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2md.data.conversion import in_layout
from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.evaluation.features import clip_features
from i2md.evaluation.fit import check_clips
from i2md.evaluation.report.clip_map import MappedClips, map_clips, shown_clips
from i2md.evaluation.report.pages import write_report
from i2md.pretraining.checkpoint import load_encoders
from i2md.pretraining.run import read_config


def report_clips(
    run: Path, clips: Clips, device: torch.device, out: Path | None = None, num_clusters: int | None = None
) -> dict[str, Any]:
    """Write the report of a run on clips; where none has a label, they are divided into clusters.

    Args:
        run: The run's folder.
        clips: Clips of the run's layout and preparation; of more than 1000 some are shown, at even steps.
        device: Where to compute the features.
        out: The page to write; by default the report in the run's folder.
        num_clusters: Number of clusters; by default chosen for clips without labels, and none for others.

    Returns:
        The path of the `report`, the numbers of `clips`, of clips `shown` and of clips `labelled`, the sizes of the
        `clusters` by name, and under `no_map` why there is no map.

    Raises:
        InputError: Run and clips do not fit one another, or there are fewer different clips than clusters.
    """
    config = read_config(run)
    check_clips(config, clips, run)
    clips = in_layout(clips, config.layout, config.preparation)
    if not len(clips):
        raise InputError(f"{clips.path}: holds no clips; prepare some")
    shown = clips.select(shown_clips(len(clips)))
    features = clip_features(
        load_encoders(run, config, device),
        config.layout,
        pack(shown, device),
        config.settings.views.frames,
        config.persons,
    )
    mapped = MappedClips(
        names=shown.columns["name"].tolist(),
        labels=np.array(shown.labels),
        predictions=None,
        class_names=clips.dataset.class_names,
        features=torch.cat(list(features.values()), dim=1).cpu().numpy(),
        skeletons=[np.array(clip) for clip in shown],
        layout=clips.dataset.layout,
        total=len(clips),
        num_clusters=num_clusters,
    )
    clip_map = map_clips(mapped)
    page = write_report(run, mapped, out, clip_map, clips.dataset.name)
    clusters = clip_map["clusters"] if isinstance(clip_map, dict) else None
    return {
        "report": str(page),
        "clips": len(clips),
        "shown": len(shown),
        "labelled": int((clips.labels >= 0).sum()),
        "clusters": dict(zip(clusters["names"], clusters["sizes"], strict=True)) if clusters else {},
        "no_map": clip_map if isinstance(clip_map, str) else "",
    }
