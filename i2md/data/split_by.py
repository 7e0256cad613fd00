"""Splits that are drawn where the publisher gives none: by subject, by recording, at random or by time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from i2md.data.dataset import Dataset
from i2md.data.describe import change_description
from i2md.data.recording import UNKNOWN
from i2md.data.splits import Split
from i2md.data.store import Clips, open_clips
from i2md.errors import InputError

SPLIT_BY = ("subject", "recording", "random", "time")
# Up to so many subjects or recordings every split is compared, else some random ones.
_EXHAUSTIVE = 12
_TRIES = 20
_MAX_STEPS = 100_000
# A split is as good as the best if its shares of test clips are at most this much farther from the share asked for.
_AS_GOOD = 0.05

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class SplitBy:
    """How a split is drawn.

    Attributes:
        by: What is never on both sides: "subject" or "recording" (all clips of a file, and what other cameras show of
            the same performance), "random" (all clips of a file), or "time": the last clips of each file are test
            clips.
        test_share: Share of the clips that are test clips.
        seed: Of the draw; "time" needs none.

    Raises:
        InputError: A value is not one of these.

    >>> SplitBy("subject").name
    'subject-0.3-seed0'
    """

    by: str
    test_share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in SPLIT_BY:
            raise InputError(f"a split by {self.by[:50]!r} is not known; choose one of {', '.join(SPLIT_BY)}")
        if not 0 < self.test_share < 1:
            raise InputError(f"test_share {self.test_share:g} must be above 0 and below 1, such as 0.3")
        if self.seed < 0:
            raise InputError(f"the seed of a split is {self.seed}; give 0 or more")

    @property
    def name(self) -> str:
        """The name of the split, which tells it from every other."""
        return f"{self.by}-{self.test_share:g}" + ("" if self.by == "time" else f"-seed{self.seed}")


class DrawnSplit(NamedTuple):
    """A split, and what has to be known about it, one sentence each."""

    split: Split
    notes: list[str]


def draw_split(columns: Columns, how: SplitBy) -> DrawnSplit:
    """Draw a split into the parts train and test.

    As few classes as possible are on one side only, then each class and all clips have about the share of test clips
    that is asked for. The order of the clips does not matter, except by time.

    Args:
        columns: The index of the clips, an array of one value per clip for each column.
        how: What is drawn.

    Returns:
        The split: by subject its parts are numbers of subjects, else names of clips.

    Raises:
        InputError: There are no two subjects (recordings, clips of one recording) to tell apart.

    >>> of_clips = {"subject": np.array([4, 4, 7, 7]), "label": np.array([0, 1, 0, 1])}
    >>> sorted(values for part in draw_split(of_clips, SplitBy("subject")).split.values() for values in part["subject"])
    [4, 7]
    """
    if how.by == "time":
        return _by_time(columns, how)
    groups = _groups(columns, how.by)
    known = groups >= 0
    chosen, of_clip = np.unique(groups[known], return_inverse=True)
    if len(chosen) < 2:
        raise InputError(_too_few(len(chosen), how.by))
    test = np.zeros(len(groups), dtype=bool)
    test[known] = _test_groups(_class_counts(of_clip.reshape(-1), columns["label"][known]), how)[of_clip.reshape(-1)]
    notes = [f"{(~known).sum()} clips of an unknown subject are in neither part"] if not known.all() else []
    if how.by == "subject":
        split = {
            part: {"subject": tuple(np.unique(columns["subject"][known & side]).tolist())}
            for part, side in (("train", ~test), ("test", test))
        }
        return DrawnSplit(split, notes)
    if how.by == "random":
        performances = _performances(columns)
        seen = np.isin(performances, performances[~test]) & (performances >= 0)
        if count := int((test & seen).sum()):
            notes.append(
                f"{count} of {test.sum()} test clips show a performance that another camera shows in training; a split"
                " by recording or by subject does not"
            )
    return DrawnSplit(_by_name(columns, test), notes)


def add_split(clips: Clips, how: SplitBy) -> Clips:
    """Draw a split of a folder of clips and add it to dataset.json; one of the same name stays as it is.

    Args:
        clips: Opened clips.
        how: What is drawn.

    Returns:
        The clips, opened again.

    Raises:
        InputError: As `draw_split`.
    """
    if how.name not in clips.dataset.splits:
        if clips.is_windowed and how.by == "time":
            raise InputError(
                f"{clips.path}: by time, windows of one recording would be in both parts; split by recording instead"
            )
        try:
            drawn = draw_split(clips.split_columns, how)
        except InputError as error:
            raise InputError(f"{clips.path}: {error}") from None
        return change_description(clips, lambda dataset: with_split(dataset, how, drawn))
    return open_clips(clips.path)


def with_split(dataset: Dataset, how: SplitBy, drawn: DrawnSplit) -> Dataset:
    """A description of clips with one more split, after those that it has.

    Args:
        dataset: The description.
        how: What was drawn.
        drawn: The split; its notes become warnings.
    """
    warnings = [*dataset.report.get("warnings", ()), *(f"split {how.name!r}: {note}" for note in drawn.notes)]
    report = {**dataset.report, **({"warnings": warnings} if warnings else {})}
    return replace(dataset, splits={**dataset.splits, how.name: drawn.split}, report=report)


def _by_name(columns: Columns, test: Bool[np.ndarray, " clips"]) -> Split:
    # Windows of one recording have its name.
    sides = (("train", ~test), ("test", test))
    return {part: {"name": tuple(dict.fromkeys(columns["name"][side].tolist()))} for part, side in sides}


def _files(columns: Columns) -> Int64[np.ndarray, " clips"]:
    """The number of each clip's file, in alphabetical order; a clip of no stated file is a file of its own."""
    files = [f"file {source}" if source else f"clip {name}" for source, name in _pairs(columns, "source", "name")]
    return np.unique(np.array(files), return_inverse=True)[1].reshape(-1)


def _pairs(columns: Columns, *names: str) -> zip[tuple[str, str]]:
    return zip(*(columns[name].tolist() for name in names), strict=True)


def _performances(columns: Columns) -> Int64[np.ndarray, " clips"]:
    """A number for each performance that a camera of a known number shows; UNKNOWN where there is none."""
    rows = np.stack([columns[name] for name in ("setup", "subject", "trial", "label")], axis=1)
    known = (rows[:, 1:3] >= 0).all(axis=1) & (columns["camera"] >= 0)
    numbers = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where(known, numbers, UNKNOWN)


def _groups(columns: Columns, by: str) -> Int64[np.ndarray, " clips"]:
    """For each clip the group that stays on one side, numbered whatever the order of the clips; UNKNOWN without one."""
    if by == "subject":
        return columns["subject"]
    files = _files(columns)
    if by == "random":
        return files
    performances = _performances(columns)
    shown = np.flatnonzero(performances >= 0)
    size = len(files)
    # Files and performances are the nodes of a graph, in which each clip connects two.
    edges = (np.ones(len(shown)), (files[shown], size + performances[shown]))
    graph = csr_matrix(edges, shape=(2 * size, 2 * size))
    return connected_components(graph, directed=False)[1].astype(np.int64)[files]


def _too_few(groups: int, by: str) -> str:
    if by != "subject":
        return "all clips are of one recording, which stays on one side; split by time instead"
    if groups:
        return "all clips are of one subject, who stays on one side; split by recording or by time instead"
    return (
        "no clip has a known subject; name the subjects where the clips are prepared (column subject of labels.csv, key"
        " subjects of an .npz), or split by recording"
    )


def _class_counts(groups: Int64[np.ndarray, " clips"], labels: Int64[np.ndarray, " clips"]) -> csr_matrix:
    """The number of clips of each class in each group; the first column are the clips without a label."""
    shape = (int(groups.max()) + 1, int(labels.max()) + 2)
    return csr_matrix((np.ones(len(groups)), (groups, labels + 1)), shape=shape)


def _test_groups(counts: csr_matrix, how: SplitBy) -> Bool[np.ndarray, " groups"]:
    """Choose the groups of the test part at random among the splits that are about as good as the best."""
    generator = np.random.default_rng(how.seed)
    groups = counts.shape[0]
    if groups <= _EXHAUSTIVE:
        splits = (np.arange(1, 2**groups - 1)[:, None] >> np.arange(groups)) & 1 == 1
        splits = generator.permutation(splits)
    else:
        tries = int(np.clip(_MAX_STEPS // counts.nnz, 1, _TRIES))
        splits = np.stack([_random_split(counts, how.test_share, generator) for _ in range(tries)])
    one_sided, distance = _rate(counts, splits, how.test_share)
    fewest = one_sided == one_sided.min()
    return splits[fewest & (distance <= distance[fewest].min() + _AS_GOOD)][0]


def _rate(
    counts: csr_matrix, splits: Bool[np.ndarray, "splits groups"], share: float
) -> tuple[Int64[np.ndarray, " splits"], Float64[np.ndarray, " splits"]]:
    """Rate splits: how many classes have clips on one side only, and how far the shares are from the one asked for."""
    total = np.asarray(counts.sum(axis=0)).reshape(-1)
    test = (counts.T @ splits.T.astype(float)).T
    one_sided = ((test == 0) | (test == total))[:, 1:] & (total > 0)[1:]
    of_class = np.abs(test - share * total)[:, total > 0] / total[total > 0]
    return one_sided.sum(axis=1), np.abs(test.sum(axis=1) / total.sum() - share) + of_class.mean(axis=1)


def _random_split(counts: csr_matrix, share: float, generator: np.random.Generator) -> Bool[np.ndarray, " groups"]:
    """Assign groups in random order, the largest first, each to the side that brings the shares closer to `share`."""
    total = np.asarray(counts.sum(axis=0)).reshape(-1)
    sizes = np.asarray(counts.sum(axis=1)).reshape(-1)
    order = generator.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    split = np.zeros(len(sizes), dtype=bool)
    # Lists, since the arrays of most groups would have a single element.
    groups_left, missing = counts.getnnz(axis=0).tolist(), (share * total).tolist()
    weight = (1 / np.maximum(total, 1)).tolist()
    starts, classes, clips = counts.indptr.tolist(), counts.indices.tolist(), counts.data.tolist()
    on_side = [[False] * len(total), [False] * len(total)]
    missing_of_all, weight_of_all = share * float(total.sum()), 1 / float(total.sum())
    for group in order.tolist():
        of_group = list(zip(*(values[starts[group] : starts[group + 1]] for values in (classes, clips)), strict=True))
        size = sum(count for _, count in of_group)
        farther = (abs(missing_of_all - size) - abs(missing_of_all)) * weight_of_all
        wanted = 0
        for label, count in of_group:
            farther += (abs(missing[label] - count) - abs(missing[label])) * weight[label]
            groups_left[label] -= 1
            if not groups_left[label]:
                # The last group of a class goes to the side that has none of it.
                wanted += (not on_side[1][label]) - (not on_side[0][label])
        test = wanted > 0 or (wanted == 0 and farther < 0)
        split[group] = test
        missing_of_all -= size * test
        for label, count in of_group:
            missing[label] -= count * test
            on_side[test][label] = True
    return split


def _by_time(columns: Columns, how: SplitBy) -> DrawnSplit:
    """The last clips of each file are its test clips; a file of a single clip is in the training part."""
    files = _files(columns)
    order = np.argsort(files, kind="stable")
    sizes = np.bincount(files)
    place = np.arange(len(files)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    train = np.clip(np.round((1 - how.test_share) * sizes), 1, np.maximum(sizes - 1, 1))
    test = np.zeros(len(files), dtype=bool)
    test[order] = place >= np.repeat(train, sizes)
    if not test.any():
        raise InputError("no recording holds several clips, which time could tell apart; split by recording instead")
    single = int((sizes == 1).sum())
    notes = [f"{single} recordings of a single clip are in the training part"] if single else []
    return DrawnSplit(_by_name(columns, test), notes)
