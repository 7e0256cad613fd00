"""What the names of joints say about a skeleton: mirror pairs, the joints across the body, the trunk and its centre."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from i2md.errors import InputError

_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
_LEFT = ("left", "l")
# Words of a name: left_hip, leftHip, LHip and hip.L are all "left" or "l", and "hip".
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# The most telling names first; each is looked for as a whole name, then as a part of one.
_SHOULDERS = ("shoulder", "upper arm", "uparm", "arm", "humerus", "clavicle", "collar")
_HIPS = ("hip", "thigh", "up leg", "upper leg", "upleg", "femur", "leg")
_CENTRES = ("torso", "spine middle", "middle spine", "mid spine", "spine", "chest", "pelvis", "hips", "hip", "neck")
# Joints on the midline that are not part of the trunk.
_HEAD = ("head", "nose", "face", "jaw", "eye", "skull")


def infer_mirror(
    names: Sequence[str], parents: Sequence[int], given: Mapping[int, int] | None = None
) -> tuple[int, ...]:
    """The counterpart of each joint: "left knee" of "right knee", and a joint without a side of itself.

    Args:
        names: Names of the joints.
        parents: Index of each joint's parent.
        given: Counterparts that are known, in both directions; the skeleton need not be symmetrical then.

    Returns:
        Index of each joint's counterpart.

    Raises:
        InputError: A joint has a side but no counterpart, or the bones of two counterparts differ.

    Example:
        >>> infer_mirror(["hips", "LeftKnee", "RightKnee"], [0, 0, 0])
        (0, 2, 1)
    """
    by_words = {name_words(names, j): j for j in range(len(names))}
    mirror = list(range(len(names)))
    for j, name in enumerate(names):
        words = name_words(names, j)
        side = _side(words)
        other = by_words.get(tuple(_SIDES.get(word, word) for word in words))
        if given is not None and j in given:
            mirror[j] = given[j]
        elif side in ("left", "right") and other is None:
            raise InputError(f"joints.{name}: there is no joint on the {_SIDES[side]}; correct its name or give mirror")
        elif side and other is not None and (given is None or other not in given):
            mirror[j] = other
    for j, name in enumerate(names) if given is None else ():
        if mirror[parents[j]] != parents[mirror[j]]:
            raise InputError(
                f"joints.{name}: its parent {names[parents[j]]} is not the counterpart of {names[parents[mirror[j]]]},"
                f" the parent of {names[mirror[j]]}; correct one, or give mirror"
            )
    return tuple(mirror)


def infer_across(names: Sequence[str], mirror: Sequence[int]) -> tuple[int, int]:
    """The left and the right shoulder; else the hips.

    Raises:
        InputError: There is neither.
    """
    pair = _pair(names, mirror, _SHOULDERS) or _pair(names, mirror, _HIPS)
    if pair is None:
        raise InputError("across: no names of shoulders or hips to infer it from; give [left joint, right joint]")
    return pair


def infer_spine(names: Sequence[str], parents: Sequence[int], mirror: Sequence[int]) -> tuple[int, int]:
    """A lower and an upper joint of the trunk: those that hips and shoulders hang from, else the left ones.

    Raises:
        InputError: There are no hips or no shoulders.
    """
    hips, shoulders = _pair(names, mirror, _HIPS), _pair(names, mirror, _SHOULDERS)
    if hips is None or shoulders is None:
        missing = "hips" if hips is None else "shoulders"
        raise InputError(f"spine: no names of {missing} to infer it from; give [lower joint, upper joint]")
    upper, lower = (_from_trunk(names, parents, mirror, j) for j in (shoulders[0], hips[0]))
    return hips[0] if lower == upper else lower, upper


def _from_trunk(names: Sequence[str], parents: Sequence[int], mirror: Sequence[int], joint: int) -> int:
    """The joint of the trunk that a limb hangs from, collars aside; the joint itself if it hangs from the head."""
    above = joint
    while mirror[above] != above and parents[above] != above:
        above = parents[above]
    in_trunk = mirror[above] == above and not any(word in _HEAD for word in name_words(names, above))
    return above if in_trunk else joint


def infer_centre(names: Sequence[str], parents: Sequence[int], mirror: Sequence[int]) -> int:
    """A joint in the middle of the trunk by its name; else the root."""
    midline = [j for j in range(len(names)) if mirror[j] == j]
    found = _first(names, midline, _CENTRES)
    return next(j for j, parent in enumerate(parents) if j == parent) if found is None else found


def name_words(names: Sequence[str], index: int) -> tuple[str, ...]:
    """The words of a name in lower case; lfemur counts as two where there is an rfemur."""
    name = names[index]
    words = tuple(word.lower() for word in _WORD.findall(name))
    other = {"l": "r", "r": "l"}.get(name[:1])
    if len(words) == 1 and other and len(name) > 3 and other + name[1:] in names:
        return name[0], name[1:]
    return words


def side_and_part(names: Sequence[str], index: int) -> tuple[str, str]:
    """The side of the body that a joint's name says, and its name without it.

    Args:
        names: Names of all joints.
        index: Of the joint.

    Returns:
        "left", "right" or "", and the other words of the name in lower case.

    Example:
        >>> side_and_part(["root", "lfemur", "rfemur"], 1), side_and_part(["LeftForeArm"], 0)
        (('left', 'femur'), ('left', 'fore arm'))
    """
    words = name_words(names, index)
    side = _side(words)
    plain = " ".join(word for word in words if word not in _SIDES)
    return ("" if side is None else "left" if side in _LEFT else "right"), plain


def _side(words: Sequence[str]) -> str | None:
    return next((word for word in words if word in _SIDES), None)


def _pair(names: Sequence[str], mirror: Sequence[int], parts: Sequence[str]) -> tuple[int, int] | None:
    """The left and the right joint of the first of these parts of the body that there is."""
    left = [j for j in range(len(names)) if mirror[j] != j and _side(name_words(names, j)) in _LEFT]
    found = _first(names, left, parts)
    return None if found is None else (found, mirror[found])


def _first(names: Sequence[str], among: Sequence[int], parts: Sequence[str]) -> int | None:
    """The first joint named as one of the parts, apart from its side; else the first whose name contains one."""
    plain = {j: side_and_part(names, j)[1] for j in among}
    for part in parts:
        for matches in (lambda text, p=part: text == p, lambda text, p=part: p in text):
            for j in among:
                if matches(plain[j]):
                    return j
    return None
