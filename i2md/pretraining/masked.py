"""Masked motion prediction: the method `masked`, a stage before contrast.

Some stretches of a view's frames are hidden from the encoder; a small decoder predicts from the clip's features how
the joints move in them. The run's encoders are what a contrastive run starts from (`start_from`).

Source of the target: Mao et al., "Masked Motion Predictors are Strong 3D Action Representation Learners" (MAMP, ICCV
2023). There tokens of a transformer are masked and predicted; here, for any encoder, frames, out of the features of the
whole clip.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from i2md.encoders.base import Encoder
from i2md.encoders.registry import build_encoder
from i2md.pretraining.model import Branch, ByStream
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import Layout
from i2md.views.streams import stream

TERM = "masked_motion"


class MotionDecoder(nn.Module):
    """From a clip's features to the motion of each of its frames: a two-layer network of features and frame.

    Args:
        width: Of the features.
        hidden: Hidden units.
        frames: Frames of a view.
        values: Numbers of a frame: joints x channels x persons.
    """

    def __init__(self, width: int, hidden: int, frames: int, values: int) -> None:
        super().__init__()
        self.features = nn.Linear(width, hidden)
        self.frames = nn.Parameter(torch.randn(frames, hidden))
        self.values = nn.Linear(hidden, values)
        # It starts by predicting no motion.
        nn.init.zeros_(self.values.weight)
        nn.init.zeros_(self.values.bias)

    def forward(self, features: Float[Tensor, "batch width"]) -> Float[Tensor, "batch frames values"]:
        """Motion of every frame."""
        return self.values(F.relu(self.features(features)[:, None] + self.frames))


class MaskedBranch(nn.Module):
    """An encoder and its decoder.

    Args:
        encoder: From clips to features.
        decoder: From features to motion.
    """

    def __init__(self, encoder: Encoder, decoder: MotionDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder


class MaskedMotion(nn.Module):
    """Masked motion prediction by each stream's encoder; the streams do not interact.

    For one seed the encoders start from the same weights as those of the other methods.

    Args:
        settings: Everything that decides the weights.
        layout: Joints of the clips.
        persons: Persons in a clip.
    """

    queues_ready = True

    def __init__(self, settings: PretrainSettings, layout: Layout, persons: int = 1) -> None:
        super().__init__()
        self.settings = settings
        self.layout = layout
        self.persons = persons
        self.steps = 0
        # As branches, so that heads are drawn between the encoders as for the other methods.
        branches = [
            Branch(build_encoder(settings.encoder, layout, persons), settings.objectives, settings.precision)
            for _ in settings.streams
        ]
        values, frames = len(layout.joints) * layout.channels * persons, settings.views.frames
        self.query: ByStream[MaskedBranch] = ByStream(
            {
                name: MaskedBranch(
                    branch.encoder, MotionDecoder(branch.encoder.width, self._hidden(branch.encoder), frames, values)
                )
                for name, branch in zip(settings.streams, branches, strict=True)
            }
        )

    @staticmethod
    def _hidden(encoder: Encoder) -> int:
        return encoder.head_width or encoder.width

    def forward(
        self,
        view: Float[Tensor, "batch frames joints channels persons"],
        masked: Bool[Tensor, "batch frames"],
        clips: Int64[Tensor, " batch"],
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
        """Compute the losses of a batch.

        Args:
            view: A view of each clip.
            masked: True at the frames that the encoders do not see.
            clips: Indices of the clips in the data set.

        Returns:
            The error of each stream by name ("masked_motion/joint", ...), and no keys.
        """
        target = stream(view, "motion", self.layout).flatten(2)
        branches = list(self.query.values())
        seen = [hide(stream(view, name, self.layout), masked) for name in self.settings.streams]
        with torch.autocast(view.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            features = type(branches[0].encoder).forward_parallel([branch.encoder for branch in branches], seen)
        predicted = [branch.decoder(x.float()) for branch, x in zip(branches, features, strict=True)]
        names = (f"{TERM}/{name}" for name in self.settings.streams)
        return {name: relative_error(x, target, masked) for name, x in zip(names, predicted, strict=True)}, {}

    def update_keys(self) -> None:
        """There are no key branches."""

    def enqueue(self, keys: dict[str, tuple[Tensor, Tensor]], clips: Int64[Tensor, " batch"]) -> None:
        """There are no queues."""


def hide(
    x: Float[Tensor, "batch frames joints channels persons"], masked: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames joints channels persons"]:
    """Zeros in the masked frames.

    Args:
        x: A stream.
        masked: True at the frames to hide.
    """
    return x * ~masked[:, :, None, None, None]


def relative_error(
    predicted: Float[Tensor, "batch frames values"],
    target: Float[Tensor, "batch frames values"],
    masked: Bool[Tensor, "batch frames"],
) -> Float[Tensor, ""]:
    """Mean squared error in the masked frames over the mean squared motion there: 1 is as good as predicting none.

    Args:
        predicted: Motion of every frame, in units of the batch's root mean square.
        target: The true motion.
        masked: True at the frames that count.
    """
    counted = masked[:, :, None].expand_as(target)
    scale = (target.square() * counted).sum().div(counted.sum()).sqrt().clamp_min(1e-12)
    return ((predicted - target / scale).square() * counted).sum() / counted.sum()


def masked_frames(
    numbers: Float[Tensor, "batch stretches"], frames: int, length: int, fraction: float
) -> Bool[Tensor, "batch frames"]:
    """Which frames are hidden: the stretches of `length` frames with the smallest numbers, at least one of them.

    Args:
        numbers: A random number for each stretch of each clip.
        frames: Frames of a view.
        length: Frames of a stretch; the last one may be shorter.
        fraction: Share of the stretches that are hidden.

    >>> masked_frames(torch.tensor([[0.9, 0.1, 0.5]]), frames=5, length=2, fraction=0.4).int().tolist()
    [[0, 0, 1, 1, 0]]
    """
    count = max(1, round(fraction * numbers.shape[1]))
    chosen = numbers.topk(count, dim=1, largest=False, sorted=False).indices
    hidden = torch.zeros_like(numbers, dtype=torch.bool).scatter_(1, chosen, True)
    return hidden.repeat_interleave(length, dim=1)[:, :frames]
