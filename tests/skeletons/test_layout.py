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


# Root, centre, spine, up and channels of each layout, as the publishers' and pose estimators' documentation has them.
FACTS = {
    "coco-17": ("nose", "nose", ("left hip", "left shoulder"), (0.0, -1.0, 0.0), 2),
    "kinect-v1": ("hip centre", "spine", ("hip centre", "shoulder centre"), (0.0, 1.0, 0.0), 3),
    "kinect-v2": ("neck", "spine middle", ("spine base", "spine middle"), (0.0, 1.0, 0.0), 3),
    "mediapipe-33": ("nose", "nose", ("left hip", "left shoulder"), (0.0, -1.0, 0.0), 3),
    "openni-15": ("torso", "torso", ("torso", "neck"), (0.0, 1.0, 0.0), 3),
    "openpose-18": ("neck", "neck", ("left hip", "neck"), (0.0, -1.0, 0.0), 2),
}
# Indices of joints that users of these formats know by heart.
KNOWN = {
    "coco-17": {0: "nose", 5: "left shoulder", 10: "right wrist", 16: "right ankle"},
    "kinect-v1": {3: "head", 7: "left hand", 12: "left hip", 19: "right foot"},
    "kinect-v2": {3: "head", 7: "left hand", 20: "neck", 24: "right thumb"},
    "mediapipe-33": {0: "nose", 11: "left shoulder", 24: "right hip", 32: "right toes"},
    "openni-15": {0: "head", 2: "torso", 5: "left hand", 14: "right foot"},
    "openpose-18": {1: "neck", 4: "right wrist", 11: "left hip", 17: "left ear"},
}
# Of json.dumps(layout.to_dict(), sort_keys=True), when layouts were a table in Python.
DIGESTS = {
    "coco-17": "122be8fec84cb282",
    "kinect-v1": "45c6274e6fa870c4",
    "kinect-v2": "751fe66c638a5399",
    "mediapipe-33": "c98c14527f518c7a",
    "openni-15": "438c4131b29ad2dd",
    "openpose-18": "b99d37e8c6c8b8cf",
}


@pytest.mark.parametrize("name", layout_names())
def test_layout_has_the_documented_root_axes_and_joints(name):
    layout = get_layout(name)
    spine = tuple(layout.joints[joint] for joint in layout.spine)
    assert (layout.joints[layout.root], layout.joints[layout.centre], spine, layout.up, layout.channels) == FACTS[name]
    assert {joint: layout.joints[joint] for joint in KNOWN[name]} == KNOWN[name]


def test_every_value_of_every_layout_is_unchanged():
    written = {name: json.dumps(get_layout(name).to_dict(), sort_keys=True).encode() for name in layout_names()}
    assert {name: hashlib.sha256(text).hexdigest()[:16] for name, text in written.items()} == DIGESTS


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("coco-17", 17),
        ("kinect-v1", 20),
        ("kinect-v2", 25),
        ("mediapipe-33", 33),
        ("openni-15", 15),
        ("openpose-18", 18),
    ],
)
def test_number_of_joints_and_bones(name, size):
    assert len(get_layout(name).joints) == size
    assert len(get_layout(name).bones) == size - 1


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
    ],
)
def test_contradictory_layout_is_an_input_error_of_one_line(change, message):
    with pytest.raises(InputError, match=message) as refusal:
        replace(STICK, **change)
    assert "\n" not in str(refusal.value)


def test_unknown_names_and_fields_are_input_errors():
    with pytest.raises(InputError, match="choose one of coco-17, kinect-v1"):
        get_layout("kinect-3")
    with pytest.raises(InputError, match="'stick' is not what"):
        Layout.from_dict(STICK.to_dict() | {"colour": "red"})
