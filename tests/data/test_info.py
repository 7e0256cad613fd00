"""The description of a folder of clips, and its warnings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2md.data.info import info
from i2md.data.prepare import prepare
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter, Dataset, open_clips
from i2md.skeletons import get_layout

JOINTS = get_layout("kinect-v1").joints

SPLITS = {"xsub": {"train": {"subject": (1,)}, "test": {"subject": (2,)}}}


# Kinect v1, standing, arms and feet to the front: x to the body's right, y up, so that the front is -z.
_TRUNK = [(0, 0.95, 0), (0, 1.05, 0), (0, 1.4, 0), (0, 1.7, 0)]
_ARM = [(0.2, 1.38, 0), (0.22, 1.1, 0), (0.22, 1.1, -0.25), (0.22, 1.1, -0.33)]
_LEG = [(0.1, 0.9, 0), (0.1, 0.5, 0), (0.1, 0.08, 0), (0.1, 0.02, -0.15)]
BODY = [
    *_TRUNK,
    *((-x, y, z) for x, y, z in _ARM),
    *_ARM,
    *((-x, y, z) for x, y, z in _LEG),
    *_LEG,
]


def _clip(subject: int = 1, label: int = 0, frames: int = 8, persons: int = 1, scale: float = 1.0) -> Recording:
    """A body 1.7 m high that sways, with equal limbs on both sides."""
    rng = np.random.default_rng([subject, label + 1])
    moved = np.array(BODY) + rng.normal(0, 0.005, size=(persons, frames, 20, 3))
    return Recording(f"s{subject}", (scale * moved).astype(np.float32), label=label, subject=subject)


def _info(folder: Path, clips: list[Recording], **changes: Any) -> dict[str, Any]:
    settings = {"units": "m", "splits": SPLITS, "report": {}, "class_names": ("wave", "clap")} | changes
    with ClipsWriter(folder / "c", 20, 3) as writer:
        for clip in clips:
            writer.add(clip)
        writer.finish(Dataset("mine", get_layout("kinect-v1"), preparation="none", **settings))
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
    assert _info(tmp_path, [*VALID, _clip(1, 1), _clip(2, 0)])["warnings"] == []


def test_clips_without_a_label_are_counted_separately(tmp_path: Path) -> None:
    assert _info(tmp_path, [*VALID, _clip(1, -1)])["classes"] == {"wave": 1, "clap": 1, "no label": 1}


def _warning(folder: Path, clips: list[Recording], **changes: Any) -> str:
    warnings = _info(folder, clips, **{"splits": {}, **changes})["warnings"]
    assert len(warnings) == 1, warnings
    return warnings[0]


def test_frames_without_any_person_give_a_warning(tmp_path: Path) -> None:
    gap = _clip(3)
    gap.positions[:, 2] = 0
    warning = _warning(tmp_path, [*VALID, gap])
    assert "without any person" in warning
    assert "s3" in warning


def test_long_unlabelled_recordings_are_told_of_windows(tmp_path: Path) -> None:
    warning = _warning(tmp_path, [*VALID, _clip(3, -1, frames=20 * 30 + 1), _clip(4, 1, frames=20 * 30 + 1)])
    assert warning.startswith("1 clips without a label are longer than 20 s, for example s3")
    assert f"i2md windows {tmp_path / 'c'} --length 2s" in warning


def test_a_clip_that_never_moves_gives_a_warning(tmp_path: Path) -> None:
    frozen = _clip(3)
    frozen.positions[:] = frozen.positions[:, :1]
    warning = _warning(tmp_path, [*VALID, frozen])
    assert "never move" in warning
    assert "s3" in warning


def test_millimetres_declared_as_metres_give_a_warning(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert "units" in _warning(tmp_path, clips)


def test_millimetres_of_unknown_unit_give_a_warning(tmp_path: Path) -> None:
    clips = [_clip(1, 0, scale=1000.0), _clip(2, 1, scale=1000.0)]
    assert "units" in _warning(tmp_path, clips, units="unknown")


@pytest.mark.parametrize("third", ["confidence", "zero"])
def test_a_third_coordinate_that_is_no_depth_gives_a_warning(third: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        clip = 300 + 100 * rng.normal(size=(1, 17, 3)) + rng.normal(size=(20, 17, 3))
        clip[..., 2] = rng.uniform(0.5, 1, (20, 17)) if third == "confidence" else 0
        (tmp_path / "x").mkdir(exist_ok=True)
        np.save(tmp_path / "x" / f"{number}.npy", clip)
    clips = prepare("arrays", tmp_path / "x", tmp_path / "clips", layout="coco-17")
    assert [text for text in info(clips)["warnings"] if text.startswith("flat: the third coordinate")]


def test_a_misordered_limb_gives_a_warning(tmp_path: Path) -> None:
    clips = [_clip(subject, subject % 2) for subject in (1, 2)]
    elbow, wrist = JOINTS.index("left elbow"), JOINTS.index("left wrist")
    for clip in clips:
        clip.positions[:, :, [elbow, wrist]] = clip.positions[:, :, [wrist, elbow]]
    assert _warning(tmp_path, clips).startswith("joint order: the bones to left")


def test_bones_that_change_their_length_give_a_warning(tmp_path: Path) -> None:
    clips = [_clip(subject, subject % 2) for subject in (1, 2)]
    for clip in clips:
        clip.positions[:] *= np.linspace(0.2, 1.8, 8)[:, None, None]
    assert _warning(tmp_path, clips).startswith("bone lengths vary by")


def test_bodies_with_z_upwards_give_a_warning(tmp_path: Path) -> None:
    clips = [_clip(subject, subject % 2) for subject in (1, 2)]
    turned = [
        replace(clip, positions=np.ascontiguousarray(clip.positions[..., [0, 2, 1]] * [1, -1, 1])) for clip in clips
    ]
    warning = _warning(tmp_path, [replace(clip, positions=clip.positions.astype(np.float32)) for clip in turned])
    assert warning.startswith("vertical axis: the trunk (hip centre to shoulder centre) points along +z")


@pytest.mark.parametrize("by", ["axis", "joints"])
def test_mirrored_bodies_give_a_warning(by: str, tmp_path: Path) -> None:
    clips = [_clip(subject, subject % 2) for subject in (1, 2, 1, 2)]
    for number, clip in enumerate(clips):
        if by == "axis":
            clip.positions[..., 2] *= -1
        else:
            clip.positions[:] = clip.positions[:, :, list(get_layout("kinect-v1").mirror)]
        clips[number] = replace(clip, name=f"clip-{number}")
        clip.positions[..., 0] += np.float32(number)
    assert _warning(tmp_path, clips).startswith("mirrored: hands or feet point backwards")


def test_a_single_class_is_remarked_on(tmp_path: Path) -> None:
    warning = _warning(tmp_path, [_clip(1, 0), _clip(2, 0)], class_names=("wave",))
    assert warning.startswith("all labelled clips have one class, 'wave'")


def test_a_single_frame_gives_a_warning(tmp_path: Path) -> None:
    assert "single frame" in _warning(tmp_path, [*VALID, _clip(1, frames=1)])


def test_a_class_without_clips_gives_a_warning(tmp_path: Path) -> None:
    clips = [_clip(1, 0), _clip(2, 1)]
    assert "'nod'" in _warning(tmp_path, clips, class_names=("wave", "clap", "nod"))


def test_an_empty_part_of_a_split_gives_a_warning(tmp_path: Path) -> None:
    splits = {"xsub": {"train": {"subject": (1, 2)}, "test": {"subject": (9,)}}}
    assert "'test' is empty" in _warning(tmp_path, VALID, splits=splits)


def test_classes_of_one_part_only_give_a_warning(tmp_path: Path) -> None:
    # Of the parts the one named train counts as such, in whatever order they are; clips without a label count nowhere.
    splits = {"xsub": {"test": {"subject": (2,)}, "train": {"subject": (1,)}}}
    clips = [*VALID, _clip(1, 1), _clip(2, 0), _clip(2, -1)]
    assert _info(tmp_path / "both", clips, splits=splits)["warnings"] == []
    warning = _warning(tmp_path / "one", [*clips, _clip(2, 2)], splits=splits, class_names=("wave", "clap", "nod"))
    assert warning == "split 'xsub': 1 classes have no training clips, for example 'nod'"
    warning = _warning(tmp_path / "other", [*clips, _clip(1, 2)], splits=splits, class_names=("wave", "clap", "nod"))
    assert warning == "split 'xsub': 1 classes have no test clips, for example 'nod'"


def test_recordings_left_out_give_a_warning(tmp_path: Path) -> None:
    report = {"left_out": 2, "left_out_files": ["a.mat: cut short", "b.mat: cut short"]}
    warning = _warning(tmp_path, VALID, report=report)
    assert warning.startswith("2 recordings were left out")
    assert "a.mat: cut short" in warning


def test_each_reason_why_recordings_were_left_out_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.random.default_rng(0).normal(size=(9, 25, 3)))
    for number in range(3):
        np.save(tmp_path / f"flat{number}.npy", np.zeros((9 + number, 25)))
    (tmp_path / "torn.npy").write_bytes(b"no array")
    found = info(prepare("arrays", tmp_path, tmp_path / "c"))
    warnings = [text for text in found["warnings"] if "left out" in text or "of them" in text]
    assert warnings[0].startswith("4 recordings were left out, for example flat0.npy: float64 of shape (9, 25)")
    assert warnings[1].startswith("1 of them for another reason, for example torn.npy: ")
    assert list(found["report"]["left_out_reasons"].values()) == [3, 1]


def test_untrimmed_recordings_are_counted_with_their_intervals(real_data: Path, tmp_path: Path) -> None:
    clips = prepare("utkinect-action3d", real_data / "utkinect-action3d", tmp_path / "c")
    # Ten actions in each of twenty recordings, one of them without frame numbers.
    assert info(clips)["untrimmed"] == {"recordings": 20, "intervals": 199}
    assert "untrimmed" not in _info(tmp_path / "other", VALID)
