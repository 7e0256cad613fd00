"""Rigid bodies of one size: lengths, sizes and directions by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.body_size import to_rigid_bodies
from i2md.data.presets import Prepared, prepare_positions
from i2md.skeletons import Layout, get_layout, layout_names


def _clip(seed: int, layout: Layout, persons: int = 2) -> np.ndarray:
    """Bodies whose bones are longer and shorter from frame to frame, as a sensor sees them."""
    rng = np.random.default_rng(seed)
    rest = rng.normal(size=(persons, 1, len(layout.joints), 3))
    return rest + 0.1 * rng.normal(size=(persons, 7, len(layout.joints), 3)) + rng.normal(size=(persons, 1, 1, 3))


def _bones(x: np.ndarray, layout: Layout) -> np.ndarray:
    return x - x[:, :, list(layout.parents)]


@pytest.mark.parametrize("name", [name for name in layout_names() if len(get_layout(name).joints) <= 40])
def test_bones_keep_their_direction_and_one_length(name: str) -> None:
    layout = get_layout(name)
    before = _clip(0, layout)
    after = to_rigid_bodies(before, layout)
    old, new = _bones(before, layout), _bones(after, layout)
    lengths = np.linalg.norm(new, axis=-1)
    long = np.linalg.norm(old, axis=-1) > 1.0
    for person in range(2):
        whole = [j for j in range(len(layout.joints)) if long[person, :, j].all()]
        assert len(whole) > 0.6 * len(layout.joints)
        np.testing.assert_allclose(lengths[person][:, whole], lengths[person][:1, whole].repeat(7, 0), atol=1e-9)
    dots = (old * new).sum(axis=-1)
    np.testing.assert_allclose(dots, np.linalg.norm(old, axis=-1) * lengths, atol=1e-9)
    mirrored, mirror = np.median(lengths, axis=1), list(layout.mirror)
    both = long.all(axis=1) & long.all(axis=1)[:, mirror]
    np.testing.assert_allclose(mirrored[both], mirrored[:, mirror][both], atol=1e-9)
    sized = np.delete(mirrored, layout.root, axis=1).mean(axis=1)
    np.testing.assert_allclose(sized, 1.0, atol=0.05)


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0.2, 5.0), other=st.floats(0.2, 5.0))
@settings(max_examples=10, deadline=None)
def test_the_size_of_a_person_does_not_matter(seed: int, size: float, other: float) -> None:
    layout = get_layout("kinect-v1")
    clip = _clip(seed, layout)
    centres = clip[:, :, layout.centre, None]
    larger = clip.copy()
    larger[0], larger[1] = size * clip[0], size * centres[1] + other * (clip[1] - centres[1])
    np.testing.assert_allclose(to_rigid_bodies(larger, layout), to_rigid_bodies(clip, layout), atol=1e-7)


def test_missing_joints_and_absent_persons_stay_zero() -> None:
    layout = get_layout("kinect-v1")
    clip = _clip(1, layout)
    elbow, hand = layout.joints.index("left elbow"), layout.joints.index("left hand")
    clip[0, :, elbow] = 0
    clip[1, 3] = 0
    after = to_rigid_bodies(clip, layout)
    assert np.isfinite(after).all() and not after[0, :, elbow].any() and not after[1, 3].any()
    assert after[0, :, hand].any()
    assert not to_rigid_bodies(np.zeros((1, 3, 20, 3)), layout).any()


def test_it_is_a_preset() -> None:
    layout = get_layout("kinect-v1")
    clip = _clip(2, layout, persons=1).astype(np.float32)
    prepared = [prepare_positions(x, layout, "facing-rigid") for x in (clip, 3 * clip)]
    assert all(isinstance(each, Prepared) for each in prepared)
    np.testing.assert_allclose(prepared[0].positions, prepared[1].positions, atol=1e-4)  # type: ignore[union-attr]
