"""The label files of PKU-MMD: lines `class,start,end,confidence`, an action each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.readers.intervals import Mark
from i2md.data.readers.reading import label_of

CLASS_NAMES = (
    "bow",
    "brushing hair",
    "brushing teeth",
    "check time (from watch)",
    "cheer up",
    "clapping",
    "cross hands in front (say stop)",
    "drink water",
    "drop",
    "eat meal/snack",
    "falling",
    "giving something to other person",
    "hand waving",
    "handshaking",
    "hopping (one foot jumping)",
    "hugging other person",
    "jump up",
    "kicking other person",
    "kicking something",
    "make a phone call/answer phone",
    "pat on back of other person",
    "pickup",
    "playing with phone/tablet",
    "point finger at the other person",
    "pointing to something with finger",
    "punching/slapping other person",
    "pushing other person",
    "put on a hat/cap",
    "put something inside pocket",
    "reading",
    "rub two hands together",
    "salute",
    "sitting down",
    "standing up",
    "take off a hat/cap",
    "take off glasses",
    "take off jacket",
    "take out something from pocket",
    "taking a selfie",
    "tear up paper",
    "throw",
    "touch back (backache)",
    "touch chest (stomachache/heart pain)",
    "touch head (headache)",
    "touch neck (neckache)",
    "typing on a keyboard",
    "use a fan (with hand or paper)/feeling warm",
    "wear jacket",
    "wear on glasses",
    "wipe face",
    "writing",
)
# Two people act in classes 12, 14 and so on, which phase II leaves out.
TWO_PERSON_LABELS = frozenset(number - 1 for number in (12, 14, 16, 18, 21, 24, 26, 27, 29, 38))


class Labels(NamedTuple):
    """A recording's label file as it stands, by its place, or why it cannot be read; empty where there is none.

    The text is kept, not what it says: a pass over recordings that is sent to another process takes it along.
    """

    place: str = ""
    data: bytes = b""
    fault: str = ""

    def marks(self, name: str) -> tuple[Mark, ...]:
        """The actions marked in recording `name`; BadFile where the file is not right."""
        try:
            if self.fault:
                raise BadFile(self.fault)
            return parse_labels(self.data, name)
        except BadFile as error:
            raise BadFile(f"its label file {self.place}: {error}") from None

    def __bool__(self) -> bool:
        return bool(self.fault or self.data.strip())


def read_labels(files: Sequence[File]) -> dict[str, Labels]:
    """The labels of each recording by its name."""
    labels = {}
    for file, load in load_each(files):
        try:
            labels[file.stem] = Labels(file.name, load())
        except BadFile as error:
            labels[file.stem] = Labels(file.name, fault=str(error))
    return labels


def parse_labels(data: bytes, name: str) -> tuple[Mark, ...]:
    """A mark for each line, named by the recording and the line's place: `A01N01-L_001` is the first.

    Frames count from 0 and `end` is the first frame after the action, as the publisher's evaluation and the
    programs behind the published numbers have it. The confidence is left out. Raises BadFile where a line is
    not a class (1 to 51), a start and an end.

    >>> parse_labels(b"8,120,240,2\\n", "0002-L")
    (Mark(name='0002-L_001', said='8,120,240,2', start=120, end=240, label=7),)
    """
    lines = [line for line in data.decode("ascii", "replace").splitlines() if line.strip()]
    return tuple(_mark(line.strip(), at, name) for at, line in enumerate(lines, 1))


def _mark(line: str, at: int, name: str) -> Mark:
    fields = line.rstrip(",").split(",")
    try:
        number, start, end = (int(field) for field in fields[:3])
    except ValueError:
        raise BadFile(f"line {at}: {line[:40]!r} is not class,start,end,confidence") from None
    if len(fields) > 4:
        raise BadFile(f"line {at}: {len(fields)} fields, not class,start,end,confidence")
    return Mark(f"{name}_{at:03d}", line[:40], start, end, label_of(number, CLASS_NAMES))
