"""Label files and class names of PKU-MMD.

A label file has a line for each action: `class,start,end,confidence`. Classes count from 1, frames from 0, and `end`
is the first frame after the action, as in the publisher's evaluation program and in the published implementations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.readers.intervals import Annotation
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
# Two persons act in classes 12, 14 and so on, which are not in phase II.
TWO_PERSON_LABELS = frozenset(number - 1 for number in (12, 14, 16, 18, 21, 24, 26, 27, 29, 38))


class LabelFile(NamedTuple):
    """A recording's label file; empty if there is none.

    It holds the text, which is smaller than the annotations when a pass is pickled for another process.
    """

    file: str = ""
    """Path of the file in its container."""
    data: bytes = b""
    fault: str = ""
    """Why the file cannot be read, if so."""

    def annotations(self, name: str) -> tuple[Annotation, ...]:
        """Parse the label file.

        Args:
            name: Name of the recording.

        Returns:
            Its annotations; none if there is no label file.

        Raises:
            BadFile: If the file cannot be read or is invalid; the message names it.
        """
        try:
            if self.fault:
                raise BadFile(self.fault)
            return parse_labels(self.data, name)
        except BadFile as error:
            raise BadFile(f"its label file {self.file}: {error}") from None

    def __bool__(self) -> bool:
        return bool(self.fault or self.data.strip())


def read_labels(files: Sequence[File]) -> dict[str, LabelFile]:
    """Read label files.

    Args:
        files: Label files, each named as its recording.

    Returns:
        The label file of each recording, by the recording's name.
    """
    labels = {}
    for file, load in load_each(files):
        try:
            labels[file.stem] = LabelFile(file.name, load())
        except BadFile as error:
            labels[file.stem] = LabelFile(file.name, fault=str(error))
    return labels


def parse_labels(data: bytes, name: str) -> tuple[Annotation, ...]:
    """Parse a label file; confidences are not kept.

    Args:
        data: The bytes of the file.
        name: Name of the recording.

    Returns:
        An annotation for each line that is not blank, named by the recording and the number of that line among them.

    Raises:
        BadFile: If a line is not a class (1 to 51), a start, an end and optionally a confidence.

    Example:
        >>> parse_labels(b"8,120,240,2\\n", "0002-L")
        (Annotation(name='0002-L_001', text='8,120,240,2', start=120, end=240, label=7, line=1),)
    """
    lines = [(at, line) for at, line in enumerate(data.decode("ascii", "replace").splitlines(), 1) if line.strip()]
    return tuple(_annotation(line.strip(), at, f"{name}_{number:03d}") for number, (at, line) in enumerate(lines, 1))


def _annotation(line: str, at: int, clip: str) -> Annotation:
    fields = line.rstrip(",").split(",")
    try:
        number, start, end = (int(field) for field in fields[:3])
    except ValueError:
        raise BadFile(f"line {at}: {line[:40]!r} is not class,start,end,confidence") from None
    if len(fields) > 4:
        raise BadFile(f"line {at}: {len(fields)} fields, not class,start,end,confidence")
    try:
        label = label_of(number, CLASS_NAMES)
    except BadFile as error:
        raise BadFile(f"line {at}: {error}") from None
    return Annotation(clip, line[:40], start, end, label, at)
