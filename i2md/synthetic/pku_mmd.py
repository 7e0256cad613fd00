"""Synthetic folders in the format of PKU-MMD, phases I and II, of any size, for tests, demos and benchmarks.

    skeleton/NAME.txt      150 numbers for each frame: 2 persons x 25 joints x (x y z), metres; zeros if absent
    label/NAME.txt         a line for each action: class,start,end,confidence
    cross_subject.txt      a heading, the training names, a heading, the validation names; cross_view.txt alike
                           (both with _v2 before .txt in phase II)

Frames count from 0 in the label files, and the end is the first frame after the action: `7,30,90,2` is 60 frames of
class 7. The publisher's notes leave this open; the reader i2md.data.readers.pku_mmd counts in the same way.

A take is recorded by three cameras (L, M, R), with the same actions in each. Cross-view trains on M and R.
Cross-subject validates in phase II on subjects 2, 3 and 7, as published, and in phase I on every eighth subject.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from i2md.data.readers.pku_mmd_labels import TWO_PERSON_LABELS
from i2md.errors import InputError
from i2md.synthetic.actors import simulate_kinect
from i2md.synthetic.takes import Take, draw_take
from i2md.synthetic.text_files import WriteFile, new_folder, number_text

CAMERAS = {"L": 45.0, "M": 0.0, "R": -45.0}
TWO_PERSON_CLASSES = frozenset(label + 1 for label in TWO_PERSON_LABELS)
_CLASSES = {1: tuple(range(1, 52)), 2: tuple(sorted(set(range(1, 52)) - TWO_PERSON_CLASSES))}
# The publisher's numbers: 0002 to 0364 in phase I; A01 to A26 of N01 to N13 in phase II.
_FIRST, _LAST = 2, 364
_SERIES, _SUBJECTS = 26, {1: 66, 2: 13}
_TAKES = {1: _LAST - _FIRST + 1, 2: _SERIES * _SUBJECTS[2]}
_VALIDATION = {1: frozenset(range(2, 67, 8)), 2: frozenset((2, 3, 7))}


@dataclass(frozen=True)
class PkuIrregularities:
    """Fractions that are irregular, of what each attribute names; all invented."""

    unlabelled: float = 0.02
    """Recordings without a label file."""
    past_end: float = 0.02
    """Recordings with a label file whose last action ends 5 to 60 frames after the recording."""
    reversed_interval: float = 0.01
    """Labelled actions that start after they end."""
    long_interval: float = 0.02
    """Actions of 301 to 450 frames, longer than a benchmark sample; the others have 40 to 240."""
    name_without_file: float = 0.02
    """Names in the split files without a recording, relative to those with one."""

    def __post_init__(self) -> None:
        if not all(0 <= getattr(self, name) <= 1 for name in self.__dataclass_fields__):
            raise InputError("irregularities: each fraction must be from 0 to 1")

    @classmethod
    def none(cls) -> PkuIrregularities:
        """No irregularities."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, 0.0))


@dataclass
class WrittenPku:
    """What was written: recordings, frames, labelled actions, and for each irregularity a name for each occurrence."""

    recordings: int = 0
    frames: int = 0
    actions: int = 0
    irregular: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str, name: str) -> None:
        """Record one more occurrence."""
        self.irregular.setdefault(kind, []).append(name)

    def summary(self) -> str:
        """Describe it in one line."""
        kinds = ", ".join(f"{kind} {len(names)}" for kind, names in sorted(self.irregular.items()))
        return f"{self.recordings} recordings, {self.frames} frames, {self.actions} actions; {kinds or 'all regular'}"


def write_pku(
    folder: Path,
    recordings: int = 30,
    phase: int = 1,
    seed: int = 0,
    irregularities: PkuIrregularities | None = None,
    actions: int = 20,
    progress: bool = False,
) -> WrittenPku:
    """Write synthetic recordings with their label and split files.

    The first n recordings of a larger data set are those of a smaller one with the same seed.

    Args:
        folder: Folder to write, which must not exist or be empty.
        recordings: Number of recordings.
        phase: 1 or 2.
        seed: Seed of all random numbers.
        irregularities: Fractions of what is irregular; by default those of PkuIrregularities().
        actions: Actions in each recording; 20 are some 5,000 frames.
        progress: Show a progress bar.

    Returns:
        What was written.

    Raises:
        InputError: If the folder is not empty, or an argument is out of range.
    """
    if phase not in _TAKES:
        raise InputError(f"phase={phase} is unknown; choose 1 or 2")
    if not 1 <= recordings <= len(CAMERAS) * _TAKES[phase]:
        raise InputError(f"recordings={recordings} is out of range; choose 1 to {len(CAMERAS) * _TAKES[phase]}")
    if not 1 <= actions <= 1000:
        raise InputError(f"actions={actions} is out of range; choose 1 to 1000")
    rates = irregularities or PkuIrregularities()
    written = WrittenPku()
    with (
        new_folder(Path(folder)) as write,
        tqdm(total=recordings, unit="recording", desc="write pku-mmd", disable=not progress) as bar,
    ):
        for number in range(-(-recordings // len(CAMERAS))):
            rng = np.random.default_rng((seed, phase, number))
            take = draw_take(
                seed, _subject(phase, number), _CLASSES[phase], TWO_PERSON_CLASSES, actions, rates.long_interval, rng
            )
            for camera in list(CAMERAS)[: recordings - number * len(CAMERAS)]:
                name = f"{_take_name(phase, number)}-{camera}"
                view = np.random.default_rng((seed, phase, number, list(CAMERAS).index(camera)))
                write(f"skeleton/{name}.txt", _skeleton_text(take, CAMERAS[camera], view))
                _write_labels(write, name, take, rates, view, written)
                written.recordings += 1
                written.frames += take.persons.shape[1]
                bar.update()
        _write_splits(write, recordings, phase, rates, np.random.default_rng((seed, phase)), written)
    return written


def _take_name(phase: int, number: int) -> str:
    series, subject = divmod(number, _SUBJECTS[2])
    return f"{_FIRST + number:04d}" if phase == 1 else f"A{series + 1:02d}N{subject + 1:02d}"


def _subject(phase: int, number: int) -> int:
    return 1 + number % _SUBJECTS[phase]


def _skeleton_text(take: Take, heading: float, rng: np.random.Generator) -> bytes:
    seen, _ = simulate_kinect(take.persons, heading + rng.uniform(-10, 10), rng)
    seen *= take.present[..., None, None]
    text = number_text(np.ascontiguousarray(seen.transpose(1, 0, 2, 3)).reshape(seen.shape[1], -1))
    return text.tobytes().translate(None, b"\0").rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"


def _write_labels(
    write: WriteFile, name: str, take: Take, rates: PkuIrregularities, rng: np.random.Generator, written: WrittenPku
) -> None:
    """Write the label file of one recording, if it has one."""
    unlabelled, past_end = rng.random(2) < (rates.unlabelled, rates.past_end)
    if unlabelled:
        written.note("unlabelled", name)
        return
    lines = []
    for action in take.actions:
        start, end = action.start, action.end
        if action.long:
            written.note("long_interval", name)
        if past_end and action is take.actions[-1]:
            written.note("past_end", name)
            end = take.persons.shape[1] + int(rng.integers(5, 61))
        elif rng.random() < rates.reversed_interval:
            written.note("reversed_interval", name)
            start, end = end, start
        lines.append(f"{action.number},{start},{end},{rng.integers(1, 3)}\n")
    written.actions += len(lines)
    write(f"label/{name}.txt", "".join(lines).encode())


def _write_splits(
    write: WriteFile,
    recordings: int,
    phase: int,
    rates: PkuIrregularities,
    rng: np.random.Generator,
    written: WrittenPku,
) -> None:
    of = [divmod(index, len(CAMERAS)) for index in range(recordings)]
    names = [f"{_take_name(phase, number)}-{list(CAMERAS)[camera]}" for number, camera in of]
    validation = {
        "cross_subject": [_subject(phase, number) in _VALIDATION[phase] for number, _ in of],
        "cross_view": [list(CAMERAS)[camera] == "L" for _, camera in of],
    }
    missing = (_take_name(phase, number) for number in count(recordings))
    for split, held_out in validation.items():
        lines = []
        for heading, part in (("Training videos:", False), ("Validation videos:", True)):
            listed = []
            for name, out in zip(names, held_out, strict=True):
                listed += [name] if out is part else []
                if out is part and rng.random() < rates.name_without_file:
                    listed.append(next(missing) + name[-2:])
                    written.note("name_without_file", listed[-1])
            lines += [heading, ", ".join(listed)]
        write(f"{split}{'_v2' if phase == 2 else ''}.txt", "\n".join([*lines, ""]).encode())
