"""Folders shaped like NTU RGB+D 60 and 120, of any size, from generated motion: to test and to measure with.

One person acts, two where the class is of two. Files are text as the publisher's: 70 to 124 frames, and for one
person 200 to 400 KB. Everything depends on the seed and the clip's index alone.
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
from i2md.synthetic.actors import act, body_of, film, meet
from i2md.synthetic.folder import new_folder
from i2md.synthetic.ghosts import KINDS, draw_ghost
from i2md.synthetic.ntu_rgbd_names import EDITIONS, available_names, listed_names, most_names
from i2md.synthetic.ntu_rgbd_text import Tracked, skeleton_text

FRAMES = (70, 124)
MOST_BODIES = 6
# Irregularities of files that no reader can take for a clip.
UNREADABLE = ("stray_space", "not_finite", "truncated", "empty_file", "binary")
_FOLDER = "nturgb+d_skeletons"
_ARCHIVES = {"ntu60": "nturgbd_skeletons_s001_to_s017.zip", "ntu120": "nturgbd_skeletons_s001_to_s032.zip"}
_FIRST_ID = 72057594037930000


@dataclass(frozen=True)
class NtuIrregularities:
    """How many of all files are irregular in each way, as shares.

    A file is irregular in one way at most; `crlf` alone goes with any other. That the ways exist is known from
    files of the data set, `on_missing_list` is the publisher's share; the other shares are made up.
    """

    crlf: float = 0.1
    """Lines end in CR LF."""
    person_lost: float = 0.05
    """A person is not there for 5 to 20 frames."""
    empty_ends: float = 0.03
    """Nobody is there in the first and the last frames, 1 to 8 of each."""
    extra_bodies: float = 0.05
    """3 to 6 bodies: people passing for at most 11 frames, small ones that never move, and wide heaps."""
    changed_order: float = 0.02
    """Two bodies, with a still one where the class is of one person, change places within the frame midway."""
    two_frames: float = 0.002
    """Two frames in all."""
    one_frame: float = 0.001
    """One frame in all."""
    no_body: float = 0.002
    """Nobody is there in any frame."""
    on_missing_list: float = 302 / 56_880
    """The name is on the publisher's list of incomplete samples (until all of that list are used)."""
    stray_space: float = 0.001
    """A space stands inside a number."""
    not_finite: float = 0.0005
    """A coordinate is nan."""
    truncated: float = 0.001
    """The file ends somewhere between a fifth and nine tenths of it."""
    empty_file: float = 0.0005
    """The file holds no byte."""
    binary: float = 0.0005
    """The file holds bytes that are no text."""

    @classmethod
    def none(cls) -> NtuIrregularities:
        """Regular files alone."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, 0.0))

    def exclusive(self) -> dict[str, float]:
        """The shares of those of which a file has one at most; InputError where they are no shares."""
        shares = asdict(self)
        if not all(0 <= share <= 1 for share in shares.values()) or sum(shares.values()) - self.crlf > 1 + 1e-9:
            raise InputError("irregularities: each share must be from 0 to 1, and all but crlf 1 together at most")
        del shares["crlf"]
        return shares


@dataclass
class Written:
    """What was written: files, bytes, and by irregularity the names of the files that have it."""

    files: int = 0
    size: int = 0
    irregular: dict[str, list[str]] = field(default_factory=dict)

    def summary(self) -> str:
        """In one line."""
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
) -> Written:
    """Write `clips` `.skeleton` files into `folder`, which must be new or empty, or a .zip of them where `zipped`.

    `edition` is ntu60 or ntu120. The first n files of a longer data set are those of a shorter one. InputError
    for more clips than there are names.
    """
    if edition not in EDITIONS:
        raise InputError(f"edition {edition!r} is not known; choose one of {', '.join(EDITIONS)}")
    if not 1 <= clips <= most_names(edition):
        raise InputError(f"clips={clips} is out of range; choose 1 to {most_names(edition)}")
    rates = irregularities or NtuIrregularities()
    rates.exclusive()
    written = Written()
    with new_folder(Path(folder), _ARCHIVES[edition] if zipped else None) as put:
        for name, data, kinds in tqdm(
            _files(clips, edition, seed, rates), total=clips, unit="file", desc="write ntu-rgbd", disable=not progress
        ):
            put(f"{_FOLDER}/{name}.skeleton", data)
            written.files += 1
            written.size += len(data)
            for kind in kinds:
                written.irregular.setdefault(kind, []).append(name)
    return written


def _files(
    clips: int, edition: str, seed: int, rates: NtuIrregularities
) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    available, listed = available_names(edition, seed), listed_names(edition, seed)
    shares = rates.exclusive()
    for index in range(clips):
        chance = np.random.default_rng((seed, index))
        kind, crlf = _drawn(shares, chance), chance.random() < rates.crlf
        name = next(listed, None) if kind == "on_missing_list" else None
        if name is None:
            name, kind = next(available), None if kind == "on_missing_list" else kind
        data = _bytes(name, seed, kind, chance)
        kinds = ((kind,) if kind else ()) + (("crlf",) if crlf else ())
        yield name, data.replace(b"\n", b"\r\n") if crlf and kind != "binary" else data, kinds


def _drawn(shares: Mapping[str, float], chance: np.random.Generator) -> str | None:
    """One of the irregularities, or none."""
    at = int(np.searchsorted(np.cumsum(list(shares.values())), chance.random(), side="right"))
    return list(shares)[at] if at < len(shares) else None


def _clip(name: str, seed: int, kind: str | None, chance: np.random.Generator) -> Tracked:
    columns = {column: int(values[0]) for column, values in columns_of([name]).items()}
    frames = {"one_frame": 1, "two_frames": 2}.get(kind or "", int(chance.integers(FRAMES[0], FRAMES[1] + 1)))
    persons, inferred = _people(columns, seed, frames, chance)
    present = np.ones(persons.shape[:2], dtype=bool)
    for ghost_kind in _ghost_kinds(kind, len(persons), chance):
        ghost = draw_ghost(ghost_kind, frames, seed, chance)
        there = slice(ghost.start, ghost.start + len(ghost.positions))
        persons, present = _grown(persons), _grown(present)
        persons[-1, there], present[-1, there] = ghost.positions, True
    inferred = np.concatenate([inferred, chance.random((len(persons) - len(inferred), frames, 25)) < 0.5])
    _lose(present, kind, chance)
    return Tracked(persons, inferred, present, _ids(len(persons), chance), _order(present, kind, chance))


def _people(
    columns: Mapping[str, int], seed: int, frames: int, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One or two people at the class's action, as the camera sees them."""
    label, subject = columns["label"], columns["subject"]
    bodies = [body_of(seed, subject, act(seed, subject, label, frames, chance))]
    heading = (45.0, 0.0, -45.0)[columns["camera"] - 1] + chance.uniform(-15, 15)
    if label not in TWO_PERSON_LABELS:
        return film(np.stack(bodies), heading, chance)
    other = subject + 1 + int(chance.integers(5))
    bodies.append(body_of(seed, other, act(seed, other, label, frames, chance)))
    return film(meet(bodies[0], bodies[1], apart=chance.uniform(0.7, 1.3)), heading / 2, chance)


def _ghost_kinds(kind: str | None, persons: int, chance: np.random.Generator) -> list[str]:
    if kind == "changed_order":
        return ["still"] * (2 - persons)
    if kind != "extra_bodies":
        return []
    total = int(chance.integers(3, MOST_BODIES + 1))
    # Every kind in turn, from any on.
    first = int(chance.integers(len(KINDS)))
    return [KINDS[(first + at) % len(KINDS)] for at in range(total - persons)]


def _grown(bodies: np.ndarray) -> np.ndarray:
    return np.concatenate([bodies, np.zeros_like(bodies[:1])])


def _lose(present: np.ndarray, kind: str | None, chance: np.random.Generator) -> None:
    """Take away the frames in which, by its irregularity, bodies are not there."""
    frames = present.shape[1]
    if kind == "no_body":
        present[:] = False
    if kind == "empty_ends":
        before, after = chance.integers(1, 9, size=2)
        present[:, :before] = present[:, frames - after :] = False
    if kind == "person_lost":
        length = int(chance.integers(5, 21))
        start = int(chance.integers(1, frames - length))
        present[int(chance.integers(len(present))), start : start + length] = False


def _ids(bodies: int, chance: np.random.Generator) -> np.ndarray:
    return _FIRST_ID + chance.permutation(1000)[:bodies].astype(np.int64)


def _order(present: np.ndarray, kind: str | None, chance: np.random.Generator) -> np.ndarray:
    """The order of the bodies in each frame: any, but the same throughout unless it is to change midway."""
    bodies, frames = present.shape
    order = np.tile(chance.permutation(bodies), (frames, 1))
    if kind == "changed_order":
        order[int(chance.integers(frames // 4, 3 * frames // 4)) :] = order[0, ::-1]
    return order


def _bytes(name: str, seed: int, kind: str | None, chance: np.random.Generator) -> bytes:
    """The file's bytes, unreadable where that is its irregularity."""
    if kind == "empty_file":
        return b""
    if kind == "binary":
        return b"\x00\xff" + chance.bytes(int(chance.integers(1000, 5000)))
    data = skeleton_text(_clip(name, seed, kind, chance), chance)
    if kind == "truncated":
        return data[: int(len(data) * chance.uniform(0.2, 0.9))]
    if kind in ("stray_space", "not_finite"):
        start, end = _any_coordinate(data, chance)
        number = data[start:end]
        changed = b"nan" if kind == "not_finite" else number.replace(b".", b". ", 1)
        return data[:start] + changed + data[end:]
    return data


def _any_coordinate(data: bytes, chance: np.random.Generator) -> tuple[int, int]:
    """Where the x of some joint's line stands: a number with a point, first in a line of 12 fields."""
    from_here = int(len(data) * chance.uniform(0.05, 0.9))
    found = re.compile(rb"\n(-?\d+\.\d+)(?: [^ \n]+){11}(?=\n)").search(data, from_here)
    return found.span(1) if found else (0, 0)
