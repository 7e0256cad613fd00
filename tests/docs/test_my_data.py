"""The pages on a user's own recordings: their commands run on made-up files of the kinds that the pages describe."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pose_files
import pytest

from i2md.cli.main import main
from i2md.data.store import open_clips
from i2md.skeletons import get_layout

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "my-data"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RNG = np.random.default_rng(0)


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return [body for found, body in BLOCK.findall(text) if found == language]


def run(command: str, clips: str) -> None:
    """Run a command of a page, which writes these clips."""
    assert main(shlex.split(command)[1:]) == 0
    assert len(open_clips(clips)) > 0


def commands(page: str) -> list[str]:
    return [line for body in blocks(page, "bash") for line in body.splitlines() if line.startswith("i2md prepare")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def body(frames: int, joints: int) -> np.ndarray:
    moved = RNG.uniform(0, 100, (1, joints, 2)) + np.cumsum(RNG.normal(size=(frames, 1, 2)), axis=0)
    return np.concatenate([moved, np.full((frames, joints, 1), 0.9)], axis=-1)


def test_every_page_has_its_commands() -> None:
    assert all(commands(page.name) for page in PAGES.glob("*.md"))


def test_mediapipe() -> None:
    program, in_python = blocks("mediapipe.md", "python")
    compile(program, "mediapipe.md", "exec")
    landmark = {"x": 0.1, "y": 0.2, "z": 0.3, "visibility": 0.9, "presence": 0.9, "name": None}
    body = RNG.normal(0, 0.3, (33, 3))
    # What the program on the page writes.
    frames = [
        {
            "timestamp_ms": 40 * at,
            "pose_world_landmarks": [[landmark | {"x": x + 0.01 * at, "y": y, "z": z} for x, y, z in body.tolist()]],
        }
        for at in range(6)
    ]
    Path("poses").mkdir()
    Path("poses/walk.json").write_text(json.dumps(frames))
    (command,) = commands("mediapipe.md")
    run(command, "clips/mine")
    found = open_clips("clips/mine")
    assert found.columns["fps"].tolist() == [25.0] and found.dataset.layout.name == "mediapipe-33"
    names: dict[str, Any] = {"results": frames}
    with warnings.catch_warnings():
        # The joints of the run that are means of MediaPipe's are named, and a body of random joints is no body.
        warnings.simplefilter("ignore")
        exec(compile(in_python, "mediapipe.md", "exec"), names)
    assert all(np.isfinite(values).all() and len(values) == 1 for values in names["features"].values())


def test_openpose() -> None:
    pose_files.openpose_folder(Path("output/walk"), "walk", [[each] for each in body(5, 25)])
    (command,) = commands("openpose.md")
    run(command, "clips/mine")


def test_sleap_and_deeplabcut() -> None:
    pytest.importorskip("h5py")
    Path("predictions").mkdir()
    sample = ROOT / "tests/samples/sleap/walk.slp"
    Path("predictions/walk.slp").write_bytes(sample.read_bytes())
    auto, mice = commands("sleap-deeplabcut.md")
    run(auto, "clips/mine")
    (layout,) = blocks("sleap-deeplabcut.md", "yaml")
    Path("mouse.yaml").write_text(layout)
    parts = ("spine", "head", "left_ear", "RightEar", "tail", "left paw")
    names = [part for part in parts for _ in range(3)]
    lines = [["scorer", *["net"] * 18], ["bodyparts", *names], ["coords", *(["x", "y", "likelihood"] * 6)]]
    lines += [[str(at), *map(str, row.ravel())] for at, row in enumerate(body(5, 6))]
    Path("predictions/mouse.csv").write_text("\n".join(map(",".join, lines)))
    run(mice, "clips/mice")
    assert open_clips("clips/mice").dataset.layout.joints[3] == "right ear"


def test_motion_capture() -> None:
    pytest.importorskip("c3d")
    openni = get_layout("openni-15")
    Path("takes").mkdir()
    Path("takes/walk.bvh").write_text(pose_files.bvh_of_positions(RNG.normal(size=(5, 15, 3)), openni))
    auto, markers, by_class = commands("mocap.md")
    run(auto, "clips/mine")
    for name in ("walk/1", "walk/2", "run/1", "run/2"):
        take = Path(f"bandai-namco/{name}.bvh")
        take.parent.mkdir(parents=True, exist_ok=True)
        take.write_text(pose_files.bvh_of_positions(RNG.normal(size=(5, 15, 3)), openni))
    run(by_class, "clips/bandai-namco")
    found = open_clips("clips/bandai-namco")
    assert found.dataset.class_names == ("run", "walk") and list(found.dataset.splits) == ["random-0.3-seed0"]
    (table,) = blocks("mocap.md", "yaml")
    Path("markers.yaml").write_text(table.replace("LELM", "LWRA").replace("LFIN", "LWRB"))
    Path("takes/walk.c3d").write_bytes((ROOT / "tests/samples/c3d/walk.c3d").read_bytes())
    run(f"{markers} --overwrite", "clips/mine")


def test_tables(refused: Callable[..., str]) -> None:
    joints = get_layout("openni-15").joints
    pose_files.wide_csv(Path("tables/a.csv"), joints, RNG.normal(size=(4, 15, 3)))
    auto, wide, long, numbers, confident, visible = commands("table.md")
    run(auto, "clips/mine")
    names = ["No", "Who", *(f"{joint} pos {axis}" for joint in joints for axis in "XY")]
    rows = [[str(at), "me", *map(str, RNG.normal(size=30))] for at in range(4)]
    Path("day1.csv").write_text("\n".join(map(",".join, [names, *rows])))
    run(f"{wide} --overwrite", "clips/mine")
    rows = [[str(at), joint, "1", str(at)] for at in range(4) for joint in joints]
    Path("long.csv").write_text("\n".join(map(",".join, [["n", "part", "px", "py"], *rows])))
    run(f"{long} --overwrite", "clips/mine")
    Path("kinect").mkdir()
    np.savetxt("kinect/a.txt", RNG.normal(size=(4, 75)))
    run(f"{numbers} --overwrite", "clips/mine")
    Path("keypoints").mkdir()
    np.savetxt("keypoints/a.txt", body(4, 17).reshape(4, -1))
    run(f"{confident} --overwrite", "clips/mine")
    assert open_clips("clips/mine").dataset.layout.channels == 2
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    penn = ["head", *(f"{side}_{limb}" for limb in limbs for side in "lr")]
    for name in ("train/golf/1", "train/bowl/2", "test/golf/3", "test/bowl/4"):
        seen = RNG.random((6, 13)) > 0.22
        pose_files.wide_csv(Path(f"penn-action/{name}.csv"), penn, body(6, 13)[..., :2], seen.astype(float))
    run(visible, "clips/penn-action")
    found = open_clips("clips/penn-action")
    assert found.dataset.layout.channels == 2 and set(found.dataset.splits["given"]) == {"train", "test"}
    assert found.dataset.report["joints_of_low_confidence"] > 0


def test_missing_joints(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("missing-joints.md", "python")
    exec(compile(program, "missing-joints.md", "exec"), {})
    (command,) = commands("missing-joints.md")
    run(command, "clips/walker")
    (said,) = re.findall(r"^`prepare` prints `(.*?)`", (PAGES / "missing-joints.md").read_text(), re.MULTILINE)
    assert f"prepared:    {said}\n" in capsys.readouterr().out
    walker = open_clips("clips/walker").read(0)[0]
    left, right = (get_layout("openni-15").joints.index(f"{side} hand") for side in ("left", "right"))
    assert walker[20:30, left].any(axis=-1).all() and not walker[50:110, right].any() and walker[110:, right].any()
    assert main(["view", "clips/walker"]) == 0


def test_a_skeleton_of_my_own() -> None:
    (layout,) = blocks("my-skeleton.md", "yaml")
    Path("my.yaml").write_text(layout)
    joints = get_layout("my.yaml").joints
    spelled = [joint.title().replace(" ", "") for joint in joints]
    moved = RNG.normal(size=(4, len(joints), 3))
    pose_files.wide_csv(Path("recordings/a.csv"), spelled[::-1], moved[:, ::-1])
    (body_of_page,) = blocks("my-skeleton.md", "bash")
    check, draw, prepare = body_of_page.splitlines()
    for command in (check, draw):
        assert main(shlex.split(command)[1:]) == 0
    run(f"{prepare} --preset none", "clips/mine")
    np.testing.assert_allclose(open_clips("clips/mine").read(0)[0], moved, rtol=1e-6)


def test_the_first_page() -> None:
    pose_files.wide_csv(Path("recordings/a.csv"), get_layout("openni-15").joints, RNG.normal(size=(4, 15, 3)))
    (command,) = commands("index.md")
    run(command, "clips/mine")
