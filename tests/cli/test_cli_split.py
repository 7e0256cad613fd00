"""Data sets without a split: drawn by `split` or while preparing, and evaluated on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from refusal import Refused

from i2md.cli.main import main
from i2md.data.store import open_clips


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve arrays of three subjects and two classes, without a split."""
    folder = tmp_path_factory.mktemp("arrays")
    rng, lines = np.random.default_rng(0), ["name,label,subject"]
    for index in range(12):
        np.save(folder / f"{index}.npy", rng.normal(size=(10, 20, 3)).astype(np.float32))
        lines.append(f"{index},{'wave' if index % 2 else 'clap'},{index // 4}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_a_set_without_a_split_is_evaluated_after_split(
    refused: Refused, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, run = tmp_path / "clips", tmp_path / "run"
    assert main(["prepare", "arrays", str(recordings), str(clips), "--layout", "kinect-v1"]) == 0
    assert "splits:      none; i2md split draws one" in capsys.readouterr().out
    assert main(["pretrain", str(clips), str(run), *tiny.SETTINGS]) == 0
    line = refused("evaluate", run, clips, "--protocol", "knn")
    assert line.endswith(f"the data set has no split to evaluate on; draw one: i2md split {clips} --by subject")
    assert f"no split 'xsub'; draw one: i2md split {clips}" in refused("evaluate", run, clips, "--split", "xsub")

    frames = (clips / "frames.npy").read_bytes()
    assert main(["split", str(clips), "--by", "subject", "--test-share", "0.3"]) == 0
    assert "split subject-0.3-seed0 of" in capsys.readouterr().out
    assert (clips / "frames.npy").read_bytes() == frames
    assert {path.name for path in clips.iterdir()} == {"frames.npy", "clips.parquet", "dataset.json"}
    assert (
        main(
            [
                "evaluate",
                str(run),
                str(clips),
                "--protocol",
                "knn",
                "--baselines",
                "none",
                "--json",
                str(tmp_path / "r.json"),
            ]
        )
        == 0
    )
    (result,) = json.loads((tmp_path / "r.json").read_text())["results"]
    assert (result["split"], result["train_clips"], result["test_clips"]) == ("subject-0.3-seed0", 8, 4)


@pytest.mark.parametrize("by", ["subject", "recording", "random"])
def test_prepare_draws_the_split_that_split_draws(recordings: Path, tmp_path: Path, by: str) -> None:
    words = ["prepare", "arrays", str(recordings), "--layout", "kinect-v1"]
    assert main([*words, str(tmp_path / "a"), "--split-by", by, "--test-share", "0.4", "--split-seed", "5"]) == 0
    assert main([*words, str(tmp_path / "b")]) == 0
    assert main(["split", str(tmp_path / "b"), "--by", by, "--test-share", "0.4", "--seed", "5"]) == 0
    for name in ("frames.npy", "clips.parquet", "dataset.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_splits_are_added_to_those_there_and_never_drawn_again(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "c")
    for by in ("random", "subject", "random"):
        assert main(["split", str(tmp_path / "c"), "--by", by]) == 0
    splits = open_clips(tmp_path / "c").dataset.splits
    assert list(splits) == ["xsub", "random-0.3-seed0", "subject-0.3-seed0"]
    assert splits["xsub"] == open_clips(clips).dataset.splits["xsub"]


def test_a_split_that_cannot_be_drawn_loses_no_preparation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "synthetic", "x", str(tmp_path / "c"), *tiny.MAKE_CLIPS, "--split-by", "time"]
    assert main(words) == 2
    assert "no recording holds several clips" in capsys.readouterr().err.splitlines()[-1]
    assert list(open_clips(tmp_path / "c").dataset.splits) == ["xsub"]


def test_share_without_a_split_is_refused(refused: Refused, recordings: Path, tmp_path: Path) -> None:
    words = ("prepare", "arrays", recordings, tmp_path / "c", "--layout", "kinect-v1")
    assert "say which by --split_by" in refused(*words, "--test-share", "0.2")
    assert "choose one of subject, recording, random, time" in refused(*words, "--split-by", "person")
    assert "must be above 0 and below 1" in refused(*words, "--split-by", "subject", "--test-share", "30")
