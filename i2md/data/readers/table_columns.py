"""Which column of a table holds what: recognised by the names of the columns, or given.

Wide tables have a row for each frame (of each person) and columns such as `left_hip_x`, `x_left_hip`, `LeftHip.X` or
`x23`; long tables have a row for each joint and columns such as `joint`, `x` and `y`. Columns for the frame, the time,
the person, the recording, the label and the subject are known by the names that tools give them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import shown
from i2md.errors import InputError, suggestion

# Names of what a row is of, compared without case, spaces, dots and underscores.
_ROLES: dict[str, tuple[str, ...]] = {
    "frame": ("frame", "frameid", "frameidx", "frameindex", "framenumber", "framenum", "frameno", "imageid", "image"),
    "time": ("time", "timestamp", "timestampms", "timems", "times", "seconds", "sec", "t", "ms", "timestampus"),
    "person": ("person", "personid", "track", "trackid", "id", "instance", "instanceid", "individual", "body"),
    "recording": ("recording", "video", "videoid", "clip", "clipid", "file", "filename", "sequence", "sequenceid"),
    "label": ("label", "class", "action", "activity", "category"),
    "subject": ("subject", "subjectid", "participant", "participantid"),
    "joint": ("joint", "jointid", "jointname", "landmark", "landmarkid", "landmarkname", "keypoint", "keypointid"),
}
_ROLES["joint"] += ("keypointname", "bodypart", "marker", "landmarkindex", "part", "jointtype")
_ROLES["person"] += ("bodyid", "personindex", "pose", "poseid", "player", "actor", "skeleton", "bodyindex")
_ROLES["person"] += ("hand", "handedness", "handid", "handindex")
_CONFIDENCE = ("confidence", "conf", "c", "score", "visibility", "vis", "v", "likelihood", "probability", "prob", "p")
_KINDS = ("x", "y", "z", "confidence")
# Columns that exporters add and that say nothing more of a joint.
_MARK = "|".join(sorted(("x", "y", "z", *_CONFIDENCE), key=len, reverse=True))
_SUFFIX = re.compile(rf"(?P<joint>.*[^\s_.\-/:([])[\s_.\-/:(\[]+(?P<kind>{_MARK})[)\]]?", re.IGNORECASE)
_CAPITAL = re.compile(r"(?P<joint>.*[a-z0-9])(?P<kind>[XYZCV])")
_PREFIX = re.compile(rf"(?P<kind>{_MARK})[\s_.\-/:]+(?P<joint>.+)", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?P<kind>{_MARK})(?P<joint>\d+)", re.IGNORECASE)
_PATTERNS = (_SUFFIX, _CAPITAL, _PREFIX, _NUMBERED)
_LONGEST_NAME = 200
_WORLD = re.compile(r"[\s_.\-]?world[\s_.\-]?", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds what, by the columns' names; an empty string where none does."""

    roles: Mapping[str, str]
    """frame, time, person, recording, label, subject and, in a long table, joint."""
    joints: Mapping[str, Mapping[str, str]]
    """For each joint the columns of x, y, z and confidence; in a long table one entry, of the joint "" itself."""
    channels: int
    """3 if every joint has z, else 2."""
    world: bool = False
    """Whether they were chosen among two sets of coordinates as those in space."""

    @property
    def long(self) -> bool:
        """Whether each row is of one joint."""
        return bool(self.roles.get("joint"))

    def read(self) -> set[str]:
        """All columns that are read."""
        kinds = _KINDS[: self.channels]
        used = {name for each in self.joints.values() for kind, name in each.items() if kind in (*kinds, "confidence")}
        return {*used, *filter(None, self.roles.values())}


def recognise_columns(names: Sequence[str], image: bool = False) -> Columns:
    """Tell by their names what the columns of a table hold.

    Args:
        names: Names of the columns.
        image: Of two sets of coordinates, in space ("world") and in the image, choose those in the image.

    Returns:
        The columns.

    Raises:
        BadFile: If no column holds positions of joints.

    Example:
        >>> found = recognise_columns(["frame", "LEFT_HIP_x", "LEFT_HIP_y", "LEFT_HIP_visibility"])
        >>> found.roles["frame"], dict(found.joints), found.channels
        ('frame', {'LEFT_HIP': {'x': 'LEFT_HIP_x', 'y': 'LEFT_HIP_y', 'confidence': 'LEFT_HIP_visibility'}}, 2)
    """
    plain = {name: re.sub(r"[\s_.\-]", "", name.lower()) for name in names}
    roles = {
        role: next((name for known in candidates for name in names if plain[name] == known), "")
        for role, candidates in _ROLES.items()
    }
    direct = {_kind(plain[name]): name for name in reversed(names) if _kind(plain[name])}
    if roles["joint"] and {"x", "y"} <= set(direct):
        return Columns(roles, {"": direct}, 3 if "z" in direct else 2)
    # A table of joints called "pose" or "body" would be none of persons.
    roles["joint"] = ""
    found = max((_by_joint(names, patterns) for patterns in _orders()), key=len)
    in_space = {joint: columns for joint, columns in found.items() if _WORLD.search(joint)}
    in_image = {joint: columns for joint, columns in found.items() if joint not in in_space}
    both = bool(in_space and in_image)
    chosen = in_image if in_image and (image or not in_space) else in_space
    if not chosen:
        raise BadFile(
            f"no columns such as left_hip_x and left_hip_y among {shown(', '.join(names))}; say where the coordinates "
            'are, for example --columns "x={joint}_x,y={joint}_y,frame=n"'
        )
    joints = {_WORLD.sub("", joint) if chosen is in_space else joint: columns for joint, columns in chosen.items()}
    return Columns(roles, joints, 3 if all("z" in each for each in joints.values()) else 2, both and not image)


def _orders() -> Iterable[tuple[re.Pattern[str], ...]]:
    # left_hip_x and x_left_hip: whichever names more joints with an x and a y.
    yield _PATTERNS
    yield _PATTERNS[2:]


def _kind(word: str) -> str:
    word = word.lower()
    return "confidence" if word in _CONFIDENCE else word if word in _KINDS else ""


def _by_joint(names: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if len(name) > _LONGEST_NAME:
            continue
        match = next((match for match in (pattern.fullmatch(name.strip()) for pattern in patterns) if match), None)
        if match:
            found.setdefault(match["joint"], {}).setdefault(_kind(match["kind"]), name)
    return {joint: columns for joint, columns in found.items() if {"x", "y"} <= set(columns)}


def given_numbers(text: str) -> tuple[str, ...]:
    """What the numbers of each joint are, where columns have no names.

    Args:
        text: As "x,y,confidence", in their order.

    Returns:
        Among x, y, z and confidence.

    Raises:
        InputError: It is something else.

    Example:
        >>> given_numbers("x,y,confidence")
        ('x', 'y', 'confidence')
    """
    kinds = tuple(_kind(word.strip()) for word in text.split(","))
    if not {"x", "y"} <= set(kinds) or "" in kinds or len(set(kinds)) < len(kinds):
        raise InputError(
            f"columns {text[:60]!r}: of columns without names say what the numbers of each joint are, in their order,"
            " for example --columns x,y,confidence"
        )
    return kinds


def given_columns(text: str, names: Sequence[str]) -> Columns:
    """The columns that the user names.

    Args:
        text: Pairs of what and where, separated by commas: "x={joint}_x,y={joint}_y,frame=n". In a long table, x and y
            are columns themselves and joint is one.
        names: Names of the table's columns.

    Returns:
        The columns.

    Raises:
        InputError: If a pair is of something else, or no column has that name.

    Example:
        >>> given_columns("x=X {joint},y=Y {joint},person=who", ["X hip", "Y hip", "who"]).joints
        {'hip': {'x': 'X hip', 'y': 'Y hip'}}
    """
    wanted: dict[str, str] = {}
    for pair in text.split(","):
        what, sign, where = pair.partition("=")
        what = what.strip().lower()
        if not sign or what not in (*_KINDS, *_ROLES) or what in wanted:
            known = suggestion(what, (*_KINDS, *_ROLES))
            raise InputError(f"columns: {pair[:60]!r} does not say what a column holds; {known}")
        wanted[what] = where.strip()
    roles = {role: wanted.get(role, "") for role in _ROLES}
    coordinates = {kind: wanted[kind] for kind in _KINDS if kind in wanted}
    if not {"x", "y"} <= set(coordinates):
        raise InputError('columns: x and y are missing; for example --columns "x={joint}_x,y={joint}_y"')
    for name in (*filter(None, roles.values()), *(() if not roles["joint"] else coordinates.values())):
        if name not in names:
            raise InputError(f"columns: the table has no column {name[:60]!r}; {suggestion(name, names)}")
    channels = 3 if "z" in coordinates else 2
    if roles["joint"]:
        return Columns(roles, {"": coordinates}, channels)
    joints: dict[str, dict[str, str]] = {}
    for kind, template in coordinates.items():
        if template.count("{joint}") != 1:
            raise InputError(f"columns: {kind}={template[:60]} must hold {{joint}} once, as in x={{joint}}_x")
        pattern = re.compile(re.escape(template).replace(re.escape("{joint}"), "(?P<joint>.+)"))
        for name in names:
            if match := pattern.fullmatch(name):
                joints.setdefault(match["joint"], {})[kind] = name
    needed = set(coordinates) - {"confidence"}
    joints = {joint: columns for joint, columns in joints.items() if needed <= set(columns)}
    if not joints:
        there = shown(", ".join(names))
        raise InputError(f"columns: no column is named {coordinates['x'][:60]!r}; the table has {there}")
    return Columns(roles, joints, channels)
