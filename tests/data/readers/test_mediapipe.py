"""MediaPipe Hands and Holistic in every form, and the objects that its Python API returns."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pose_files
import pytest

import i2md
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source
from i2md.errors import InputError

FRAMES, LOST = 6, 3
RNG = np.random.default_rng(0)
# (hands, frames, joints, 3), the left hand first: in metres, and in the image.
WORLD = RNG.normal(0, 0.05, (2, FRAMES, 21, 3))
IMAGE = RNG.uniform(0.1, 0.9, (2, FRAMES, 21, 3))
WORLD[:, LOST] = IMAGE[:, LOST] = 0
# In every second frame the right hand is listed first.
ORDERS = [(0, 1), (1, 0)] * (FRAMES // 2)
SIDES = ("Left", "Right")
# MediaPipe's own names of the landmarks of a hand.
_FINGERS = [f"{name}_FINGER_{part}" for name in ("INDEX", "MIDDLE", "RING") for part in ("MCP", "PIP", "DIP", "TIP")]
LANDMARKS = [
    "WRIST",
    *(f"THUMB_{part}" for part in ("CMC", "MCP", "IP", "TIP")),
    *_FINGERS,
    *(f"PINKY_{part}" for part in ("MCP", "PIP", "DIP", "TIP")),
]


@dataclass
class Landmark:
    """A landmark of the Tasks API."""

    x: float | None = None
    y: float | None = None
    z: float | None = None
    visibility: float | None = None
    presence: float | None = None
    name: str | None = None


@dataclass
class Category:
    """A category of the Tasks API."""

    index: int | None = None
    score: float | None = None
    display_name: str | None = None
    category_name: str | None = None


@dataclass
class HandLandmarkerResult:
    """As published."""

    handedness: list[list[Category]]
    hand_landmarks: list[list[Landmark]]
    hand_world_landmarks: list[list[Landmark]]


@dataclass
class PoseLandmarkerResult:
    """As published."""

    pose_landmarks: list[list[Landmark]]
    pose_world_landmarks: list[list[Landmark]]
    segmentation_masks: Any = None


class Message:
    """What is read of a protobuf message: fields that were not set are 0, and HasField tells."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        if name in self._fields:
            return self._fields[name]
        if name in ("x", "y", "z", "visibility", "presence") and "x" in self._fields:
            return 0.0
        raise AttributeError(name)

    def HasField(self, name: str) -> bool:
        return name in self._fields


Hands = namedtuple("Hands", ["multi_hand_landmarks", "multi_hand_world_landmarks", "multi_handedness"])
Poses = namedtuple("Poses", ["pose_landmarks", "pose_world_landmarks", "segmentation_mask"])


def _tasks(rows: np.ndarray) -> list[Landmark]:
    return [Landmark(*map(float, row)) for row in rows]


def _message(rows: np.ndarray) -> Message:
    names = ("x", "y", "z", "visibility")
    return Message(landmark=[Message(**dict(zip(names, map(float, row), strict=False))) for row in rows])


def hands(form: str, order: Sequence[int], frame: int) -> Any:
    """The result of one frame."""
    if form == "tasks":
        if frame == LOST:
            return HandLandmarkerResult([], [], [])
        sides = [[Category(0, 0.9, SIDES[hand], SIDES[hand])] for hand in order]
        image, world = ([_tasks(rows[hand, frame]) for hand in order] for rows in (IMAGE, WORLD))
        return HandLandmarkerResult(sides, image, world)
    if frame == LOST:
        return Hands(None, None, None)
    labels = [Message(classification=[Message(index=0, score=0.9, label=SIDES[hand])]) for hand in order]
    return Hands(*([_message(rows[hand, frame]) for hand in order] for rows in (IMAGE, WORLD)), labels)


def results(form: str) -> list[Any]:
    return [hands(form, order, frame) for frame, order in enumerate(ORDERS)]


def only(source: Source) -> Recording:
    (found,) = source.read()
    assert isinstance(found, Recording), found
    return found


@pytest.mark.parametrize("form", ["tasks", "legacy"])
def test_objects_of_hands_become_two_persons_the_left_one_first(form: str) -> None:
    found = i2md.mediapipe_recording(results(form), [40 * at for at in range(FRAMES)])
    assert found.fps == 25.0 and "person_switches" not in found.counts
    np.testing.assert_allclose(found.positions, WORLD, rtol=1e-6)
    flat = i2md.mediapipe_recording(results(form), coordinates="image")
    np.testing.assert_allclose(flat.positions, IMAGE[..., :2], rtol=1e-6)
    with pytest.raises(InputError, match="holds no image landmarks"):
        i2md.mediapipe_recording(results(form), layout="mediapipe-33")


@pytest.mark.parametrize("form", ["tasks", "legacy"])
def test_objects_of_poses(form: str) -> None:
    world, image = RNG.normal(size=(FRAMES, 33, 4)), RNG.uniform(size=(FRAMES, 33, 4))
    if form == "tasks":
        given: list[Any] = [PoseLandmarkerResult([_tasks(i)], [_tasks(w)]) for w, i in zip(world, image, strict=True)]
    else:
        given = [Poses(_message(i), _message(w), None) for w, i in zip(world, image, strict=True)]
    given[2] = None
    found = i2md.mediapipe_recording(given, score=0.2, coordinates="image").positions[0]
    seen = np.arange(FRAMES) != 2
    np.testing.assert_allclose(found[seen], np.where(image[..., 3:] > 0.2, image[..., :2], np.nan)[seen], rtol=1e-6)
    assert not found[2].any()
    found = i2md.mediapipe_recording(given, score=0.0).positions[0]
    np.testing.assert_allclose(found[seen], np.where(world[..., 3:] > 0, world[..., :3], np.nan)[seen], rtol=1e-6)


def test_what_is_no_result_is_an_input_error() -> None:
    for wrong in ([object()], [[1, 2]], [], [None], [HandLandmarkerResult([], [], [])]):
        with pytest.raises(InputError, match="mediapipe: "):
            i2md.mediapipe_recording(wrong)
    for options in ({"layout": "kinect-v1"}, {"coordinates": "both"}):
        with pytest.raises(InputError, match="choose layout"):
            i2md.mediapipe_recording(results("tasks"), **options)
    with pytest.raises(InputError, match="2 timestamps_ms for 6 results"):
        i2md.mediapipe_frames(results("tasks"), [0, 1])


@pytest.mark.parametrize("form", ["tasks", "legacy", "npz", "lines of legacy messages"])
def test_saved_hands_come_back(tmp_path: Path, form: str) -> None:
    if form == "npz":
        order = np.array(ORDERS)
        rows = {
            name: np.stack([rows[order[at], at] for at in range(FRAMES)])
            for name, rows in (("hand_world_landmarks", WORLD), ("hand_landmarks", IMAGE))
        }
        np.savez(tmp_path / "a.npz", **rows, handedness=np.array(SIDES)[order], fps=25.0)
    elif form in ("tasks", "legacy"):
        frames = i2md.mediapipe_frames(results(form), [40 * at for at in range(FRAMES)])
        (tmp_path / "a.json").write_text(json.dumps(frames))
    else:
        # As google.protobuf.json_format writes the messages.
        lines = []
        for at, order in enumerate(ORDERS):
            held = [] if at == LOST else order
            bodies = {
                key: [
                    {"landmark": [dict(zip("xyz", row, strict=True)) for row in rows[hand, at].tolist()]}
                    for hand in held
                ]
                for key, rows in (("multiHandLandmarks", IMAGE), ("multiHandWorldLandmarks", WORLD))
            }
            sides = [{"classification": [{"index": 0, "score": 0.9, "label": SIDES[hand]}]} for hand in held]
            lines.append(json.dumps({**bodies, "multiHandedness": sides, "timestamp_ms": 40 * at}))
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = open_source("auto", tmp_path)
    assert source.layout.name == "mediapipe-hand-21" and source.units == "m"
    found = only(source)
    assert found.fps == 25.0
    np.testing.assert_allclose(found.positions, WORLD, rtol=1e-6)
    flat = open_source("mediapipe", tmp_path, coordinates="image", image_size="200x100")
    np.testing.assert_allclose(only(flat).positions, IMAGE[..., :2] * [2, 1], rtol=1e-6)


@pytest.mark.parametrize("shape", ["wide", "numbered", "long"])
def test_tables_of_hands(tmp_path: Path, shape: str) -> None:
    if shape == "long":
        lines = ["frame,hand,landmark,x,y,z"]
        for at, hand, joint in np.ndindex(FRAMES, 2, 21):
            values = ",".join(map(str, WORLD[hand, at, joint]))
            lines += [] if at == LOST else [f"{at},{SIDES[hand]},{LANDMARKS[joint]},{values}"]
        (tmp_path / "a.csv").write_text("\n".join(lines))
    else:
        names = LANDMARKS if shape == "wide" else [str(number) for number in range(21)]
        pose_files.wide_csv(tmp_path / "a.csv", names, np.where(WORLD[0] == 0, np.nan, WORLD[0]))
    source = open_source("mediapipe" if shape == "numbered" else "auto", tmp_path)
    assert source.layout.name == "mediapipe-hand-21"
    positions = only(source).positions
    np.testing.assert_allclose(positions, WORLD[: len(positions)], rtol=1e-6)
    assert len(positions) == (2 if shape == "long" else 1)


def test_two_hands_of_one_side_are_told_apart_by_place(tmp_path: Path) -> None:
    """MediaPipe takes the left hand of one frame for a right one."""
    frames = i2md.mediapipe_frames(results("tasks"))
    frames[1]["handedness"] = ["Right", "Right"]
    apart = np.array([[[[0.0]]], [[[5.0]]]]) + IMAGE[:, :1] + 0.01 * np.arange(FRAMES)[:, None, None]
    for at, order in enumerate(ORDERS):
        bodies = [] if at == LOST else [apart[hand, at] for hand in order]
        frames[at]["hand_landmarks"] = [
            [dict(zip("xyz", row, strict=True)) for row in each.tolist()] for each in bodies
        ]
    (tmp_path / "a.json").write_text(json.dumps(frames))
    found = only(open_source("auto", tmp_path, coordinates="image"))
    assert found.counts["frames_of_two_hands_of_one_side"] == 1 and found.counts["person_switches"] > 0
    first = int(found.positions[0, 0].mean() > 2)
    for person in (0, 1):
        wanted = np.where(np.arange(FRAMES)[:, None, None] == LOST, 0, apart[person ^ first, ..., :2])
        np.testing.assert_allclose(found.positions[person], wanted, rtol=1e-6)


def test_holistic_is_persons_or_hands_and_the_rest_is_named(tmp_path: Path) -> None:
    pose = RNG.uniform(0.1, 0.9, (FRAMES, 33, 3))
    frames = []
    for at in range(FRAMES):
        left, right = ([dict(zip("xyz", row, strict=True)) for row in IMAGE[hand, at].tolist()] for hand in (0, 1))
        body = [dict(zip("xyz", row, strict=True)) for row in pose[at].tolist()]
        hand = {"left_hand_landmarks": left if at != LOST else None, "right_hand_landmarks": {"landmark": right}}
        frames.append({"pose_landmarks": {"landmark": body}, "face_landmarks": {"landmark": body[:1]}, **hand})
    file = tmp_path / "a.json"
    file.write_text(json.dumps(frames))
    persons = prepare("auto", file, tmp_path / "persons", preset="none")
    np.testing.assert_allclose(persons.read(0)[0], pose[..., :2], rtol=1e-6)
    named = " ".join(persons.dataset.report["not_read"])
    assert "hand landmarks (--layout mediapipe-hand-21 reads them)" in named and "face landmarks" in named
    two = only(open_source("mediapipe", file, layout="mediapipe-hand-21"))
    np.testing.assert_allclose(
        two.positions[0, np.arange(FRAMES) != LOST], np.delete(IMAGE[0, ..., :2], LOST, 0), rtol=1e-6
    )
    assert any("mediapipe-33" in what for what in two.not_read)
