"""The recordings of PKU-MMD by name, and its splits: as the publisher's split files list them, or built in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.splits import Split, by_column
from i2md.errors import InputError

# Phase I numbers its recordings; phase II tells the list of actions and the subject. L, M and R are the cameras.
NAMES = {1: re.compile(r"\d{4}-[LMR]"), 2: re.compile(r"A\d{2}N(?P<subject>\d{2})-[LMR]")}
CAMERAS = {"L": 1, "M": 2, "R": 3}
SPLIT_FILE = re.compile(r"cross[-_ ]?(subject|view)[^/]*\.txt", re.IGNORECASE)

_SPLITS = {"subject": "xsub", "view": "xview"}
_PHASE_2_SUBJECTS = range(1, 14)
_PHASE_2_VALIDATION = (2, 3, 7)
_PHASE_1_VALIDATION = range(291, 335)


class Listed(NamedTuple):
    """The names of each part of a split, as a split file lists them."""

    file: str
    names: Mapping[str, tuple[str, ...]]


def phase_of(name: str) -> int | None:
    """The phase whose recordings bear such names, None where neither's do."""
    return next((phase for phase, pattern in NAMES.items() if pattern.fullmatch(name)), None)


def splits_for(phase: int, sources: Mapping[str, str], listed: Mapping[str, Listed]) -> dict[str, Split]:
    """`xsub` and `xview` as listed; without a list of subjects the published validation subjects make `xsub`.

    `sources` are the recordings that are there: what the index's column `source` says of each name.
    """
    splits = {} if "xsub" in listed else {"xsub": _published_xsub(phase, sources)}
    for split, (_, names) in sorted(listed.items()):
        present = {part: tuple(sources[name] for name in chosen if name in sources) for part, chosen in names.items()}
        splits[split] = by_column("source", **present)
    return splits


def read_split_files(files: Sequence[File], phase: int) -> dict[str, Listed]:
    """What the split files among `files` list that name recordings of this phase."""
    listed: dict[str, Listed] = {}
    for file, load in load_each(files):
        try:
            names = parse_split_file(load(), phase)
        except BadFile as error:
            raise InputError(f"{file.container / file.name}: {error}; fetch it again") from None
        match = SPLIT_FILE.fullmatch(file.base)
        if match is None or not any(names.values()):
            continue
        split = _SPLITS[match[1].lower()]
        if split in listed:
            raise InputError(f"{listed[split].file} and {file.name} both list split {split!r}; leave one")
        listed[split] = Listed(file.name, names)
    return listed


def parse_split_file(data: bytes, phase: int) -> dict[str, tuple[str, ...]]:
    """The names of `train` and `test` in a split file, those of the other phase left out.

    A heading (the publisher's are `Training videos:` and `Validataion videos:`), names between commas, and
    the same again. BadFile where anything else stands there, or one name in both parts.

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
            raise BadFile(f"line {at}: names stand before the heading that says which part they are")
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
