"""Classifiers that several test files use: of clips, and of windows of long recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from i2md.cli.main import main


@pytest.fixture(scope="session")
def of_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, model = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("classifiers") / "clips"
    assert main(["fit", str(tiny.run(base)), str(tiny.clips(base)), str(model)]) == 0
    return model


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.recordings(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def of_windows(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, model = tiny.run(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("classifiers") / "windows"
    assert main(["fit", str(run), str(recordings), str(model), "--windows", "1s", "--stride", "0.5s"]) == 0
    return model
