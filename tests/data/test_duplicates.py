"""Exact copies: against a slow comparison, what counts as content, and those of NW-UCLA as it is distributed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.info import copies_between, find_originals, info
from i2md.data.prepare import prepare
from i2md.data.recording import Recording
from i2md.data.store import Clips, ClipsWriter, Dataset, open_clips
from i2md.skeletons import get_layout


def _store(folder: Path, contents: list[np.ndarray], **columns: list[int]) -> Clips:
    """Clips of the given content, `subject` and other columns as given."""
    splits = {
        "xsub": {"train": {"subject": (1,)}, "test": {"subject": (2,)}},
        "three": {"train": {"subject": (1,)}, "validation": {"subject": (2,)}, "test": {"subject": (3,)}},
    }
    with ClipsWriter(folder / "clips", 20, 3, overwrite=True) as writer:
        for index, content in enumerate(contents):
            row: dict[str, Any] = {name: values[index] for name, values in columns.items()}
            writer.add(Recording(f"clip-{index}", content, **row))
        writer.finish(Dataset("mine", get_layout("kinect-v1"), (), "unknown", "none", splits=splits))
    return open_clips(folder / "clips")


def _clip(seed: int, persons: int = 1, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(persons, frames, 20, 3)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=12))
def test_copies_are_those_that_a_slow_comparison_finds(tmp_path_factory, drawn: list[tuple[int, int]]) -> None:
    contents = [_clip(seed) for seed, _ in drawn]
    subjects = [subject for _, subject in drawn]
    clips = _store(tmp_path_factory.mktemp("s"), contents, subject=subjects)

    originals = [min(j for j, other in enumerate(contents) if np.array_equal(other, one)) for one in contents]
    assert find_originals(clips).tolist() == originals

    train, test = np.flatnonzero(np.array(subjects) == 1), np.flatnonzero(np.array(subjects) == 2)
    slowly = [
        (late, next(early for early in train if np.array_equal(contents[early], contents[late])))
        for late in test
        if any(np.array_equal(contents[early], contents[late]) for early in train)
    ]
    copies = copies_between(train, test, find_originals(clips))
    assert list(zip(copies.clips.tolist(), copies.originals.tolist(), strict=True)) == slowly

    found = info(clips)
    assert found["copies"] == len(contents) - len(set(originals))
    assert found["duplicates"]["xsub"] == len(slowly)
    assert found["duplicates"]["three"] >= len(slowly)


def test_a_difference_in_one_bit_or_in_shape_is_no_copy(tmp_path: Path) -> None:
    nearly = _clip(0)
    nearly[0, 2, 7, 1] = np.nextafter(nearly[0, 2, 7, 1], np.float32(9))
    contents = [_clip(0), nearly, _clip(0).reshape(2, 2, 20, 3), _clip(0)[:, :3], _clip(0)]
    assert find_originals(_store(tmp_path, contents)).tolist() == [0, 1, 2, 3, 0]


def test_the_warning_names_the_part_and_one_pair(tmp_path: Path) -> None:
    contents = [_clip(0), _clip(1), _clip(2), _clip(1), _clip(0)]
    clips = _store(tmp_path, contents, subject=[1, 1, 2, 2, 3])
    assert [line for line in info(clips)["warnings"] if "exact copies" in line] == [
        "split 'xsub': 1 of 2 test clips are exact copies of train clips, for example clip-3 of clip-1",
        "split 'three': 2 of 3 validation and test clips are exact copies of train clips, for example clip-3 of clip-1",
    ]


def test_copies_within_a_part_give_a_warning(tmp_path: Path) -> None:
    clips = _store(tmp_path, [_clip(0), _clip(1), _clip(0)], subject=[1, 2, 1])
    assert info(clips)["duplicates"] == {"xsub": 0, "three": 0}
    assert "1 clips are exact copies of others, for example clip-2 of clip-0" in info(clips)["warnings"]


@pytest.mark.parametrize(
    "preset", [pytest.param("facing", marks=pytest.mark.slow), pytest.param("none", marks=pytest.mark.slow)]
)
def test_nw_ucla_holds_95_test_clips_that_are_training_clips(preset: str, real_data: Path, tmp_path: Path) -> None:
    clips = prepare("nw-ucla", real_data / "nw-ucla", tmp_path / "clips", preset=preset)
    found = info(clips)
    assert found["duplicates"] == {"xview": 95, "xview-clean": 0}
    assert found["copies"] == 95
    (warning,) = (line for line in found["warnings"] if "copies" in line)
    assert warning.startswith(
        "split 'xview': 95 of 464 test clips are exact copies of train clips, for example a02_s01_e00_v03"
    )
    views, originals = clips.columns["camera"], find_originals(clips)
    copied = np.flatnonzero(originals != np.arange(len(clips)))
    assert set(clips.labels[copied]) == {1, 2} and set(views[copied]) == {3}
    # All test clips of the two actions, each with the label of its original.
    assert len(copied) == np.isin(clips.labels[views == 3], (1, 2)).sum()
    assert (clips.labels[copied] == clips.labels[originals[copied]]).all()


@pytest.mark.parametrize(
    "format",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("utd-mhad", "msr-action3d")), "sbu-interaction"],
)
def test_other_data_sets_hold_no_copies(format: str, real_data: Path, tmp_path: Path) -> None:
    found = info(prepare(format, real_data / format, tmp_path / "clips"))
    assert found["copies"] == 0 and not any(found["duplicates"].values())


@pytest.mark.parametrize("parts", [("train", "test"), ("test", "train"), ("Testing", "Training"), ("val", "train")])
def test_training_part_is_found_by_its_name(tmp_path: Path, parts: tuple[str, str]) -> None:
    """One training clip and three copies of it, whichever part comes first in dataset.json."""
    train = next(part for part in parts if "train" in part.lower())
    (other,) = set(parts) - {train}
    chosen = {train: {"subject": (1,)}, other: {"subject": (2,)}}
    with ClipsWriter(tmp_path / "clips", 20, 3) as writer:
        for index, (seed, subject) in enumerate([(0, 1), (1, 1), (2, 1), (0, 2), (0, 2), (0, 2)]):
            writer.add(Recording(f"clip-{index}", _clip(seed), subject=subject))
        splits = {"given": {part: chosen[part] for part in parts}}
        writer.finish(Dataset("mine", get_layout("kinect-v1"), (), "unknown", "none", splits=splits))
    found = info(open_clips(tmp_path / "clips"))
    assert found["duplicates"] == {"given": 3}
    (warning,) = (text for text in found["warnings"] if "copies" in text)
    assert f"3 of 3 {other} clips are exact copies of {train} clips" in warning
    assert "clip-3 of clip-0" in warning


def test_copies_between_folders_train_and_test_are_counted_in_test(tmp_path: Path) -> None:
    for name, seed in (("test/a", 0), ("test/b", 0), ("test/c", 0), ("train/d", 0), ("train/e", 1)):
        path = tmp_path / "files" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, _clip(seed)[0])
    clips = prepare("arrays", tmp_path / "files", tmp_path / "clips", preset="none", layout="kinect-v1")
    assert list(info(clips)["splits"]["given"].items()) == [("train", 2), ("test", 3)]
    assert any("3 of 3 test clips are exact copies of train clips" in text for text in info(clips)["warnings"])
