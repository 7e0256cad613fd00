"""Splits that are drawn: nothing on both sides, the share, every class on both sides, the same for every order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.split_by import DrawnSplit, SplitBy, draw_split
from i2md.data.splits import select_part
from i2md.errors import InputError

quick = settings(max_examples=40, deadline=None)


def _columns(subjects: list[int], labels: list[int], sources: list[str] | None = None, **others: list[int]) -> dict:
    unknown = [-1] * len(subjects)
    columns = {"setup": unknown, "camera": unknown, "trial": unknown, **others, "subject": subjects, "label": labels}
    names = [f"clip-{index}" for index in range(len(subjects))]
    texts = {"name": np.array(names), "source": np.array(sources or names)}
    return {**{name: np.array(values, dtype=np.int64) for name, values in columns.items()}, **texts}


def _sides(columns: dict, drawn: DrawnSplit) -> tuple[list[int], list[int]]:
    return tuple(select_part(drawn.split[part], columns).tolist() for part in ("train", "test"))


_shares = st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.7])
_clips = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 3)), min_size=2, max_size=40)


def _rating(subjects: list[int], labels: list[int], test: set[int], share: float) -> tuple[int, float]:
    """How many classes are on one side only, and the distance from the share: of all clips, and of the mean class."""
    on_test, total = Counter(), Counter(labels)
    for subject, label in zip(subjects, labels, strict=True):
        on_test[label] += subject in test
    one_sided = sum(on_test[label] in (0, total[label]) for label in total if label >= 0)
    of_classes = [abs(on_test[label] / total[label] - share) for label in total]
    return one_sided, abs(sum(on_test.values()) / len(labels) - share) + sum(of_classes) / len(of_classes)


@quick
@given(clips=_clips, share=_shares, seed=st.integers(0, 3))
def test_split_by_subject_is_as_good_as_the_best_of_all_splits(
    clips: list[tuple[int, int]], share: float, seed: int
) -> None:
    subjects, labels = map(list, zip(*clips, strict=True))
    columns, everybody = _columns(subjects, labels), sorted(set(subjects))
    if len(everybody) < 2:
        with pytest.raises(InputError, match="all clips are of one subject"):
            draw_split(columns, SplitBy("subject", share, seed))
        return
    drawn = draw_split(columns, SplitBy("subject", share, seed))
    train, test = (set(drawn.split[part]["subject"]) for part in ("train", "test"))
    assert train and test and not train & test and train | test == set(everybody)
    every_split = [
        _rating(subjects, labels, set(chosen), share)
        for size in range(1, len(everybody))
        for chosen in itertools.combinations(everybody, size)
    ]
    one_sided, distance = _rating(subjects, labels, test, share)
    fewest = min(each for each, _ in every_split)
    assert one_sided == fewest
    assert distance <= min(far for each, far in every_split if each == fewest) + 0.05 + 1e-9


@quick
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8), share=_shares, seed=st.integers(0, 3))
def test_random_split_has_the_share_of_each_class(sizes: list[int], share: float, seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    if len(labels) < 2:
        return
    columns = _columns([-1] * len(labels), labels)
    train, test = _sides(columns, draw_split(columns, SplitBy("random", share, seed)))
    assert sorted(train + test) == list(range(len(labels)))
    if len(labels) <= 12:
        return  # a few clips are split by comparing all splits, as in the test above
    of_class = Counter(labels[clip] for clip in test)
    for label, size in enumerate(sizes):
        if size > 1:
            assert 1 <= of_class[label] <= size - 1
            assert abs(of_class[label] - share * size) <= 1


def test_forty_subjects_who_did_every_action() -> None:
    rows = list(itertools.product(range(40), range(12), range(2)))
    subjects, labels, _ = map(list, zip(*rows, strict=True))
    columns = _columns(subjects, labels)
    train, test = _sides(columns, draw_split(columns, SplitBy("subject", 0.3)))
    assert len(test) == 12 * 24 and len(train) == 28 * 24
    assert not {subjects[clip] for clip in train} & {subjects[clip] for clip in test}


@quick
@given(
    files=st.lists(st.tuples(st.integers(1, 6), st.integers(-1, 3)), min_size=2, max_size=30),
    share=_shares,
    by=st.sampled_from(["random", "recording"]),
)
def test_clips_of_one_file_stay_on_one_side(files: list[tuple[int, int]], share: float, by: str) -> None:
    sources = [f"file-{number}" for number, (clips, _) in enumerate(files) for _ in range(clips)]
    labels = [label for clips, label in files for _ in range(clips)]
    columns = _columns([-1] * len(labels), labels, sources)
    train, test = _sides(columns, draw_split(columns, SplitBy(by, share)))
    assert train and test and sorted(train + test) == list(range(len(labels)))
    assert not {sources[clip] for clip in train} & {sources[clip] for clip in test}
    if all(label == -1 for label in labels):
        largest = max(clips for clips, _ in files)
        assert abs(len(test) - share * len(labels)) <= max(largest, 0.1 * len(labels))


def _three_cameras() -> dict:
    """Twelve performances, each in three files of three cameras."""
    rows = list(itertools.product(range(4), range(3), range(3)))
    subjects, trials, cameras = map(list, zip(*rows, strict=True))
    return _columns(subjects, [subject % 2 for subject in subjects], trial=trials, camera=cameras)


def test_views_of_one_performance_stay_on_one_side_by_recording_and_are_counted_at_random() -> None:
    columns = _three_cameras()
    where = defaultdict(set)
    for part, clips in zip(("train", "test"), _sides(columns, draw_split(columns, SplitBy("recording"))), strict=True):
        for clip in clips:
            where[columns["subject"][clip], columns["trial"][clip]].add(part)
    assert len(where) == 12 and all(len(parts) == 1 for parts in where.values())

    drawn = draw_split(columns, SplitBy("random"))
    train, test = _sides(columns, drawn)
    performance = [(columns["subject"][clip], columns["trial"][clip]) for clip in range(36)]
    repeated = sum(performance[clip] in {performance[other] for other in train} for clip in test)
    (note,) = drawn.notes
    assert note.startswith(f"{repeated} of {len(test)} test clips show a performance that another camera shows")


@given(order=st.permutations(range(36)), by=st.sampled_from(["subject", "recording", "random"]), seed=st.integers(0, 9))
@quick
def test_the_order_of_the_clips_does_not_matter(order: list[int], by: str, seed: int) -> None:
    columns = _three_cameras()
    mixed = {name: values[order] for name, values in columns.items()}
    one, other = (draw_split(each, SplitBy(by, 0.3, seed)).split for each in (columns, mixed))
    (column,) = one["train"]
    assert [sorted(one[part][column]) for part in one] == [sorted(other[part][column]) for part in other]


@pytest.mark.parametrize("by", ["subject", "recording", "random"])
def test_other_seeds_draw_other_splits(by: str) -> None:
    rng = np.random.default_rng(0)
    columns = _columns(rng.integers(0, 9, 90).tolist(), rng.integers(0, 3, 90).tolist())
    drawn = [str(draw_split(columns, SplitBy(by, 0.3, seed)).split) for seed in (0, 1, 2, 3, 0)]
    assert drawn[0] == drawn[4]
    assert len(set(drawn)) >= 3


@quick
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), share=_shares)
def test_by_time_the_last_clips_of_each_file_are_test_clips(sizes: list[int], share: float) -> None:
    sources = [f"file-{number}" for number, size in enumerate(sizes) for _ in range(size)]
    columns = _columns([-1] * len(sources), [0] * len(sources), sources)
    if max(sizes) == 1:
        with pytest.raises(InputError, match="no recording holds several clips"):
            draw_split(columns, SplitBy("time", share))
        return
    drawn = draw_split(columns, SplitBy("time", share))
    train, test = _sides(columns, drawn)
    assert sorted(train + test) == list(range(len(sources)))
    for number, size in enumerate(sizes):
        mine = [clip for clip, source in enumerate(sources) if source == f"file-{number}"]
        later = [clip for clip in mine if clip in test]
        assert later == mine[len(mine) - len(later) :]
        assert abs(len(later) - share * size) <= 1 and (0 < len(later) < size or size == 1)
    single = sizes.count(1)
    assert drawn.notes == ([f"{single} recordings of a single clip are in the training part"] if single else [])


def test_clips_of_unknown_subjects_are_counted() -> None:
    columns = _columns([1, 1, 2, -1], [0, 1, 0, 0])
    drawn = draw_split(columns, SplitBy("subject"))
    assert drawn.notes == ["1 clips of an unknown subject are in neither part"]
    assert sorted(itertools.chain(*_sides(columns, drawn))) == [0, 1, 2]
    with pytest.raises(InputError, match=r"no clip has a known subject; name the subjects .* or split by recording"):
        draw_split(_columns([-1, -1], [0, 0]), SplitBy("subject"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"by": "person"}, "a split by 'person' is not known; choose one of subject, recording, random, time"),
        ({"by": "subject", "test_share": 1.0}, "test_share 1 must be above 0 and below 1"),
        ({"by": "subject", "seed": -1}, "the seed of a split is -1"),
    ],
)
def test_arguments_that_are_wrong(how: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SplitBy(**how)
