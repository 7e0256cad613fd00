"""Synthetic folders in the format of NTU RGB+D 60 and 120, of any size, for tests, demos and benchmarks.

One person acts, two in the classes of two persons. Files have 70 to 124 frames and, with one person, 200 to 400 KB. A
file depends on the seed and its index only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from i2md.data.readers.ntu_rgbd_splits import TWO_PERSON_LABELS, columns_of
from i2md.errors import InputError
from i2md.synthetic.actors import (
    EXTRA_BODIES,
    draw_extra_body,
    draw_motion,
    face_each_other,
    simulate_kinect,
    subject_positions,
)
from i2md.synthetic.ntu_rgbd_format import (
    EDITIONS,
    TrackedBodies,
    available_names,
    listed_names,
    most_names,
    skeleton_text,
)
from i2md.synthetic.text_files import new_folder

FRAMES = (70, 124)
MOST_BODIES = 6
# Irregularities of files that yield no clip.
UNREADABLE = ("stray_space", "not_finite", "truncated", "empty_file", "binary")
_FOLDER = "nturgb+d_skeletons"
_ARCHIVES = {"ntu60": "nturgbd_skeletons_s001_to_s017.zip", "ntu120": "nturgbd_skeletons_s001_to_s032.zip"}
_FIRST_ID = 72057594037930000


@dataclass(frozen=True)
class NtuIrregularities:
    """Fractions of files that are irregular, by kind.

    A file has at most one irregularity besides `crlf`. All kinds occur in the data set; the fraction `on_missing_list`
    is the publisher's, the others are invented.
    """

    crlf: float = 0.1
    """Lines end in CR LF."""
    person_lost: float = 0.05
    """A person is not tracked for 5 to 20 frames."""
    empty_ends: float = 0.03
    """No body in the first and in the last 1 to 8 frames."""
    extra_bodies: float = 0.05
    """3 to 6 bodies: persons who pass by for at most 11 frames, small static bodies, and wide shapeless ones."""
    changed_order: float = 0.02
    """Two bodies (one of them static in classes of one person) exchange their positions in the file midway."""
    two_frames: float = 0.002
    """Two frames only."""
    one_frame: float = 0.001
    """One frame only."""
    no_body: float = 0.002
    """No body in any frame."""
    on_missing_list: float = 302 / 56_880
    """The name is on the publisher's list of incomplete samples, until all of them are used."""
    stray_space: float = 0.001
    """A space inside a number."""
    not_finite: float = 0.0005
    """A coordinate is inf."""
    truncated: float = 0.001
    """The file is cut at 20 to 90 % of its length."""
    empty_file: float = 0.0005
    """The file is empty."""
    binary: float = 0.0005
    """The file holds random bytes."""

    @classmethod
    def none(cls) -> NtuIrregularities:
        """No irregularities."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, 0.0))

    def exclusive(self) -> dict[str, float]:
        """Fractions of the kinds that exclude each other; InputError if they are not fractions or exceed 1 in total."""
        fractions = asdict(self)
        if (
            not all(0 <= fraction <= 1 for fraction in fractions.values())
            or sum(fractions.values()) - self.crlf > 1 + 1e-9
        ):
            raise InputError("irregularities: each fraction must be from 0 to 1, and all but crlf at most 1 in total")
        del fractions["crlf"]
        return fractions


@dataclass
class WrittenNtu:
    """What was written: number of files, bytes, and for each irregularity the names of the files that have it."""

    files: int = 0
    size: int = 0
    irregular: dict[str, list[str]] = field(default_factory=dict)

    def summary(self) -> str:
        """Describe it in one line."""
        kinds = ", ".join(f"{kind} {len(names)}" for kind, names in sorted(self.irregular.items()))
        return f"{self.files} files, {self.size / 1e6:.1f} MB; {kinds or 'all regular'}"


def write_ntu(
    folder: Path,
    clips: int = 1000,
    edition: str = "ntu60",
    seed: int = 0,
    irregularities: NtuIrregularities | None = None,
    zipped: bool = False,
    progress: bool = False,
) -> WrittenNtu:
    """Write synthetic `.skeleton` files.

    The first n files of a larger data set are those of a smaller one with the same seed.

    Args:
        folder: Folder to write, which must not exist or be empty.
        clips: Number of files.
        edition: ntu60 or ntu120.
        seed: Seed of all random numbers.
        irregularities: Fractions of irregular files; by default those of NtuIrregularities().
        zipped: Write one .zip as the publisher's instead of single files.
        progress: Show a progress bar.

    Returns:
        What was written.

    Raises:
        InputError: If the folder is not empty, or an argument is out of range.
    """
    if edition not in EDITIONS:
        raise InputError(f"edition {edition!r} is unknown; choose one of {', '.join(EDITIONS)}")
    if not 1 <= clips <= most_names(edition):
        raise InputError(f"clips={clips} is out of range; choose 1 to {most_names(edition)}")
    rates = irregularities or NtuIrregularities()
    rates.exclusive()
    written = WrittenNtu()
    with new_folder(Path(folder), _ARCHIVES[edition] if zipped else None) as write:
        for name, data, kinds in tqdm(
            _files(clips, edition, seed, rates), total=clips, unit="file", desc="write ntu-rgbd", disable=not progress
        ):
            write(f"{_FOLDER}/{name}.skeleton", data)
            written.files += 1
            written.size += len(data)
            for kind in kinds:
                written.irregular.setdefault(kind, []).append(name)
    return written


def _files(
    clips: int, edition: str, seed: int, rates: NtuIrregularities
) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    available, listed = available_names(edition, seed), listed_names(edition, seed)
    fractions = rates.exclusive()
    for index in range(clips):
        rng = np.random.default_rng((seed, index))
        kind, crlf = _draw_kind(fractions, rng), rng.random() < rates.crlf
        name = next(listed, None) if kind == "on_missing_list" else None
        if name is None:
            name, kind = next(available), None if kind == "on_missing_list" else kind
        data = _bytes(name, seed, kind, rng)
        kinds = ((kind,) if kind else ()) + (("crlf",) if crlf else ())
        yield name, data.replace(b"\n", b"\r\n") if crlf and kind != "binary" else data, kinds


def _draw_kind(fractions: Mapping[str, float], rng: np.random.Generator) -> str | None:
    """Draw one of the irregularities, or none."""
    at = int(np.searchsorted(np.cumsum(list(fractions.values())), rng.random(), side="right"))
    return list(fractions)[at] if at < len(fractions) else None


def _clip(name: str, seed: int, kind: str | None, rng: np.random.Generator) -> TrackedBodies:
    columns = {column: int(values[0]) for column, values in columns_of([name]).items()}
    frames = {"one_frame": 1, "two_frames": 2}.get(kind or "", int(rng.integers(FRAMES[0], FRAMES[1] + 1)))
    persons, inferred = _draw_persons(columns, seed, frames, rng)
    present = np.ones(persons.shape[:2], dtype=bool)
    for extra in _extra_bodies(kind, len(persons), rng):
        body = draw_extra_body(extra, frames, seed, rng)
        there = slice(body.start, body.start + len(body.positions))
        persons, present = _with_absent_body(persons), _with_absent_body(present)
        persons[-1, there], present[-1, there] = body.positions, True
    inferred = np.concatenate([inferred, rng.random((len(persons) - len(inferred), frames, 25)) < 0.5])
    _mark_absent(present, kind, rng)
    return TrackedBodies(persons, inferred, present, _ids(len(persons), rng), _order(present, kind, rng))


def _draw_persons(
    columns: Mapping[str, int], seed: int, frames: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One or two persons performing the action of the class, in camera space, and which joints are inferred."""
    label, subject = columns["label"], columns["subject"]
    bodies = [subject_positions(seed, subject, draw_motion(seed, subject, label, frames, rng))]
    heading = (45.0, 0.0, -45.0)[columns["camera"] - 1] + rng.uniform(-15, 15)
    if label not in TWO_PERSON_LABELS:
        return simulate_kinect(np.stack(bodies), heading, rng)
    other = subject + 1 + int(rng.integers(5))
    bodies.append(subject_positions(seed, other, draw_motion(seed, other, label, frames, rng)))
    return simulate_kinect(face_each_other(bodies[0], bodies[1], apart=rng.uniform(0.7, 1.3)), heading / 2, rng)


def _extra_bodies(kind: str | None, persons: int, rng: np.random.Generator) -> list[str]:
    if kind == "changed_order":
        return ["static"] * (2 - persons)
    if kind != "extra_bodies":
        return []
    total = int(rng.integers(3, MOST_BODIES + 1))
    # The kinds in turn, starting with a random one.
    first = int(rng.integers(len(EXTRA_BODIES)))
    return [EXTRA_BODIES[(first + at) % len(EXTRA_BODIES)] for at in range(total - persons)]


def _with_absent_body(bodies: np.ndarray) -> np.ndarray:
    return np.concatenate([bodies, np.zeros_like(bodies[:1])])


def _mark_absent(present: np.ndarray, kind: str | None, rng: np.random.Generator) -> None:
    """Mark the frames in which bodies are absent because of the irregularity."""
    frames = present.shape[1]
    if kind == "no_body":
        present[:] = False
    if kind == "empty_ends":
        before, after = rng.integers(1, 9, size=2)
        present[:, :before] = present[:, frames - after :] = False
    if kind == "person_lost":
        length = int(rng.integers(5, 21))
        start = int(rng.integers(1, frames - length))
        present[int(rng.integers(len(present))), start : start + length] = False


def _ids(bodies: int, rng: np.random.Generator) -> np.ndarray:
    return _FIRST_ID + rng.permutation(1000)[:bodies].astype(np.int64)


def _order(present: np.ndarray, kind: str | None, rng: np.random.Generator) -> np.ndarray:
    """Order of the bodies in each frame: random, and constant unless the irregularity changes it midway."""
    bodies, frames = present.shape
    order = np.tile(rng.permutation(bodies), (frames, 1))
    if kind == "changed_order":
        order[int(rng.integers(frames // 4, 3 * frames // 4)) :] = order[0, ::-1]
    return order


def _bytes(name: str, seed: int, kind: str | None, rng: np.random.Generator) -> bytes:
    """The bytes of the file, invalid if that is its irregularity."""
    if kind == "empty_file":
        return b""
    if kind == "binary":
        return b"\x00\xff" + rng.bytes(int(rng.integers(1000, 5000)))
    data = skeleton_text(_clip(name, seed, kind, rng), rng)
    if kind == "truncated":
        return data[: int(len(data) * rng.uniform(0.2, 0.9))]
    if kind in ("stray_space", "not_finite"):
        start, end = _any_coordinate(data, rng)
        number = data[start:end]
        changed = b"inf" if kind == "not_finite" else number.replace(b".", b". ", 1)
        return data[:start] + changed + data[end:]
    return data


def _any_coordinate(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of the x of a random joint: a number with a decimal point, first on a line of 12 fields."""
    start = int(len(data) * rng.uniform(0.05, 0.9))
    found = re.compile(rb"\n(-?\d+\.\d+)(?: [^ \n]+){11}(?=\n)").search(data, start)
    return found.span(1) if found else (0, 0)
