"""Trackers: what Weights & Biases and MLflow, the libraries themselves, hold of a run; and what a failure costs."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from i2md.errors import InputError
from i2md.pretraining.log import read_log
from i2md.pretraining.trackers import TRACKERS, known_id

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
from pretraining_examples import command, pretrain


def _losses(run: Path) -> dict[int, float]:
    return {line["epoch"]: line["loss"] for line in read_log(run)}


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


def _wandb_rows(run: Path) -> list[dict[str, Any]]:
    """The history in the run's offline files, oldest first.

    A file is a header of 7 bytes and a log of LevelDB: blocks of 32 KiB with chunks of checksum (4 bytes), length (2)
    and type (1: whole, 2: first, 3: middle, 4: last part of a record).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    rows: list[dict[str, Any]] = []
    for path in sorted((run / "wandb").glob("offline-run-*/*.wandb")):
        data, at, record = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if 32768 - at % 32768 < 7:
                at += 32768 - at % 32768
                continue
            length, kind = struct.unpack_from("<HB", data, at + 4)
            record = (record if kind in (3, 4) else b"") + data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4) and (parsed := Record.FromString(record)).WhichOneof("record_type") == "history":
                rows.append(
                    {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in parsed.history.item}
                )
    return rows


def test_wandb_has_the_figures_of_the_log_and_a_longer_run_continues_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = tmp_path / "run"
    pretrain(base, run, trackers=("wandb",), epochs=2)
    named = known_id(run, "wandb")
    pretrain(base, run, trackers=("wandb",), epochs=3)
    assert named and known_id(run, "wandb") == named
    assert all(named in path.name for path in (run / "wandb").glob("offline-run-*"))
    rows = _wandb_rows(run)
    assert {row["epoch"]: row["loss"] for row in rows} == _losses(run)
    assert {name for name in read_log(run)[-1] if "/" in name} <= rows[-1].keys()


def test_mlflow_has_the_figures_and_settings_and_a_longer_run_continues_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run = tmp_path / "run"
    pretrain(base, run, trackers=("mlflow",), epochs=2)
    named = known_id(run, "mlflow")
    pretrain(base, run, trackers=("mlflow",), epochs=3)
    assert named and known_id(run, "mlflow") == named
    client = MlflowClient()
    known = client.get_run(named)
    history = client.get_metric_history(named, "loss")
    assert {metric.step: metric.value for metric in history} == _losses(run)
    assert client.get_metric_history(named, "cmd/motion to joint")
    assert known.info.status == "FINISHED" and known.info.run_name == "run"
    assert known.data.params["settings.batch_size"] == "8" and known.data.params["layout.name"] == "kinect-v1"


def test_a_tracker_that_fails_is_left_out_and_said_and_the_weights_are_the_same(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unreachable:
        written = 0

        def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
            pass

        def write(self, scalars: Mapping[str, float], epoch: int) -> None:
            Unreachable.written += 1
            raise RuntimeError("no connection\nto the server")

        def close(self, finished: bool) -> None:
            raise AssertionError("left out before")

    monkeypatch.setattr(TRACKERS, "_registered", {})
    TRACKERS.register("unreachable", Unreachable)
    pretrain(base, tmp_path / "plain", epochs=2)
    pretrain(base, tmp_path / "run", epochs=2, trackers=("unreachable", "tensorboard"))
    said = [line for line in capsys.readouterr().err.splitlines() if "unreachable" in line]
    assert len(said) == 1 and "no connection to the server" in said[0] and Unreachable.written == 1
    assert len(_losses(tmp_path / "run")) == 2 and (tmp_path / "run" / "tensorboard").is_dir()
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "run"))
    assert all((first[key] == second[key]).all() for key in first)


def test_one_that_cannot_begin_is_one_line_before_the_first_step(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuch://server")
    assert command(base, tmp_path / "run", "--trackers", "[mlflow]") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "tracker mlflow cannot begin" in last and "--trackers" in last
    assert read_log(tmp_path / "run") == []


def test_an_unknown_tracker_is_named_with_the_known_ones(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tracker 'wandbb' is unknown \(did you mean wandb\?\)"):
        pretrain(base, tmp_path / "run", trackers=("wandbb",))
