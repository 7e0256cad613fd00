"""The whole way of own recordings by the command line alone: no labels, 2-D, gaps, one of them long, no option."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pose_files
import pytest

from i2md.cli.main import main
from i2md.data.readers import open_source
from i2md.data.recording import Recording
from i2md.data.store import open_clips


def in_image(positions: np.ndarray) -> np.ndarray:
    """Kinect's camera space (..., 3) in fractions of an image's width and height."""
    depth = np.clip(positions[..., 2], 1.0, None)
    return np.stack([0.5 + 0.45 * positions[..., 0] / depth, 0.5 - 0.8 * positions[..., 1] / depth], axis=-1)


def write_recordings(folder: Path, clips: int, seconds: int) -> None:
    """CSV of MediaPipe's landmarks in the image: short recordings and a long one of so many seconds at 30 a second.

    Joints are lost for some frames, and in the long recording the person is out of sight for 1 and for 2 seconds.
    """
    rng = np.random.default_rng(0)
    made = open_source("synthetic", folder, actions=18, subjects=-(-clips // 18), repeats=1).read()
    takes = [each.positions[0] for each in made if isinstance(each, Recording)]
    long = np.concatenate(takes * (-(-30 * seconds // sum(map(len, takes)))))[: 30 * seconds]
    for number, take in enumerate([*takes[: clips - 1], long]):
        seen = np.where(take.any(axis=-1, keepdims=True), take, np.nan)
        positions = in_image(pose_files.as_mediapipe(seen))
        for _ in range(max(1, len(take) // 30)):
            start, joint = rng.integers(len(take)), rng.integers(33)
            positions[start : start + rng.integers(3, 50), joint] = np.nan
        if take is long:
            positions[100:130] = positions[300:360] = np.nan
        visibility = np.clip(rng.normal(0.9, 0.1, positions.shape[:2]), 0, 1)
        pose_files.wide_csv(folder / f"{number:02d}.csv", pose_files.LANDMARKS, positions, visibility)


def go_the_whole_way(
    folder: Path, clips: int, seconds: int, capsys: pytest.CaptureFixture[str], small: Sequence[str] = ()
) -> None:
    write_recordings(folder / "poses", clips, seconds)
    places = {name: str(folder / name) for name in ("poses", "clips", "run", "features.npz")}
    assert main(["prepare", "auto", places["poses"], places["clips"]]) == 0
    said = capsys.readouterr().out
    assert "recognised:  mediapipe (the columns of 00.csv are its 33 landmarks)" in said
    assert f"look at it:  i2md view {places['clips']}" in said
    # What a user should know without having asked: what was made up, what was not, and what may be wrong.
    assert "image_size" in said and "frames filled" in said and "joints missing" in said
    assert "1 clips without a label are longer than 20 s" in said and "i2md windows" in said
    assert main(["view", places["clips"]]) == 0
    assert f"{min(clips, 48)} of {clips} clips shown, 1 long recording with a timeline" in capsys.readouterr().out
    assert main(["pretrain", places["clips"], places["run"], *small]) == 0
    said = capsys.readouterr()
    assert f"recipe auto: {clips} clips" in said.err and "are few to pretrain on" in said.out
    assert f"next: i2md report {places['run']} --clips {places['clips']}" in said.out
    assert main(["embed", places["run"], places["clips"], places["features.npz"]]) == 0
    assert main(["info", places["clips"], "--json", str(folder / "info.json")]) == 0
    found, described = open_clips(places["clips"]), json.loads((folder / "info.json").read_text())
    assert described["classes"] == {"no label": clips} and found.dataset.layout.channels == 2
    assert described["frames"]["max"] == 30 * seconds
    # A second out of sight is filled in, two are not.
    long = found.read(clips - 1)[0]
    assert long[100:130].any(axis=(1, 2)).all() and not long[300:360].any()
    with np.load(places["features.npz"]) as features:
        for stream in ("joint", "motion", "bone"):
            assert len(features[stream]) == clips and np.isfinite(features[stream]).all()
            assert features[stream].std(axis=0).max() > 0


def test_a_few_short_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--encoder.options.hidden_size", "8", "--epochs", "2", "--objectives.embedding_dim", "56"]
    go_the_whole_way(tmp_path, 9, 21, capsys, small)


@pytest.mark.slow
def test_sixty_recordings_and_one_of_three_minutes_take_less_than_five(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    go_the_whole_way(tmp_path, 60, 180, capsys)
    assert time.monotonic() - began < 300
