"""Synthetic NTU RGB+D folders: the publisher's format, irregularities as stated, read by the package's reader."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.presets import LeftOut, prepare_positions
from i2md.data.readers import open_source
from i2md.data.readers.ntu_rgbd_splits import columns_of, missing_names
from i2md.data.recording import Recording, Unreadable
from i2md.data.splits import select_part
from i2md.errors import InputError
from i2md.synthetic import NtuIrregularities, WrittenNtu, write_ntu
from i2md.synthetic.ntu_rgbd import UNREADABLE
from i2md.synthetic.text_files import number_text

EXCLUSIVE = [name for name in NtuIrregularities.__dataclass_fields__ if name != "crlf"]
CLIPS = 260


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regular")
    write_ntu(folder, clips=24, edition="ntu120", irregularities=NtuIrregularities.none())
    return folder


@pytest.fixture(scope="module")
def irregular(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WrittenNtu]:
    """A folder in which every file is irregular, each kind equally often."""
    folder = tmp_path_factory.mktemp("irregular")
    fractions = dict.fromkeys(EXCLUSIVE, 1 / len(EXCLUSIVE))
    return folder, write_ntu(folder, clips=CLIPS, irregularities=NtuIrregularities(crlf=0.4, **fractions))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(folder.rglob("*.skeleton"))}


def digest(folder: Path) -> str:
    return hashlib.sha256(repr(sorted(files_in(folder).items())).encode()).hexdigest()


def frames_of(data: bytes) -> list[dict[str, list[list[bytes]]]]:
    """Parse a file line by line: for each frame the lines of 25 joints of each body, by tracking id, in order."""
    lines = iter(data.decode().replace("\r\n", "\n").removesuffix("\n").split("\n"))
    frames = []
    for _ in range(int(next(lines))):
        frames.append({})
        for _ in range(int(next(lines))):
            about = next(lines).split(" ")
            assert len(about) == 10 and next(lines) == "25"
            frames[-1][about[0]] = [next(lines).split(" ") for _ in range(25)]
    assert next(lines, None) is None
    return frames


NUMBERS = st.one_of(st.floats(-9999.999, 9999.999), st.floats(-2, 2), st.sampled_from([0.0, -0.0, 1e-9, 0.1, 9999.999]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_number_text_has_at_most_seven_significant_digits(rows: list[tuple[float, float]]) -> None:
    text = number_text(np.array(rows)).tobytes().translate(None, b"\0").decode()
    lines = text.removesuffix("\n").split("\n")
    for line, row in zip(lines, rows, strict=True):
        for word, number in zip(line.split(" "), row, strict=True):
            assert re.fullmatch(r"0|-?(0|[1-9]\d*)(\.\d*[1-9])?", word) and len(word.strip("-0.")) <= 9
            assert abs(float(word) - number) <= max(0.51e-8, 0.51e-6 * abs(number))


@pytest.mark.parametrize("number", [np.nan, np.inf, -1e4])
def test_number_text_rejects_non_finite_and_large_numbers(number: float) -> None:
    with pytest.raises(ValueError, match="not finite or not below"):
        number_text(np.array([[0.0, number]]))


def test_regular_files_have_the_publishers_format(regular: Path) -> None:
    sizes = []
    for name, data in files_in(regular).items():
        frames = frames_of(data)
        action = int(name[-3:])
        two = 50 <= action <= 60 or 106 <= action <= 120
        assert 70 <= len(frames) <= 124
        assert all(frame.keys() == frames[0].keys() and len(frame) == 1 + two for frame in frames)
        sizes += [] if two else [len(data)]
        joints = np.array([list(frame.values()) for frame in frames], dtype=float)
        assert joints.shape[2:] == (25, 12)
        inferred = (joints[..., 11] == 1).mean()
        assert set(np.unique(joints[..., 11])) == {1, 2} and 0.07 < inferred < 0.34
        # Both pixels of a joint follow from its direction.
        aside = joints[..., 0] / joints[..., 2]
        np.testing.assert_allclose((joints[..., 5] - 960) / 1060, aside, atol=1e-5)
        np.testing.assert_allclose((joints[..., 3] - 256) / 366, aside, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(joints[..., 7:11], axis=-1), 1, atol=1e-5)
    assert min(sizes) > 195_000 and max(sizes) < 405_000


def test_reader_returns_the_positions_written(regular: Path) -> None:
    source = open_source("ntu-rgbd", regular)
    assert source.name == "ntu-rgbd-120" and source.count == 24
    written = files_in(regular)
    for clip in source.read():
        assert isinstance(clip, Recording) and len(clip.positions) == len(frames_of(written[clip.name])[0])
        slow = [np.array(body)[:, :3].astype(np.float32) for body in frames_of(written[clip.name])[7].values()]
        found = sorted(clip.positions[:, 7].tolist())
        np.testing.assert_array_equal(found, sorted(body.tolist() for body in slow))


def test_bodies_have_plausible_proportions_and_are_upright(regular: Path) -> None:
    for clip in open_source("ntu-rgbd", regular).read():
        person = clip.positions[0].astype(float)
        spine = np.linalg.norm(person[:, 1] - person[:, 0], axis=-1)
        thigh = np.linalg.norm(person[:, 13] - person[:, 12], axis=-1)
        assert 0.15 < np.median(spine) < 0.35 and 0.3 < np.median(thigh) < 0.55
        assert np.median(person[:, 3, 1] - person[:, 0, 1]) > 0.25
        assert person[..., 2].min() > 1.0 and person[..., 2].max() < 6.0
        assert np.ptp(np.median(person[:, [7, 11]], axis=1), axis=0).max() > 0.02


@pytest.mark.parametrize("edition", ["ntu60", "ntu120"])
def test_names_are_unique_and_in_the_published_ranges(edition: str, tmp_path: Path) -> None:
    short = NtuIrregularities(**{**dict.fromkeys(NtuIrregularities.__dataclass_fields__, 0.0), "empty_file": 1.0})
    written = write_ntu(tmp_path, clips=3000, edition=edition, irregularities=short)
    names = written.irregular["empty_file"]
    columns = columns_of(names)
    assert len(set(names)) == 3000 and not missing_names() & set(names)
    added = (columns["setup"] > 17) == (columns["label"] >= 60)
    assert added.all()
    last = (
        {"setup": 17, "label": 59, "subject": 40} if edition == "ntu60" else {"setup": 32, "label": 119, "subject": 106}
    )
    for column, number in {**last, "camera": 3, "trial": 2}.items():
        found = set(columns[column].tolist())
        assert found == set(range(0 if column == "label" else 1, number + 1))
    # All published splits have clips.
    for parts in open_source("ntu-rgbd", tmp_path).splits.values():
        assert all(len(select_part(parts[part], columns)) > 300 for part in ("train", "test"))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, options in {"a": {}, "b": {}, "more": {"clips": 9}, "other": {"seed": 1}}.items():
        write_ntu(tmp_path / name, **{"clips": 6, **options})
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "other")
    few, more = files_in(tmp_path / "a"), files_in(tmp_path / "more")
    assert len(more) == 9 and few.items() <= more.items()
    for name in ("z1", "z2"):
        write_ntu(tmp_path / name, clips=6, zipped=True)
    (first,), (second,) = (list((tmp_path / name).iterdir()) for name in ("z1", "z2"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {Path(name).stem: archive.read(name) for name in archive.namelist()} == few


def test_irregularities_have_the_given_frequencies(irregular: tuple[Path, WrittenNtu]) -> None:
    _, written = irregular
    counts = {kind: len(names) for kind, names in written.irregular.items()}
    assert sum(counts[kind] for kind in EXCLUSIVE) == CLIPS == written.files
    for kind in EXCLUSIVE:
        # Four standard deviations of a binomial count about 20.
        assert 3 < counts[kind] < 38, kind
    assert 0.4 * CLIPS - 32 < counts["crlf"] < 0.4 * CLIPS + 32


def test_default_fractions_sum_to_less_than_one() -> None:
    assert 0.1 < sum(NtuIrregularities().exclusive().values()) < 0.2
    assert set(NtuIrregularities.none().exclusive().values()) == {0.0}


def test_reader_rejects_exactly_the_unreadable_files(irregular: tuple[Path, WrittenNtu]) -> None:
    folder, written = irregular
    source = open_source("ntu-rgbd", folder)
    found = list(source.read())
    refused = {Path(one.source).stem for one in found if isinstance(one, Unreadable)}
    assert refused == {name for kind in UNREADABLE for name in written.irregular[kind]}
    listed = written.irregular["on_missing_list"]
    assert set(listed) <= missing_names() and [*source.left_out.values()] == [len(listed)]
    assert len(found) == CLIPS - len(listed)
    nobody = set(written.irregular["no_body"])
    for clip in found:
        if isinstance(clip, Recording):
            prepared = prepare_positions(clip.positions, source.layout, "ntu")
            assert isinstance(prepared, LeftOut) == (clip.name in nobody)


def test_each_irregularity_matches_its_description(irregular: tuple[Path, WrittenNtu]) -> None:
    folder, written = irregular
    data = files_in(folder)
    kinds = written.irregular
    readable = set(data) - {name for kind in UNREADABLE for name in kinds[kind]}
    frames = {name: frames_of(data[name]) for name in sorted(readable)}
    counts = {name: [len(frame) for frame in found] for name, found in frames.items()}
    for name in sorted(readable):
        assert (b"\r\n" in data[name]) == (name in kinds["crlf"])
    for kind, length in (("two_frames", 2), ("one_frame", 1)):
        assert {name for name in readable if len(frames[name]) == length} == set(kinds[kind])
    assert {name for name in readable if not any(counts[name])} == set(kinds["no_body"])
    for name in kinds["empty_ends"]:
        seen = np.flatnonzero(counts[name])
        assert 1 <= seen[0] <= 8 and 1 <= len(counts[name]) - 1 - seen[-1] <= 8 and np.diff(seen).max() == 1
    for name in kinds["person_lost"]:
        ids = {body for frame in frames[name] for body in frame}
        absent = [[body not in frame for frame in frames[name]] for body in sorted(ids)]
        assert sorted(sum(one) for one in absent)[:-1] == [0] * (len(ids) - 1)
        assert 5 <= max(sum(one) for one in absent) <= 20 and not any(one[0] for one in absent)
    for name in kinds["extra_bodies"]:
        ids = {body for frame in frames[name] for body in frame}
        assert 3 <= len(ids) <= 6 and max(counts[name]) <= 6
    for name in kinds["changed_order"]:
        orders = [tuple(frame) for frame in frames[name]]
        assert len(set(orders)) == 2 and orders[0] == orders[-1][::-1] and set(counts[name]) == {2}


def test_extra_bodies_are_short_static_or_shapeless(irregular: tuple[Path, WrittenNtu]) -> None:
    folder, written = irregular
    data, short, still, wide = files_in(folder), 0, 0, 0
    for name in written.irregular["extra_bodies"]:
        frames = frames_of(data[name])
        persons = 2 if 50 <= int(name[-3:]) <= 60 else 1
        ids = {body for frame in frames for body in frame}
        bodies = {body: [np.array(f[body], float)[:, :3] for f in frames if body in f] for body in ids}
        flat = [np.median(np.ptp(seen, axis=1)[:, 0] / np.ptp(seen, axis=1)[:, 1]) for seen in bodies.values()]
        moved = [np.median(np.stack(seen).std(axis=0)) for seen in bodies.values()]
        passing = [len(seen) <= 11 for seen in bodies.values()]
        noise = [a or b > 0.8 or c < 0.05 for a, b, c in zip(passing, flat, moved, strict=True)]
        assert sum(noise) >= len(bodies) - persons
        short, still, wide = short + any(passing), still + (min(moved) < 0.05), wide + (max(flat) > 0.8)
    assert min(short, still, wide) > 2


def test_invalid_arguments_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty; give a new folder"):
        write_ntu(tmp_path / "full", clips=1)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="edition 'ntu25' is unknown; choose one of ntu60, ntu120"):
        write_ntu(tmp_path / "a", edition="ntu25")
    with pytest.raises(InputError, match="clips=0 is out of range"):
        write_ntu(tmp_path / "a", clips=0)
    with pytest.raises(InputError, match="all but crlf at most 1 in total"):
        write_ntu(tmp_path / "a", irregularities=NtuIrregularities(binary=0.6, truncated=0.6))
    assert not (tmp_path / "a").exists()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "i2md.synthetic", *arguments], capture_output=True, text=True, timeout=120
    )


def test_command_writes_files_and_exits_2_for_invalid_arguments(tmp_path: Path) -> None:
    done = command("ntu-rgbd", str(tmp_path / "c"), "--clips", "5", "--irregularities.crlf", "1", "--seed", "3")
    assert done.returncode == 0 and "5 files" in done.stdout and "crlf 5" in done.stdout
    assert "5/5" in done.stderr and len(files_in(tmp_path / "c")) == 5
    again = command("ntu-rgbd", str(tmp_path / "c"), "--clips", "5")
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "not empty" in again.stderr
    assert command("kinetics", str(tmp_path / "d")).returncode == 2
