"""The class names of Kinetics-Skeleton: in the publisher's label files, or in every clip's own file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.recording import UNKNOWN
from i2md.data.storage.remote import is_remote
from i2md.errors import InputError

_LABEL_FILE = re.compile(r"(.*_)?(train|val|test)_label\.json", re.IGNORECASE)
# label and label_index end the files in circulation: a look at the last bytes spares reading all of them.
_TAIL = 512
_AT_THE_END = re.compile(rb'("label": *"(?:[^"\\]|\\.)*", *"label_index": *\d+ *\})\s*$')


@dataclass(frozen=True)
class Classes:
    """Each class's number as the files give it, by name; a label counts the names in order of those numbers.

    The two are the same where all classes are there.
    """

    numbers: Mapping[str, int]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The class names in label order."""
        return tuple(sorted(self.numbers, key=lambda name: (self.numbers[name], name)))

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.names)}

    def label_of(self, content: Mapping[str, Any]) -> int:
        """The label of a file's content: UNKNOWN where it tells none, BadFile where it contradicts the others."""
        told = _told(content)
        if told is None:
            return UNKNOWN
        name, number = told
        if name not in self.numbers:
            raise BadFile(f"label {name!r} is none of the label file's {len(self.numbers)}")
        if number != self.numbers[name]:
            raise BadFile(f"label {name!r} is number {number} here and {self.numbers[name]} elsewhere")
        return self._labels[name]


def is_label_file(file: File) -> bool:
    """Whether the name is that of a publisher's label file, such as kinetics_train_label.json."""
    return _LABEL_FILE.fullmatch(file.base) is not None


def find_classes(files: Sequence[File], label_files: Sequence[File]) -> Classes:
    """The classes that the label files name; without any, those of all `files`."""
    told = _in_label_files(label_files) if label_files else _in_clips(files)
    numbers: dict[str, int] = {}
    for name, number in told:
        numbers.setdefault(name, number)
    return Classes(numbers)


def read_content(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`; BadFile where there is none."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"not JSON ({error})") from None
    if not isinstance(content, dict):
        raise BadFile("not a JSON object")
    return content


def _told(content: Mapping[str, Any]) -> tuple[str, int] | None:
    name, number = content.get("label"), content.get("label_index")
    if name is None and number is None:
        return None
    if not isinstance(name, str) or type(number) is not int or number < 0:
        raise BadFile("label and label_index are not a name and a number")
    return name, number


def _in_label_files(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    for file, load in load_each(files):
        try:
            entries = read_content(load()).values()
            if not all(isinstance(entry, dict) for entry in entries):
                raise BadFile("not an object of one entry a clip")
            yield from filter(None, map(_told, entries))
        except BadFile as error:
            raise InputError(f"{file.place}: {error}; mend it, or remove it: the clips tell their labels too") from None


def _in_clips(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    for file, load in load_each(files):
        try:
            told = _told(_ending(file, load))
        except BadFile:
            # Named and counted when the clips are read.
            continue
        if told is not None:
            yield told


def _ending(file: File, load: Any) -> Mapping[str, Any]:
    """What a file says of its label."""
    data = load() if file.in_zip or is_remote(file.container) else _tail(file)
    found = _AT_THE_END.search(data[-_TAIL:])
    return read_content(b"{" + found[1]) if found else read_content(load())


def _tail(file: File) -> bytes:
    try:
        with open(file.container / file.name, "rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - _TAIL))
            return opened.read()
    except OSError as error:
        raise BadFile(f"cannot be read ({error})") from None
