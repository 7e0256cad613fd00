"""Skeletons for pages: missing joints are drawn where the body had them, by a slow formulation, and packed states."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.missing import missing_joints
from i2md.pages.skeletons import FILLED, MISSING, NEVER, SEEN, carry_over_gaps, even_steps, pack_skeletons
from i2md.skeletons import Layout, get_layout

STICK = Layout("stick", ("hip", "left hand", "right hand", "head"), (0, 0, 0, 0), (0, 2, 1, 3), 0, (1, 2), (0, 3))


def slowly(body: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One person, frame by frame: the last frame with the joint, else the first, moved as the common joints moved."""
    filled, states = body.copy(), np.zeros(missing.shape, np.uint8)
    for frame, joint in zip(*np.nonzero(missing), strict=True):
        seen = [f for f in range(len(body)) if not missing[f, joint] and body[f].any()]
        here = [j for j in range(body.shape[1]) if not missing[frame, j]]
        if not seen:
            states[frame, joint] = NEVER
            filled[frame, joint] = np.mean([body[frame, j] for j in here], axis=0) if here else 0
            continue
        then = max((f for f in seen if f < frame), default=seen[0])
        common = [j for j in here if not missing[then, j]]
        moved = np.mean([body[frame, j] - body[then, j] for j in common], axis=0) if common else 0
        states[frame, joint], filled[frame, joint] = MISSING, body[then, joint] + moved
    return filled, states


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([2, 3]), st.floats(0, 0.9))
def test_missing_joints_are_put_where_the_body_had_them(seed: int, frames: int, channels: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(1, frames, 4, channels)).astype(np.float32)
    gone = rng.random((1, frames, 4)) < share
    gone[:, :, 0] = False  # one joint is left, so that the person is seen
    body[gone] = np.nan if seed % 2 else 0
    missing = missing_joints(body, STICK)
    np.testing.assert_array_equal(missing, gone)
    filled, states = carry_over_gaps(body, missing)
    expected, wanted = slowly(np.nan_to_num(body[0]), gone[0])
    np.testing.assert_allclose(filled[0], expected, atol=1e-5)
    np.testing.assert_array_equal(states[0], wanted)


def test_an_absent_person_has_no_missing_joints_and_the_centre_may_be_the_origin() -> None:
    body = np.ones((2, 3, 4, 3), np.float32)
    body[1] = 0
    body[0, :, 0] = 0
    assert not missing_joints(body, STICK).any()
    body[0, 1, 2] = 0
    assert np.argwhere(missing_joints(body, STICK)).tolist() == [[0, 1, 2]]


def test_states_are_packed_frame_by_frame_for_the_frames_that_are_kept() -> None:
    body = np.random.default_rng(0).normal(size=(2, 10, 4, 2)).astype(np.float32)
    states = np.full((2, 10, 4), SEEN, np.uint8)
    states[1, 9, 3], states[0, 0, 1] = MISSING, FILLED
    packed = pack_skeletons([body], STICK, [1.0], [states], frames=(4,))
    unpacked = np.frombuffer(zlib.decompress(base64.b64decode(packed["states"])), np.uint8).reshape(2, 4, 4)
    np.testing.assert_array_equal(unpacked, states[:, even_steps(10, 4)])
    assert (packed["frames"], packed["recorded"], packed["flat"]) == ([4], [10], True)


def test_large_layouts_take_fewer_frames_and_not_more_room() -> None:
    layout = get_layout("mediapipe-33")
    bodies = [np.random.default_rng(i).normal(size=(1, 200, 33, 3)).astype(np.float32) for i in range(12)]
    packed = pack_skeletons(bodies, layout, [1.0] * 12, frames=(96, 48, 24, 8), characters=80_000)
    assert len(packed["packed"]) <= 80_000 and packed["frames"] == [24] * 12
