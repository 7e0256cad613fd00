"""Joined data sets: all clips, with labels and subjects of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2md.cli.main import main
from i2md.data.dataset import Dataset
from i2md.data.info import info
from i2md.data.join import join
from i2md.data.prepare import prepare
from i2md.data.recording import UNKNOWN, Recording
from i2md.data.store import Clips, ClipsWriter, open_clips
from i2md.errors import InputError
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v1")
SPLITS = {"xsub": {"train": {"subject": (1,)}, "test": {"subject": (2,)}}}
WALKS = Dataset("walks", LAYOUT, ("walk", "run"), "m", "facing", SPLITS)
WAVES = Dataset("waves", LAYOUT, ("wave",), "m", "facing")


def write(path: Path, dataset: Dataset, labels: list[int], subjects: list[int], persons: int = 1) -> Path:
    random = np.random.default_rng(len(labels))
    with ClipsWriter(path, len(dataset.layout.joints), 3) as writer:
        for number, (label, subject) in enumerate(zip(labels, subjects, strict=True)):
            positions = random.normal(size=(persons, 4 + number, len(dataset.layout.joints), 3)).astype(np.float32)
            writer.add(Recording(f"clip{number}", positions, label, subject, camera=number, fps=30.0))
        writer.finish(dataset)
    return path


@pytest.fixture
def sets(tmp_path: Path) -> list[Path]:
    walks = write(tmp_path / "walks", WALKS, [1, 0, UNKNOWN], [1, 2, UNKNOWN])
    return [walks, write(tmp_path / "waves", WAVES, [0, 0], [1, 3], persons=2)]


def test_all_clips_are_joined_and_keep_labels_and_subjects_apart(sets, tmp_path):
    joined = join(tmp_path / "all", sets)
    assert joined.dataset.name == "walks+waves"
    assert joined.dataset.class_names == ("walks: walk", "walks: run", "waves: wave")
    assert joined.labels.tolist() == [1, 0, UNKNOWN, 2, 2]
    assert joined.columns["subject"].tolist() == [1, 2, UNKNOWN, 4, 6]
    assert joined.columns["name"].tolist() == [
        "walks/clip0",
        "walks/clip1",
        "walks/clip2",
        "waves/clip0",
        "waves/clip1",
    ]
    assert (joined.dataset.preparation, joined.dataset.splits) == ("facing", {})
    for found, expected in zip(joined, [clip for path in sets for clip in open_clips(path)], strict=True):
        assert np.array_equal(found, expected)
    assert joined.columns["camera"].tolist() == [0, 1, 2, 0, 1]


def test_opened_clips_and_selections_can_be_joined(sets, tmp_path):
    opened: list[Clips] = [open_clips(path) for path in sets]
    joined = join(tmp_path / "all", [opened[0].part("xsub", "train"), opened[1]])
    assert joined.columns["name"].tolist() == ["walks/clip0", "waves/clip0", "waves/clip1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preparation": "none"}, "preparation"),
        ({"units": "mm"}, "units"),
        ({"layout": get_layout("kinect-v2")}, "joints"),
        ({"name": "walks"}, "the same name"),
    ],
)
def test_data_sets_that_differ_are_refused(sets, tmp_path, change, said):
    other = write(tmp_path / "other", replace(WAVES, **change), [0], [1])
    with pytest.raises(InputError, match=said):
        join(tmp_path / "all", [sets[0], other])
    assert not (tmp_path / "all").exists()


def test_a_single_data_set_is_refused(sets, tmp_path):
    with pytest.raises(InputError, match="two folders"):
        join(tmp_path / "all", sets[:1])


def test_the_command_describes_the_clips_and_does_not_overwrite(sets, tmp_path, capsys):
    words = ["join", str(tmp_path / "all"), *map(str, sets)]
    assert main(words) == 0
    assert "walks+waves" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "all"), "--classes"]) == 0
    assert "2 waves: wave" in capsys.readouterr().out
    assert main(words) == 2
    assert "already exists" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_bodies_of_another_scale_give_a_warning(tmp_path):
    metres = prepare("synthetic", "x", tmp_path / "metres", actions=2, subjects=2, repeats=1)
    millimetres = tmp_path / "millimetres"
    with ClipsWriter(millimetres, 20, 3) as writer:
        for index in range(len(metres)):
            writer.add(Recording(f"clip{index}", 1000 * metres.read(index), 0, 1))
        writer.finish(replace(metres.dataset, name="other", splits={}))
    joined = join(tmp_path / "all", [metres, millimetres])
    assert any(text.startswith("scale: in other a body spans") for text in info(joined)["warnings"])
    assert not any("scale" in text for text in info(metres)["warnings"])
