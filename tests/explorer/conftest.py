"""The state of an explorer of tiny clips, with a hostile name of a class and of a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import i2md
from i2md.cli.main import main
from i2md.data.store import Clips

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def hostile_clips(clips: Path) -> Clips:
    """32 clips of 4 classes."""
    opened = i2md.open_clips(clips)
    names = opened.columns["name"].copy()
    names[0] = f"{HOSTILE}.clip"
    classes = (HOSTILE, *opened.dataset.class_names[1:])
    dataset = replace(opened.dataset, class_names=classes)
    return Clips(opened.path, dataset, opened.frames, {**opened.columns, "name": np.array(names)})


@pytest.fixture(scope="session")
def of_clips(run: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that was fitted to the clips."""
    model = tmp_path_factory.mktemp("classifier") / "model"
    assert main(["fit", str(run), str(clips), str(model), "--candidates", "learned"]) == 0
    return model


@pytest.fixture(scope="session")
def explorers(
    run: Path, hostile_clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], Any]]:
    """Makes the state of an explorer from the file of its labels."""
    pytest.importorskip("nicegui", reason='no explorer: pip install -e ".[explorer]"')
    from i2md.explorer.collection import open_collection
    from i2md.explorer.labels import LabelBook
    from i2md.explorer.state import Explorer

    made = []

    def make(labels: Path) -> Any:
        collection = open_collection(run, hostile_clips, tmp_path_factory.getbasetemp() / "features-of-explorer")
        made.append(Explorer(collection, LabelBook(labels, collection.names)))
        return made[-1]

    yield make
    for each in made:
        each.learner.stop()
        each.book.close()


@pytest.fixture(scope="module")
def explorer(explorers: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One for the tests of a file, which label nothing."""
    return explorers(tmp_path_factory.mktemp("labels") / "labels.csv")
