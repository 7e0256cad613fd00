"""Joints without a value in batches of clips, as i2md.data.gaps and i2md.data.conversion treat them in one clip.

Nothing here depends on a value in Python: every operation is a tensor operation on a whole batch, as an exported graph
needs. A clip keeps its number of frames; which of them count is told by masks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from i2md.data.conversion import turn_between
from i2md.data.recording import MAX_GAP
from i2md.skeletons import JointMapping

Positions = Float[Tensor, "batch persons frames joints channels"]
Joints = Bool[Tensor, "batch persons frames joints"]


class MapJoints(nn.Module):
    """Joints of another layout, as `i2md.data.conversion.map_positions` makes them.

    Args:
        mapping: From the layout of the graph's input to that of the run.
    """

    weights: Tensor
    turn: Tensor

    def __init__(self, mapping: JointMapping) -> None:
        super().__init__()
        weights = torch.zeros(len(mapping.weights), len(mapping.source.joints))
        for target, of in enumerate(mapping.weights):
            for joint, weight in of:
                weights[target, joint] = weight
        turn = torch.eye(mapping.source.channels)
        if mapping.source.channels == 3:
            turn = torch.as_tensor(turn_between(mapping.source.up, mapping.target.up), dtype=torch.float32)
        self.register_buffer("weights", weights)
        self.register_buffer("turn", turn)
        self.centre = mapping.source.centre
        self.never = [joint for joint, of in enumerate(mapping.weights) if not of]
        self.single = [float(len(of) == 1) for of in mapping.weights]

    def forward(self, x: Positions, finite: Joints) -> tuple[Positions, Joints]:
        """Positions of the run's joints, zeros where there is no value; and which of them are not NaN."""
        held = finite & (x != 0).any(dim=-1)
        seen = held.any(dim=-1, keepdim=True)
        held = held | (finite & seen & only(self.centre, x))
        uses = (self.weights > 0).to(x.dtype)
        there = held.to(x.dtype) @ uses.T > uses.sum(dim=1) - 0.5
        never = torch.zeros(len(self.single), dtype=torch.bool, device=x.device)
        if self.never:
            never = torch.tensor([joint in self.never for joint in range(len(self.single))], device=x.device)
        there = there & ~never
        mapped = torch.einsum("bpfjc,kj->bpfkc", x, self.weights) @ self.turn.T
        # A joint that is zeros in the input stays so: presets differ in what they make of it.
        single = torch.tensor(self.single, device=x.device) > 0
        zeros = (finite.to(x.dtype) @ uses.T > 0.5) & single
        unknown = seen & ~there & ~zeros
        return torch.where(there[..., None] & seen[..., None], mapped, 0.0), ~unknown


def only(joint: int, x: Float[Tensor, "batch persons frames joints channels"]) -> Bool[Tensor, " joints"]:
    """True for one joint.

    Args:
        joint: Its number.
        x: Positions, whose number of joints counts.
    """
    return torch.arange(x.shape[3], device=x.device) == joint


def fill_joints(x: Positions, finite: Joints, centre: int, zeros_too: bool) -> Positions:
    """Interpolate joints without a value over gaps of up to MAX_GAP frames, as `i2md.data.gaps.with_gaps_filled`.

    Args:
        x: Positions, zeros where they are not finite.
        finite: Where they are.
        centre: The joint that may lie at the origin.
        zeros_too: Whether zeros are without a value, too.
    """
    there = (x != 0).any(dim=-1)
    present = there.any(dim=-1, keepdim=True)
    known = finite & (there | only(centre, x) | ~present) if zeros_too else finite
    return fill(x, known & present, ~known & present, present)


def fill(x: Positions, known: Joints, lost: Joints, present: Bool[Tensor, "batch persons frames _"]) -> Positions:
    """Interpolate linearly in time what is lost, in gaps of up to MAX_GAP frames.

    Args:
        x: Positions.
        known: Which joints have a value.
        lost: Which ones may be interpolated.
        present: Frames between whose first and last a gap is measured where it has no value on one side.
    """
    frame = frame_numbers(x)[:, None]
    first = torch.where(present, frame, x.shape[2]).amin(dim=2, keepdim=True)
    last = torch.where(present, frame, -1).amax(dim=2, keepdim=True)
    before, after = _last_known(known), x.shape[2] - 1 - _last_known(known.flip(2)).flip(2)
    has_before, has_after = before >= 0, after < x.shape[2]
    start, end = torch.where(has_before, before, first - 1), torch.where(has_after, after, last + 1)
    short = lost & (end - start - 1 <= MAX_GAP) & (has_before | has_after)
    # On one side of all values it is the nearest one.
    left, right = torch.where(has_before, before, after), torch.where(has_after, after, before)
    share = ((frame - left) / (right - left).clamp_min(1)).to(x.dtype).clamp(0, 1)[..., None]
    low, high = (_at_frames(x, each.clamp(0, x.shape[2] - 1)) for each in (left, right))
    return torch.where(short[..., None], low + (high - low) * share, x)


def _last_known(known: Joints) -> Int64[Tensor, "batch persons frames joints"]:
    """The last frame up to each in which a joint is known, of those that a short gap allows; -1 where none is."""
    frame = frame_numbers(known)[:, None].to(torch.float32)
    numbers = torch.where(known, frame, -1.0)
    # Over images of frames and joints: pooling of sequences fixes their length in an exported graph.
    padded = F.pad(numbers, (0, 0, MAX_GAP + 1, 0), value=-1.0)
    return F.max_pool2d(padded, (MAX_GAP + 2, 1), stride=1).to(torch.int64)


def frame_numbers(x: Tensor) -> Int64[Tensor, " frames"]:
    """0, 1, ... for the frames of a batch.

    Args:
        x: Of shape (batch, persons, frames, ...).
    """
    return torch.arange(x.shape[2], device=x.device)


def _at_frames(x: Positions, frames: Int64[Tensor, "batch persons frames joints"]) -> Positions:
    """Each joint at a frame of its own."""
    return x.gather(2, frames[..., None].expand(-1, -1, -1, -1, x.shape[-1]).expand_as(x))
