"""Layouts that come with the package against published facts, and layouts that contradict themselves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, layout_names

# The bones of NTU RGB+D as papers print them: (joint, parent), 1-based.
NTU_PAIRS = """1 2, 2 21, 3 21, 4 3, 5 21, 6 5, 7 6, 8 7, 9 21, 10 9, 11 10, 12 11, 13 1, 14 13, 15 14, 16 15,
    17 1, 18 17, 19 18, 20 19, 21 21, 22 23, 23 8, 24 25, 25 12"""


def test_kinect_v2_has_the_published_bones():
    pairs = [tuple(int(number) for number in pair.split()) for pair in NTU_PAIRS.split(",")]
    assert get_layout("kinect-v2").parents == tuple(parent - 1 for _, parent in sorted(pairs))
    assert get_layout("kinect-v2").root == 20


# Root, centre, spine and up of each layout, as the publishers' and pose estimators' documentation has them.
FACTS = {
    "body-25": ("neck", "mid hip", ("mid hip", "neck"), (0.0, -1.0, 0.0)),
    "coco-17": ("nose", "nose", ("left hip", "left shoulder"), (0.0, -1.0, 0.0)),
    "coco-wholebody": ("nose", "nose", ("left hip", "left shoulder"), (0.0, -1.0, 0.0)),
    "body-16": ("pelvis", "spine", ("pelvis", "neck"), (0.0, 1.0, 0.0)),
    "h36m-17": ("pelvis", "spine", ("pelvis", "thorax"), (0.0, -1.0, 0.0)),
    "halpe-26": ("neck", "mid hip", ("mid hip", "neck"), (0.0, -1.0, 0.0)),
    "humanml-22": ("pelvis", "middle spine", ("pelvis", "upper spine"), (0.0, 1.0, 0.0)),
    "kinect-v1": ("hip centre", "spine", ("hip centre", "shoulder centre"), (0.0, 1.0, 0.0)),
    "kinect-v2": ("neck", "spine middle", ("spine base", "spine middle"), (0.0, 1.0, 0.0)),
    "mediapipe-33": ("nose", "nose", ("left hip", "left shoulder"), (0.0, -1.0, 0.0)),
    "mediapipe-hand-21": ("wrist", "wrist", ("wrist", "middle finger 1"), (0.0, -1.0, 0.0)),
    "openni-15": ("torso", "torso", ("torso", "neck"), (0.0, 1.0, 0.0)),
    "openpose-18": ("neck", "neck", ("left hip", "neck"), (0.0, -1.0, 0.0)),
}
# Indices of joints that users of these formats know by heart, and the last one.
KNOWN = {
    # POSE_BODY_25_BODY_PARTS: 1 Neck, 4 RWrist, 8 MidHip, 11 RAnkle, 19 LBigToe, 20 LSmallToe, 24 RHeel.
    "body-25": {1: "neck", 4: "right wrist", 8: "mid hip", 11: "right ankle", 19: "left big toe", 24: "right heel"},
    "coco-17": {0: "nose", 5: "left shoulder", 10: "right wrist", 16: "right ankle"},
    # Body 0-16, feet 17-22, face 23-90 (iBUG's 68), left hand 91-111, right hand 112-132.
    "coco-wholebody": {
        16: "right ankle", 19: "left heel", 22: "right heel", 31: "chin", 53: "nose bridge 4", 91: "left palm",
        95: "left thumb 4", 112: "right palm", 132: "right little finger 4",
    },
    # VideoPose3D: right leg 1-3, left leg 4-6, left arm 11-13, right arm 14-16.
    "h36m-17": {0: "pelvis", 3: "right ankle", 6: "left ankle", 8: "thorax", 10: "head", 13: "left wrist",
                16: "right wrist"},
    # Halpe: 17 Head, 18 Neck, 19 Hip, 20 LBigToe, 21 RBigToe, 25 RHeel.
    "halpe-26": {15: "left ankle", 17: "head top", 18: "neck", 19: "mid hip", 21: "right big toe", 25: "right heel"},
    # SMPL: 3 Spine1, 9 Spine3, 12 Neck, 15 Head, 21 R_Wrist.
    "humanml-22": {0: "pelvis", 3: "lower spine", 9: "upper spine", 12: "neck", 15: "head", 21: "right wrist"},
    "kinect-v1": {3: "head", 7: "left hand", 12: "left hip", 19: "right foot"},
    "kinect-v2": {3: "head", 7: "left hand", 20: "neck", 24: "right thumb"},
    "mediapipe-33": {0: "nose", 11: "left shoulder", 24: "right hip", 32: "right toes"},
    # 1 THUMB_CMC, 5 INDEX_FINGER_MCP, 12 MIDDLE_FINGER_TIP, 17 PINKY_MCP.
    "mediapipe-hand-21": {0: "wrist", 1: "thumb 1", 5: "index finger 1", 12: "middle finger 4", 20: "little finger 4"},
    "body-16": {0: "pelvis", 3: "head", 6: "left wrist", 15: "right ankle"},
    "openni-15": {0: "head", 2: "torso", 5: "left hand", 14: "right foot"},
    "openpose-18": {1: "neck", 4: "right wrist", 11: "left hip", 17: "left ear"},
}  # fmt: skip
SIZES = {
    "body-16": 16, "body-25": 25, "coco-17": 17, "coco-wholebody": 133, "h36m-17": 17, "halpe-26": 26, "humanml-22": 22,
    "kinect-v1": 20, "kinect-v2": 25, "mediapipe-33": 33, "mediapipe-hand-21": 21, "openni-15": 15, "openpose-18": 18,
}  # fmt: skip
# Of json.dumps(layout.to_dict(), sort_keys=True), when layouts were a table in Python; two of them were 2-D only.
DIGESTS = {
    "coco-17": (2, "122be8fec84cb282"),
    "kinect-v1": (3, "45c6274e6fa870c4"),
    "kinect-v2": (3, "751fe66c638a5399"),
    "mediapipe-33": (3, "c98c14527f518c7a"),
    "openni-15": (3, "438c4131b29ad2dd"),
    "openpose-18": (2, "b99d37e8c6c8b8cf"),
}


@pytest.mark.parametrize("name", layout_names())
def test_layout_has_the_documented_root_axes_and_joints(name):
    layout = get_layout(name)
    spine = tuple(layout.joints[joint] for joint in layout.spine)
    assert (layout.joints[layout.root], layout.joints[layout.centre], spine, layout.up) == FACTS[name]
    assert {joint: layout.joints[joint] for joint in KNOWN[name]} == KNOWN[name]


@pytest.mark.parametrize("name", DIGESTS)
def test_every_value_of_the_first_layouts_is_unchanged(name):
    channels, digest = DIGESTS[name]
    written = json.dumps(get_layout(name).with_channels(channels).to_dict(), sort_keys=True).encode()
    assert hashlib.sha256(written).hexdigest()[:16] == digest


@pytest.mark.parametrize("name", layout_names())
def test_number_of_joints_and_bones(name):
    assert len(get_layout(name).joints) == SIZES[name]
    assert len(get_layout(name).bones) == SIZES[name] - 1


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_takes_positions_in_space_and_in_the_image(name):
    in_space = get_layout(name)
    in_image = in_space.with_channels(2)
    assert (in_space.channels, in_image.channels, in_image.up) == (3, 2, (0.0, -1.0, 0.0))
    assert replace(in_image, channels=3, up=in_space.up) == in_space.with_channels(3) == in_space
    assert Layout.from_dict(json.loads(json.dumps(in_image.to_dict()))) == in_image


def test_wholebody_has_the_parts_and_mirror_pairs_of_its_publisher():
    layout = get_layout("coco-wholebody")
    assert {name: (joints[0], joints[-1], len(joints)) for name, joints in layout.parts} == {
        "body": (0, 16, 17), "feet": (17, 22, 6), "face": (23, 90, 68), "left hand": (91, 111, 21),
        "right hand": (112, 132, 21),
    }  # fmt: skip
    # Swapped landmarks of iBUG's 68: jaw, brows, nostrils, eyes, outer and inner mouth.
    swapped = (
        [(i, 16 - i) for i in range(8)] + [(i, 43 - i) for i in range(17, 22)] + [(31, 35), (32, 34)]
        + [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59)]
        + [(56, 58), (60, 64), (61, 63), (65, 67)]
    )  # fmt: skip
    middle = [8, *range(27, 31), 33, 51, 57, 62, 66]
    expected = {23 + a: 23 + b for a, b in swapped} | {23 + b: 23 + a for a, b in swapped}
    expected |= {23 + a: 23 + a for a in middle}
    assert {joint: layout.mirror[joint] for joint in range(23, 91)} == expected
    assert all(layout.mirror[joint] == joint + 21 for joint in range(91, 112))


@pytest.mark.parametrize("name", layout_names())
def test_mirror_image_of_a_bone_is_a_bone(name):
    layout = get_layout(name)
    mirrored = {(layout.mirror[parent], layout.mirror[child]) for parent, child in layout.bones}
    assert mirrored == set(layout.bones)


@pytest.mark.parametrize("name", layout_names())
def test_mirror_and_across_agree_with_the_names(name):
    layout = get_layout(name)
    for joint, other in zip(layout.joints, layout.mirror, strict=True):
        swapped = " ".join({"left": "right", "right": "left"}.get(word, word) for word in joint.split())
        assert layout.joints[other] == swapped
    left, right = layout.across
    if name != "mediapipe-hand-21":  # one hand has no sides
        assert layout.joints[left].startswith("left") and layout.mirror[left] == right
    assert layout.mirror[layout.centre] == layout.centre


@pytest.mark.parametrize("name", layout_names())
def test_layout_round_trips_through_json(name):
    layout = get_layout(name)
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout


STICK = Layout("stick", ("hip", "left", "right"), (0, 0, 0), (0, 2, 1), 0, (1, 2), (0, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": (0, 0)}, "one joint for each of the 3 joints"),
        ({"parents": (0, 0, 3)}, "from 0 to 2"),
        ({"centre": -1}, "from 0 to 2"),
        ({"parents": (0, 1, 0)}, "2 are"),
        ({"parents": (0, 2, 1)}, "circle"),
        ({"mirror": (1, 2, 0)}, "and back"),
        ({"joints": ("hip", "left", "left")}, "have the same name"),
        ({"across": (1, 1)}, "two different joints"),
        ({"across": ()}, "two different joints"),
        ({"up": (0.0, 0.0, 0.0)}, "up must be"),
        ({"channels": 4}, "2 or 3"),
        ({"parts": (("arm", (1,)), ("hand", (1, 2)))}, "one of the parts only"),
        ({"parts": (("arm", (3,)),)}, "from 0 to 2"),
    ],
)
def test_contradictory_layout_is_an_input_error_of_one_line(change, message):
    with pytest.raises(InputError, match=message) as refusal:
        replace(STICK, **change)
    assert "\n" not in str(refusal.value)


def test_unknown_names_and_fields_are_input_errors():
    with pytest.raises(InputError, match="choose one of body-16, body-25, coco-17"):
        get_layout("kinect-3")
    with pytest.raises(InputError, match="'stick' is not what"):
        Layout.from_dict(STICK.to_dict() | {"colour": "red"})
