"""A run as a scikit-learn transformer: lists of skeleton sequences in, one row of features for each out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from i2md.data.store import Clips
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError, suggestion
from i2md.evaluation.clustering import unit_vectors
from i2md.inference.model import Model, RunFiles, load_files
from i2md.pretraining.shipped import find_run
from i2md.skeletons import get_layout

Sequences = Clips | np.ndarray | Sequence[np.ndarray]


class SkeletonEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of skeleton sequences by a pretrained run, as a transformer for scikit-learn's pipelines.

    `fit` learns nothing: the encoders are pretrained. So cross-validation, whose folds are fitted anew, shares one copy
    of them. Several threads may transform at once; the same sequences give the same bytes.

    Sequences are one of

    - a list of arrays (frames, joints, channels), or (persons, frames, joints, channels), each of its own length;
    - a panel as aeon and sktime have it: an array (cases, series, time), or a list of arrays (series, time), a series
      being one coordinate of one joint;
    - `i2md.Clips`.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        streams: Names of the streams whose features are taken, in this order; by default all.
        normalise: Divide each stream's features by their length, so that streams of other scales count the same.
        layout: Joint layout of the sequences, a name or a YAML file; by default the run's.
        series_order: How the series of a panel follow one another: "joint" for x, y, z of the first joint, then those
            of the next; "channel" for x of all joints, then y.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.
        device: auto, cpu, cuda or cuda:N.

    Attributes:
        model_: The run's encoders, from `i2md.load`.
        streams_: The streams taken.
        n_features_out_: Width of a row.

    Example:
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.linear_model import RidgeClassifierCV
        >>> make_pipeline(SkeletonEncoder("runs/mine", streams=["joint"]), RidgeClassifierCV())
        Pipeline(steps=[('skeletonencoder',
                         SkeletonEncoder(run='runs/mine', streams=['joint'])),
                        ('ridgeclassifiercv', RidgeClassifierCV())])
    """

    def __init__(
        self,
        run: str | os.PathLike[str] = "",
        streams: Sequence[str] | None = None,
        normalise: bool = True,
        layout: str | None = None,
        series_order: Literal["joint", "channel"] = "joint",
        readout: WeightlessReadout | None = None,
        device: str = "auto",
    ) -> None:
        self.run = run
        self.streams = streams
        self.normalise = normalise
        self.layout = layout
        self.series_order = series_order
        self.readout = readout
        self.device = device

    @classmethod
    def from_run(cls, run: str | os.PathLike[str], **parameters: Any) -> SkeletonEncoder:
        """The transformer of a run, fitted: it transforms at once.

        Args:
            run: Folder of the run, or the name of a shipped encoder.
            **parameters: As of the class.

        Raises:
            InputError: The folder is not a run, or has no such stream.
        """
        return cls(run, **parameters)._load()

    def fit(self, X: Sequences, y: Any = None) -> SkeletonEncoder:
        """Load the run's encoders and check the sequences; nothing is learned.

        Args:
            X: Sequences.
            y: Ignored.

        Raises:
            InputError: The folder is not a run, has no such stream, or the sequences are of another kind.
        """
        self._load()
        if not isinstance(X, Clips):
            self._arrays(X)
        return self

    def transform(self, X: Sequences) -> Float32[np.ndarray, "cases width"]:
        """Compute the features of sequences.

        Args:
            X: Sequences.

        Returns:
            A row of features for each, the streams side by side.

        Raises:
            InputError: The sequences are of another kind, or one has no person.
        """
        check_is_fitted(self)
        features = self.model_.embed(X) if isinstance(X, Clips) else self.model_.embed(self._arrays(X), self.layout)
        chosen = {name: features[name] for name in self.streams_}
        return unit_vectors(chosen) if self.normalise else np.concatenate(list(chosen.values()), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns: joint0, joint1, ...

        Args:
            input_features: Ignored.
        """
        check_is_fitted(self)
        widths = {name: self.model_.encoders[name].width for name in self.streams_}
        return np.array([f"{name}{n}" for name, width in widths.items() for n in range(width)], dtype=object)

    def _load(self) -> SkeletonEncoder:
        if self.series_order not in ("joint", "channel"):
            raise InputError(f"series_order {self.series_order!r}: choose joint or channel")
        if not str(self.run):
            raise InputError('SkeletonEncoder: name the folder of a run, as in SkeletonEncoder("runs/mine")')
        self.model_: Model = _shared(RunFiles.read(find_run(self.run)), self.device, self.readout)
        known = list(self.model_.encoders)
        self.streams_ = list(known if self.streams is None else self.streams)
        for name in self.streams_:
            if name not in known:
                raise InputError(f"streams: the run has no stream {name!r}; {suggestion(name, known)}")
        if not self.streams_:
            raise InputError(f"streams: name at least one of {', '.join(known)}")
        self.n_features_out_ = sum(self.model_.encoders[name].width for name in self.streams_)
        return self

    def _arrays(self, X: np.ndarray | Sequence[np.ndarray]) -> list[np.ndarray]:
        """Sequences as arrays (frames, joints, channels) or with a first axis of persons."""
        if isinstance(X, np.ndarray) and X.ndim < 3:
            raise InputError(
                f"SkeletonEncoder: X has shape {X.shape}; give a list of arrays (frames, joints, channels), or a panel"
                " (cases, series, time)"
            )
        layout = self.model_.config.layout if self.layout is None else get_layout(self.layout)
        channels = self.model_.config.layout.channels
        arrays = []
        for number, case in enumerate(X):
            array = np.asarray(case, np.float32)
            if array.ndim != 2:
                arrays.append(array)
                continue
            joints = len(layout.joints)
            if len(array) != joints * channels:
                raise InputError(
                    f"SkeletonEncoder: case {number} has {len(array)} series; layout {layout.name} has {joints} joints"
                    f" of {channels} coordinates, which are {joints * channels}"
                )
            if self.series_order == "joint":
                arrays.append(array.reshape(joints, channels, -1).transpose(2, 0, 1))
            else:
                arrays.append(array.reshape(channels, joints, -1).transpose(2, 1, 0))
        return arrays

    def __getstate__(self) -> dict[str, Any]:
        # Workers of GridSearchCV load the run themselves: a copy of the encoders for each task would be large.
        state = dict(super().__getstate__())
        state.pop("model_", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "streams_" in state:
            self._load()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@lru_cache(maxsize=4)
def _shared(files: RunFiles, device: str, readout: WeightlessReadout | None) -> Model:
    """The encoders of equal files of a run, one copy a process."""
    return load_files(files, device, readout)
