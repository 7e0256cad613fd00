"""Layouts: the catalogue against the published bones, and layouts that contradict themselves."""

from __future__ import annotations

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
def test_sizes(name, size):
    assert len(get_layout(name).joints) == size
    assert len(get_layout(name).bones) == size - 1


@pytest.mark.parametrize("name", layout_names())
def test_the_mirror_image_of_a_bone_is_a_bone(name):
    layout = get_layout(name)
    mirrored = {(layout.mirror[parent], layout.mirror[child]) for parent, child in layout.bones}
    assert mirrored == set(layout.bones)


@pytest.mark.parametrize("name", layout_names())
def test_sides_and_axes_agree_with_the_names(name):
    layout = get_layout(name)
    for joint, other in zip(layout.joints, layout.mirror, strict=True):
        swapped = " ".join({"left": "right", "right": "left"}.get(word, word) for word in joint.split())
        assert layout.joints[other] == swapped
    left, right = layout.across
    assert layout.joints[left].startswith("left") and layout.mirror[left] == right
    assert layout.mirror[layout.centre] == layout.centre


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_survives_json(name):
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
        ({"joints": ("hip", "left", "left")}, "bear one name"),
        ({"across": (1, 1)}, "two different joints"),
        ({"across": ()}, "two different joints"),
        ({"up": (0.0, 0.0, 0.0)}, "up must be"),
        ({"channels": 4}, "2 or 3"),
    ],
)
def test_contradictions_are_refused_in_one_line(change, message):
    with pytest.raises(InputError, match=message) as refusal:
        replace(STICK, **change)
    assert "\n" not in str(refusal.value)


def test_unknown_names_and_fields_are_refused():
    with pytest.raises(InputError, match="choose one of coco-17, kinect-v1"):
        get_layout("kinect-3")
    with pytest.raises(InputError, match="'stick' is not what"):
        Layout.from_dict(STICK.to_dict() | {"colour": "red"})
