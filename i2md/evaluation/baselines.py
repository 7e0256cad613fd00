"""Baselines: features that need no pretraining, of the same clips and streams, read by the same protocols.

A baseline is a set of encoders, one per stream, as a run is. Positions and MiniRocket's features are always of 64
frames: they depend on the clips alone, and not on the settings of the run that they are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from i2md.encoders.base import Encoder
from i2md.errors import InputError, suggestion
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import UNTRAINED
from i2md.pretraining.run import RunConfig
from i2md.skeletons import Layout
from i2md.views.streams import stream
from i2md.views.view import evaluation_view

POSITIONS, MINIROCKET = "positions", "minirocket"
BASELINES = (POSITIONS, UNTRAINED, MINIROCKET)
# Those that are evaluated where none are named: they take seconds.
DEFAULT = (POSITIONS, UNTRAINED)
FRAMES = 64
# MiniRocket draws its biases from so many training clips at most, spread evenly.
FITTED_CLIPS = 2000
# MiniRocket's number of features: the multiple of its 84 kernels below 10,000.
MINIROCKET_WIDTH = 9996
# Names of the arrays that aeon's MiniRocket fits, in its order.
_PARAMETERS = ("channels_per_combination", "channels", "dilations", "features_per_dilation", "biases")
# Bytes of features; all three streams of the 56,578 clips of NTU-60 take 7 GB.
MOST_BYTES = 8 * 10**9

Views = Float[Tensor, "batch frames joints channels persons"]


def choose_baselines(names: Sequence[str] | None) -> tuple[str, ...]:
    """The baselines to evaluate.

    Args:
        names: Those asked for, "none" for none of them; by default `DEFAULT`.

    Raises:
        InputError: A name is unknown.

    >>> choose_baselines(None), choose_baselines(["none"])
    (('positions', 'untrained'), ())
    """
    if names is None:
        return DEFAULT
    for name in names:
        if name not in BASELINES and name != "none":
            raise InputError(f"unknown baseline {name!r}: {suggestion(name, [*BASELINES, 'none'])}")
    return tuple(name for name in BASELINES if name in names)


def takes(protocol: Protocol, baseline: str, asked: bool) -> bool:
    """Whether a protocol evaluates a baseline.

    Args:
        protocol: The protocol.
        baseline: Name of the baseline.
        asked: Whether the baseline was asked for by name. By default only protocols evaluate baselines whose scores
            do not depend on the features' scale: they are fair to any features, and quick.

    Returns:
        Of the other protocols: those that train encoders evaluate randomly initialised ones alone, which they train
        from scratch; those with a probe trained by SGD everything but these, whose features are too small for it.
    """
    if protocol.from_scratch or protocol.scale_free or not asked:
        return protocol.scale_free
    return protocol.trains_encoders == (baseline == UNTRAINED)


def baselines_to_score(
    asked: Sequence[str] | None, protocols: Sequence[Protocol], config: RunConfig, clips: int
) -> tuple[dict[str, list[Protocol]], list[str]]:
    """The baselines to evaluate, and the protocols that evaluate each.

    Args:
        asked: Names of baselines; None for the default.
        protocols: The protocols that a run is evaluated by.
        config: Of the run.
        clips: Number of training and test clips.

    Returns:
        Protocols by the name of the baseline; and a line for each baseline that is left out, with the reason.
    """
    found, notes = {}, []
    for name in choose_baselines(asked):
        takers = [protocol for protocol in protocols if takes(protocol, name, asked is not None)]
        reason = why_left_out(name, config.layout, config.persons, len(config.settings.streams), clips)
        if not takers and asked is not None:
            reason = f"none of {', '.join(each.name for each in protocols)} evaluates it; add --protocol knn ridge"
        if takers and reason is None:
            found[name] = takers
        elif reason and (takers or asked is not None):
            notes.append(f"i2md: note: baseline {name} is left out: {reason}")
    return found, notes


def why_left_out(baseline: str, layout: Layout, persons: int, streams: int, clips: int) -> str | None:
    """Why a baseline cannot be evaluated, and what to do about it; None where it can be.

    Args:
        baseline: Name of the baseline.
        layout: Of the clips' joints.
        persons: Persons in a view.
        streams: Number of streams.
        clips: Number of training and test clips.
    """
    if baseline == MINIROCKET and find_spec("aeon") is None:
        return 'it needs aeon; pip install "i2md[baselines]"'
    if baseline == UNTRAINED:
        return None
    width = MINIROCKET_WIDTH if baseline == MINIROCKET else _positions_width(layout, persons)
    size = 4 * width * streams * clips
    if size > MOST_BYTES:
        return f"features of {clips} clips would take {size / 1e9:.1f} GB; at most {MOST_BYTES / 1e9:g} GB are kept"
    return None


def baseline_data(baseline: str, data: ProbeData) -> ProbeData:
    """The data of the protocols with the features of a baseline.

    Args:
        baseline: Name of the baseline, one that is not left out.
        data: The data of a run's encoders; its streams are those of the baseline.
    """
    if baseline == UNTRAINED:
        return replace(data, encoders=data.untrained_encoders())
    encoders: dict[str, Encoder] = {}
    for name in data.encoders:
        if baseline == POSITIONS:
            encoders[name] = Positions(data.layout, data.persons)
        else:
            encoders[name] = MiniRocketFeatures(data.layout, data.persons, _training_views(data, name), data.seed)
    return replace(data, encoders=encoders, frames=FRAMES)


def _training_views(data: ProbeData, name: str) -> Views:
    """Evaluation crops of some training clips, as a stream."""
    count = len(data.train)
    chosen = np.unique(np.linspace(0, count - 1, min(count, FITTED_CLIPS)).astype(np.int64))
    indices = torch.as_tensor(chosen, device=data.device)
    return stream(evaluation_view(data.train, indices, FRAMES, data.persons), name, data.layout)


def _positions_width(layout: Layout, persons: int) -> int:
    return FRAMES * len(layout.joints) * layout.channels * persons


class Positions(Encoder):
    """The numbers of a view themselves, in one row a clip.

    Args:
        layout: Of the clips' joints.
        persons: Persons in a view.
    """

    def __init__(self, layout: Layout, persons: int) -> None:
        super().__init__(layout, persons, None)
        self.width = _positions_width(layout, persons)

    def forward(self, x: Views) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        return x.flatten(1)


class MiniRocketFeatures(Encoder):
    """MiniRocket's features: fractions of the frames at which fixed convolutions exceed drawn biases, standardised.

    Every joint's every coordinate is a channel. Computed by aeon, whose compiled code is made on first use.

    Args:
        layout: Of the clips' joints.
        persons: Persons in a view.
        views: Views of training clips; biases are drawn from them, and the features standardised by theirs.
        seed: Of the run.

    Source: Dempster, Schmidt and Webb, MiniRocket, KDD 2021.
    """

    width = MINIROCKET_WIDTH

    def __init__(self, layout: Layout, persons: int, views: Views, seed: int) -> None:
        super().__init__(layout, persons, None)
        from aeon.transformations.collection.convolution_based import MiniRocket
        from numba import get_num_threads

        threads = min(torch.get_num_threads(), get_num_threads())
        self._minirocket = MiniRocket(n_jobs=threads, random_state=seed % 2**32)
        with _kept_global_seed():
            self._minirocket.fit(_channels(views))
        features = self._transform(views).double()
        self._mean = features.mean(dim=0)
        deviation = features.std(dim=0, unbiased=False)
        self._deviation = torch.where(deviation > 1e-6, deviation, 1.0)

    def parameters_as_tensors(self) -> dict[str, Tensor]:
        """What was fitted, as plain tensors by name: aeon's parameters and the moments of the features."""
        fitted = dict(zip(_PARAMETERS, self._minirocket.parameters, strict=True))
        return {name: torch.as_tensor(value) for name, value in fitted.items()} | {
            "mean": self._mean,
            "deviation": self._deviation,
        }

    @classmethod
    def from_tensors(cls, layout: Layout, persons: int, tensors: Mapping[str, Tensor]) -> MiniRocketFeatures:
        """The transformation whose `parameters_as_tensors` were saved.

        Args:
            layout: Of the clips' joints.
            persons: Persons in a view.
            tensors: By name.
        """
        # aeon makes its object only by fitting it; any views of the shape do.
        made = cls(layout, persons, torch.zeros(1, FRAMES, len(layout.joints), layout.channels, persons), seed=0)
        made._minirocket.parameters = tuple(tensors[name].numpy() for name in _PARAMETERS)
        made._mean, made._deviation = tensors["mean"], tensors["deviation"]
        return made

    def forward(self, x: Views) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        return ((self._transform(x) - self._mean) / self._deviation).float().to(x.device)

    def _transform(self, x: Views) -> Float32[Tensor, "batch width"]:
        return torch.as_tensor(np.asarray(self._minirocket.transform(_channels(x)), dtype=np.float32))


def _channels(x: Views) -> Float32[np.ndarray, "batch series frames"]:
    series = x.permute(0, 2, 3, 4, 1).reshape(len(x), -1, x.shape[1])
    return np.ascontiguousarray(series.cpu().numpy(), dtype=np.float32)


@contextmanager
def _kept_global_seed() -> Iterator[None]:
    """Restore NumPy's global generator, which aeon seeds."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)
