"""Synthetic PKU-MMD folders: the publisher's format, irregularities as stated, read by the package's reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from i2md.data.readers import open_source
from i2md.data.recording import Recording, Unreadable
from i2md.errors import InputError
from i2md.synthetic import PkuIrregularities, WrittenPku, write_pku

TWO = {12, 14, 16, 18, 21, 24, 26, 27, 29, 38}


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regular")
    write_pku(folder, recordings=7, actions=5, irregularities=PkuIrregularities.none())
    return folder


@pytest.fixture(scope="module")
def irregular(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WrittenPku]:
    folder = tmp_path_factory.mktemp("irregular")
    fractions = dict.fromkeys(PkuIrregularities.__dataclass_fields__, 0.25)
    return folder, write_pku(folder, 48, phase=2, actions=3, irregularities=PkuIrregularities(**fractions))


def skeletons(folder: Path) -> dict[str, np.ndarray]:
    """Frames x 150 of each recording, number by number."""
    found = {}
    for path in sorted((folder / "skeleton").glob("*.txt")):
        lines = path.read_text().removesuffix("\n").split("\n")
        assert not lines[0].startswith(" ") and all(line[0] == " " and line[1] != " " for line in lines[1:])
        found[path.stem] = np.array([[float(number) for number in line.split()] for line in lines])
    return found


def labels(folder: Path) -> dict[str, list[tuple[int, ...]]]:
    found = {}
    for path in sorted((folder / "label").glob("*.txt")):
        found[path.stem] = [tuple(int(field) for field in line.split(",")) for line in path.read_text().splitlines()]
    return found


def names_in(path: Path) -> tuple[list[str], list[str]]:
    train_heading, train, heading, validation = path.read_text().removesuffix("\n").split("\n")
    assert train_heading.startswith("Train") and heading.startswith("Valid")
    return [name for name in train.split(", ") if name], [name for name in validation.split(", ") if name]


def test_regular_recordings_have_the_publishers_format(regular: Path) -> None:
    found, marked = skeletons(regular), labels(regular)
    assert list(found) == list(marked) == ["0002-L", "0002-M", "0002-R", "0003-L", "0003-M", "0003-R", "0004-L"]
    for name, rows in found.items():
        assert rows.shape[1] == 150 and rows[:, :75].any(axis=1).all()
        acting = np.zeros(len(rows), dtype=bool)
        last = 0
        for number, start, end, confidence in marked[name]:
            assert 1 <= number <= 51 and confidence in (1, 2)
            assert last < start < end <= len(rows) and 40 <= end - start <= 240
            acting[start:end] |= number in TWO
            last = end
        np.testing.assert_array_equal(rows[:, 75:].any(axis=1), acting)
        spine = np.linalg.norm(rows[:, 3:6] - rows[:, 0:3], axis=1)
        assert 0.15 < np.median(spine) < 0.35 and rows[:, 2].min() > 1 and rows[:, 2].max() < 6.5
    # Three cameras record the same actions from different directions.
    assert [mark[:3] for mark in marked["0002-L"]] == [mark[:3] for mark in marked["0002-R"]]
    assert not np.allclose(found["0002-L"], found["0002-R"], atol=0.1)


def test_persons_move_more_within_labelled_intervals(regular: Path) -> None:
    marked = labels(regular)
    still, moving = [], []
    for name, rows in skeletons(regular).items():
        hands = rows[:, [21, 22, 23, 33, 34, 35]]
        speed = np.abs(
            np.diff(np.stack([np.median(hands[at : at + 9], axis=0) for at in range(len(hands) - 9)]), axis=0)
        )
        for _, start, end, _ in marked[name]:
            moving.append(speed[start + 10 : end - 10].mean())
            still.append(speed[max(start - 35, 0) : start - 15].mean())
    assert np.median(moving) > 2 * np.median(still)


def test_each_split_lists_every_recording_once(regular: Path) -> None:
    names = set(skeletons(regular))
    for split in ("cross_subject.txt", "cross_view.txt"):
        train, validation = names_in(regular / split)
        assert sorted(train + validation) == sorted(names) and train and validation
    assert {name[-1] for name in names_in(regular / "cross_view.txt")[1]} == {"L"}


def test_phase_2_has_the_published_names_and_split(irregular: tuple[Path, WrittenPku]) -> None:
    folder, written = irregular
    missing = set(written.irregular["name_without_file"])
    train, validation = names_in(folder / "cross_subject_v2.txt")
    assert {name[3:6] for name in set(validation) - missing} == {"N02", "N03", "N07"}
    assert not {name[3:6] for name in set(train) - missing} & {"N02", "N03", "N07"}
    assert not {mark[0] for marks in labels(folder).values() for mark in marks} & TWO
    assert sorted({*train, *validation} - missing) == sorted(skeletons(folder))


def test_irregularities_have_the_given_frequencies(irregular: tuple[Path, WrittenPku]) -> None:
    folder, written = irregular
    found, marked = skeletons(folder), labels(folder)
    kinds = written.irregular
    assert written.recordings == len(found) == 48 and written.actions == sum(map(len, marked.values())) == 3 * len(
        marked
    )
    assert set(kinds["unlabelled"]) == set(found) - set(marked) and 3 <= len(kinds["unlabelled"]) <= 24
    past = [name for name, marks in marked.items() if marks[-1][2] > len(found[name])]
    assert past == sorted(kinds["past_end"]) and 2 <= len(past) <= 21
    backwards = [name for name, marks in marked.items() for mark in marks if mark[1] > mark[2]]
    assert backwards == sorted(kinds["reversed_interval"]) and 0.1 < len(backwards) / written.actions < 0.4
    length = [abs(end - start) for marks in marked.values() for _, start, end, _ in marks]
    assert 0.05 < len(kinds["long_interval"]) / written.actions < 0.5
    assert (
        len(kinds["long_interval"]) <= sum(frames > 300 for frames in length) <= len(kinds["long_interval"]) + len(past)
    )
    listed = [
        name for split in ("subject", "view") for part in names_in(folder / f"cross_{split}_v2.txt") for name in part
    ]
    assert sorted(set(listed) - set(found)) == sorted(kinds["name_without_file"])
    assert 8 <= len(kinds["name_without_file"]) <= 40


def test_reader_returns_the_labelled_intervals(irregular: tuple[Path, WrittenPku]) -> None:
    folder, written = irregular
    marked = labels(folder)
    source = open_source("pku-mmd", folder)
    found = list(source.read())
    refused = [one for one in found if isinstance(one, Unreadable)]
    assert len(refused) == len(written.irregular["reversed_interval"])
    clips = [one for one in found if isinstance(one, Recording)]
    assert len(clips) == written.actions - len(refused)
    for clip in clips:
        name, place = clip.name.rsplit("_", 1)
        number, start, end, _ = marked[name][int(place) - 1]
        rows = lines_of(folder, name)
        assert clip.label == number - 1 and clip.actors == 1
        assert clip.positions.shape[1] == min(end - start, 300, len(rows) - start)
        first = np.array(rows[start].split()[:75], dtype=np.float32).reshape(25, 3)
        np.testing.assert_array_equal(clip.positions[0, 0], first)


def lines_of(folder: Path, name: str) -> list[str]:
    return (folder / "skeleton" / f"{name}.txt").read_text().splitlines()


def test_two_person_classes_have_two_persons(tmp_path: Path) -> None:
    write_pku(tmp_path, recordings=3, actions=30, irregularities=PkuIrregularities.none())
    clips = list(open_source("pku-mmd", tmp_path).read())
    assert {clip.actors for clip in clips} == {1, 2}
    for clip in clips:
        assert len(clip.positions) == clip.actors == (2 if clip.label + 1 in TWO else 1)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, options in {"a": {}, "b": {}, "more": {"recordings": 5}, "other": {"seed": 1}}.items():
        write_pku(tmp_path / name, **{"recordings": 2, "actions": 2, **options})
    data = {
        name: {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in (tmp_path / name).rglob("*.txt")
        }
        for name in ("a", "b", "more", "other")
    }
    assert data["a"] == data["b"] != data["other"]
    for name, bytes_ in data["a"].items():
        assert name.startswith("cross") or data["more"][name] == bytes_


def test_invalid_arguments_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="phase=3 is unknown; choose 1 or 2"):
        write_pku(tmp_path / "a", phase=3)
    with pytest.raises(InputError, match="recordings=1090 is out of range; choose 1 to 1089"):
        write_pku(tmp_path / "a", recordings=1090)
    with pytest.raises(InputError, match="actions=0"):
        write_pku(tmp_path / "a", actions=0)
    with pytest.raises(InputError, match="each fraction must be from 0 to 1"):
        PkuIrregularities(unlabelled=1.5)
    assert not (tmp_path / "a").exists()


def test_command_writes_regular_recordings(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "i2md.synthetic", "pku-mmd", str(tmp_path / "p"), "--phase", "2"]
    done = subprocess.run(
        [*command, "--recordings", "2", "--actions", "2", "--regular"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "2 recordings" in done.stdout and "all regular" in done.stdout
    assert set(labels(tmp_path / "p")) == {"A01N01-L", "A01N01-M"}
