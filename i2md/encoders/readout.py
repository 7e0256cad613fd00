"""From an encoder's states over time to its features: the read-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from i2md.encoders.base import Encoder
from i2md.encoders.settings import ReadoutName, WeightlessReadout
from i2md.errors import InputError

# Parts of a clip at the levels of the pyramid, 1 + 2 + 4.
PYRAMID_PARTS = 7

States = Float[Tensor, "batch width frames"]


class Readout(nn.Module):
    """Features of a clip out of its states, one a frame. All sums are float32, whatever the states' type.

    `last` is the last frame's state; `mean` and `max` are taken over the frames; `attention` is the mean weighted by a
    softmax over the frames of the states' products with a learned query, which starts as `mean`; `pyramid` is the
    maximum over all frames, over each half and over each quarter of them, one after another.

    Args:
        name: One of these.
        width: Of a state.

    >>> states = torch.tensor([[[1.0, 5.0, 2.0, 3.0, 0.0, 4.0, 7.0, 6.0]]])
    >>> Readout("pyramid", 1)(states).tolist()
    [[7.0, 5.0, 7.0, 5.0, 3.0, 4.0, 7.0]]

    Source of the pyramid: Lazebnik, Schmid and Ponce, "Beyond Bags of Features" (CVPR 2006), over time in place of the
    image plane.
    """

    def __init__(self, name: ReadoutName, width: int) -> None:
        super().__init__()
        self.name = name
        self.width = PYRAMID_PARTS * width if name == "pyramid" else width
        self.query = nn.Parameter(torch.zeros(width)) if name == "attention" else None

    def forward(self, states: States) -> Float32[Tensor, "batch features"]:
        """Features of a batch; frames may be any axis in memory."""
        with torch.autocast(states.device.type, enabled=False):
            if self.query is not None:
                return _attend(states.float(), self.query)
            return _WITHOUT_WEIGHTS[self.name](states).float()


def _mean(states: States) -> Tensor:
    return states.mean(dim=2, dtype=torch.float32)


def _pyramid(states: States) -> Tensor:
    """A half is the union of its quarters, and the whole that of the halves, so that frames are read once."""
    quarters = _quarters(states)
    halves = quarters.unflatten(0, (2, 2)).amax(dim=1)
    return torch.cat([halves.amax(dim=0), *halves, *quarters], dim=1)


def _quarters(states: States) -> Float[Tensor, "4 batch width"]:
    """Maxima over four parts as adaptive pooling draws them: of a number that 4 does not divide they share frames."""
    frames = states.shape[2]
    bounds = [(part * frames // 4, -(-(part + 1) * frames // 4)) for part in range(4)]
    return torch.stack([states[:, :, first:stop].amax(dim=2) for first, stop in bounds])


def _attend(states: Float32[Tensor, "batch width frames"], query: Float[Tensor, " width"]) -> Tensor:
    scores = torch.einsum("bwt,w->bt", states, query * len(query) ** -0.5)
    return torch.einsum("bwt,bt->bw", states, F.softmax(scores, dim=1))


_WITHOUT_WEIGHTS = {
    "last": lambda states: states[:, :, -1],
    "mean": _mean,
    "max": lambda states: states.amax(dim=2),
    "pyramid": _pyramid,
}


class ReadoutEncoder(Encoder):
    """An encoder whose features are read out of states over time, by the setting `readout`.

    A subclass calls `_set_readout` once it knows the width of its states, and `self.readout` in `forward`.
    """

    default_readout: ClassVar[ReadoutName] = "last"
    readout: Readout
    state_width: int

    def _set_readout(self, name: ReadoutName | None, state_width: int, beside: int = 0) -> None:
        """Build the read-out.

        Args:
            name: Its name; None is the encoder's own.
            state_width: Width of a state.
            beside: Width of the features that are not read out of states over time.
        """
        self.readout = Readout(name or self.default_readout, state_width)
        self.state_width = state_width
        self.width = self.readout.width + beside
        self.head_width = state_width + beside

    def read_out_by(self, name: WeightlessReadout) -> None:
        """Read the features of the same states out in another way from now on; `width` may change.

        Args:
            name: The read-out.
        """
        self._set_readout(name, self.state_width, self.width - self.readout.width)


def read_out_by(encoders: Mapping[str, Encoder], name: WeightlessReadout | None) -> None:
    """Let encoders read their features out in another way from now on.

    Args:
        encoders: By stream.
        name: The read-out; None leaves the encoders as they are.

    Raises:
        InputError: An encoder has no read-out.
    """
    if name is None:
        return
    for encoder in encoders.values():
        if not isinstance(encoder, ReadoutEncoder):
            kind = type(encoder).__name__
            raise InputError(f"readout {name}: encoder {kind} has no read-out to change; leave the option out")
        encoder.read_out_by(name)
