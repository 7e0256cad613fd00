"""Which part of the body each joint of a layout is, by its name, whatever the layout calls it.

Names are compared by their words, in lower case and without the side: `LeftForeArm`, `l_forearm` and `left elbow` are
the same part. Some words mean different joints in different skeletons, and the others of the layout decide: where there
is a forearm (motion capture names a joint after the bone that begins there), the arm begins at the shoulder, the
shoulder is the collar and the hand begins at the wrist; where there are toes and no ankle, the foot begins at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from i2md.skeletons.inference import side_and_part
from i2md.skeletons.layout import Layout

# The part, and what else it is called.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "pelvis": ("hip centre", "hip center", "spine base", "base spine", "mid hip", "middle hip", "hips", "root", "hip"),
    "neck": (
        *("shoulder centre", "shoulder center", "mid shoulder", "spine shoulder", "thorax", "neck base"),
        *("lower neck", "base neck"),
    ),
    "upper neck": ("neck 1",),
    "head top": ("top head", "top of head", "head end", "headtop", "vertex"),
    "nose": ("nose tip",),
    "ear": (),
    "eye": (),
    "collar": ("clavicle",),
    "shoulder": (),
    "elbow": ("fore arm", "forearm", "lower arm", "lowerarm"),
    "wrist": (),
    "hand": ("palm centre",),
    "hand tip": ("middle finger 4", "middle finger tip"),
    "thumb": ("thumb 4", "thumb tip"),
    "hip": ("up leg", "upleg", "upper leg", "upperleg", "thigh"),
    "knee": ("lower leg", "lowerleg", "low leg", "lowleg", "shin", "calf"),
    "ankle": (),
    "heel": (),
    # Where Kinect, SMPL and OpenNI have the foot.
    "foot": ("toes", "toe", "big toe", "toe base", "toebase", "ball", "foot index"),
    "small toe": ("little toe",),
}
_MIDLINE = ("pelvis", "neck", "upper neck", "head top", "nose")
_PART_OF = {name: part for part, names in _SYNONYMS.items() for name in (part, *names)}
_NECK_BASE = ("shoulder centre", "shoulder center", "spine shoulder", "thorax", "lower neck")
_FOREARM = ("fore arm", "forearm", "lower arm", "lowerarm")
_TOES = ("toes", "toe", "toe base", "toebase", "ball")
_UPPER_LEG = ("up leg", "upleg", "upper leg", "upperleg", "thigh")
# Joints between the pelvis and the neck; how many there are says which is which.
_TRUNK = ("spine", "chest", "torso", "abdomen", "belly", "back", "lowerback", "upperback", "waist")


@lru_cache(maxsize=64)
def body_parts(layout: Layout) -> Mapping[str, int]:
    """The joints of a layout by the part of the body that each is.

    Args:
        layout: The layout.

    Returns:
        The index of the joint of each part: "pelvis", "left elbow". A joint of no part that others know is a part by
        its own name. Where several joints are the same part, it is the first of them.

    Example:
        >>> from i2md.skeletons import get_layout
        >>> body_parts(get_layout("kinect-v1"))["pelvis"], body_parts(get_layout("body-25"))["left foot"]
        (0, 19)
    """
    plain = [side_and_part(layout.joints, j) for j in range(len(layout.joints))]
    names = {name for _, name in plain}
    renamed = _renamed_by_the_others(names)
    has_neck_base = bool(names & set(_NECK_BASE))
    parts: dict[str, int] = {}
    for joint, (side, name) in enumerate(plain):
        name = renamed.get(name, name) if side else name
        part = _PART_OF.get(name, name)
        if not side and name == "neck" and has_neck_base:
            part = "upper neck"
        elif side and part in _MIDLINE:
            part = "hip" if name == "hip" else name
        parts.setdefault(f"{side} {part}".strip(), joint)
    return {**parts, **_trunk(layout, plain, parts)}


def _renamed_by_the_others(names: set[str]) -> dict[str, str]:
    """What names mean in this layout, where the others say that it is another joint than usual."""
    renamed: dict[str, str] = {}
    if names & set(_FOREARM):
        renamed |= {"arm": "shoulder", "upper arm": "shoulder", "upperarm": "shoulder", "shoulder": "collar"}
        renamed |= {} if "wrist" in names else {"hand": "wrist"}
        if not names & {"arm", "upper arm", "upperarm"}:
            del renamed["shoulder"]
    if names & set(_UPPER_LEG):
        renamed |= {"leg": "knee"}
    if names & set(_TOES) and "ankle" not in names:
        renamed |= {"foot": "ankle"}
    return renamed


def _trunk(layout: Layout, plain: Sequence[tuple[str, str]], parts: Mapping[str, int]) -> dict[str, int]:
    """The lower, the middle and the upper joint between pelvis and neck, from the pelvis upwards."""
    known = {parts[part] for part in ("pelvis", "neck", "upper neck") if part in parts}
    inner = [
        joint
        for joint, (side, name) in enumerate(plain)
        if not side and joint not in known and any(word in _TRUNK for word in name.split())
    ]
    pelvis = parts.get("pelvis", layout.root)
    inner.sort(key=lambda joint: _steps_between(layout, pelvis, joint))
    if len(inner) < 3:
        return dict(zip(("spine", "upper spine"), inner, strict=False))
    return {"lower spine": inner[0], "spine": inner[len(inner) // 2], "upper spine": inner[-1]}


def _steps_between(layout: Layout, one: int, other: int) -> int:
    """The number of bones from one joint to another."""
    paths = []
    for joint in (one, other):
        path = [joint]
        while layout.parents[path[-1]] != path[-1]:
            path.append(layout.parents[path[-1]])
        paths.append(path)
    first, second = paths
    meeting = next(joint for joint in first if joint in second)
    return first.index(meeting) + second.index(meeting)
