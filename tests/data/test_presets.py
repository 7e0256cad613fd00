"""Presets: the reference implementation's numbers, a slow formulation, and properties of each preset."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.presets import LeftOut, Prepared, prepare_positions, preset_names
from i2md.data.recording import MAX_GAP
from i2md.errors import InputError
from i2md.skeletons import get_layout

V2 = get_layout("kinect-v2")


def golden_clips(golden):
    arrays = np.load(golden / "ntu_preparation.npz")
    for name in sorted({key.split("/")[0] for key in arrays.files}):
        raw, normalised = (arrays[f"{name}/{part}"].transpose(3, 1, 2, 0) for part in ("raw", "normalized"))
        yield raw.astype(np.float32), normalised


def random_clip(seed, persons=1, frames=12):
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 0.4, (persons, 1, 25, 3))
    # Shoulders well apart as seen from above and a trunk of some length, so that directions are defined.
    pose[:, :, V2.across[1]] = pose[:, :, V2.across[0]] + rng.choice([-1, 1], 3) * rng.uniform(0.3, 0.6, 3)
    pose[:, :, V2.spine[1]] = pose[:, :, V2.spine[0]] + [0.1, 0.5, 0.2]
    drift = np.cumsum(rng.normal(0, 0.03, (persons, frames, 25, 3)), axis=1)
    return (pose + drift + [0.3, -0.2, 3.0]).astype(np.float32)


def prepared(positions, preset, layout=V2):
    result = prepare_positions(positions, layout, preset)
    assert isinstance(result, Prepared)
    return result.positions


def bone_lengths(positions, layout=V2):
    parents, children = np.array(layout.bones).T
    return np.linalg.norm(positions[:, :, children] - positions[:, :, parents], axis=-1)


def test_ntu_gives_the_numbers_of_the_reference_implementation(golden):
    for raw, normalised in golden_clips(golden):
        ours = prepared(raw, "ntu")
        assert ours.shape[1] == raw.shape[1] - min(
            raw.shape[1] - int(person.any(axis=(1, 2)).sum()) for person in raw if person.any()
        )
        np.testing.assert_allclose(ours, normalised[: len(ours), : ours.shape[1]], atol=1e-5)
        assert not normalised[len(ours) :].any()


def test_changes_are_counted(golden):
    counts = [prepare_positions(raw, V2, "ntu")[1:4] for raw, _ in golden_clips(golden)]
    assert counts == [(0, 0, 1), (0, 0, 0), (0, 20, 0), (0, 0, 1), (9, 0, 1), (0, 20, 0)]


def slow_facing(clip, layout, frames=5):
    """One number at a time, y up: origin, then the angle of the shoulders on the floor."""
    origin = clip[0, 0, layout.centre]
    x = z = 0.0
    for frame in clip[0, :frames]:
        x += frame[layout.across[1]][0] - frame[layout.across[0]][0]
        z += frame[layout.across[1]][2] - frame[layout.across[0]][2]
    angle = np.arctan2(z, x)
    turned = np.zeros_like(clip)
    for place in np.ndindex(clip.shape[:3]):
        dx, dy, dz = clip[place] - origin
        turned[place] = (
            dx * np.cos(angle) + dz * np.sin(angle),
            dy,
            dz * np.cos(angle) - dx * np.sin(angle),
        )
    return turned


@pytest.mark.parametrize("seed", range(4))
def test_facing_agrees_with_a_slow_formulation(seed):
    clip = random_clip(seed, persons=2)
    np.testing.assert_allclose(prepared(clip, "facing"), slow_facing(clip, V2), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-np.pi, np.pi),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.floats(0.2, 5.0),
)
def test_facing_does_not_depend_on_the_camera(seed, angle, shift, scale):
    clip = random_clip(seed)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    moved = (clip @ turn.T + shift).astype(np.float32)
    np.testing.assert_allclose(prepared(moved, "facing"), prepared(clip, "facing"), atol=1e-4)
    larger = (moved * scale).astype(np.float32)
    np.testing.assert_allclose(prepared(larger, "facing-scaled"), prepared(clip, "facing-scaled"), atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from(["ntu", "facing"]))
def test_bones_keep_their_lengths(seed, persons, preset):
    clip = random_clip(seed, persons)
    np.testing.assert_allclose(bone_lengths(prepared(clip, preset)), bone_lengths(clip), atol=1e-4)


@pytest.mark.parametrize("up", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)])
def test_facing_keeps_heights_about_any_vertical(up):
    layout = type(V2)(**V2.to_dict() | {"up": up})
    clip = random_clip(3)
    ours = prepared(clip, "facing", layout)
    np.testing.assert_allclose(ours @ up, (clip - clip[0, 0, V2.centre]) @ up, atol=1e-5)


def test_gaps_of_a_single_person_are_interpolated_and_ends_cut():
    clip = np.broadcast_to(np.arange(1, 11, dtype=np.float32)[None, :, None, None], (1, 10, 25, 3)).copy()
    clip += np.random.default_rng(0).normal(size=(1, 1, 25, 3)).astype(np.float32)
    whole = clip.copy()
    clip[0, [0, 1, 4, 5, 9]] = 0
    result = prepare_positions(clip, V2, "facing")
    assert result[1:] == (3, 2, 0, 0, 0)
    np.testing.assert_allclose(result.positions, prepared(whole[:, 2:9], "facing"), atol=1e-5)


@pytest.mark.parametrize("gap", [MAX_GAP, MAX_GAP + 1])
def test_a_single_person_out_of_sight_for_long_is_not_made_up(gap: int):
    clip = np.broadcast_to(np.arange(80.0)[None, :, None, None], (1, 80, 25, 3)) + random_clip(0, frames=1)
    whole = clip.copy()
    clip[0, 20 : 20 + gap] = 0
    found = prepare_positions(clip, V2, "facing")
    assert isinstance(found, Prepared)
    if gap > MAX_GAP:
        assert found.frames_filled == 0 and not found.positions[0, 20 : 20 + gap].any()
    else:
        assert found.frames_filled == gap
        np.testing.assert_allclose(found.positions, prepared(whole, "facing"), atol=1e-4)


def test_a_joint_missing_on_one_side_of_a_gap_is_not_made_up():
    clip = random_clip(0, frames=60)
    clip[0, 20:25] = 0
    clip[0, 25:, 5] = 0
    found = prepared(clip, "facing")
    assert found[0, 20:25, 6].any(axis=-1).all() and not found[0, 20:, 5].any()


def test_gaps_of_one_of_two_persons_stay():
    clip = random_clip(1, persons=2)
    clip[1, 3:6] = 0
    ours = prepared(clip, "facing")
    assert not ours[1, 3:6].any() and ours[1, 6:].any()


def test_coordinates_that_are_not_finite_are_interpolated():
    clip = random_clip(2)
    whole = clip.copy()
    clip[0, 4, 7, 1] = np.nan
    clip[0, 6] = np.inf
    for preset in preset_names():
        assert np.isfinite(prepared(clip, preset)).all()
    expected = (whole[0, 3, 7] + whole[0, 5, 7]) / 2
    np.testing.assert_allclose(prepared(clip, "none")[0, 4, 7], expected, atol=1e-6)


def test_a_recording_without_any_frame_left_has_a_reason():
    for frames in (0, 5):
        empty = np.zeros((2, frames, 25, 3), np.float32)
        assert prepare_positions(empty, V2, "ntu") == LeftOut("no person is seen in any frame")
    clip = np.full((1, 5, 25, 3), np.nan, np.float32)
    assert prepare_positions(clip, V2, "facing") == LeftOut("no person is seen in any frame")


@pytest.mark.parametrize("start", [0, 20, 49])
def test_gaps_of_a_joint_up_to_the_limit_are_interpolated_and_longer_ones_are_missing(start: int):
    for gap in (1, MAX_GAP, MAX_GAP + 1):
        clip = random_clip(0, frames=80)
        whole = clip.copy()
        lost = range(start, min(start + gap, 80))
        clip[0, lost, 7, 1] = np.nan
        found = prepare_positions(clip, V2, "none")
        assert isinstance(found, Prepared)
        short = len(lost) <= MAX_GAP
        assert (found.joints_interpolated, found.joints_missing) == ((len(lost), 0) if short else (0, len(lost)))
        held = np.setdiff1d(np.arange(80), lost)
        expected = [np.interp(lost, held, whole[0, held, 7, axis]) for axis in range(3)] if short else 0
        np.testing.assert_allclose(found.positions[0, lost, 7].T, np.float32(expected), atol=1e-6)
        others = np.delete(np.arange(25), 7)
        np.testing.assert_array_equal(found.positions[:, :, others], whole[:, :, others])


def test_joint_without_a_value_in_any_frame_is_missing():
    clip = random_clip(0)
    clip[:, :, 5] = np.nan
    found = prepare_positions(clip, V2, "facing")
    assert isinstance(found, Prepared) and not found.positions[:, :, 5].any()
    assert (found.joints_interpolated, found.joints_missing) == (0, clip.shape[1])


@pytest.mark.parametrize("preset", preset_names())
def test_bodies_without_direction_or_size_stay_finite(preset):
    point = np.full((1, 6, 25, 3), 2.0, np.float32)
    assert np.isfinite(prepared(point, preset)).all()
    assert np.isfinite(prepared(random_clip(0, frames=1), preset)).all()


def test_invalid_arguments_are_refused_with_a_fix():
    clip = random_clip(0)
    wanted = "choose one of centred-scaled, denoised, facing, facing-rigid, facing-scaled, none, ntu"
    with pytest.raises(InputError, match=wanted):
        prepare_positions(clip, V2, "forward")
    with pytest.raises(InputError, match="layout kinect-v1 is"):
        prepare_positions(clip, get_layout("kinect-v1"), "facing")
    with pytest.raises(InputError, match="use 'none'"):
        prepare_positions(clip[:, :, :17, :2], get_layout("coco-17").with_channels(2), "facing")
