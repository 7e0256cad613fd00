"""Smoothing of predictions over time: a hidden Markov model, fitted to labelled recordings, or a median.

The states of the model are the classes. A window's probabilities, divided by the shares of the classes among the
windows, stand for the likelihoods of what is seen. Windows overlap, so neighbours repeat most of one another's
evidence; how much a window's evidence counts, and how much of the shares is divided out, is chosen on labelled
recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from i2md.evaluation.segments import SegmentScores, segment_scores
from i2md.evaluation.timeline import LabelledRecording

Smoothing = Literal["hmm", "median", "none"]
LogProbabilities = Float64[np.ndarray, "windows classes"]

# Windows at which a median looks.
MEDIAN_WIDTH = 5
# Transitions that are assumed to have been seen once more than they were, from each class to each.
_UNSEEN = 0.1
# Parts of a window's evidence, and of the classes' shares, that a hidden Markov model is tried with.
_WEIGHTS, _PRIORS = (0.5, 1.0, 2.0, 4.0), (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class MarkovModel:
    """A hidden Markov model of the sequence of classes, one step a stride.

    Attributes:
        start: log probability of each class at the beginning of a recording.
        transitions: log probability of each class (columns) after each (rows).
        prior: What is subtracted from the log probabilities: part of the log of each class's share of the windows.
        weight: What a window's evidence is multiplied by.
    """

    start: Float64[np.ndarray, " classes"]
    transitions: Float64[np.ndarray, "classes classes"]
    prior: Float64[np.ndarray, " classes"]
    weight: float

    def decode(self, log_probabilities: LogProbabilities) -> Int64[np.ndarray, " windows"]:
        """The most probable sequence of classes.

        Args:
            log_probabilities: Of each class for each window of one recording, in order of time.
        """
        return viterbi(self.weight * (log_probabilities - self.prior), self.start, self.transitions)


def fit_markov(
    sequences: Sequence[Int64[np.ndarray, " windows"]], num_classes: int, weight: float, prior: float
) -> MarkovModel:
    """Estimate a model from labelled sequences.

    How long classes last is learned, and not their order: in a few scripted recordings actions have an order that
    others need not have.

    Args:
        sequences: Class of each window of each recording.
        num_classes: Number of classes.
        weight: What a window's evidence is multiplied by.
        prior: How much of the classes' shares is divided out: 1 makes likelihoods of the probabilities, 0 leaves them.
    """
    counts = np.full((num_classes, num_classes), _UNSEEN)
    total = np.full(num_classes, _UNSEEN)
    for sequence in sequences:
        np.add.at(counts, (sequence[:-1], sequence[1:]), 1)
        np.add.at(total, sequence, 1)
    stays = np.diag(counts)
    leaves = (counts.sum(axis=1) - stays) / max(num_classes - 1, 1)
    counts = np.where(np.eye(num_classes, dtype=bool), stays[:, None], leaves[:, None])
    transitions = counts / counts.sum(axis=1, keepdims=True)
    start = np.full(num_classes, -np.log(num_classes))
    return MarkovModel(start, np.log(transitions), prior * np.log(total / total.sum()), weight)


def best_markov(
    recordings: Sequence[LabelledRecording],
    log_probabilities: LogProbabilities,
    background: int | None,
) -> tuple[MarkovModel, dict[str, float], SegmentScores]:
    """The model whose weight and prior give the best frame accuracy plus F1@50 on labelled recordings.

    Args:
        recordings: Labelled recordings.
        log_probabilities: Of each class for each window in the set, by classifiers that its recording was held out of.
        background: Class of frames without an action.

    Returns:
        The model, its weight and prior by name, and its scores on these recordings.
    """
    classes = log_probabilities.shape[1]
    recordings = [each for each in recordings if (each.rows >= 0).any()]
    sequences = [each.frames[each.bounds.middles] for each in recordings]
    pieces = []
    for each in recordings:
        # Windows that are not in the set are predicted like the one before them.
        there = np.flatnonzero(each.rows >= 0)
        filled = there[np.maximum(np.searchsorted(there, np.arange(len(each.rows)), side="right") - 1, 0)]
        pieces.append(log_probabilities[each.rows[filled]])
    best: tuple[MarkovModel, dict[str, float], SegmentScores] | None = None
    for weight in _WEIGHTS:
        for prior in _PRIORS:
            markov = fit_markov(sequences, classes, weight, prior)
            predicted = [each.bounds.by_frame(markov.decode(p)) for each, p in zip(recordings, pieces, strict=True)]
            scores = segment_scores([each.frames for each in recordings], predicted, background)
            if best is None or _quality(scores) > _quality(best[2]):
                best = markov, {"weight": weight, "prior": prior}, scores
    assert best is not None
    return best


def _quality(scores: SegmentScores) -> float:
    return scores.frame_accuracy + scores.f1[0.5]


def viterbi(
    emissions: LogProbabilities,
    start: Float64[np.ndarray, " classes"],
    transitions: Float64[np.ndarray, "classes classes"],
) -> Int64[np.ndarray, " windows"]:
    """The sequence of states of the largest log probability.

    Args:
        emissions: log likelihood of each state at each step.
        start: log probability of each state at the first step.
        transitions: log probability of each state (columns) after each (rows).

    >>> stay = np.log(np.array([[0.9, 0.1], [0.1, 0.9]]))
    >>> seen = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.01, 0.99]]))
    >>> viterbi(seen, np.log([0.5, 0.5]), stay).tolist()
    [0, 0, 0, 1]
    """
    best = np.empty(emissions.shape)
    came_from = np.zeros(emissions.shape, dtype=np.int64)
    for step, seen in enumerate(emissions):
        if step:
            paths = best[step - 1][:, None] + transitions
            came_from[step] = paths.argmax(axis=0)
            best[step] = seen + paths.max(axis=0)
        else:
            best[step] = seen + start
    states = np.zeros(len(emissions), dtype=np.int64)
    for step in range(len(emissions) - 1, -1, -1):
        states[step] = best[step].argmax() if step == len(emissions) - 1 else came_from[step + 1][states[step + 1]]
    return states


def median_classes(log_probabilities: LogProbabilities, width: int = MEDIAN_WIDTH) -> Int64[np.ndarray, " windows"]:
    """The class of the largest median probability over `width` windows around each.

    Args:
        log_probabilities: Of each class for each window of one recording.
        width: Number of windows, odd; the first and the last window are repeated beyond the ends.
    """
    padded = np.pad(log_probabilities, ((width // 2, width // 2), (0, 0)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    return np.median(around, axis=-1).argmax(axis=1)
