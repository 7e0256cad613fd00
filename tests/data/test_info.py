"""What is said of a set of clips, and what it is warned of."""

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
    told = {"units": "m", "splits": SPLITS, "report": {}} | changes
    with ClipsWriter(folder / "c", 20, 3) as writer:
        for clip in clips:
            writer.add(clip)
        writer.finish(Dataset("mine", get_layout("kinect-v1"), ("wave", "clap"), preparation="none", **told))
    return info(open_clips(folder / "c"))


SOUND = [_clip(1, 0), _clip(2, 1)]


def test_counts_lengths_and_classes(tmp_path: Path) -> None:
    said = _info(tmp_path, [_clip(1, 0, frames=4), _clip(1, 1, frames=8), _clip(2, 1, frames=12, persons=2)])
    assert said["clips"] == 3
    assert said["frames"] == {"min": 4, "25%": 6, "median": 8, "75%": 10, "max": 12}
    assert said["persons"] == {1: 2, 2: 1}
    assert said["classes"] == {"wave": 1, "clap": 2}
    assert said["splits"] == {"xsub": {"train": 2, "test": 1}}
    assert said["bytes"] == (4 + 8 + 24) * 20 * 3 * 4


def test_sound_clips_call_for_no_warning(tmp_path: Path) -> None:
    assert _info(tmp_path, SOUND)["warnings"] == []


def test_clips_without_label_are_counted_apart(tmp_path: Path) -> None:
    assert _info(tmp_path, [*SOUND, _clip(1, -1)])["classes"] == {"wave": 1, "clap": 1, "no label": 1}


def _warning(folder: Path, clips: list[Recording], **changes: Any) -> str:
    warnings = _info(folder, clips, **changes)["warnings"]
    assert len(warnings) == 1, warnings
    return warnings[0]


def test_frames_without_anybody(tmp_path: Path) -> None:
    gap = _clip(3)
    gap.positions[:, 2] = 0
    warning = _warning(tmp_path, [*SOUND, gap])
    assert "without anybody" in warning
    assert "s3" in warning


def test_a_clip_that_never_moves(tmp_path: Path) -> None:
    frozen = _clip(3)
    frozen.positions[:] = frozen.positions[:, :1]
    warning = _warning(tmp_path, [*SOUND, frozen])
    assert "never move" in warning
    assert "s3" in warning


def test_millimetres_said_to_be_metres(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert "units" in _warning(tmp_path, clips)


def test_units_that_are_not_known_are_not_judged(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert _info(tmp_path, clips, units="unknown")["warnings"] == []


def test_a_single_frame(tmp_path: Path) -> None:
    assert "single frame" in _warning(tmp_path, [*SOUND, _clip(1, frames=1)])


def test_a_class_without_clips(tmp_path: Path) -> None:
    assert "'clap'" in _warning(tmp_path, [_clip(1), _clip(2)])


def test_an_empty_part_of_a_split(tmp_path: Path) -> None:
    splits = {"xsub": {"train": {"subject": (1, 2)}, "test": {"subject": (9,)}}}
    assert "'test' is empty" in _warning(tmp_path, SOUND, splits=splits)


def test_recordings_left_out(tmp_path: Path) -> None:
    report = {"left_out": 2, "left_out_files": ["a.mat: cut short", "b.mat: cut short"]}
    warning = _warning(tmp_path, SOUND, report=report)
    assert warning.startswith("2 recordings were left out")
    assert "a.mat: cut short" in warning


def test_whole_recordings_are_counted_with_their_intervals(real_data: Path, tmp_path: Path) -> None:
    clips = prepare("utkinect-action3d", real_data / "utkinect-action3d", tmp_path / "c")
    # Ten actions in each of twenty recordings, one of them without frame numbers.
    assert info(clips)["untrimmed"] == {"recordings": 20, "intervals": 199}
    assert "untrimmed" not in _info(tmp_path / "other", SOUND)
