"""The description of a folder of clips, and its warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.info import info
from i2md.data.prepare import prepare
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter, Dataset, open_clips
from i2md.skeletons import get_layout

SPLITS = {"xsub": {"train": {"subject": (1,)}, "test": {"subject": (2,)}}}


def _clip(subject: int = 1, label: int = 0, frames: int = 8, persons: int = 1, scale: float = 1.0) -> Recording:
    """A body 1.7 m high that sways."""
    rng = np.random.default_rng(subject)
    still = rng.uniform(-0.3, 0.3, size=(persons, 1, 20, 3))
    still[:, :, 3, 1], still[:, :, 15, 1] = 1.7, 0.001
    moved = still + rng.normal(0, 0.01, size=(persons, frames, 20, 3))
    return Recording(f"s{subject}", (scale * moved).astype(np.float32), label=label, subject=subject)


def _info(folder: Path, clips: list[Recording], **changes: Any) -> dict[str, Any]:
    settings = {"units": "m", "splits": SPLITS, "report": {}} | changes
    with ClipsWriter(folder / "c", 20, 3) as writer:
        for clip in clips:
            writer.add(clip)
        writer.finish(Dataset("mine", get_layout("kinect-v1"), ("wave", "clap"), preparation="none", **settings))
    return info(open_clips(folder / "c"))


VALID = [_clip(1, 0), _clip(2, 1)]


def test_counts_lengths_and_classes(tmp_path: Path) -> None:
    found = _info(tmp_path, [_clip(1, 0, frames=4), _clip(1, 1, frames=8), _clip(2, 1, frames=12, persons=2)])
    assert found["clips"] == 3
    assert found["frames"] == {"min": 4, "25%": 6, "median": 8, "75%": 10, "max": 12}
    assert found["persons"] == {1: 2, 2: 1}
    assert found["classes"] == {"wave": 1, "clap": 2}
    assert found["splits"] == {"xsub": {"train": 2, "test": 1}}
    assert found["bytes"] == (4 + 8 + 24) * 20 * 3 * 4


def test_valid_clips_give_no_warning(tmp_path: Path) -> None:
    assert _info(tmp_path, VALID)["warnings"] == []


def test_clips_without_a_label_are_counted_separately(tmp_path: Path) -> None:
    assert _info(tmp_path, [*VALID, _clip(1, -1)])["classes"] == {"wave": 1, "clap": 1, "no label": 1}


def _warning(folder: Path, clips: list[Recording], **changes: Any) -> str:
    warnings = _info(folder, clips, **changes)["warnings"]
    assert len(warnings) == 1, warnings
    return warnings[0]


def test_frames_without_any_person_give_a_warning(tmp_path: Path) -> None:
    gap = _clip(3)
    gap.positions[:, 2] = 0
    warning = _warning(tmp_path, [*VALID, gap])
    assert "without any person" in warning
    assert "s3" in warning


def test_a_clip_that_never_moves_gives_a_warning(tmp_path: Path) -> None:
    frozen = _clip(3)
    frozen.positions[:] = frozen.positions[:, :1]
    warning = _warning(tmp_path, [*VALID, frozen])
    assert "never move" in warning
    assert "s3" in warning


def test_millimetres_declared_as_metres_give_a_warning(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert "units" in _warning(tmp_path, clips)


def test_unknown_units_give_no_warning(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert _info(tmp_path, clips, units="unknown")["warnings"] == []


def test_a_single_frame_gives_a_warning(tmp_path: Path) -> None:
    assert "single frame" in _warning(tmp_path, [*VALID, _clip(1, frames=1)])


def test_a_class_without_clips_gives_a_warning(tmp_path: Path) -> None:
    assert "'clap'" in _warning(tmp_path, [_clip(1), _clip(2)])


def test_an_empty_part_of_a_split_gives_a_warning(tmp_path: Path) -> None:
    splits = {"xsub": {"train": {"subject": (1, 2)}, "test": {"subject": (9,)}}}
    assert "'test' is empty" in _warning(tmp_path, VALID, splits=splits)


def test_recordings_left_out_give_a_warning(tmp_path: Path) -> None:
    report = {"left_out": 2, "left_out_files": ["a.mat: cut short", "b.mat: cut short"]}
    warning = _warning(tmp_path, VALID, report=report)
    assert warning.startswith("2 recordings were left out")
    assert "a.mat: cut short" in warning


def test_untrimmed_recordings_are_counted_with_their_intervals(real_data: Path, tmp_path: Path) -> None:
    clips = prepare("utkinect-action3d", real_data / "utkinect-action3d", tmp_path / "c")
    # Ten actions in each of twenty recordings, one of them without frame numbers.
    assert info(clips)["untrimmed"] == {"recordings": 20, "intervals": 199}
    assert "untrimmed" not in _info(tmp_path / "other", VALID)
