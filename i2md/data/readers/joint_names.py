"""Joints by name: the names that tools give joints, matched with those of layouts.

Names are compared as sets of words, so LEFT_EYE_INNER, leftEyeInner and "left inner eye" are the same joint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from i2md.data.readers.name_tables import shown
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, layout_names

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SAME = {
    **{"l": "left", "lt": "left", "r": "right", "rt": "right", "mid": "middle", "center": "centre"},
    **{"pinky": "little", "pinkie": "little", "heels": "heel", "shldr": "shoulder", "toe": "toes"},
}
# Words that tell no joint from another.
_EMPTY = frozenset({"finger", "joint", "landmark", "keypoint"})
# Joints of a finger, from the palm to the tip, by the names of anatomy.
_FINGER = {"mcp": "1", "pip": "2", "dip": "3", "tip": "4"}
_THUMB = {"cmc": "1", "mcp": "2", "ip": "3", "tip": "4"}
_FINGERS = frozenset({"index", "middle", "ring", "little"})
# Numbered joints are taken for MediaPipe's: no other layout that comes with i2md has as many.
_NUMBERED = {33: "mediapipe-33", 21: "mediapipe-hand-21"}
# A set of names with fewer of a layout's joints is not taken for that layout.
_MIN_SHARE = 0.75


class Match(NamedTuple):
    """Names of joints, matched with a layout."""

    layout: Layout
    order: tuple[int, ...]
    """For each joint of the layout the index of its name, or -1 if it has none."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The joints of the layout that have no name."""
        return tuple(joint for joint, at in zip(self.layout.joints, self.order, strict=True) if at < 0)


@lru_cache(maxsize=4096)
def same_joint(name: str) -> frozenset[str]:
    """What is compared of a joint's name.

    Args:
        name: The name.

    Returns:
        Its words.

    Example:
        >>> same_joint("LEFT_FOOT_INDEX") == same_joint("left toes") and same_joint("RPinky") == same_joint("r_pinky")
        True
        >>> same_joint("PINKY_MCP") == same_joint("little finger 1") and same_joint("THUMB_IP") == same_joint("thumb 3")
        True
    """
    words = {_SAME.get(word.lower(), word.lower()) for word in _WORD.findall(name[:100])}
    finger = _THUMB if "thumb" in words else _FINGER if words & _FINGERS else {}
    words = {finger.get(word, word) for word in words}
    if {"foot", "index"} <= words:
        words = words - {"foot", "index"} | {"toes"}
    return frozenset(words - _EMPTY)


def match_layout(names: Sequence[str], layout: Layout) -> Match:
    """Match names of joints with a layout.

    Args:
        names: The names, in the order of a file.
        layout: The layout.

    Returns:
        Where the file has each joint of the layout.
    """
    index: dict[frozenset[str], int] = {}
    for at, name in enumerate(names):
        index.setdefault(same_joint(name), at)
    return Match(layout, tuple(index.get(same_joint(joint), -1) for joint in layout.joints))


def best_layout(joints: Sequence[str], candidates: Sequence[str]) -> str:
    """The layout of some that has the largest share of its joints among names.

    Args:
        joints: The names, or numbers.
        candidates: Names of layouts.

    Example:
        >>> best_layout(["WRIST", "THUMB_CMC"], ["mediapipe-33", "mediapipe-hand-21"])
        'mediapipe-hand-21'
    """
    numbered = all(joint.isascii() and joint.isdecimal() for joint in joints)

    def share(name: str) -> float:
        layout = get_layout(name)
        if numbered:
            return -abs(len(layout.joints) - len(joints))
        return 1 - len(match_layout(joints, layout).missing) / len(layout.joints)

    return max(candidates, key=share)


def find_layout(names: Sequence[str]) -> Match | None:
    """Find the layout that names of joints are of.

    Args:
        names: The names, in the order of a file.

    Returns:
        The layout of which most joints are there, completely if possible; None if none has three quarters of its
        joints there.

    Example:
        >>> found = find_layout(["LEFT_HIP", *(joint.upper() for joint in get_layout("openni-15").joints)])
        >>> found.layout.name, found.order[:2]
        ('openni-15', (1, 2))
    """
    matches = [match_layout(names, get_layout(name)) for name in layout_names()]
    best = max(matches, key=lambda match: (not match.missing, len(match.order) - 2 * len(match.missing)))
    return best if len(best.missing) <= (1 - _MIN_SHARE) * len(best.order) else None


def layout_of_names(path: Path, joints: Sequence[str], layout: str | None) -> Match:
    """The layout that the names of joints are of, or the given one.

    Args:
        path: What was given, for messages.
        joints: Names of joints, or their numbers from 0.
        layout: Name or file of a layout, if given.

    Returns:
        The layout, and where the joints are.

    Raises:
        InputError: If they are not those of the layout, or of no layout.
    """
    numbered = all(joint.isascii() and joint.isdecimal() and len(joint) < 6 for joint in joints)
    numbers = [int(joint) for joint in joints] if numbered else []
    start = min(numbers, default=0)
    if layout is not None:
        known = get_layout(layout)
        order = {number - start: at for at, number in enumerate(numbers)}
        match = (
            Match(known, tuple(order.get(j, -1) for j in range(len(known.joints))))
            if numbered
            else match_layout(joints, known)
        )
        if all(at < 0 for at in match.order):
            raise InputError(
                f"{path}: none of the joints {shown(', '.join(joints))} is one of layout {known.name}; give --layout"
            )
        return match
    if numbered and len(numbers) in _NUMBERED:
        return layout_of_names(path, joints, _NUMBERED[len(numbers)])
    found = None if numbered else find_layout(joints)
    if found is None:
        what = f"{len(joints)} numbered joints" if numbered else f"the joints {shown(', '.join(joints))}"
        raise InputError(
            f"{path}: {what} are those of no layout that comes with i2md; give their layout, for example --layout "
            "my.yaml with the names and parents (see i2md layouts)"
        )
    return found
