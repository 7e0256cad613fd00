"""`i2md search`: the clips most similar to a clip, to a recording or to an excerpt, and a page that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from i2md.data.conversion import in_layout
from i2md.data.store import Clips
from i2md.data.where import clips_where
from i2md.data.windows import ASSUMED_FPS, BEGIN, RECORDING
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError, suggestion
from i2md.inference.feature_store import stored_features
from i2md.inference.model import open_model
from i2md.inference.recordings import recorded_clip
from i2md.inference.search import ClipSearch, Features, Neighbours, stream_shares
from i2md.inference.vector_index import EXACT
from i2md.pages.groups import Group, Grouped, viewed_clips
from i2md.pretraining.run import read_config

# Neighbours that a page shows at most.
_MOST_SHOWN = 200


def find_clips(
    run: Path,
    clips: Clips,
    query: str,
    top: int,
    where: str | None = None,
    index: Path | None = None,
    streams: Mapping[str, float] | None = None,
    device: str = "auto",
    readout: WeightlessReadout | None = None,
) -> tuple[dict[str, Any], Neighbours, Clips]:
    """Find the clips most similar to a clip or to a recording.

    Args:
        run: Folder of the run.
        clips: Clips of the run's preparation.
        query: Name of a clip, a file of a recording, or FILE@START-END in seconds.
        top: How many clips to find.
        where: Condition on the columns of the clips that may be found.
        index: Folder of the features.
        streams: Weight of each stream that counts.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states.

    Returns:
        What was found, as plain data; the neighbours; and the query as clips.

    Raises:
        InputError: There is no such clip or file, no clip meets the condition, or run and clips do not fit.
    """
    if top < 1:
        raise InputError(f"top is {top}; give the number of clips to find, 1 or more")
    allowed = np.ones(len(clips), bool)
    if where is not None:
        allowed[:] = False
        allowed[clips_where(clips, where)] = True
        if not allowed.any():
            raise InputError(f"{clips.path}: no clip meets the condition {where[:80]!r}; see i2md info {clips.path}")
    # Before the features of all clips are computed.
    stream_shares(streams, dict.fromkeys(read_config(run).settings.streams, 0))
    features: Features | None
    named = np.flatnonzero(clips.columns["name"] == query)
    if len(named):
        asked, features = clips.select(named[:1]), None
        allowed[named[0]] = False
    else:
        asked, features = _recorded(run, clips, query, device, readout)
    search = ClipSearch(stored_features(run, clips, index, device, readout), streams)
    if features is None:
        features = search.stored.store.rows(search.stored.rows[named[:1]])
    found = search.nearest(features, top, allowed)
    label = int(asked.labels[0]) if len(named) else -1
    rows = describe_clips(clips, found.clips)
    for row, value in zip(rows, found.similarity.tolist(), strict=True):
        row["similarity"] = round(value, 4)
    data = {
        "query": query,
        "class": _class_name(clips, label),
        "same_class": int((clips.labels[found.clips] == label).sum()) if label >= 0 else None,
        "searched": int(allowed.sum()),
        "streams": search.weights,
        "by": "an index" if search.index is not None and allowed.sum() > EXACT else "comparing all",
        "added": search.stored.added,
        "removed": search.stored.removed,
        "index": str(search.stored.store.folder),
        "neighbours": rows,
    }
    return data, found, asked


def describe_clips(clips: Clips, chosen: Int64[np.ndarray, " chosen"]) -> list[dict[str, Any]]:
    """What is known of some clips, as plain data: name, class, subject, and of windows where in their recording.

    Args:
        clips: Opened clips.
        chosen: Their positions.
    """
    rows = []
    for clip in chosen.tolist():
        row: dict[str, Any] = {"name": str(clips.columns["name"][clip])}
        row["class"] = _class_name(clips, int(clips.labels[clip]))
        if clips.columns["subject"][clip] >= 0:
            row["subject"] = int(clips.columns["subject"][clip])
        if clips.is_windowed and BEGIN in clips.columns:
            rate = float(clips.columns["fps"][clip]) or ASSUMED_FPS
            begin = int(clips.columns[BEGIN][clip])
            row["recording"] = str(clips.recordings.columns["name"][clips.columns[RECORDING][clip]])
            row["start"] = round(begin / rate, 3)
            row["end"] = round((begin + int(clips.columns["frames"][clip])) / rate, 3)
        rows.append(row)
    return rows


def _class_name(clips: Clips, label: int) -> str | None:
    names = clips.dataset.class_names
    return None if label < 0 else names[label] if label < len(names) else str(label)


def _recorded(
    run: Path, clips: Clips, query: str, device: str, readout: WeightlessReadout | None
) -> tuple[Clips, dict[str, Float32[np.ndarray, "one _"]]]:
    """A recording as one clip, with its features."""
    try:
        with recorded_clip(query, clips.dataset.preparation) as read:
            if len(read) != 1:
                raise InputError(f"{query}: holds {len(read)} recordings; give a file of one, or the name of a clip")
            model = open_model(run, device, readout)
            converted = in_layout(read.in_memory(), model.config.layout, model.config.preparation)
            columns = {name: np.array(values) for name, values in converted.columns.items()}
            kept = Clips(converted.path, converted.dataset, np.array(converted.frames), columns)
            return kept, model.features(kept)
    except InputError as error:
        names = [str(name) for name in clips.columns["name"]]
        if str(error).endswith("nor a clip of this name"):
            hint = suggestion(query, names, otherwise=f"the first clip is {names[0]!r}")
            raise InputError(f"{error}; {hint}") from None
        raise


def neighbours_page(data: Mapping[str, Any], found: Neighbours, asked: Clips, clips: Clips) -> Grouped:
    """The page of a query and its neighbours.

    Args:
        data: From `find_clips`.
        found: The neighbours.
        asked: The query.
        clips: The clips that were searched.
    """
    shown = found.clips[:_MOST_SHOWN].tolist()
    same = "" if data["same_class"] is None else f"{data['same_class']} of them have the class of the query."
    notes = [f"{rank}. similarity {value:.3f}" for rank, value in enumerate(found.similarity.tolist(), 1)]
    facts = {"clips searched": str(data["searched"])}
    facts["streams"] = ", ".join(f"{name} {weight:.2g}" for name, weight in data["streams"].items())
    # Of a recording the converted positions are shown, as the encoder saw them.
    same_layout = asked.dataset.layout.joints == clips.dataset.layout.joints
    query = [Group("Query", viewed_clips(asked, [0]), [""])] if same_layout else []
    return Grouped(
        command="search",
        title=data["class"] or str(asked.columns["name"][0]),
        subtitle=f"and its {len(found.clips)} nearest clips",
        path=str(clips.path),
        lead="The query first, then the clips with the most similar features, the nearest first."
        " Open one to turn it and to step through it.",
        layout=clips.dataset.layout,
        class_names=clips.dataset.class_names,
        groups=[
            *query,
            Group(f"{len(found.clips)} nearest clips", viewed_clips(clips, shown), notes[: len(shown)], same),
        ],
        facts=facts,
        notes=[] if same_layout else [f"The query has layout {asked.dataset.layout.name} and is not drawn."],
    )
