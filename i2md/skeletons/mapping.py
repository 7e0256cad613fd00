"""From the joints of one layout to those of another, by the parts of the body that their names stand for.

A joint that the other layout has under any name is taken as it is. Others are made in the usual ways, as weighted means
of joints: the pelvis of both hips, the base of the neck of both shoulders, the middle of the spine of these two, the
head of both ears. What cannot be had is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from i2md.errors import InputError
from i2md.skeletons.body_parts import body_parts
from i2md.skeletons.layout import Layout

# Weights of joints by index, which sum to 1.
Weights = tuple[tuple[int, float], ...]
# Each part as a mean of others: the first way is taken of which all parts can be had.
_MEANS: dict[str, tuple[Mapping[str, float], ...]] = {
    "pelvis": ({"left hip": 0.5, "right hip": 0.5},),
    "neck": ({"left shoulder": 0.5, "right shoulder": 0.5},),
    "spine": ({"pelvis": 0.5, "neck": 0.5},),
    "lower spine": ({"pelvis": 0.5, "spine": 0.5},),
    "upper spine": ({"spine": 0.5, "neck": 0.5},),
    "head": ({"left ear": 0.5, "right ear": 0.5}, {"left eye": 0.5, "right eye": 0.5}),
    "upper neck": ({"neck": 0.5, "head": 0.5},),
    "{side} collar": ({"neck": 0.5, "{side} shoulder": 0.5},),
    "{side} hand": (
        {"{side} index finger": 0.5, "{side} little finger": 0.5},
        {"{side} index finger 1": 0.5, "{side} little finger 1": 0.5},
    ),
    # Skeletons without wrists or ankles, such as OpenNI's, end there in the hand or the foot.
    "{side} wrist": ({"{side} hand": 1.0},),
    "{side} ankle": ({"{side} foot": 1.0},),
}
# Less than this share of the joints is not the same body any more.
MIN_SHARE = 0.5


@dataclass(frozen=True)
class JointMapping:
    """How each joint of a layout follows from the joints of another."""

    source: Layout
    """The layout to convert from."""
    target: Layout
    """The layout to convert to, of as many channels; its vertical is that of its file."""
    weights: tuple[Weights, ...]
    """For each joint of the target, joints of the source and their weights; none where it cannot be had."""

    @property
    def means(self) -> tuple[str, ...]:
        """Names of the target's joints that are means of others."""
        return tuple(name for name, of in zip(self.target.joints, self.weights, strict=True) if len(of) > 1)

    @property
    def stand_ins(self) -> dict[str, str]:
        """The target's joints for which another one of the source stands in: the hand for the wrist."""
        known = body_parts(self.source) if self.source.joints != self.target.joints else {}
        parts = zip(self.target.joints, _parts_in_order(self.target), self.weights, strict=True)
        others = ((name, of) for name, part, of in parts if known and len(of) == 1 and part not in known)
        return {name: self.source.joints[of[0][0]] for name, of in others}

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the target's joints that cannot be had."""
        return tuple(name for name, of in zip(self.target.joints, self.weights, strict=True) if not of)

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the source's joints that nothing is made of."""
        used = {joint for of in self.weights for joint, _ in of}
        return tuple(name for joint, name in enumerate(self.source.joints) if joint not in used)

    @property
    def is_identity(self) -> bool:
        """Whether the layouts have the same joints in the same order, and the same vertical."""
        return self.source.joints == self.target.joints and self.source.up == self.target.up

    def describe(self) -> str:
        """A phrase of at most 400 characters on what was made of what, for messages."""
        parts = [f"{', '.join(self.means)} are means of others"] if self.means else []
        parts += [", ".join(f"{name} is {other}" for name, other in self.stand_ins.items())] if self.stand_ins else []
        parts += [f"{', '.join(self.missing)} are missing"] if self.missing else []
        found = "; ".join(parts) or "all joints are there"
        return f"clips of layout {self.source.name} converted to {self.target.name}: {found}"[:400]

    def to_dict(self) -> dict[str, str]:
        """The layouts by name, and the joints that are means, others, missing and unused, each kind as a list with
        commas.
        """
        others = tuple(f"{name} is {other}" for name, other in self.stand_ins.items())
        names = {"means": self.means, "others": others, "missing": self.missing, "unused": self.unused}
        listed = {kind: ", ".join(joints) for kind, joints in names.items() if joints}
        return {"from": self.source.name, "to": self.target.name, **listed}


@lru_cache(maxsize=64)
def map_joints(source: Layout, target: Layout) -> JointMapping:
    """Find how the joints of one layout follow from those of another.

    Args:
        source: The layout to convert from.
        target: The layout to convert to; it takes over the number of channels.

    Returns:
        The mapping.

    Raises:
        InputError: Less than half of the target's joints can be had.

    Example:
        >>> from i2md.skeletons import get_layout
        >>> mapping = map_joints(get_layout("coco-17"), get_layout("kinect-v1"))
        >>> mapping.means
        ('hip centre', 'spine', 'shoulder centre', 'head')
        >>> mapping.missing
        ('left hand', 'right hand', 'left foot', 'right foot')
    """
    target = target.with_channels(source.channels)
    if source.channels == 2:
        target = replace(target, up=source.up)
    if source.joints == target.joints:
        weights: tuple[Weights, ...] = tuple(((joint, 1.0),) for joint in range(len(source.joints)))
    else:
        known = body_parts(source)
        weights = tuple(_weights(part, known) for part in _parts_in_order(target))
    mapping = JointMapping(source, target, weights)
    if len(mapping.missing) > (1 - MIN_SHARE) * len(target.joints):
        raise InputError(
            f"layout {source.name!r} has {len(target.joints) - len(mapping.missing)} of the {len(target.joints)} joints"
            f" of {target.name!r}, which is too few to convert; missing are {', '.join(mapping.missing)[:200]}"
        )
    return mapping


def means_of_others(layout: Layout, missing: Collection[str]) -> dict[int, Weights]:
    """How joints that recordings lack follow from others of the same layout.

    Args:
        layout: The layout that they are in.
        missing: Names of the joints that they lack.

    Returns:
        For those that are means of others, by index, these and their weights.

    Example:
        >>> from i2md.skeletons import get_layout
        >>> means_of_others(get_layout("body-25"), ["mid hip", "nose"])
        {8: ((9, 0.5), (12, 0.5))}
    """
    parts = _parts_in_order(layout)
    known = {part: joint for part, joint in body_parts(layout).items() if layout.joints[joint] not in missing}
    found = {layout.joints.index(name): _weights(parts[layout.joints.index(name)], known) for name in missing}
    return {joint: of for joint, of in found.items() if len(of) > 1}


def _parts_in_order(layout: Layout) -> list[str]:
    """The part of each joint; a joint that is the same part as an earlier one is known by its name alone."""
    by_joint = {joint: part for part, joint in body_parts(layout).items()}
    return [by_joint.get(joint, name) for joint, name in enumerate(layout.joints)]


def _weights(part: str, known: Mapping[str, int], without: frozenset[str] = frozenset()) -> Weights:
    """A part as weights of the joints that there are; empty if it cannot be had without some other parts."""
    if part in known:
        return ((known[part], 1.0),)
    side = next((word for word in part.split() if word in ("left", "right")), "")
    general = part.replace(side, "{side}", 1) if side else part
    for mean in _MEANS.get(general, ()):
        summed: dict[int, float] = {}
        for name, weight in mean.items():
            other = name.replace("{side}", side)
            of = () if other in without else _weights(other, known, without | {part})
            if not of:
                break
            for joint, share in of:
                summed[joint] = summed.get(joint, 0.0) + weight * share
        else:
            return tuple(sorted(summed.items()))
    return ()
