"""Names of PKU-MMD's recordings, and its splits: read from the publisher's split files, or built in.

A split file has a heading (`Training videos:`), names separated by commas, a second heading (`Validataion videos:`,
as the publisher spells it) and names. Without a file for cross-subject, `xsub` is made of the published validation
subjects (phase II: 2, 3, 7) or recordings (phase I: 0291 to 0334).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.splits import Split, by_column
from i2md.errors import InputError

# Phase I numbers its recordings; in phase II A is the series of actions and N the subject. L, M, R are the cameras.
NAMES = {1: re.compile(r"\d{4}-[LMR]"), 2: re.compile(r"A\d{2}N(?P<subject>\d{2})-[LMR]")}
CAMERAS = {"L": 1, "M": 2, "R": 3}
SPLIT_FILE = re.compile(r"cross[-_ ]?(subject|view)[^/]*\.txt", re.IGNORECASE)

_SPLITS = {"subject": "xsub", "view": "xview"}
_PHASE_2_SUBJECTS = range(1, 14)
_PHASE_2_VALIDATION = (2, 3, 7)
_PHASE_1_VALIDATION = range(291, 335)


class ListedSplit(NamedTuple):
    """A split as a split file lists it."""

    file: str
    """Path of the file in its container."""
    names: Mapping[str, tuple[str, ...]]
    """Names of recordings in each part, `train` and `test`."""


def phase_of(name: str) -> int | None:
    """Find the phase of a recording by its name.

    Args:
        name: Name such as 0002-L or A01N01-L.

    Returns:
        1 or 2; None if it is not a name of PKU-MMD.
    """
    return next((phase for phase, pattern in NAMES.items() if pattern.fullmatch(name)), None)


def splits_for(phase: int, sources: Mapping[str, str], listed: Mapping[str, ListedSplit]) -> dict[str, Split]:
    """Build the splits of the clips.

    Args:
        phase: 1 or 2.
        sources: For the name of each recording that is present its value in the column `source`.
        listed: The splits of `read_split_files`.

    Returns:
        The listed splits, restricted to recordings that are present; and `xsub` as published if it is not listed.
    """
    splits = {} if "xsub" in listed else {"xsub": _published_xsub(phase, sources)}
    for split, (_, names) in sorted(listed.items()):
        present = {part: tuple(sources[name] for name in chosen if name in sources) for part, chosen in names.items()}
        splits[split] = by_column("source", **present)
    return splits


def read_split_files(files: Sequence[File], phase: int) -> dict[str, ListedSplit]:
    """Read split files.

    Args:
        files: Split files of either phase.
        phase: 1 or 2; a file that names no recording of this phase is ignored.

    Returns:
        `xsub` and `xview`, as far as there is a file for them.

    Raises:
        InputError: If a file is invalid, or two files list the same split.
    """
    listed: dict[str, ListedSplit] = {}
    for file, load in load_each(files):
        try:
            names = parse_split_file(load(), phase)
        except BadFile as error:
            raise InputError(f"{file.container / file.name}: {error}; download it again") from None
        match = SPLIT_FILE.fullmatch(file.base)
        if match is None or not any(names.values()):
            continue
        split = _SPLITS[match[1].lower()]
        if split in listed:
            raise InputError(f"{listed[split].file} and {file.name} both list split {split!r}; keep one")
        listed[split] = ListedSplit(file.name, names)
    return listed


def parse_split_file(data: bytes, phase: int) -> dict[str, tuple[str, ...]]:
    """Parse a split file.

    Args:
        data: The bytes of the file.
        phase: 1 or 2; names of the other phase are left out.

    Returns:
        The names of `train` and of `test`.

    Raises:
        BadFile: If there is anything but headings and names, or a name in both parts.

    Example:
        >>> parse_split_file(b"Training videos:\\n0002-L, 0002-M,\\nValidataion videos:\\n0291-L", phase=1)
        {'train': ('0002-L', '0002-M'), 'test': ('0291-L',)}
    """
    parts: dict[str, dict[str, None]] = {"train": {}, "test": {}}
    part = None
    for at, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        words = line.replace(",", " ").split()
        strange = next((word for word in words if phase_of(word) is None), None)
        if words and strange == words[0]:
            part = _part_headed(line, at)
        elif strange is not None:
            raise BadFile(f"line {at}: {strange[:40]!r} is not the name of a recording")
        elif words and part is None:
            raise BadFile(f"line {at}: names before the first heading")
        elif part is not None:
            parts[part].update(dict.fromkeys(word for word in words if phase_of(word) == phase))
    both = parts["train"].keys() & parts["test"].keys()
    if both:
        raise BadFile(f"{min(both)} is listed both for training and for validation")
    return {part: tuple(names) for part, names in parts.items()}


def _part_headed(line: str, at: int) -> str:
    heading = line.strip().lower()
    if "train" in heading:
        return "train"
    if "valid" in heading or "test" in heading:
        return "test"
    raise BadFile(f"line {at}: {line.strip()[:40]!r} is neither a heading (training, validation) nor names")


def _published_xsub(phase: int, sources: Mapping[str, str]) -> Split:
    if phase == 2:
        train = tuple(subject for subject in _PHASE_2_SUBJECTS if subject not in _PHASE_2_VALIDATION)
        return by_column("subject", train, _PHASE_2_VALIDATION)
    tested = {name for name in sources if int(name[:4]) in _PHASE_1_VALIDATION}
    train_sources = [source for name, source in sources.items() if name not in tested]
    return by_column("source", train_sources, [sources[name] for name in sources if name in tested])
