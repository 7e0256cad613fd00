"""Features of clips: each stream's encoder output, in evaluation mode, before any head."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.distributed import collectives
from i2md.encoders.base import Encoder
from i2md.evaluation.results import ENSEMBLE
from i2md.skeletons import Layout
from i2md.views.streams import stream
from i2md.views.view import cropped_view, evaluation_view

# Encoders by stream name.
Encoders = Mapping[str, Encoder]
# Streams may differ in width, and training clips in number from test clips: no two need agree.
Features = dict[str, Float[Tensor, "_clips _width"]]


def with_ensemble(logits: Mapping[str, Float[Tensor, "*clips classes"]]) -> dict[str, Float[Tensor, "*clips classes"]]:
    """The streams' logits and, where there are several streams, their average under `ENSEMBLE`.

    >>> logits = with_ensemble({"joint": torch.tensor([[1.0, 0.0]]), "bone": torch.tensor([[0.0, 3.0]])})
    >>> logits["ensemble"].tolist()
    [[0.5, 1.5]]
    """
    if len(logits) == 1:
        return dict(logits)
    return {**logits, ENSEMBLE: torch.stack(list(logits.values())).mean(dim=0)}


@torch.no_grad()
def extract(
    encoders: Encoders,
    layout: Layout,
    count: int,
    draw: Callable[[Int64[Tensor, " batch"]], Float[Tensor, "batch frames joints channels persons"]],
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    alone: bool = False,
) -> Features:
    """Encode clips 0 to count - 1 in evaluation mode.

    The processes of a group encode a part of the batches each, and all get all features.

    Args:
        encoders: By stream.
        layout: Of the clips' joints.
        count: Number of clips.
        draw: Makes the views of the clips with these indices.
        device: Where the features are kept.
        batch_size: Clips a batch.
        alone: Encode each clip of a batch by itself: its features do not depend, not even in their last bit, on the
            clips beside it.

    Returns:
        Features (count, width) by stream.
    """
    found = {name: torch.zeros(count, encoder.width, device=device) for name, encoder in encoders.items()}
    first = next(iter(encoders.values()))
    # Those in evaluation mode are left alone: other threads may be using them.
    in_training = [encoder for encoder in encoders.values() if encoder.training]
    for encoder in in_training:
        encoder.eval()
    batches = torch.arange(count, device=device).split(batch_size)
    mine = collectives.local_range(len(batches))
    for number, indices in enumerate(batches):
        # Random crops follow one another in the generator: every process draws all of them, which costs little.
        x = draw(indices)
        if number not in mine:
            continue
        # Views lie with the batch last in memory; alone each is read from one place.
        for begin, views in enumerate(x.contiguous().split(1)) if alone else [(0, x)]:
            streams = [stream(views, name, layout) for name in encoders]
            features = type(first).forward_parallel(list(encoders.values()), streams)
            begin += number * batch_size
            for name, value in zip(encoders, features, strict=True):
                found[name][begin : begin + len(value)] = value.float()
    for encoder in in_training:
        encoder.train()
    # Rows that other processes encoded are still zero here.
    collectives.all_reduce_sum(found.values())
    return found


def clip_features(
    encoders: Encoders,
    layout: Layout,
    clips: PackedClips,
    frames: int,
    persons: int,
    batch_size: int = 256,
    alone: bool = False,
) -> Features:
    """Encode the evaluation crop of each clip: its middle 95 % of frames, resized to `frames`.

    Args:
        encoders: By stream.
        layout: Of the clips' joints.
        clips: What to encode.
        frames: Frames a view.
        persons: Persons a view; clips of fewer are filled up with zeros.
        batch_size: Clips a batch.
        alone: Encode each clip by itself, as in `extract`.

    Returns:
        Features (clips, width) by stream.

    Source: docs/method.md section 8.
    """
    return extract(
        encoders,
        layout,
        len(clips),
        lambda indices: evaluation_view(clips, indices, frames, persons),
        clips.rows.device,
        batch_size,
        alone,
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
    """Encode one random crop of each clip.

    Args:
        encoders: By stream.
        layout: Of the clips' joints.
        clips: What to encode.
        frames: Frames a view.
        persons: Persons a view.
        fraction: Least and greatest fraction of a clip's frames that a crop keeps.
        generator: Draws the crops.
        batch_size: Clips a batch.

    Returns:
        Features (clips, width) by stream.
    """
    return extract(
        encoders,
        layout,
        len(clips),
        lambda indices: cropped_view(clips, indices, frames, persons, fraction, generator),
        clips.rows.device,
        batch_size,
    )
