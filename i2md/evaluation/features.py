"""Features of clips: each stream's encoder output, in evaluation mode, before any head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.distributed import collectives as ranks
from i2md.encoders.base import Encoder
from i2md.skeletons import Layout
from i2md.views.streams import stream
from i2md.views.view import cropped_view, evaluation_view

# Encoders by stream name.
Encoders = Mapping[str, Encoder]
# Streams may differ in width, and training clips in number from test clips: no two need agree.
Features = dict[str, Float[Tensor, "_clips _width"]]


def ensemble_name(streams: Iterable[str]) -> str:
    """What the average of the streams' scores is called: "3-stream" when there are three."""
    return f"{len(list(streams))}-stream"


@torch.no_grad()
def extract(
    encoders: Encoders,
    layout: Layout,
    count: int,
    draw: Callable[[Int64[Tensor, " batch"]], Float[Tensor, "batch frames joints channels persons"]],
    device: torch.device | str = "cpu",
    batch_size: int = 256,
) -> Features:
    """Features of clips 0 to count - 1, `draw` making the views of a batch of indices.

    Processes that work together encode a share of the batches each, and all have all features.
    """
    found = {name: torch.zeros(count, encoder.width, device=device) for name, encoder in encoders.items()}
    first = next(iter(encoders.values()))
    modes = {name: encoder.training for name, encoder in encoders.items()}
    for encoder in encoders.values():
        encoder.eval()
    batches = torch.arange(count, device=device).split(batch_size)
    mine = ranks.local_range(len(batches))
    for number, indices in enumerate(batches):
        # Random crops come one after the other: every process draws all of them, little work beside encoding one.
        x = draw(indices)
        if number not in mine:
            continue
        features = type(first).forward_parallel(list(encoders.values()), [stream(x, name, layout) for name in encoders])
        for name, value in zip(encoders, features, strict=True):
            found[name][indices] = value.float()
    for name, encoder in encoders.items():
        encoder.train(modes[name])
    # Where a clip is another process's, zeros stand so far.
    ranks.all_reduce_sum(found.values())
    return found


def clip_features(
    encoders: Encoders, layout: Layout, clips: PackedClips, frames: int, persons: int, batch_size: int = 256
) -> Features:
    """Features of the evaluation crop of each clip. Source: docs/method.md section 8."""
    return extract(
        encoders,
        layout,
        len(clips),
        lambda indices: evaluation_view(clips, indices, frames, persons),
        clips.rows.device,
        batch_size,
    )


def crop_features(
    encoders: Encoders,
    layout: Layout,
    clips: PackedClips,
    frames: int,
    persons: int,
    fraction: tuple[float, float],
    generator: torch.Generator,
    batch_size: int = 256,
) -> Features:
    """Features of one random crop of each clip."""
    return extract(
        encoders,
        layout,
        len(clips),
        lambda indices: cropped_view(clips, indices, frames, persons, fraction, generator),
        clips.rows.device,
        batch_size,
    )
