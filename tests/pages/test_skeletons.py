"""Sides of the body in a drawing, for the ways in which programs name joints."""

from __future__ import annotations

import pytest

from i2md.pages.skeletons import sides_of
from i2md.skeletons import make_layout


@pytest.mark.parametrize("names", [("lfemur", "rfemur"), ("LeftUpLeg", "RightUpLeg"), ("L_Hip", "R_Hip")])
def test_sides_are_told_by_any_spelling(names: tuple[str, str]) -> None:
    joints = ("root", "chest", *names, "lhumerus", "rhumerus")
    layout = make_layout("mine", joints, (0, 0, 0, 0, 1, 1))
    assert sides_of(layout) == ["", "", "left", "right", "left", "right"]
