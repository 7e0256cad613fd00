"""From recordings to predictions by the command line alone: sixty recordings, ten labels, one long file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from pose_files import wide_csv

import i2md
from i2md.cli.main import main

pytestmark = pytest.mark.slow


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


def test_ten_labels_predict_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("prepare", "synthetic", "any", "clips", *tiny.words({"options.actions": 5, "options.subjects": 4}),
        "--options.repeats", 3, "--jobs", 1)  # fmt: skip
    run("pretrain", "clips", "run", *tiny.SETTINGS, "--epochs", 8)
    clips = i2md.open_clips("clips")
    assert len(clips) == 60
    # Two clips of each action, of two subjects, are labelled by hand.
    chosen = [
        np.flatnonzero((clips.labels == a) & (clips.columns["subject"] == s))[0] for a in range(5) for s in (1, 2)
    ]
    with open("labels.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "label", "subject"))
        for i in chosen:
            label = clips.dataset.class_names[clips.labels[i]]
            rows.writerow((clips.columns["name"][i], label, clips.columns["subject"][i]))
    run("fit", "run", "clips", "model", "--labels", "labels.csv", "--json", "fit.json")
    said = json.loads(Path("fit.json").read_text())
    assert (said["clips"], said["unlabelled"], said["folds"]) == (10, 50, 2)

    run("predict", "model", "clips", "clips.csv", "--json", "predict.json")
    assert json.loads(Path("predict.json").read_text())["accuracy"] > 0.5  # of five actions

    # One action after the other, as another program writes it.
    last = [np.flatnonzero((clips.labels == action) & (clips.columns["subject"] == 4))[0] for action in range(5)]
    long = np.concatenate([clips[int(i)][0] for i in last])
    wide_csv(Path("long.csv"), clips.dataset.layout.joints, long)
    run("predict", "model", "long.csv", "long.json", "--windows", "1s", "--page", "long.html", "--json", "said.json")
    said = json.loads(Path("said.json").read_text())
    intervals = json.loads(Path("long.json").read_text())["intervals"]
    assert said["recordings"] == 1 and said["smooth"] == "median"
    assert intervals and intervals[-1]["end_frame"] == len(long)
    assert Path("long.html").stat().st_size > 10_000
    run("search", "run", "clips", "--query", clips.columns["name"][0])
    run("cluster", "run", "clips", "clusters")
