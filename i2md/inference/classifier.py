"""A fitted classifier as one object: clips or recordings in, labels with their confidence out.

Windows are predicted one at a time, wherever they come from: what a window gives does not depend, not even in its last
bit, on which others are predicted with it, so a stream and a file give the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64

from i2md.data.packed import PackedClips, pack_arrays
from i2md.data.store import Clips
from i2md.data.windows import Windows, windows_like
from i2md.errors import InputError
from i2md.evaluation.open_set import known_scores, nearest_similarity
from i2md.evaluation.smoothing import Smoothing, median_classes
from i2md.evaluation.timeline import Bounds, layout_mapping, prepared_window, window_bounds
from i2md.inference.candidates import LEARNED, scores_of, summed
from i2md.inference.classifier_files import ClassifierInfo, FittedParts, is_rejected, load_parts
from i2md.inference.model import Model
from i2md.inference.predictions import Evidence, PredictedInterval, Prediction, Timeline, runs
from i2md.inference.training_set import check_recordings

# Windows that are predicted at a time.
_AT_A_TIME = 64

if TYPE_CHECKING:
    from i2md.inference.stream import Stream


class Classifier:
    """A classifier that `i2md fit` wrote; several threads may predict with it at once.

    Args:
        path: Its folder.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: The folder holds no classifier, or there is no such device.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = "auto") -> None:
        # Before the run, whose message would speak of pretraining.
        ClassifierInfo.read(Path(path) / "model.json")
        self.model = Model(path, device)
        self._parts = load_parts(Path(path), self.model)

    @property
    def parts(self) -> FittedParts:
        """What classifies clips, apart from the run's encoders."""
        return self._parts

    @property
    def info(self) -> ClassifierInfo:
        """Classes, decisions and figures."""
        return self._parts.info

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of probabilities."""
        return self.info.class_names

    def predict(self, clips: Clips | Sequence[Float[np.ndarray, ...]], layout: str | None = None) -> list[Prediction]:
        """Predict the class of each clip.

        Args:
            clips: Clips, or raw arrays (frames, joints, channels) or (persons, frames, joints, channels), as
                `i2md.Model.embed` takes them.
            layout: Joint layout of the arrays; by default the run's.

        Raises:
            InputError: The clips have another preparation or too few joints, or an array has another shape or no
                person.
        """
        return self.decide(self.evidence(self.model.pack(clips, layout)))

    def evidence(self, clips: PackedClips) -> Evidence:
        """Probabilities of clips, and how well they are known.

        Args:
            clips: Prepared clips.
        """
        parts, info = self._parts, self.info
        with torch.no_grad():
            features = parts.features(clips)
            logits = summed(scores_of(parts.classifiers, features), info.candidate).double() / info.temperature
            known = known_scores(info.known_score, logits, features[LEARNED], parts.references)
        return Evidence(logits.log_softmax(dim=1).cpu().numpy(), known.double().cpu().numpy())

    def decide(self, evidence: Evidence) -> list[Prediction]:
        """The predictions that evidence leads to.

        Args:
            evidence: Of clips.
        """
        found = []
        for row, known in zip(np.exp(evidence.log_probabilities), evidence.known.tolist(), strict=True):
            best = int(row.argmax())
            rejected = best != self.info.background and is_rejected(self.info, known)
            found.append(Prediction(self.class_names[best], float(row[best]), rejected, known, row))
        return found

    def windows(self, prepared: Sequence[Float32[np.ndarray, "persons frames joints channels"]]) -> Evidence:
        """Evidence of windows, each computed as if it were the only one.

        Args:
            prepared: Their prepared positions.
        """
        parts, info = self._parts, self.info
        log_probabilities, known = [], []
        with torch.no_grad():
            features = parts.features(pack_arrays(prepared, self.model.device), alone=True)
            for number in range(len(prepared)):
                row = {k: {s: v[number : number + 1] for s, v in each.items()} for k, each in features.items()}
                logits = summed(scores_of(parts.classifiers, row), info.candidate).double() / info.temperature
                log_probabilities.append(logits.log_softmax(dim=1))
                if info.known_score != "nearest":
                    known.append(known_scores(info.known_score, logits, row[LEARNED], parts.references))
            if info.known_score == "nearest":
                # Reads all references, and is the same whatever it is computed together with.
                known.append(nearest_similarity(features[LEARNED], parts.references))
        return Evidence(torch.cat(log_probabilities).cpu().numpy(), torch.cat(known).double().cpu().numpy())

    def stream(
        self, fps: float, window: str | None = None, stride: str | None = None, layout: str | None = None
    ) -> Stream:
        """A window that moves over frames as they come: `stream.push(joints)` gives the predictions that are due.

        Args:
            fps: Frames a second.
            window: Length of a window, such as 2s; by default that of the intervals fitted to.
            stride: Time from a window to the next; by default that fitted with, or a tenth of the length.
            layout: Joint layout of the frames; by default the run's.

        Raises:
            InputError: No windows are known, or the layout has too few joints.
        """
        from i2md.inference.stream import Stream

        return Stream(self, fps, windows_like(self.info.windows, window, stride), layout)

    def timelines(
        self, recordings: Clips, windows: Windows | None = None, smooth: Smoothing | None = None
    ) -> Iterator[Timeline]:
        """Predict over time.

        Args:
            recordings: Whole recordings, or windows of them; of the run's preparation or of none (as recorded).
            windows: Length and stride; by default those that the classifier was fitted to.
            smooth: hmm (a hidden Markov model with parameters from the labelled recordings), median or none; by default
                hmm where there were labelled recordings, else median.

        Yields:
            The predictions for each recording.

        Raises:
            InputError: No windows are known, there is no hidden Markov model, or the recordings do not fit.
        """
        windows = windows or self.info.windows
        if windows is None:
            raise InputError("predict: the classifier was fitted to clips; give the length of windows by --windows")
        smooth = smooth or ("median" if self._parts.markov is None else "hmm")
        if smooth == "hmm" and self._parts.markov is None:
            raise InputError("predict: a classifier of clips has no hidden Markov model; smooth by median or none")
        whole = recordings.recordings
        check_recordings(self.model, whole)
        return (self._timeline(whole, index, windows, smooth) for index in range(len(whole)))

    def _timeline(self, recordings: Clips, index: int, windows: Windows, smooth: Smoothing) -> Timeline:
        config, columns = self.model.config, recordings.columns
        fps, positions = float(columns["fps"][index]), recordings.read(index)
        bounds = window_bounds(positions.shape[1], fps, windows)
        preparation = recordings.dataset.preparation
        mapping = layout_mapping(recordings, config.layout, preparation)
        rows: list[int] = []
        found: list[Evidence] = []
        for first in range(0, len(bounds.begins), _AT_A_TIME):
            pieces = {}
            for place, begin in enumerate(bounds.begins[first : first + _AT_A_TIME].tolist(), first):
                piece = positions[:, begin : begin + bounds.length]
                prepared = prepared_window(piece, config.layout, config.preparation, mapping, preparation != "none")
                if prepared is not None:
                    pieces[place] = prepared
            if pieces:
                rows += pieces
                found.append(self.windows(list(pieces.values())))
        labels = np.full(len(bounds.begins), -1)
        log_probabilities, known = np.zeros((len(labels), len(self.class_names))), np.zeros(len(labels))
        if found:
            log_probabilities[rows] = np.concatenate([each.log_probabilities for each in found])
            known[rows] = np.concatenate([each.known for each in found])
            labels[rows] = self.smoothed(log_probabilities[rows], smooth)
        return Timeline(
            name=str(columns["name"][index]),
            source=str(columns["source"][index]),
            frames=bounds.frames,
            fps=fps,
            intervals=tuple(self._intervals(bounds, labels, log_probabilities, known)),
            labels=bounds.by_frame(labels),
            empty_windows=len(labels) - len(rows),
        )

    def smoothed(
        self, log_probabilities: Float64[np.ndarray, "windows classes"], smooth: Smoothing
    ) -> Int64[np.ndarray, " windows"]:
        """The class of each window of a recording.

        Args:
            log_probabilities: Of each class for each window, in order of time.
            smooth: hmm, median or none.
        """
        if smooth == "hmm" and self._parts.markov is not None:
            return self._parts.markov.decode(log_probabilities)
        return median_classes(log_probabilities) if smooth == "median" else log_probabilities.argmax(axis=1)

    def _intervals(
        self,
        bounds: Bounds,
        labels: Int64[np.ndarray, " windows"],
        log_probabilities: Float64[np.ndarray, "windows classes"],
        known: Float64[np.ndarray, " windows"],
    ) -> Iterator[PredictedInterval]:
        for start, end, (first, last) in runs(bounds, labels):
            label = int(labels[first])
            if label in (-1, self.info.background):
                continue
            confidence = float(np.exp(log_probabilities[first:last, label]).mean())
            score = float(known[first:last].mean())
            rejected = is_rejected(self.info, score)
            yield PredictedInterval(start, end, self.class_names[label], confidence, rejected, score)


def load_classifier(path: str | os.PathLike[str], device: str = "auto") -> Classifier:
    """Load a classifier: `i2md.load_classifier("models/a").predict(i2md.open_clips("clips"))`.

    Args:
        path: Folder that `i2md fit` wrote.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: The folder holds no classifier, or there is no such device.
    """
    return Classifier(path, device)
