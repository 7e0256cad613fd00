"""Generated recordings: people of all builds at a dozen actions before a Kinect, without a file to download.

They exist to try everything out and to test against, not to be published on: the actions are key poses of
generated_motion.py, performed by bodies that differ in build, tempo, reach, posture and handedness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from i2md.clips.readers.generated_motion import ACTIONS, Action, follow, mirror
from i2md.clips.readers.kinematics import Body, Motion, pose_body
from i2md.clips.recording import Recording, Source
from i2md.clips.splits import by_column
from i2md.errors import InputError
from i2md.skeletons import get_layout

FPS = 30.0
SHORTEST, LONGEST = 40, 120
LEFT_HANDED = 0.35
# Degrees that every angle drifts by.
SWAY = 6.0
# Metres: what a Kinect v1 reading trembles by, and by how much a joint is off once it is mistaken for long.
TREMBLE, MISTAKE = 0.015, 0.12


@dataclass(frozen=True)
class _Performer:
    body: Body
    tempo: float
    reach: float
    left_handed: bool
    posture: dict[str, float]


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
    performer = _performer(np.random.default_rng((seed, subject)))
    habit = np.random.default_rng((seed, subject, label))
    chance = np.random.default_rng((seed, subject, label, trial))
    motion = _perform(ACTIONS[label], performer, habit, chance)
    positions = _film(pose_body(performer.body, motion), chance)
    name = f"a{label + 1:02d}_b{subject:02d}_r{trial:02d}"
    return Recording(name, positions[None], label=label, subject=subject, trial=trial, fps=FPS, source=name)


def _performer(rng: np.random.Generator) -> _Performer:
    height = rng.uniform(0.85, 1.15)
    body = Body(**{limb: length * height * rng.uniform(0.92, 1.08) for limb, length in asdict(Body()).items()})
    posture = {"lean": rng.uniform(-4, 10), "bend": rng.uniform(-4, 14), "nod": rng.uniform(-5, 20)}
    posture |= {"twist": rng.uniform(-8, 8), "side": rng.uniform(-4, 4)}
    stance, elbow = rng.uniform(1, 9), rng.uniform(5, 45)
    for side in ("left", "right"):
        posture |= {f"{side} arm out": rng.uniform(4, 22), f"{side} hip out": stance}
        posture |= {f"{side} elbow": elbow, f"{side} arm inward": rng.uniform(0, 40)}
    return _Performer(body, rng.uniform(0.75, 1.35), rng.uniform(0.65, 1.1), rng.random() < LEFT_HANDED, posture)


def _perform(action: Action, who: _Performer, habit: np.random.Generator, chance: np.random.Generator) -> Motion:
    """Angles of one performance: the score with this performer's habits, and what no one does twice alike."""
    seconds = action.seconds / (who.tempo * habit.uniform(0.85, 1.15) * chance.uniform(0.9, 1.1))
    before, after = chance.uniform(0.0, 0.8, size=2)
    frames = int(np.clip(round((before + seconds + after) * FPS), SHORTEST, LONGEST))
    at = (np.arange(frames) / FPS - before) / seconds
    score = follow(action, at, _key_times(action, habit, chance))
    for channel in score:
        share = who.reach * habit.uniform(0.6, 1.25) * chance.uniform(0.9, 1.1)
        score[channel] = score[channel] * (share if channel != "turn" else 1.0)
    if who.left_handed and not action.sided:
        score = mirror(score)
    idle = {c: v + _drift(frames, chance, SWAY) for c, v in who.posture.items()}
    idle |= {c: _drift(frames, chance, SWAY) for c in ("turn", "left arm forward", "right arm forward")}
    still = np.zeros(frames)
    return {c: score.get(c, still) + idle.get(c, still) for c in sorted({*score, *idle})}


def _key_times(action: Action, habit: np.random.Generator, chance: np.random.Generator) -> Float[np.ndarray, " keys"]:
    """When the key poses are reached: each pause between them a little longer or shorter, 1 at the last."""
    pauses = np.diff([time for time, _ in action.keys])
    pauses = pauses * habit.uniform(0.7, 1.3, pauses.shape) * chance.uniform(0.85, 1.15, pauses.shape)
    times = np.concatenate([[0.0], np.cumsum(pauses)])
    return times / times[-1]


def _drift(frames: int, rng: np.random.Generator, size: float) -> Float[np.ndarray, " frames"]:
    """Slow swaying about zero: three sinusoids of less than one cycle a second."""
    rate, phase = rng.uniform(0.1, 0.9, size=(3, 1)), rng.uniform(0, 2 * np.pi, size=(3, 1))
    waves = np.sin(2 * np.pi * rate * np.arange(frames) / FPS + phase)
    return size * (rng.normal(size=(1, 3)) @ waves)[0] / np.sqrt(3)


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
