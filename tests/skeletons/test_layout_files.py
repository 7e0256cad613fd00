"""A user's own layout as a YAML file: what is inferred from the names, and files that contradict themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from i2md.cli.main import main
from i2md.errors import InputError
from i2md.skeletons import get_layout, layout_names, layout_path, make_layout, read_layout

AXES = ("parents", "mirror", "centre", "across", "spine")


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", layout_names())
def test_names_and_parents_suffice_for_every_layout_of_the_package(name: str, tmp_path: Path) -> None:
    whole = get_layout(name)
    given = yaml.safe_load(layout_path(name).read_text(encoding="utf-8"))
    # What cannot be known from names: that Kinect v2's reference program turns by the lower spine; a hand is no body.
    stated = {"kinect-v2": {"spine"}, "mediapipe-hand-21": {"across", "spine", "centre"}}.get(name, set())
    text = yaml.safe_dump({key: given[key] for key in ("joints", *stated)}, sort_keys=False)
    read = read_layout(write(tmp_path, text))
    assert [getattr(read.layout, axis) for axis in AXES] == [getattr(whole, axis) for axis in AXES]
    assert set(read.inferred) == {"mirror", "centre", "across", "spine", "up"} - stated
    assert read.layout.name == "mine"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left {}", "right {}"),
        ("Left{}", "Right{}"),
        ("L{}", "R{}"),
        ("l_{}", "r_{}"),
        ("{}.L", "{}.R"),
        ("{}_left", "{}_right"),
        ("l{}", "r{}"),
    ],
)
def test_sides_are_recognised_however_they_are_written(left: str, right: str, tmp_path: Path) -> None:
    # Written in capitals where the convention needs it: LShoulder, but l_shoulder and lshoulder.
    def named(pattern: str, part: str) -> str:
        return pattern.format(part if pattern[0] in ["l", "r"] or "_" in pattern or "." in pattern else part.title())

    joints = {"hips": None, "spine": "hips", "neck": "spine"}
    for pattern in (left, right):
        joints |= {named(pattern, "shoulder"): "neck", named(pattern, "hip"): "hips"}
    layout = read_layout(write(tmp_path, yaml.safe_dump({"joints": joints}, sort_keys=False))).layout
    assert layout.mirror == (0, 1, 2, 5, 6, 3, 4)
    assert [layout.joints[j] for j in layout.across] == [named(left, "shoulder"), named(right, "shoulder")]
    assert [layout.joints[j] for j in (*layout.spine, layout.centre)] == ["hips", "neck", "spine"]


def test_lists_of_names_and_parent_indices_give_the_same_layout(tmp_path: Path) -> None:
    names = "joints: [hips, neck, left shoulder, right shoulder, left hip, right hip]\n"
    by_index = read_layout(write(tmp_path, names + "parents: [-1, 0, 1, 1, 0, 0]\n")).layout
    by_name = read_layout(write(tmp_path, names + "parents: [null, hips, neck, neck, hips, hips]\n")).layout
    assert by_index == by_name
    assert by_index.parents == (0, 0, 1, 1, 0, 0)
    assert by_index.mirror == (0, 1, 3, 2, 5, 4)


BODY = """joints:
  hips: null
  neck: hips
  left shoulder: neck
  right shoulder: neck
  left hip: hips
  right hip: hips
"""


def test_what_the_file_states_is_not_inferred(tmp_path: Path) -> None:
    stated = "name: other\nup: [0, 0, 1]\ncentre: hips\nacross: [left hip, right hip]\nspine: [hips, neck]\n"
    read = read_layout(write(tmp_path, BODY + stated + "mirror: {left hip: right hip}\n"))
    assert read.inferred == ()
    assert read.layout.name == "other"
    assert read.layout.up == (0.0, 0.0, 1.0)
    assert read.layout.across == (4, 5)
    # Pairs that the file leaves out are still those of the names.
    assert read.layout.mirror == (0, 1, 3, 2, 5, 4)


def test_collars_are_passed_over_on_the_way_to_the_trunk(tmp_path: Path) -> None:
    text = BODY.replace("  left shoulder: neck\n", "  left collar: neck\n  left shoulder: left collar\n")
    text = text.replace("  right shoulder: neck\n", "  right collar: neck\n  right shoulder: right collar\n")
    layout = read_layout(write(tmp_path, text)).layout
    assert [layout.joints[j] for j in layout.spine] == ["hips", "neck"]


def test_a_hierarchy_makes_the_layout_that_its_file_makes(tmp_path: Path) -> None:
    joints = ["hips", "neck", "left shoulder", "right shoulder", "left hip", "right hip"]
    made = make_layout("mine", joints, [-1, 0, 1, 1, 0, 0])
    assert made == read_layout(write(tmp_path, BODY)).layout
    assert make_layout("mine", joints, [0, 0, 1, 1, 0, 0], up=[0, 0, 1]).up == (0.0, 0.0, 1.0)
    with pytest.raises(InputError, match=r"joints\.left shoulder: there is no joint on the right"):
        make_layout("mine", joints[:3], [-1, 0, 1])


def test_parts_are_named_groups_of_joints(tmp_path: Path) -> None:
    read = read_layout(write(tmp_path, BODY + "parts: {legs: [left hip, right hip], arms: [2, right shoulder]}\n"))
    assert read.layout.parts == (("legs", (4, 5)), ("arms", (2, 3)))
    assert read_layout(write(tmp_path, BODY)).layout.parts == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "joints: missing"),
        ("{{{", "not YAML ("),
        (BODY + "colour: red\n", "colour: not a key of a layout"),
        (BODY + "centr: hips\n", "centr: not a key of a layout; did you mean centre?"),
        (BODY + "  head: nek\n", "joints.head: 'nek' is not a joint; did you mean neck?"),
        (BODY + "  neck: hips\n", "neck: given twice, again in line 8"),
        (BODY + "  head: null\n", "joints.head: a second root, after hips"),
        (BODY + "  a: b\n  b: a\n", "joints.a: its parents form a circle, a > b > a"),
        (BODY + "  left knee: left hip\n", "joints.left knee: there is no joint on the right"),
        (
            BODY + "  left knee: left hip\n  right knee: hips\n",
            "joints.left knee: its parent left hip is not the counterpart of hips, the parent of right knee",
        ),
        (BODY + "  1: hips\n", "joints.1: a name must be text"),
        (BODY + "parents: [0, 0]\n", "joints: give each joint with its parent"),
        ("joints: [a, b]\nparents: [0]\n", "parents: 1 for 2 joints"),
        ("joints: [a, a]\nparents: [0, 0]\n", "joints.a: given twice"),
        ("joints: [a, b]\nparents: [0, 7]\n", "joints.b: 7 is not a joint"),
        (BODY + "centre: chest\n", "centre: 'chest' is not a joint"),
        (BODY + "across: [left hip]\n", "across: ['left hip'] must be two different joints"),
        (BODY + "spine: [hips, hips]\n", "spine: ['hips', 'hips'] must be two different joints"),
        (BODY + "up: [0, 1]\n", "up: [0, 1] must be three numbers"),
        (BODY + "channels: 2\n", "channels: a layout takes 2-D and 3-D recordings alike"),
        (BODY + "parts: [hips]\n", "parts: \"['hips']\" must be groups of joints"),
        (BODY + "parts: {a: [chest]}\n", "parts.a: 'chest' is not a joint"),
        (BODY + "mirror: [hips]\n", "mirror: ['hips'] must be pairs of joints"),
        (BODY + "mirror: {left hip: right hip, neck: right hip}\n", "mirror.neck: a joint has one counterpart"),
        ("joints: {a: null, b: a}\n", "across: no names of shoulders or hips"),
        ("joints: {a: null, left hip: a, right hip: a}\n", "spine: no names of shoulders"),
    ],
)
def test_contradictory_file_is_an_input_error_that_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as refusal:
        get_layout(str(path))
    assert str(refusal.value).startswith(f"{path}: ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: no such file"):
        get_layout(str(tmp_path / "absent.yaml"))


def test_layouts_lists_shows_and_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layouts"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{listed}" for name in layout_names())
    copy = tmp_path / "mine.yaml"
    assert main(["layouts", "copy", "kinect-v1", str(copy)]) == 0
    assert read_layout(copy).layout.parents == get_layout("kinect-v1").parents
    capsys.readouterr()
    assert main(["layouts", "show", str(write(tmp_path, BODY))]) == 0
    shown = capsys.readouterr().out
    assert "4  left hip        hips    right hip" in shown
    assert "spine hips to neck" in shown
    assert "inferred from the names: mirror, centre, across, spine, up" in shown
    assert main(["layouts", "copy", "kinect-v1", str(copy)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main(["layouts", "show"]) == 2
    assert "i2md layouts show needs NAME" in capsys.readouterr().err
