"""A memory of clips: for each clip of the data set a running mean of its keys.

A single view is a noisy choice of neighbours; a mean over a clip's views is a better one. Unlike a queue, a memory has
one entry a clip: no random ones, and no older copies of the clip in hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from i2md.objectives.queue import KeyQueue


@dataclass(frozen=True)
class NearClips:
    """The nearest clips of each clip of a batch."""

    clips: Int64[Tensor, "batch count"]
    """Indices in the data set."""
    valid: Bool[Tensor, "batch count"]
    """False where fewer clips than asked for are known."""

    def held(self, own: Int64[Tensor, " batch"], queue: KeyQueue) -> Bool[Tensor, "batch queue"]:
        """True where a queue entry is a key of the clip itself or of one of its neighbours.

        Args:
            own: Indices of the batch's clips.
            queue: The queue.
        """
        held = queue.holds(own)
        for near, valid in zip(self.clips.unbind(1), self.valid.unbind(1), strict=True):
            held = held | (queue.holds(near) & valid[:, None])
        return held


class ClipMemory(nn.Module):
    """m_c <- normalise(momentum m_c + (1 - momentum) key) for each clip c; zero until its first key.

    Saved with the model's checkpoints.

    Args:
        clips: Number of clips in the data set.
        width: Width of a key.
        momentum: Share of a clip's mean that each new key keeps.

    >>> memory = ClipMemory(3, 2, 0.5)
    >>> memory.update(torch.tensor([[1.0, 0.0]]), torch.tensor([2]))
    >>> memory.updated(torch.tensor([[0.0, 1.0]]), torch.tensor([2])).tolist()
    [[0.7071067690849304, 0.7071067690849304]]
    """

    means: Tensor
    seen: Tensor

    def __init__(self, clips: int, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("means", torch.zeros(clips, width))
        self.register_buffer("seen", torch.zeros(clips, dtype=torch.bool))

    def updated(
        self, keys: Float[Tensor, "batch width"], clips: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """The means of a batch's clips with their newest keys, which for a new clip is its key.

        Args:
            keys: Unit vectors.
            clips: Indices of their clips.
        """
        return F.normalize(self.momentum * self.means[clips] + (1 - self.momentum) * keys, dim=1)

    @torch.no_grad()
    def update(self, keys: Float[Tensor, "batch width"], clips: Int64[Tensor, " batch"]) -> None:
        """Take a batch of keys in.

        Args:
            keys: Unit vectors.
            clips: Indices of their clips.
        """
        self.means[clips] = self.updated(keys, clips).to(self.means.dtype)
        self.seen[clips] = True

    def aggregate(
        self, keys: Float[Tensor, "batch width"], clips: Int64[Tensor, " batch"], near: NearClips
    ) -> Float[Tensor, "batch width"]:
        """normalise(mean of the means of each clip, with its newest key, and of its neighbours).

        Args:
            keys: Unit vectors.
            clips: Indices of their clips.
            near: Their neighbours.
        """
        neighbours = self.means[near.clips] * near.valid[:, :, None]
        return F.normalize(self.updated(keys, clips) + neighbours.sum(dim=1), dim=1)


@torch.no_grad()
def nearest_clips(
    memories: Mapping[str, ClipMemory],
    keys: Mapping[str, Tensor],
    clips: Int64[Tensor, " batch"],
    count: int,
    together: bool,
) -> dict[str, NearClips]:
    """The nearest clips of each clip, itself left out, by the similarity of their means.

    Args:
        memories: By stream; all have seen the same clips.
        keys: (batch, width) unit vectors by stream, that the clips' own means take in first.
        clips: Indices of the clips in the data set.
        count: Number of neighbours.
        together: By the sum of the streams' similarities, each standardised over the clips that may be neighbours.

    Returns:
        Neighbours by stream.
    """
    seen = next(iter(memories.values())).seen
    others = seen[None, :] & (clips[:, None] != torch.arange(len(seen), device=seen.device)[None, :])
    similarity = {name: memory.updated(keys[name], clips) @ memory.means.T for name, memory in memories.items()}
    if together:
        total = torch.stack([_standardised(values, others) for values in similarity.values()]).sum(dim=0)
        similarity = dict.fromkeys(similarity, total)
    found = {}
    for name, values in similarity.items():
        nearest = values.masked_fill(~others, -torch.inf).topk(min(count, len(seen)), dim=1, sorted=False).indices
        found[name] = NearClips(nearest, others.gather(1, nearest))
    return found


def _standardised(
    similarity: Float[Tensor, "batch clips"], others: Bool[Tensor, "batch clips"]
) -> Float[Tensor, "batch clips"]:
    """Mean 0 and variance 1 over each row's other clips."""
    count = others.sum(dim=1, keepdim=True).clamp_min(1)
    centred = similarity - (similarity * others).sum(dim=1, keepdim=True) / count
    variance = (centred.square() * others).sum(dim=1, keepdim=True) / count
    return centred / variance.sqrt().clamp_min(1e-12)
