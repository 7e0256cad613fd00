"""What is learned from the labels so far: a classifier of all clips, and the clips that are worth labelling next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64

from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings
from i2md.evaluation.suggestion import Suggestion, suggest_clips

# Clips that are proposed at a time, and among how many they are looked for.
PROPOSED = 12
_CONSIDERED = 3_000

Features = Mapping[str, Float32[np.ndarray, "clips _"]]


@dataclass(frozen=True)
class Learned:
    """A classifier's opinion of every clip."""

    class_names: tuple[str, ...] = ()
    predictions: Int64[np.ndarray, " clips"] | None = None
    """The class of each clip by the classifier; None while fewer than two classes have a label."""
    margins: Float32[np.ndarray, " clips"] | None = None
    """How far the score of the predicted class is above that of the next: near 0 where it is unsure."""
    labels: int = 0
    """Number of clips that it was fitted to."""
    seconds: float = 0.0
    """How long that took."""


def learn(features: Features, labels: Int64[np.ndarray, " clips"], class_names: tuple[str, ...]) -> Learned:
    """Fit a ridge regression to the labelled clips, as `i2md fit` does, and predict all clips.

    Args:
        features: Of all clips, by stream.
        labels: The class of each clip; -1 for a clip without a label.
        class_names: Names of the classes.
    """
    started = time.perf_counter()
    known = np.flatnonzero(labels >= 0)
    used, targets = np.unique(labels[known], return_inverse=True)
    if len(used) < 2:
        return Learned(class_names, labels=len(known))
    scores = torch.zeros(len(labels), len(used))
    for each in features.values():
        values = torch.as_tensor(np.ascontiguousarray(each))
        some, classes = torch.as_tensor(known), torch.as_tensor(targets)
        scores += fit_ridge(values[some], classes, len(used), RidgeSettings().penalties).scores(values)
    best = (scores / len(features)).topk(2, dim=1)
    return Learned(
        class_names,
        used[best.indices[:, 0].numpy()],
        (best.values[:, 0] - best.values[:, 1]).numpy(),
        len(known),
        time.perf_counter() - started,
    )


def propose(
    features: Features, labels: Int64[np.ndarray, " clips"], left_out: Int64[np.ndarray, " some"], count: int = PROPOSED
) -> list[Suggestion]:
    """Choose clips to label next, as `i2md suggest` does.

    Args:
        features: Of all clips, by stream.
        labels: The class of each clip; -1 for a clip without a label.
        left_out: Clips that are not to be proposed: skipped ones and bad recordings.
        count: How many to choose.

    Returns:
        The most useful first; fewer where there are not so many.
    """
    open_ = np.setdiff1d(np.flatnonzero(labels < 0), left_out)
    if len(open_) > _CONSIDERED:
        open_ = open_[np.linspace(0, len(open_) - 1, _CONSIDERED).astype(np.int64)]
    rows = np.concatenate([np.flatnonzero(labels >= 0), open_])
    if not len(open_):
        return []
    found = suggest_clips({name: each[rows] for name, each in features.items()}, labels[rows], count)
    return [each._replace(clip=int(rows[each.clip])) for each in found]


class Learner:
    """Learns in threads of its own, always from the labels as they are when it begins.

    Args:
        features: Of all clips, by stream.
        state: Gives the label of each clip, the names of the classes, and the clips not to be proposed.
        changed: Called in a thread when something new is known.
        proposes: Whether clips to label next are chosen as well.
    """

    def __init__(
        self,
        features: Features,
        state: Callable[[], tuple[np.ndarray, tuple[str, ...], np.ndarray]],
        changed: Callable[[], None],
        proposes: bool = True,
    ) -> None:
        self.features, self._state, self._changed = features, state, changed
        self.learned = Learned()
        self.proposed: list[Suggestion] = []
        self._ended = False
        # Choosing clips takes longer than fitting, which must not wait for it.
        self._tasks = [(threading.Event(), work) for work in (self._learn, self._propose)[: 1 + proposes]]

    def start(self) -> None:
        """Begin with the labels that are there."""
        for wanted, work in self._tasks:
            threading.Thread(target=self._run, args=(wanted, work), name=work.__name__, daemon=True).start()
        self.refresh()

    def refresh(self) -> None:
        """Learn anew; while that is being done already, once more afterwards."""
        for wanted, _ in self._tasks:
            wanted.set()

    def stop(self) -> None:
        """End the threads once they have done what they are doing."""
        self._ended = True
        self.refresh()

    def _run(self, wanted: threading.Event, work: Callable[[], None]) -> None:
        while True:
            wanted.wait()
            wanted.clear()
            if self._ended:
                return
            work()
            self._changed()

    def _learn(self) -> None:
        labels, names, _ = self._state()
        self.learned = learn(self.features, labels, names)

    def _propose(self) -> None:
        labels, _, left_out = self._state()
        still = [each for each in self.proposed if labels[each.clip] < 0 and each.clip not in left_out]
        self.proposed = still if len(still) > PROPOSED // 3 else propose(self.features, labels, left_out)
