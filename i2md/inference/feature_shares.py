"""Features of any number of clips, a share of them at a time, here or by the machines of a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from i2md.data.store import Clips
from i2md.distributed.ray_cluster import Cluster, RayFuture, joined
from i2md.errors import InputError
from i2md.evaluation.evaluate import require_same_layout
from i2md.inference.model import Model
from i2md.inference.run_files import RunFiles, model_of, open_model

# A multiple of the batch: then features are those of all clips at once, bit for bit on one kind of machine.
SHARE = 4096
Features = dict[str, np.ndarray]
# What becomes of a share (its number, its clips) where its features were made; what it gives is passed on.
Keep = Callable[[int, Clips, Features], Features]


def span_of(clips: Clips, share: int) -> Clips:
    """The clips of share 0, 1 and on."""
    return clips.span(share * SHARE, min((share + 1) * SHARE, len(clips)))


def share_count(clips: Clips) -> int:
    """How many shares the clips make."""
    return -(-len(clips) // SHARE)


def features_of_shares(
    run: Path,
    clips: Clips,
    shares: Sequence[int],
    device: str = "auto",
    cluster: str | None = None,
    keep: Keep | None = None,
) -> Iterator[tuple[int, Features]]:
    """Each share in order, with its features by stream, (clips, width) each, or what `keep` makes of them.

    With the address of a `cluster` its machines do it, each with a GPU where it has any and `device` allows. They
    read clips in a store from there; clips on a disk are sent to them. `keep` runs where the features are made.
    """
    if cluster is None:
        model = open_model(run, device)
        for share in shares:
            yield share, _features(model, span_of(clips, share), share, keep)
        return
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: with a cluster choose auto, cpu or cuda")
    # Here first: what does not fit is told before anybody is troubled.
    here = open_model(run, "cpu")
    require_same_layout(here.config, clips, run)
    with joined(cluster) as whole:
        yield from _by(whole, device, RunFiles.read(run), clips, shares, keep)


def _by(
    cluster: Cluster, device: str, run: RunFiles, clips: Clips, shares: Sequence[int], keep: Keep | None
) -> Iterator[tuple[int, Features]]:
    with_gpus = device == "cuda" or (device == "auto" and cluster.has_gpus)
    cluster, device = (cluster.with_gpus(), "cuda") if with_gpus else (cluster, "cpu")
    files = cluster.put(run)
    left, waiting = deque(shares), deque[tuple[int, RayFuture]]()
    while left or waiting:
        # One share in hand and one at hand for each: then none waits, and little is held.
        while left and len(waiting) < 2 * cluster.num_workers:
            share = left.popleft()
            waiting.append((share, cluster.submit(_features_there, files, device, span_of(clips, share), share, keep)))
        share, features = waiting.popleft()
        yield share, features.result()


def _features_there(run: RunFiles, device: str, clips: Clips, share: int, keep: Keep | None) -> Features:
    return _features(model_of(run, device), clips, share, keep)


def _features(model: Model, clips: Clips, share: int, keep: Keep | None) -> Features:
    features = model.embed(clips.in_memory())
    return keep(share, clips, features) if keep else features
