"""Synthetic recordings: reproducible, anatomically consistent, and of a difficulty between trivial and hopeless."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from i2md.data.presets import prepare_positions
from i2md.data.readers import open_source
from i2md.errors import InputError
from i2md.skeletons import get_layout
from i2md.synthetic.actions import ACTIONS, interpolate, mirror
from i2md.synthetic.kinematics import Body, pose_body

V1 = get_layout("kinect-v1")


def score(action):
    """The action's key poses without a performer's variation."""
    return interpolate(action, np.linspace(0, 1, 60), np.array([time for time, _ in action.keys]))


def bone_lengths(positions):
    parents, children = np.array(V1.bones).T
    return np.linalg.norm(positions[:, children] - positions[:, parents], axis=-1)


def test_source_has_one_recording_for_each_action_subject_and_repeat():
    source = open_source("synthetic", Path("anywhere"), actions=3, subjects=4, repeats=2)
    recordings = list(source.read())
    assert source.count == len(recordings) == len({r.name for r in recordings}) == 24
    assert {(r.label, r.subject, r.trial) for r in recordings} == {
        (action, subject, repeat) for action in range(3) for subject in range(1, 5) for repeat in (1, 2)
    }
    assert source.splits["xsub"] == {"train": {"subject": (1, 3)}, "test": {"subject": (2, 4)}}
    for recording in recordings:
        persons, frames, joints, channels = recording.positions.shape
        assert (persons, joints, channels) == (1, 20, 3) and 40 <= frames <= 120
        assert recording.positions.dtype == np.float32 and np.isfinite(recording.positions).all()


def test_recording_depends_only_on_seed_action_subject_and_trial():
    few = {r.name: r.positions for r in open_source("synthetic", Path(), actions=2, subjects=2, repeats=1).read()}
    many = {r.name: r.positions for r in open_source("synthetic", Path(), actions=3, subjects=3, repeats=2).read()}
    other = open_source("synthetic", Path(), actions=2, subjects=2, repeats=1, seed=1)
    for name, positions in few.items():
        np.testing.assert_array_equal(positions, many[name])
    for recording in other.read():
        assert recording.positions.shape != few[recording.name].shape or not np.allclose(
            recording.positions, few[recording.name]
        )


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_limb_lengths_are_constant_and_feet_stay_on_the_floor(action):
    positions = pose_body(Body(), score(action))
    lengths = bone_lengths(positions)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:1], lengths.shape), atol=1e-9)
    lift = score(action).get("lift", np.zeros(60))
    np.testing.assert_allclose(positions[:, [14, 15, 18, 19], 1].min(axis=1), lift, atol=1e-9)
    # No joint is faster than 11 m/s.
    assert np.linalg.norm(np.diff(positions, axis=0), axis=-1).max() < 11 * action.seconds / 59


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_mirrored_motion_gives_mirrored_positions(action):
    positions, mirrored = (pose_body(Body(), motion) for motion in (score(action), mirror(score(action))))
    np.testing.assert_allclose(mirrored, positions[:, list(V1.mirror)] * [-1, 1, 1], atol=1e-9)


def test_actions_move_the_limbs_they_are_named_after():
    moves = {action.name: pose_body(Body(), score(action)) for action in ACTIONS}
    joint = {name: index for index, name in enumerate(V1.joints)}
    reach = {name: np.ptp(move, axis=0).max(axis=-1) for name, move in moves.items()}
    for side, other in (("right", "left"), ("left", "right")):
        assert reach[f"wave {side}"][joint[f"{side} hand"]] > 0.6 > 0.01 > reach[f"wave {side}"][joint[f"{other} hand"]]
    gap = np.linalg.norm(moves["clap"][:, joint["left hand"]] - moves["clap"][:, joint["right hand"]], axis=-1)
    assert gap.min() < 0.15
    assert moves["walk"][-1, 0, 2] < -0.7
    assert moves["sit down"][-1, 0, 1] < 0.7 * moves["sit down"][0, 0, 1]
    at_mouth = np.linalg.norm(moves["drink"][:, joint["right hand"]] - moves["drink"][:, joint["head"]], axis=-1)
    assert at_mouth.min() < 0.25


def test_nearest_neighbour_accuracy_is_between_50_and_80_percent():
    source = open_source("synthetic", Path())
    features, labels, subjects = [], [], []
    for recording in source.read():
        clip = prepare_positions(recording.positions, V1, source.preset).positions[0]
        at = np.linspace(0, len(clip) - 1, 32)
        flat = clip.reshape(len(clip), -1)
        features.append(np.stack([np.interp(at, np.arange(len(clip)), column) for column in flat.T]).ravel())
        labels.append(recording.label)
        subjects.append(recording.subject)
    features, labels, train = np.array(features), np.array(labels), np.array(subjects) % 2 == 1
    distances = np.linalg.norm(features[~train][:, None] - features[train][None], axis=-1)
    accuracy = (labels[train][distances.argmin(axis=1)] == labels[~train]).mean()
    assert 0.5 < accuracy < 0.8


def test_some_recordings_have_empty_or_repeated_frames():
    recordings = islice(open_source("synthetic", Path()).read(), 120)
    frames = [r.positions[0] for r in recordings]
    empty = sum(not clip.any(axis=(1, 2)).all() for clip in frames)
    held = sum(any(a.any() and (a == b).all() for a, b in pairwise(clip)) for clip in frames)
    assert empty > 5 and held > 5


def test_option_out_of_range_is_an_input_error():
    with pytest.raises(InputError, match="actions=99 is out of range; choose 1 to 18"):
        open_source("synthetic", Path(), actions=99)
    with pytest.raises(InputError, match="subjects=0"):
        open_source("synthetic", Path(), subjects=0)
