"""A run or a fitted classifier as one module: raw joints in, features or predictions out, without a step outside.

It computes what `Model.embed` and `Classifier.predict` compute, by tensor operations alone, so that it can be exported
(i2md.inference.export.files). In Python the module itself is differentiable from joints to features.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i2md.data.conversion import mapping_for
from i2md.errors import InputError
from i2md.evaluation.baselines import MINIROCKET, POSITIONS
from i2md.evaluation.features import Encoders
from i2md.evaluation.open_set import known_scores
from i2md.inference.candidates import KINDS, LEARNED
from i2md.inference.classifier_files import ClassifierInfo, FittedParts
from i2md.inference.export.missing import MapJoints
from i2md.inference.export.steps import PRESETS, Batch, prepared
from i2md.inference.model import Model
from i2md.skeletons import Layout, get_layout
from i2md.views.streams import stream

Raw = Float[Tensor, "batch frames joints channels *persons"]
Views = Float[Tensor, "batch frames joints channels persons"]
# The part of a clip that is left out at its beginning, as `i2md.views.resize.centre_crop` does.
_CUT = 0.05 / 2


class FeatureGraph(nn.Module):
    """Raw joints to the features of each stream.

    Args:
        model: The run.
        layout: Name of the joints' layout, or its YAML file; by default the run's.
        is_prepared: Whether clips come prepared by the run's preset already.

    Raises:
        InputError: The preset needs more than one clip, or too few joints can be had.
    """

    def __init__(self, model: Model, layout: str | None = None, is_prepared: bool = False) -> None:
        super().__init__()
        config = model.config
        self.layout, self.preset, self.persons = (
            config.layout,
            "none" if is_prepared else config.preparation,
            config.persons,
        )
        if self.preset not in PRESETS:
            raise InputError(
                f"{model.run}: preset {self.preset!r} chooses among all bodies that a sensor tracked, which a clip does"
                " not hold; prepare clips by i2md prepare, and export with --prepared"
            )
        self.encoders = nn.ModuleDict(dict(model.encoders))
        self.frames = config.settings.views.frames
        self.layout_name = layout
        self.mapping: MapJoints | None = None
        self.input_layout: Layout = self.layout
        if layout is not None and (given := get_layout(layout)).joints != self.layout.joints:
            if is_prepared:
                raise InputError(
                    f"layout {layout}: prepared clips have the run's layout; leave out --layout or --prepared"
                )
            self.input_layout = given.with_channels(self.layout.channels)
            self.mapping = MapJoints(mapping_for(self.input_layout, self.layout, config.preparation))

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs: one for each stream, and `seen`."""
        return [*self.encoders, "seen"]

    def example(self) -> Float[Tensor, "batch frames joints channels *persons"]:
        """Clips of the shape that the graph takes."""
        x = torch.randn(2, 50, len(self.input_layout.joints), self.layout.channels, self.persons)
        return x if self.persons > 1 else x[..., 0]

    def forward(self, joints: Raw) -> tuple[Tensor, ...]:
        """Features (batch, width) of each stream, and whether anybody is seen in each clip."""
        clips = self.clips(joints)
        return *self.features(clips).values(), clips.count > 0

    def clips(self, joints: Raw) -> Batch:
        """Prepared clips.

        Args:
            joints: As recorded; NaN where a joint has no value, zeros in frames in which a person is not seen.
        """
        x = joints.permute(0, 4, 1, 2, 3) if self.persons > 1 else joints[:, None]
        finite = torch.isfinite(x).all(dim=-1)
        x = torch.where(finite[..., None], x, 0.0)
        if self.mapping is not None:
            x, finite = self.mapping(x, finite)
        return prepared(x, finite, self.layout, self.preset)

    def features(self, clips: Batch) -> dict[str, Float[Tensor, "batch _width"]]:
        """Features by stream.

        Args:
            clips: Prepared clips.
        """
        encoders: Encoders = dict(self.encoders.items())  # type: ignore[arg-type]
        x = view(clips, self.frames)
        # One after another: side by side they would share products whose weights are stacked at every call.
        return {name: encoder(stream(x, name, self.layout)) for name, encoder in encoders.items()}


class PredictionGraph(FeatureGraph):
    """Raw joints to the predictions of a fitted classifier.

    Args:
        model: The run within the classifier.
        parts: The classifier's other parts.
        layout: As for `FeatureGraph`.
        is_prepared: As for `FeatureGraph`.

    Raises:
        InputError: As `FeatureGraph`, or the classifier reads MiniRocket's features.
    """

    def __init__(self, model: Model, parts: FittedParts, layout: str | None = None, is_prepared: bool = False) -> None:
        super().__init__(model, layout, is_prepared)
        require_expressible(model.run, parts.info)
        self.info = parts.info
        self.position_frames = parts.features.frames.get(POSITIONS, 0)
        self._linear: dict[tuple[str, str], dict[str, str]] = {}
        for name, streams in parts.classifiers.items():
            for s, each in streams.items():
                self._linear[name, s] = {
                    part: self._keep(f"{name}_{s}_{part}", getattr(each, part).cpu())
                    for part in ("mean", "deviation", "weights", "intercepts")
                }
        self._references = {}
        if parts.info.known_score == "nearest":
            self._references = {s: self._keep(f"references_{s}", value.cpu()) for s, value in parts.references.items()}

    def _keep(self, name: str, value: Tensor) -> str:
        self.register_buffer(name, value)
        return name

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return ["probabilities", "label", "rejected", "known", "seen"]

    def forward(self, joints: Raw) -> tuple[Tensor, ...]:
        """Probabilities (batch, classes), the most probable class, whether the clip is none, by which score, and
        whether anybody is seen in it.
        """
        clips = self.clips(joints)
        features = {LEARNED: self.features(clips)}
        if POSITIONS in self.info.candidate:
            x = view(clips, self.position_frames)
            features[POSITIONS] = {name: stream(x, name, self.layout).flatten(1) for name in self.encoders}
        scores = []
        for name in self.info.candidate:
            streams = [self._scores(name, s, value) for s, value in features[KINDS[name]].items()]
            scores.append(torch.stack(streams).mean(dim=0))
        logits = torch.stack(scores).mean(dim=0).double() / self.info.temperature
        probabilities = logits.softmax(dim=1)
        known = self._known(logits, features[LEARNED])
        label = probabilities.argmax(dim=1)
        rejected = torch.zeros_like(label, dtype=torch.bool)
        if self.info.threshold is not None:
            rejected = known < self.info.threshold
        if self.info.background is not None:
            rejected = rejected & (label != self.info.background)
        return probabilities, label, rejected, known, clips.count > 0

    def _known(self, logits: Tensor, features: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        if self.info.known_score != "nearest":
            return known_scores(self.info.known_score, logits, {}, {})
        units = {s: F.normalize(features[s].double(), dim=1) for s in self._references}
        similarities = [units[s] @ getattr(self, name).T.double() for s, name in self._references.items()]
        return torch.stack(similarities).mean(dim=0).amax(dim=1)

    def _scores(self, name: str, s: str, features: Tensor) -> Float[Tensor, "batch classes"]:
        mean, deviation, weights, intercepts = (getattr(self, each) for each in self._linear[name, s].values())
        return (((features.double() - mean) / deviation) @ weights + intercepts).float()


def require_expressible(folder: Path, info: ClassifierInfo) -> None:
    """Check that a classifier can be a graph.

    Args:
        folder: Of the classifier, named in the message.
        info: Its description.

    Raises:
        InputError: It reads MiniRocket's features.
    """
    if MINIROCKET in info.candidate:
        raise InputError(
            f"{folder}: its classifier reads MiniRocket's features, which compiled code of aeon computes and no graph"
            " can; fit another one with --candidates learned positions"
        )


def view(clips: Batch, frames: int) -> Views:
    """The middle 95 % of each clip, resized in time, as `i2md.views.view.evaluation_view` makes it.

    Args:
        clips: Prepared clips.
        frames: Frames of a view.
    """
    cut = (_CUT * clips.length.double() + 1e-9).to(torch.int64)
    length = clips.length - 2 * cut
    ratio = length.to(torch.float32)[:, None] / frames
    place = (torch.arange(frames, device=ratio.device) + 0.5) * ratio - 0.5
    place = torch.minimum(place.clamp_min(0), length[:, None] - 1.0)
    number = torch.arange(clips.x.shape[2], device=ratio.device) - (clips.begin + cut)[:, None]
    # Rows of the two frames that each frame of the view lies between, as a product: 1 and 0 where they are one.
    weights = F.relu(1 - (place[:, :, None] - number[:, None].to(torch.float32)).abs())
    resized = weights[:, None].to(clips.x.dtype) @ clips.x.flatten(3)
    return resized.unflatten(3, clips.x.shape[3:]).permute(0, 2, 3, 4, 1)
