"""What all pages of the explorer share: the clips, the labels, what is learned from them, and a number that changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from i2md.data.where import clips_where
from i2md.data.windows import ASSUMED_FPS
from i2md.explorer.collection import Collection, Column, of_numbers
from i2md.explorer.labels import LabelBook, Mark
from i2md.explorer.learning import Learner
from i2md.inference.search import ClipSearch
from i2md.pages.gallery import gallery
from i2md.pages.groups import viewed_clips

# Clips that are packed for a page at once at most.
MOST_PACKED = 24
_UNKNOWN = -1
# Columns of the run beside this one.
BESIDE, APART = "prediction beside", "the two runs"
# How much clips that are not wanted count against those that are.
_UNLIKE = 0.5


class Similar(NamedTuple):
    """A clip that is similar to what is looked for."""

    clip: int
    similarity: float
    """Mean cosine similarity of the streams."""
    streams: dict[str, float]
    """Cosine similarity by stream."""


class Explorer:
    """The state of the server, which several pages look at.

    Args:
        collection: The clips.
        book: Their labels.
        added: Columns besides those of the clips, such as those of a fitted classifier.
        beside: The same clips by another run, which has a map and a classifier of its own.
    """

    def __init__(
        self,
        collection: Collection,
        book: LabelBook,
        added: Mapping[str, Column] | None = None,
        beside: Collection | None = None,
    ) -> None:
        self.collection, self.book, self.beside = collection, book, beside
        self.version = 0
        """Grows whenever labels or what is learned from them change."""
        self.names = collection.names
        self._fixed = {**collection.columns(), **(added or {})}
        self._places: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            self._places.setdefault(name, []).append(place)
        self._search: ClipSearch | None = None
        self._lock = threading.Lock()
        self.learner = Learner(collection.features, self._labelled, self._changed)
        self.other: Learner | None = None
        """What is learned from the features of the other run."""
        if beside is not None:
            self.other = Learner(beside.features, self._labelled, self._changed, proposes=False)
        self.clip_figures = lru_cache(maxsize=512)(self._clip_figures)

    @property
    def learners(self) -> list[Learner]:
        """Those of the run and, where there is one, of the run beside it."""
        return [self.learner, *([self.other] if self.other else [])]

    @property
    def class_names(self) -> list[str]:
        """The classes that can be given: those of the clips, then others that were given to any."""
        return list(dict.fromkeys((*self.collection.clips.dataset.class_names, *self.book.class_names)))

    def mark(self, clips: Sequence[int], label: str = "", remark: str = "", by: str = "") -> list[int]:
        """Give clips a label or a remark.

        Args:
            clips: Positions of the clips.
            label: The class; empty for none.
            remark: Such as "skipped".
            by: Who says so.

        Returns:
            The clips of which something else was said before.
        """
        return self._after(self.book.mark([self.names[clip] for clip in clips], label, remark, by))

    def undo(self) -> list[int]:
        """Take back the last action; the clips whose labels changed."""
        return self._after(self.book.undo())

    def redo(self) -> list[int]:
        """Do the last undone action again; the clips whose labels changed."""
        return self._after(self.book.redo())

    def check(self) -> None:
        """Notice what another program did to the table of labels."""
        self._after(self.book.check())

    def labels(self) -> tuple[Int64[np.ndarray, " clips"], list[str]]:
        """The class of each clip by hand, -1 without one, and the names of the classes."""
        classes = self.class_names
        number = {name: place for place, name in enumerate(classes)}
        found = np.full(len(self.names), _UNKNOWN)
        for name, mark in self.book.marks.items():
            if mark.label:
                found[self._places.get(name, [])] = number.get(mark.label, _UNKNOWN)
        return found, classes

    def columns(self) -> dict[str, Column]:
        """Everything by which the map can be coloured."""
        labels, classes = self.labels()
        learned = self.learner.learned
        found = {"label": Column(labels, classes)}
        if learned.predictions is not None and learned.margins is not None:
            found["prediction"] = Column(learned.predictions, list(learned.class_names))
            found["certainty"] = of_numbers(learned.margins)
            known = self._fixed["class"].codes if "class" in self._fixed else labels
            differs = np.where(known >= 0, (known != learned.predictions).astype(np.int64), _UNKNOWN)
            other = None if self.other is None else self.other.learned.predictions
            if other is not None and self.other is not None:
                found[BESIDE] = Column(other, list(self.other.learned.class_names))
                found[APART] = Column(
                    (other != learned.predictions).astype(np.int64), ["the same class", "different classes"]
                )
            found["disagreement"] = Column(differs, ["as predicted", "otherwise"])
        return {**found, **self._fixed}

    def shown(self, where: str) -> Bool[np.ndarray, " clips"]:
        """Which clips meet a condition.

        Args:
            where: As in SQL, on the columns of the clips and on label, prediction and remark; empty for all.

        Raises:
            InputError: The condition is not valid.
        """
        if not where.strip():
            return np.ones(len(self.names), bool)
        clips = self.collection.clips
        added = {name: self._texts(name) for name in ("prediction", "cluster")}
        marks = self.book.marks
        said = [marks.get(name, Mark()) for name in self.names]
        added["label"] = np.array([mark.label or None for mark in said], dtype=object)
        added["remark"] = np.array([mark.remark or None for mark in said], dtype=object)
        found = np.zeros(len(self.names), bool)
        found[clips_where(clips, where, added)] = True
        return found

    def predicted(self, clip: int) -> str:
        """The class of a clip by the classifier; empty while there is none.

        Args:
            clip: Its position.
        """
        learned = self.learner.learned
        return "" if learned.predictions is None else learned.class_names[int(learned.predictions[clip])]

    def describe(self, clip: int) -> dict[str, str]:
        """What is known of a clip, by what it is called.

        Args:
            clip: Its position.
        """
        mark = self.book.marks.get(self.names[clip])
        found = {"clip": self.names[clip]}
        if mark is not None and mark.remark:
            found["remark"] = mark.remark
        for name, column in self.columns().items():
            code = int(column.codes[clip])
            if column.values and code >= 0 and name not in ("disagreement", APART):
                found[name] = column.values[code]
        margins = self.learner.learned.margins
        if margins is not None:
            found["certainty"] = f"{float(margins[clip]):.2f} ahead of the next class"
        columns = self.collection.clips.columns
        rate = float(columns["fps"][clip]) or ASSUMED_FPS
        found["length"] = f"{int(columns['frames'][clip])} frames, {int(columns['frames'][clip]) / rate:.1f} s"
        return found

    def similar(self, like: Sequence[int], unlike: Sequence[int], top: int) -> list[Similar]:
        """The clips most similar to some and not to others.

        Args:
            like: Clips that are wanted.
            unlike: Clips that are not.
            top: How many to find.

        Returns:
            The most similar first.
        """
        with self._lock:
            self._search = self._search or ClipSearch(self.collection.stored, exact=True)
        query, features = {}, self.collection.features
        for name, each in features.items():
            wanted = _mean_direction(each[list(like)])
            if unlike:
                wanted = wanted - _UNLIKE * _mean_direction(each[list(unlike)])
            query[name] = wanted[None].astype(np.float32)
        allowed = np.ones(len(self.names), bool)
        allowed[[*like, *unlike]] = False
        found = self._search.nearest(query, top, allowed)
        by_stream = {name: _cosines(features[name][found.clips], query[name][0]) for name in features}
        return [
            Similar(int(clip), float(value), {name: float(each[place]) for name, each in by_stream.items()})
            for place, (clip, value) in enumerate(zip(found.clips, found.similarity, strict=True))
        ]

    def figures(self, chosen: Iterable[int]) -> dict[str, Any]:
        """The skeletons of some clips, as the player of the pages draws them.

        Args:
            chosen: Positions of the clips; MOST_PACKED at most are packed.
        """
        return self.clip_figures(tuple(chosen)[:MOST_PACKED])

    def agreement(self) -> tuple[float, int] | None:
        """How many of the clips that are not labelled here are predicted as the class that they came with."""
        learned, own = self.learner.learned, self._fixed.get("class")
        if learned.predictions is None or own is None:
            return None
        rest = (self.labels()[0] < 0) & (own.codes >= 0)
        return (float((learned.predictions == own.codes)[rest].mean()), int(rest.sum())) if rest.any() else None

    def _clip_figures(self, chosen: tuple[int, ...]) -> dict[str, Any]:
        dataset = self.collection.clips.dataset
        return gallery(viewed_clips(self.collection.clips, chosen), dataset.layout, dataset.class_names)

    def _texts(self, name: str) -> np.ndarray:
        column = self.columns().get(name)
        values = np.array([None, *(column.values if column else [])], dtype=object)
        return values[column.codes + 1] if column else np.full(len(self.names), None)

    def _labelled(self) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
        labels, classes = self.labels()
        marks = self.book.marks
        left_out = [place for name, mark in marks.items() if mark.remark for place in self._places.get(name, [])]
        return labels, tuple(classes), np.array(left_out, dtype=np.int64)

    def _after(self, changed: Sequence[str]) -> list[int]:
        if changed:
            self._changed()
            for each in self.learners:
                each.refresh()
        return [place for name in changed for place in self._places.get(name, [])]

    def _changed(self) -> None:
        with self._lock:
            self.version += 1


def _mean_direction(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, 1e-12)).mean(axis=0)


def _cosines(features: np.ndarray, query: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    return features @ query / np.maximum(lengths, 1e-12)
