"""Classifiers that several test files use: of clips, and of windows of long recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

import i2md
from i2md.cli.main import main
from i2md.data.recording import Interval, Recording
from i2md.data.store import ClipsWriter


@pytest.fixture(scope="session")
def of_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, model = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("classifiers") / "clips"
    assert main(["fit", str(tiny.run(base)), str(tiny.clips(base)), str(model)]) == 0
    return model


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three long recordings of five clips each, one after the other, with their labels as intervals; one with a gap."""
    clips = i2md.open_clips(tiny.clips(tmp_path_factory.getbasetemp()))
    folder = tmp_path_factory.mktemp("long") / "clips"
    with ClipsWriter(folder, 20, 3) as writer:
        for number in range(3):
            chosen = [i for i in range(32) if i % 3 == number][:5]
            ends = np.cumsum([clips[i].shape[1] for i in chosen]).tolist()
            intervals = tuple(
                Interval(end - clips[i].shape[1], end - 10, int(clips.labels[i]))
                for i, end in zip(chosen, ends, strict=True)
            )
            positions = np.concatenate([clips[i][:1] for i in chosen], axis=1)
            about = {"subject": number, "fps": 30.0, "source": f"day{number}.npy"}
            writer.add(Recording(f"day{number}", positions, intervals=intervals, **about))
        # Nobody is there for two seconds.
        gap = np.concatenate([clips[0][:1], np.zeros((1, 60, 20, 3), np.float32), clips[1][:1]], axis=1)
        writer.add(Recording("gap", gap, fps=30.0, source="gap.npy"))
        writer.finish(clips.dataset.__class__(**{**vars(clips.dataset), "name": "long", "splits": {}, "report": {}}))
    return folder


@pytest.fixture(scope="session")
def of_windows(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, model = tiny.run(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("classifiers") / "windows"
    assert main(["fit", str(run), str(recordings), str(model), "--windows", "1s", "--stride", "0.5s"]) == 0
    return model
