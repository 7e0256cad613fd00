"""Joint layouts: what each joint of a skeleton is called, what it hangs from, which way the body faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from i2md.errors import InputError


@dataclass(frozen=True)
class Layout:
    """A skeleton's joints as a value: passed in wherever joints matter, never assumed.

    Indices are 0-based. `parents[j]` is the joint that j hangs from; the root is its own parent.
    `mirror[j]` is j's counterpart on the other side (j itself on the midline).
    `centre` is the joint that preparation moves to the origin; `across` points from the body's left to
    its right and `spine` from the lower to the upper trunk.
    `up` is the vertical of the sensor's space: (0, 1, 0) for Kinect, (0, -1, 0) for image coordinates.
    A layout that contradicts itself raises InputError.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    centre: int
    across: tuple[int, int]
    spine: tuple[int, int]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    channels: int = 3

    def __post_init__(self) -> None:
        for ok, mend in self._conditions():
            if not ok:
                raise InputError(f"layout {self.name!r}: {mend}")

    def _conditions(self) -> tuple[tuple[bool, str], ...]:
        size = len(self.joints)
        complete = len(self.parents) == len(self.mirror) == size > 0
        indices = (*self.parents, *self.mirror, self.centre, *self.across, *self.spine)
        in_range = all(isinstance(j, int) and 0 <= j < size for j in indices)
        pairs = all(len(ends) == len(set(ends)) == 2 for ends in (self.across, self.spine))
        usable = complete and in_range
        roots = [j for j, parent in enumerate(self.parents) if j == parent]
        return (
            (len(set(self.joints)) == size, "two joints bear one name; give each its own"),
            (complete, f"parents and mirror must name one joint for each of the {size} joints"),
            (in_range, f"every index must be a whole number from 0 to {size - 1}"),
            (pairs, "across and spine must name two different joints each"),
            (len(roots) == 1, f"just one joint may be its own parent, the root; {len(roots)} are"),
            (usable and self._reaches_root(), "parents run in a circle; each joint must lead to the root"),
            (usable and self._mirrors_back(), "mirror must lead from each joint to its counterpart and back"),
            (len(self.up) == 3 and any(self.up), "up must be three numbers, not all zero"),
            (self.channels in (2, 3), f"channels must be 2 or 3, not {self.channels}"),
        )

    def _reaches_root(self) -> bool:
        ancestors = list(self.parents)
        for _ in self.joints:
            ancestors = [self.parents[j] for j in ancestors]
        return len(set(ancestors)) == 1 and self.parents[ancestors[0]] == ancestors[0]

    def _mirrors_back(self) -> bool:
        return all(self.mirror[other] == j for j, other in enumerate(self.mirror))

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(j for j, parent in enumerate(self.parents) if j == parent)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) of every joint but the root: what a drawing connects."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p != j)

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        """The layout that `to_dict` wrote; InputError where a field is missing or unknown."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        try:
            return cls(**fields)
        except TypeError as error:
            raise InputError(f"layout {data.get('name', '?')!r} is not what Layout.to_dict writes: {error}") from None


def _layout(
    name: str,
    joints: str,
    limbs: tuple[str, ...],
    centre: str,
    spine: tuple[str, str],
    up: tuple[float, float, float] = (0.0, 1.0, 0.0),
    channels: int = 3,
) -> Layout:
    """A layout told by names: `joints` in the format's order, each limb outwards, `*` for left and right."""
    names = tuple(joint.strip() for joint in joints.split(","))
    index = {joint: j for j, joint in enumerate(names)}
    parents = list(range(len(names)))
    for limb in limbs:
        for side in ("left", "right"):
            chain = [index[joint.strip()] for joint in limb.replace("*", side).split(">")]
            for parent, child in pairwise(chain):
                parents[child] = parent
    mirror = tuple(index[_other_side(joint)] for joint in names)
    return Layout(
        name,
        names,
        tuple(parents),
        mirror,
        centre=index[centre],
        across=(index["left shoulder"], index["right shoulder"]),
        spine=(index[spine[0]], index[spine[1]]),
        up=up,
        channels=channels,
    )


def _other_side(joint: str) -> str:
    side, _, part = joint.partition(" ")
    return {"left": f"right {part}", "right": f"left {part}"}.get(side, joint)


_IMAGE_UP = (0.0, -1.0, 0.0)

_KINECT_V2 = _layout(
    "kinect-v2",
    """spine base, spine middle, upper neck, head, left shoulder, left elbow, left wrist, left hand,
    right shoulder, right elbow, right wrist, right hand, left hip, left knee, left ankle, left foot,
    right hip, right knee, right ankle, right foot, neck, left hand tip, left thumb,
    right hand tip, right thumb""",
    # Outwards from the neck and the hand tips from the thumbs: the bones of the published CMD program.
    limbs=(
        "neck > upper neck > head",
        "neck > * shoulder > * elbow > * wrist > * hand > * thumb > * hand tip",
        "neck > spine middle > spine base > * hip > * knee > * ankle > * foot",
    ),
    centre="spine middle",
    spine=("spine base", "spine middle"),
)

_KINECT_V1 = _layout(
    "kinect-v1",
    """hip centre, spine, shoulder centre, head, left shoulder, left elbow, left wrist, left hand,
    right shoulder, right elbow, right wrist, right hand, left hip, left knee, left ankle, left foot,
    right hip, right knee, right ankle, right foot""",
    limbs=(
        "hip centre > spine > shoulder centre > head",
        "shoulder centre > * shoulder > * elbow > * wrist > * hand",
        "hip centre > * hip > * knee > * ankle > * foot",
    ),
    centre="spine",
    spine=("hip centre", "shoulder centre"),
)

# COCO and MediaPipe have no joint within the trunk: the nose is the one joint on the midline.
_COCO_17 = _layout(
    "coco-17",
    """nose, left eye, right eye, left ear, right ear, left shoulder, right shoulder, left elbow, right elbow,
    left wrist, right wrist, left hip, right hip, left knee, right knee, left ankle, right ankle""",
    limbs=(
        "nose > * eye > * ear",
        "nose > * shoulder > * elbow > * wrist",
        "* shoulder > * hip > * knee > * ankle",
    ),
    centre="nose",
    spine=("left hip", "left shoulder"),
    up=_IMAGE_UP,
    channels=2,
)

_MEDIAPIPE_33 = _layout(
    "mediapipe-33",
    """nose, left inner eye, left eye, left outer eye, right inner eye, right eye, right outer eye,
    left ear, right ear, left mouth, right mouth, left shoulder, right shoulder, left elbow, right elbow,
    left wrist, right wrist, left little finger, right little finger, left index finger, right index finger,
    left thumb, right thumb, left hip, right hip, left knee, right knee, left ankle, right ankle,
    left heel, right heel, left toes, right toes""",
    limbs=(
        "nose > * inner eye > * eye > * outer eye > * ear",
        "nose > * mouth",
        "nose > * shoulder > * elbow > * wrist > * thumb",
        "* wrist > * index finger",
        "* wrist > * little finger",
        "* shoulder > * hip > * knee > * ankle > * heel > * toes",
    ),
    centre="nose",
    spine=("left hip", "left shoulder"),
    up=_IMAGE_UP,
)

_OPENPOSE_18 = _layout(
    "openpose-18",
    """nose, neck, right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist,
    right hip, right knee, right ankle, left hip, left knee, left ankle, right eye, left eye,
    right ear, left ear""",
    limbs=(
        "neck > nose > * eye > * ear",
        "neck > * shoulder > * elbow > * wrist",
        "neck > * hip > * knee > * ankle",
    ),
    centre="neck",
    spine=("left hip", "neck"),
    up=_IMAGE_UP,
    channels=2,
)

# OpenNI's own space has y up; SBU's normalised numbers have y down until the publisher's formula undoes that.
_OPENNI_15 = _layout(
    "openni-15",
    """head, neck, torso, left shoulder, left elbow, left hand, right shoulder, right elbow, right hand,
    left hip, left knee, left foot, right hip, right knee, right foot""",
    limbs=(
        "torso > neck > head",
        "neck > * shoulder > * elbow > * hand",
        "torso > * hip > * knee > * foot",
    ),
    centre="torso",
    spine=("torso", "neck"),
)

_LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (_KINECT_V2, _KINECT_V1, _COCO_17, _MEDIAPIPE_33, _OPENPOSE_18, _OPENNI_15)
}


def get_layout(name: str) -> Layout:
    """The catalogue's layout of that name.

    >>> get_layout("kinect-v2").joints[20]
    'neck'
    """
    if name not in _LAYOUTS:
        raise InputError(f"layout {name!r} is not known; choose one of {', '.join(layout_names())}")
    return _LAYOUTS[name]


def layout_names() -> tuple[str, ...]:
    """The names in the catalogue."""
    return tuple(sorted(_LAYOUTS))
