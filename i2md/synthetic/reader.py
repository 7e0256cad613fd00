"""Generated recordings: people of all builds at a dozen actions before a Kinect, without a file to download.

They exist to try everything out and to test against, not to be published on: the actions are key poses of
generated_motion.py, performed by bodies that differ in build, tempo, reach, posture and handedness.
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

# Metres: what a Kinect v1 reading trembles by, and by how much a joint is off once it is mistaken for long.
TREMBLE, MISTAKE = 0.015, 0.12


def open_source(path: Path, *, actions: int = 12, bodies: int = 12, repeats: int = 3, seed: int = 0) -> Source:
    """`actions` x `bodies` x `repeats` recordings in kinect-v1 joints, metres; `path` is not looked at.

    The label is the action, the subject the body and the trial the repeat, both from 1; split `xsub` trains
    on odd subjects. A recording depends on the seed and its own three numbers only, so that any subset is the
    same wherever it is made. InputError for a number out of range.

    >>> open_source(Path(), actions=2, bodies=4).count
    24
    """
    _check("actions", actions, len(ACTIONS))
    _check("bodies", bodies, 999)
    _check("repeats", repeats, 999)

    def read() -> Iterator[Recording]:
        for label in range(actions):
            for subject in range(1, bodies + 1):
                for trial in range(1, repeats + 1):
                    yield _record(seed, label, subject, trial)

    everybody = range(1, bodies + 1)
    return Source(
        name="generated",
        layout=get_layout("kinect-v1"),
        class_names=tuple(action.name for action in ACTIONS[:actions]),
        units="m",
        preset="facing",
        read=read,
        count=actions * bodies * repeats,
        splits={"xsub": by_column("subject", everybody[::2], everybody[1::2])},
    )


def _check(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InputError(f"generated: {option}={value} is out of range; choose 1 to {most}")


def _record(seed: int, label: int, subject: int, trial: int) -> Recording:
    performer = draw_performer(np.random.default_rng((seed, subject)))
    habit = np.random.default_rng((seed, subject, label))
    chance = np.random.default_rng((seed, subject, label, trial))
    motion = perform(ACTIONS[label], performer, habit, chance)
    positions = _film(pose_body(performer.body, motion), chance)
    name = f"a{label + 1:02d}_b{subject:02d}_r{trial:02d}"
    return Recording(name, positions[None], label=label, subject=subject, trial=trial, fps=FPS, source=name)


def _film(
    positions: Float[np.ndarray, "frames joints 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "frames joints 3"]:
    """As a sensor sees it: from an angle, some metres away, trembling, mistaken at times, frames lost."""
    turn, tilt = np.deg2rad(rng.uniform(-60, 60)), np.deg2rad(rng.normal(0, 6))
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    place = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-1.2, -0.6), rng.uniform(2.2, 3.8)])
    seen = (positions @ yaw.T + place) @ pitch.T
    seen += rng.normal(0, TREMBLE, seen.shape) + _mistakes(seen.shape, rng)
    return _lose_frames(seen, rng).astype(np.float32)


def _mistakes(shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "frames joints 3"]:
    """Joints out of place for half a second or so, as when a limb is hidden."""
    frames, joints, _ = shape
    off = np.zeros(shape)
    for _ in range(rng.poisson(joints * frames / 200)):
        start, length, joint = rng.integers(frames), rng.integers(4, 20), rng.integers(joints)
        off[start : start + length, joint] += rng.normal(0, MISTAKE, 3)
    return off


def _lose_frames(
    positions: Float[np.ndarray, "frames joints 3"], rng: np.random.Generator
) -> Float[np.ndarray, "frames joints 3"]:
    """One in three recordings loses a few frames: left empty, or the last frame held."""
    if rng.random() < 1 / 3:
        start, length = rng.integers(1, len(positions) - 6), rng.integers(1, 6)
        positions[start : start + length] = positions[start - 1] if rng.random() < 0.5 else 0.0
    return positions
