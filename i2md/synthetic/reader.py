"""The format `synthetic`: recordings made by forward kinematics, without a file to download.

Subjects of different build, tempo, reach, posture and handedness perform up to 18 actions (i2md.synthetic.actions)
in front of a simulated Kinect v1. They serve to try the package out and to test it; results on them say nothing
about real data, and nothing of a published data set is in them.

A recording is one person, 40 to 120 frames at 30 frames a second, joints of layout kinect-v1, metres, camera space.
Split `xsub` trains on odd subjects and tests on even ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from i2md.data.recording import Recording, Source
from i2md.data.splits import by_column
from i2md.errors import InputError
from i2md.skeletons import get_layout
from i2md.synthetic.actions import ACTIONS
from i2md.synthetic.kinematics import pose_body
from i2md.synthetic.performers import FPS, draw_performer, perform

# Metres: the sensor noise of every reading, and the error of a joint that is misplaced for some frames.
NOISE, MISPLACED = 0.015, 0.12


def open_source(path: Path, *, actions: int = 12, subjects: int = 12, repeats: int = 3, seed: int = 0) -> Source:
    """Open `actions` x `subjects` x `repeats` recordings, generated as they are read.

    A recording depends only on the seed and its own action, subject and trial, so any subset is the same wherever it
    is generated. Its name, `a01_b01_r01`, is action, subject (b for body) and trial.

    Args:
        path: Not used; every reader takes one.
        actions: Number of classes, 1 to 18.
        subjects: Number of subjects; the column `subject` counts from 1.
        repeats: Recordings of each action by each subject; the column `trial` counts from 1.
        seed: Seed of all random numbers.

    Returns:
        The recordings in order of action, subject and trial.

    Raises:
        InputError: If a number is out of range.

    Example:
        >>> open_source(Path(), actions=2, subjects=4).count
        24
    """
    _check("actions", actions, len(ACTIONS))
    _check("subjects", subjects, 999)
    _check("repeats", repeats, 999)

    def read() -> Iterator[Recording]:
        for label in range(actions):
            for subject in range(1, subjects + 1):
                for trial in range(1, repeats + 1):
                    yield _record(seed, label, subject, trial)

    numbers = range(1, subjects + 1)
    return Source(
        name="synthetic",
        layout=get_layout("kinect-v1"),
        class_names=tuple(action.name for action in ACTIONS[:actions]),
        units="m",
        preset="facing",
        read=read,
        count=actions * subjects * repeats,
        splits={"xsub": by_column("subject", numbers[::2], numbers[1::2])},
    )


def _check(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InputError(f"synthetic: {option}={value} is out of range; choose 1 to {most}")


def _record(seed: int, label: int, subject: int, trial: int) -> Recording:
    performer = draw_performer(np.random.default_rng((seed, subject)))
    habit_rng = np.random.default_rng((seed, subject, label))
    rng = np.random.default_rng((seed, subject, label, trial))
    motion = perform(ACTIONS[label], performer, habit_rng, rng)
    positions = _record_by_sensor(pose_body(performer.body, motion), rng)
    name = f"a{label + 1:02d}_b{subject:02d}_r{trial:02d}"
    return Recording(name, positions[None], label=label, subject=subject, trial=trial, fps=FPS, source=name)


def _record_by_sensor(
    positions: Float[np.ndarray, "frames joints 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "frames joints 3"]:
    """The positions in camera space: rotated, 2.2 to 3.8 m away, with noise, misplaced joints and lost frames."""
    turn, tilt = np.deg2rad(rng.uniform(-60, 60)), np.deg2rad(rng.normal(0, 6))
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    offset = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-1.2, -0.6), rng.uniform(2.2, 3.8)])
    seen = (positions @ yaw.T + offset) @ pitch.T
    seen += rng.normal(0, NOISE, seen.shape) + _misplaced(seen.shape, rng)
    return _lose_frames(seen, rng).astype(np.float32)


def _misplaced(shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "frames joints 3"]:
    """Errors of single joints for 4 to 19 frames each, as when a limb is occluded."""
    frames, joints, _ = shape
    off = np.zeros(shape)
    for _ in range(rng.poisson(joints * frames / 200)):
        start, length, joint = rng.integers(frames), rng.integers(4, 20), rng.integers(joints)
        off[start : start + length, joint] += rng.normal(0, MISPLACED, 3)
    return off


def _lose_frames(
    positions: Float[np.ndarray, "frames joints 3"], rng: np.random.Generator
) -> Float[np.ndarray, "frames joints 3"]:
    """Replace 1 to 5 frames by zeros or by the last frame before them, in a third of all recordings."""
    if rng.random() < 1 / 3:
        start, length = rng.integers(1, len(positions) - 6), rng.integers(1, 6)
        positions[start : start + length] = positions[start - 1] if rng.random() < 0.5 else 0.0
    return positions
