"""Every command end to end, as a user types it, with tiny settings."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import i2md
from i2md.cli.main import main


def _pretrain(clips: Path, run: Path, *words: object) -> dict[str, torch.Tensor]:
    assert main(["pretrain", str(clips), str(run), *tiny.SETTINGS, *map(str, words)]) == 0
    return load_file(run / "model.safetensors")


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_prepare_prints_and_writes_what_it_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "synthetic", "x", str(tmp_path / "c"), *tiny.MAKE_CLIPS, "--json", str(tmp_path / "j.json")]
    assert main(words) == 0
    data, printed = _json(tmp_path / "j.json"), capsys.readouterr().out
    assert data["clips"] == 32
    assert data["splits"] == {"xsub": {"train": 16, "test": 16}}
    assert set(data["classes"].values()) == {8}
    assert "kinect-v1 (20 joints, 3-D)" in printed
    assert "xsub (train 16, test 16)" in printed
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["clips.parquet", "dataset.json", "frames.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "j.json"]


def test_info_prints_what_prepare_printed(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "synthetic", "x", str(tmp_path / "c"), *tiny.MAKE_CLIPS]) == 0
    first = capsys.readouterr().out
    assert main(["info", str(clips), "--json", str(tmp_path / "j.json")]) == 0
    written_to, look, next_command = first.splitlines()[-3:]
    assert capsys.readouterr().out.splitlines() == first.splitlines()[:-3]
    assert written_to == f"written to:  {tmp_path / 'c'}"
    assert look == f"look at it:  i2md view {tmp_path / 'c'}"
    assert next_command == f"next:        i2md pretrain {tmp_path / 'c'} RUN --recipe synthetic"
    assert _json(tmp_path / "j.json")["clips"] == 32


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "none"], "nothing was changed or left out"),
        (["--preset", "facing"], "positions are normalised (facing); nothing was filled in or left out"),
        (["--preset", "none", "--units", "mm"], "positions are converted; nothing was filled in or left out"),
        (
            ["--preset", "none", "--fps", "30", "--smooth", "0.2", "--resample", "15"],
            "positions are smoothed, resampled; nothing was filled in or left out",
        ),
    ],
)
def test_nothing_was_changed_is_said_only_of_the_files_own_positions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    np.savez(tmp_path / "a.npz", positions=np.random.default_rng(0).normal(size=(3, 12, 20, 3)))
    words = ["prepare", "arrays", str(tmp_path / "a.npz"), str(tmp_path / "c"), "--layout", "kinect-v1", *options]
    assert main(words) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("prepared:")]
    assert line == f"prepared:    {said}"


def test_info_fits_a_screen_with_all_warnings_and_lists_classes_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    positions = np.random.default_rng(0).normal(size=(8, 6, 20, 3)).astype(np.float32)
    positions[1] = positions[0]
    positions[2, 3] = 0
    positions[4] = positions[4, :1]
    class_names = np.array([f"class-{number}" for number in range(60)])
    split = np.array(["train", "test"] * 4)
    labels = np.arange(8)
    np.savez(tmp_path / "a.npz", positions=positions, labels=labels, class_names=class_names, split=split)
    words = ["--preset", "none", "--layout", "kinect-v1"]
    assert main(["prepare", "arrays", str(tmp_path / "a.npz"), str(tmp_path / "c"), *words]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "c"), "--json", str(tmp_path / "j.json")]) == 0
    lines, data = capsys.readouterr().out.splitlines(), _json(tmp_path / "j.json")
    assert len(lines) <= 24
    assert len(data["warnings"]) >= 3
    assert [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")] == data["warnings"]
    assert not [line for line in lines if "class-7" in line and not line.startswith("warning")]
    assert main(["info", str(tmp_path / "c"), "--classes"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line for line in listed if line not in lines] == [
        f"  {int(number < 8):6} class-{number}" for number in range(60)
    ]


def test_prepare_passes_options_and_preset_on(tmp_path: Path) -> None:
    words = ["--options.actions", "1", "--options.subjects", "2", "--options.repeats", "1", "--preset", "none"]
    assert main(["prepare", "synthetic", "x", str(tmp_path / "c"), *words]) == 0
    clips = i2md.open_clips(tmp_path / "c")
    assert len(clips) == 2
    assert clips.dataset.preparation == "none"


def test_pretrain_writes_a_complete_run(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    model = _pretrain(clips, run, "--json", tmp_path / "j.json")
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "log.jsonl", "model.safetensors", "tensorboard", "training_state.safetensors",
    }  # fmt: skip
    data, printed = _json(tmp_path / "j.json"), capsys.readouterr().out
    assert {name: data[name] for name in ("run", "clips", "split", "epochs")} == {
        "run": str(run), "clips": 16, "split": "xsub", "epochs": 2,
    }  # fmt: skip
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert data["seconds"] == pytest.approx(sum(line["seconds"] for line in log))
    assert {name.partition("/")[0] for name in data["losses"]} == {"loss", "contrast", "cmd", "dna", "imd"}
    assert data["losses"] == {name: log[-1][name] for name in data["losses"]}
    assert data["knn"]["joint"] == log[-1]["knn/joint"]
    assert f"next: i2md evaluate {run} {clips}" in printed
    assert f"contrast    joint {log[-1]['contrast/joint']:.3f}" in printed
    assert f"monitored kNN accuracy: joint {100 * log[-1]['knn/joint']:.1f} %" in printed
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["settings"]["encoder"]["hidden_size"] == 8
    assert config["clips"]["count"] == 16
    assert {"i2md", "torch", "numpy", "python"} <= set(config["versions"])
    assert {name.split(".")[1] for name in model} == {"joint", "motion", "bone"}


def test_log_and_tensorboard_have_the_same_figures(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [2, 4]
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    for name in ("loss", "contrast/joint", "knn/ensemble", "learning_rate"):
        logged = [line[name] for line in lines]
        assert [event.value for event in events.Scalars(name)] == pytest.approx(logged, rel=1e-6)
    # Distillation and aggregation began with the third step, the second epoch.
    assert {name.split("/")[0] for name in lines[0]} < {name.split("/")[0] for name in lines[1]}
    assert lines[1]["loss"] == pytest.approx(sum(v for n, v in lines[1].items() if "/" in n and "knn" not in n))


@pytest.mark.parametrize(
    ("method", "terms"),
    [("moco", {"contrast"}), ("cmd", {"contrast", "cmd"}), ("imd", {"contrast", "dna", "imd"})],
)
def test_each_method_logs_its_loss_terms(clips: Path, tmp_path: Path, method: str, terms: set[str]) -> None:
    _pretrain(clips, tmp_path / "run", "--method", method, "--knn_every", 0)
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert {name.split("/")[0] for name in last if "/" in name} == terms


def test_bf16_trains_close_to_fp32(clips: Path, run: Path, tmp_path: Path) -> None:
    model = _pretrain(clips, tmp_path / "run", "--precision", "bf16", "--knn_every", 0)
    exact = load_file(run / "model.safetensors")
    assert not _same(model, exact)
    for name, value in exact.items():
        if value.is_floating_point():
            torch.testing.assert_close(model[name], value, atol=0.02, rtol=0.1)


def test_the_same_command_gives_the_same_weights(clips: Path, run: Path, tmp_path: Path) -> None:
    again = _pretrain(clips, tmp_path / "run")
    assert _same(again, load_file(run / "model.safetensors"))


def test_path_of_the_clips_and_monitoring_change_no_weight(clips: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "moved")
    again = _pretrain(tmp_path / "moved", tmp_path / "run", "--knn_every", 0)
    assert _same(again, load_file(run / "model.safetensors"))


def test_another_seed_gives_other_weights(clips: Path, run: Path, tmp_path: Path) -> None:
    other = _pretrain(clips, tmp_path / "run", "--seed", 1, "--knn_every", 0)
    exact = load_file(run / "model.safetensors")
    assert other.keys() == exact.keys()
    moved = [name for name, value in exact.items() if value.is_floating_point() and not torch.equal(other[name], value)]
    assert len(moved) > len(exact) / 2


def test_own_recipe_is_used_and_typed_options_take_precedence(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("method: cmd\nepochs: 1\nobjectives:\n  temperature: 0.2\n")
    words = [str(clips), str(tmp_path / "run"), *tiny.SETTINGS, f"--recipe={tmp_path / 'mine.yaml'}"]
    assert main(["pretrain", *words]) == 0
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["settings"]
    assert settings["method"] == "cmd"
    assert settings["epochs"] == 2
    assert settings["objectives"]["temperature"] == 0.2


def test_split_all_pretrains_on_every_clip(clips: Path, tmp_path: Path) -> None:
    _pretrain(clips, tmp_path / "run", "--split", "all", "--epochs", 1, "--json", tmp_path / "j.json")
    assert _json(tmp_path / "j.json")["clips"] == 32


def test_embed_writes_features_of_every_clip(clips: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    assert main(["embed", str(run), str(clips), str(out), "--json", str(tmp_path / "j.json")]) == 0
    with np.load(out) as written:
        assert set(written.files) == {"names", "labels", "joint", "motion", "bone"}
        assert written["joint"].shape == (32, 16)
        assert len(set(written["names"].tolist())) == 32
        assert np.bincount(written["labels"]).tolist() == [8, 8, 8, 8]
        for name, features in i2md.load(run, "cpu").embed(i2md.open_clips(clips)).items():
            np.testing.assert_array_equal(written[name], features)
    assert _json(tmp_path / "j.json")["features"] == {name: [32, 16] for name in ("joint", "motion", "bone")}


def test_import_cmd_prints_the_encoder_sizes(golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["import-cmd", str(golden / "cmd_step.pth.tar"), str(tmp_path / "run"), "--json", str(tmp_path / "j.json")]
    assert main(words) == 0
    assert _json(tmp_path / "j.json") == {"run": str(tmp_path / "run"), "hidden_size": 24, "num_layers": 3}
    assert "hidden_size: 24" in capsys.readouterr().out


def test_bug_exits_1_with_a_traceback(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    assert main(["info", str(clips), "--json", str(tmp_path / "j.json")]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
