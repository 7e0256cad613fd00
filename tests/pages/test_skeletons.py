"""Sides of the body in a drawing, for the ways in which programs name joints."""

from __future__ import annotations

import numpy as np
import pytest

from i2md.pages.skeletons import sides_of, viewing_axes
from i2md.skeletons import get_layout, make_layout


@pytest.mark.parametrize("names", [("lfemur", "rfemur"), ("LeftUpLeg", "RightUpLeg"), ("L_Hip", "R_Hip")])
def test_sides_are_told_by_any_spelling(names: tuple[str, str]) -> None:
    joints = ("root", "chest", *names, "lhumerus", "rhumerus")
    layout = make_layout("mine", joints, (0, 0, 0, 0, 1, 1))
    assert sides_of(layout) == ["", "", "left", "right", "left", "right"]


def test_without_a_trunk_upwards_is_what_the_layout_says() -> None:
    h36m = get_layout("h36m-17").with_channels(2)
    body = np.random.default_rng(0).normal(size=(1, 5, 17, 2)).astype(np.float32)
    body[:, :, h36m.spine[0]] = 0
    assert viewing_axes([body], h36m)[1].tolist() == [0.0, -1.0]
