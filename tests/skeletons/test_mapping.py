"""From the joints of one layout to those of another by their names."""

from __future__ import annotations

from itertools import pairwise

import pytest

from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, layout_names, make_layout, map_joints
from i2md.skeletons.body_parts import body_parts

# Joints of motion capture, named after the bones that begin there; each with its parent.
MOCAP = {
    "Hips": None, "Spine": "Hips", "Spine1": "Spine", "Spine2": "Spine1", "Neck": "Spine2", "Head": "Neck",
    "LeftShoulder": "Spine2", "LeftArm": "LeftShoulder", "LeftForeArm": "LeftArm", "LeftHand": "LeftForeArm",
    "RightShoulder": "Spine2", "RightArm": "RightShoulder", "RightForeArm": "RightArm", "RightHand": "RightForeArm",
    "LeftUpLeg": "Hips", "LeftLeg": "LeftUpLeg", "LeftFoot": "LeftLeg", "LeftToeBase": "LeftFoot",
    "RightUpLeg": "Hips", "RightLeg": "RightUpLeg", "RightFoot": "RightLeg", "RightToeBase": "RightFoot",
}  # fmt: skip
# Kinect v2 by the names of its programming interface.
KINECT = """SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight
    HandRight HipLeft KneeLeft AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft
    ThumbLeft HandTipRight ThumbRight"""


def made(joints: dict[str, str | None]) -> Layout:
    names = list(joints)
    return make_layout("made", names, [-1 if of is None else names.index(of) for of in joints.values()])


def taken(source: Layout, target: Layout) -> dict[str, str]:
    """The joint that each joint of the target is taken from, where it is one."""
    found = zip(target.joints, map_joints(source, target).weights, strict=True)
    return {name: source.joints[of[0][0]] for name, of in found if len(of) == 1}


@pytest.mark.parametrize("name", layout_names())
def test_a_layout_maps_to_itself_joint_by_joint(name):
    layout = get_layout(name)
    mapping = map_joints(layout, layout)
    assert mapping.weights == tuple(((joint, 1.0),) for joint in range(len(layout.joints)))
    assert mapping.is_identity and not mapping.means and not mapping.missing and not mapping.unused
    assert len(set(body_parts(layout).values())) == len(layout.joints)


def test_mocap_joints_are_named_after_the_bones_that_begin_there():
    mocap, v1 = made(MOCAP), get_layout("kinect-v1")
    assert taken(mocap, v1) == {
        "hip centre": "Hips", "spine": "Spine1", "shoulder centre": "Neck", "head": "Head",
        "left shoulder": "LeftArm", "left elbow": "LeftForeArm", "left wrist": "LeftHand",
        "right shoulder": "RightArm", "right elbow": "RightForeArm", "right wrist": "RightHand",
        "left hip": "LeftUpLeg", "left knee": "LeftLeg", "left ankle": "LeftFoot", "left foot": "LeftToeBase",
        "right hip": "RightUpLeg", "right knee": "RightLeg", "right ankle": "RightFoot", "right foot": "RightToeBase",
    }  # fmt: skip
    assert map_joints(mocap, v1).missing == ("left hand", "right hand")
    assert map_joints(mocap, v1).unused == ("Spine", "Spine2", "LeftShoulder", "RightShoulder")
    smpl = taken(mocap, get_layout("humanml-22"))
    assert [smpl[name] for name in ("lower spine", "middle spine", "upper spine", "left collar")] == [
        "Spine", "Spine1", "Spine2", "LeftShoulder",
    ]  # fmt: skip


def test_names_of_other_conventions_are_the_same_joints():
    v2 = get_layout("kinect-v2")
    official = make_layout("official", KINECT.split(), v2.parents)
    assert taken(official, v2) == dict(zip(v2.joints, KINECT.split(), strict=True))
    assert map_joints(official, get_layout("kinect-v1")).missing == ()
    # OpenPose's own names, with a letter for the side.
    names = [name.replace("left ", "L").replace("right ", "R").title() for name in get_layout("body-25").joints]
    names = [f"{name[0]}{name[1].upper()}{name[2:]}" if name[0] in "LR" else name for name in names]
    assert "LElbow" in names and "LBig Toe" in names
    layout = make_layout("openpose", names, get_layout("body-25").parents)
    assert not map_joints(layout, get_layout("body-25")).missing
    assert taken(layout, get_layout("kinect-v1"))["left foot"] == "LBig Toe"


@pytest.mark.parametrize(
    ("source", "target", "means", "missing"),
    [
        ("coco-17", "kinect-v1", "hip centre, spine, shoulder centre, head",
         "left hand, left foot, right hand, right foot"),
        ("mediapipe-33", "kinect-v1", "hip centre, spine, shoulder centre, head, left hand, right hand", ""),
        ("coco-wholebody", "kinect-v1", "hip centre, spine, shoulder centre, head, left hand, right hand", ""),
        ("body-25", "kinect-v1", "spine, head", "left hand, right hand"),
        ("h36m-17", "kinect-v1", "", "left hand, left foot, right hand, right foot"),
        ("humanml-22", "kinect-v1", "", "left hand, right hand"),
        ("kinect-v2", "kinect-v1", "", ""),
        ("kinect-v1", "kinect-v2", "upper neck", "left hand tip, left thumb, right hand tip, right thumb"),
        ("openni-15", "kinect-v1", "hip centre", ""),
        ("kinect-v1", "coco-17", "", "nose, left eye, right eye, left ear, right ear"),
        ("coco-wholebody", "mediapipe-33", "", "left inner eye, left outer eye, right inner eye, right outer eye, left "
         "mouth, right mouth, left little finger, right little finger, left index finger, right index finger, left "
         "toes, right toes"),
    ],
)  # fmt: skip
def test_what_is_made_and_what_is_missing(source, target, means, missing):
    mapping = map_joints(get_layout(source), get_layout(target))
    if source == "coco-wholebody" and target == "mediapipe-33":
        assert "nose" not in mapping.missing and "left knee" not in mapping.missing
        return
    assert set(mapping.means) == set(filter(None, means.split(", ")))
    assert set(mapping.missing) == set(filter(None, missing.split(", ")))


def test_means_are_of_the_usual_joints():
    coco, v1 = get_layout("coco-17"), get_layout("kinect-v1")
    weights = dict(zip(v1.joints, map_joints(coco, v1).weights, strict=True))
    by_name = {name: {coco.joints[j]: weight for j, weight in of} for name, of in weights.items()}
    hips, shoulders = ("left hip", "right hip"), ("left shoulder", "right shoulder")
    assert by_name["hip centre"] == dict.fromkeys(hips, 0.5)
    assert by_name["shoulder centre"] == dict.fromkeys(shoulders, 0.5)
    assert by_name["spine"] == dict.fromkeys((*hips, *shoulders), 0.25)
    assert by_name["head"] == dict.fromkeys(("left ear", "right ear"), 0.5)


@pytest.mark.parametrize("source", layout_names())
@pytest.mark.parametrize("target", layout_names())
def test_weights_sum_to_one_and_keep_the_sides(source, target):
    one, other = get_layout(source), get_layout(target)
    try:
        mapping = map_joints(one, other)
    except InputError as error:
        assert "too few to convert" in str(error) and len(str(error)) < 500
        return
    for of in filter(None, mapping.weights):
        assert sum(weight for _, weight in of) == pytest.approx(1)
        assert all(first < second for (first, _), (second, _) in pairwise(of))
    for joint, of in enumerate(mapping.weights):
        mirrored = tuple(sorted((one.mirror[j], weight) for j, weight in of))
        assert mapping.weights[other.mirror[joint]] == mirrored


def test_too_few_joints_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"'mediapipe-hand-21' has 0 of the 20 joints of 'kinect-v1'"):
        map_joints(get_layout("mediapipe-hand-21"), get_layout("kinect-v1"))


def test_the_target_is_of_as_many_channels_as_the_source():
    flat = map_joints(get_layout("coco-17").with_channels(2), get_layout("kinect-v1")).target
    assert (flat.channels, flat.up) == (2, (0.0, -1.0, 0.0))
    assert map_joints(get_layout("coco-17"), get_layout("kinect-v1")).target == get_layout("kinect-v1")
