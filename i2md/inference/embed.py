"""`i2md embed`: the features of all clips, however many, into a file or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from i2md.data.storage.remote import is_remote
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.distributed.process_group import world_size
from i2md.errors import InputError
from i2md.inference.feature_shares import Features, Keep, features_of_shares, share_count, span_of
from i2md.inference.features import FeatureFolder, key_of, write_npz, write_share
from i2md.inference.run_files import RunFiles


def embed_into(run: Path, clips: Clips, out: Path, device: str, cluster: str | None) -> dict[str, Any]:
    """Write the features of all clips to `out`, an .npz or a folder; a folder that was not finished goes on.

    `run` and `out` are places (i2md.data.storage.remote). Raises InputError where things don't fit one another.
    """
    if cluster and world_size() > 1:
        raise InputError("embed: --cluster shares the work out by itself; start it without torchrun or srun")
    if out.suffix == ".npz":
        shares = list(range(share_count(clips)))
        found = [features for _, features in _done(run, clips, shares, device, cluster)]
        together: Features = {name: np.concatenate([features[name] for features in found]) for name in found[0]}
        collectives.run_on_main(partial(write_npz, out, clips, together))
        return {"clips": len(clips), "features": {name: list(value.shape) for name, value in together.items()}}
    if out.suffix or (out.exists() and not out.is_dir()):
        raise InputError(
            f"{out}: the features are written as .npz, or as Parquet into a folder; name the file so, or a folder"
        )
    folder = FeatureFolder(out, clips, key_of(RunFiles.read(run).key, clips))
    missing: list[int] = collectives.broadcast_result(folder.missing)
    # Whoever made them writes them, where everybody reaches the place; what is on this disk only this process does.
    there = partial(write_share, out)
    for share, features in _done(run, clips, missing, device, cluster, there if cluster and is_remote(out) else None):
        if features:
            collectives.run_on_main(partial(there, share, span_of(clips, share), features))
    return {"clips": len(clips), "features": collectives.broadcast_result(folder.finish)}


def _done(
    run: Path, clips: Clips, shares: list[int], device: str, cluster: str | None, keep: Keep | None = None
) -> Iterator[tuple[int, Features]]:
    before = len(clips) - sum(len(span_of(clips, share)) for share in shares)
    # What takes a moment needs no bar.
    with tqdm(total=len(clips), initial=before, unit="clip", desc="embed", disable=share_count(clips) < 2) as progress:
        for share, features in features_of_shares(run, clips, shares, device, cluster, keep):
            progress.update(len(span_of(clips, share)))
            yield share, features
