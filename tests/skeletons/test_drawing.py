"""Drawings of layouts: every joint by its number, the two sides alike; and what the check of a layout finds."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from i2md.cli.main import main
from i2md.skeletons import get_layout, layout_names
from i2md.skeletons.checks import layout_warnings
from i2md.skeletons.drawing import draw_png, draw_text, resting_pose


@pytest.mark.parametrize("name", layout_names())
def test_the_sides_of_a_drawing_mirror_one_another_and_no_two_joints_coincide(name: str) -> None:
    layout = get_layout(name)
    pose = resting_pose(layout)
    if name != "mediapipe-hand-21":
        np.testing.assert_allclose(pose[list(layout.mirror)] * [-1, 1], pose, atol=1e-12)
        assert pose[layout.across[0], 0] > pose[layout.across[1], 0]
    apart = np.linalg.norm(pose[:, None] - pose[None], axis=-1) + np.eye(len(pose))
    assert apart.min() > 0.004


@pytest.mark.parametrize("name", [name for name in layout_names() if name not in ("coco-wholebody", "mediapipe-33")])
def test_every_joint_is_in_the_terminals_drawing(name: str) -> None:
    drawn = draw_text(get_layout(name))
    assert {int(number) for number in re.findall(r"\d+", drawn)} == set(range(len(get_layout(name).joints)))
    assert all(len(line) <= 72 for line in drawn.splitlines()) and len(drawn.splitlines()) <= 36


def test_the_image_has_each_side_in_its_colour() -> None:
    picture = imread(io.BytesIO(draw_png(get_layout("coco-17"))))[..., :3]
    height, width, _ = picture.shape
    teal, orange = (np.abs(picture - np.array(rgb) / 255).max(axis=-1) < 0.02 for rgb in ((0, 121, 107), (230, 81, 0)))
    right_half = np.arange(width) >= width / 2
    assert teal[:, right_half].sum() > 0.9 * teal.sum() > 1000
    assert orange[:, ~right_half].sum() > 0.9 * orange.sum() > 1000
    assert height > 900


@pytest.mark.parametrize("name", ["kinect-v1", "kinect-v2", "mediapipe-33", "coco-wholebody"])
def test_layouts_with_all_joints_of_a_body_pass_the_check(name: str) -> None:
    assert layout_warnings(get_layout(name)) == []


def test_the_check_names_what_looks_wrong() -> None:
    v1 = get_layout("kinect-v1")
    assert layout_warnings(replace(v1, across=v1.across[::-1])) == [
        "across: right shoulder comes first; the person's left joint does"
    ]
    parents = list(v1.parents)
    parents[v1.joints.index("left knee")] = v1.joints.index("hip centre")
    (found,) = layout_warnings(replace(v1, parents=tuple(parents)))
    assert found.startswith("parents: the bones to left knee") and "right knee" in found
    assert layout_warnings(replace(v1, mirror=tuple(range(20))))[0].startswith("mirror: left shoulder is left by its")
    assert layout_warnings(get_layout("coco-17"))[0].startswith("conversion: left hand, right hand, left foot")
    assert "0 of the 20 joints" in layout_warnings(get_layout("mediapipe-hand-21"))[0]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layouts", "draw", "kinect-v1"]) == 0
    assert "0 hip centre, 1 spine" in capsys.readouterr().out
    target = tmp_path / "v1.png"
    assert main(["layouts", "draw", "kinect-v1", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert main(["layouts", "draw", "kinect-v1", str(target)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main(["layouts", "check", "kinect-v2"]) == 0
    assert capsys.readouterr().out == "kinect-v2: 25 joints\nnothing looks wrong\n"
