"""Corruptions of clips against their definitions, for every kind, layout and preparation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.dataset import Dataset
from i2md.data.presets import Prepared, prepare_positions
from i2md.data.recording import Recording
from i2md.data.store import Clips, ClipsWriter, open_clips
from i2md.errors import InputError
from i2md.evaluation.corruption import (
    CORRUPTIONS,
    choose_corruptions,
    context_of,
    corrupt_clips,
    levels_of,
)
from i2md.evaluation.settings import CorruptionSettings, EvaluationSettings
from i2md.skeletons import get_layout


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    opened = open_clips(tiny.clips(tmp_path_factory.getbasetemp()))
    return opened.select(np.arange(0, len(opened), 8))


def _corrupted(clips: Clips, name: str, level: float, draw: int = 0, seed: int = 0) -> list[np.ndarray]:
    return corrupt_clips(clips, name, level, seed, draw, context_of(clips))


def _flat_clips(folder: Path) -> Clips:
    """Clips of two persons in the image, without a known unit; the second person is missing in some frames."""
    layout = get_layout("coco-17").with_channels(2)
    rng = np.random.default_rng(0)
    recordings = []
    for number in range(3):
        positions = (100 * rng.random((2, 20, 17, 2)) + 50).astype(np.float32)
        positions[1, 5:9] = 0
        positions[0, :, 3] = 0
        prepared = prepare_positions(positions, layout, "none")
        assert isinstance(prepared, Prepared)
        recordings.append(Recording(name=f"r{number}", positions=prepared.positions, label=0))
    with ClipsWriter(folder / "flat", 17, 2) as writer:
        for recording in recordings:
            writer.add(recording)
        writer.finish(Dataset("flat", layout, ("a",), "pixels", "none"))
    return open_clips(folder / "flat")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_neutral_level_leaves_clips_as_they_are(clips: Clips, name: str) -> None:
    for before, after in zip(clips, _corrupted(clips, name, CORRUPTIONS[name].neutral), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_clips_follow_from_seed_draw_and_name_alone(clips: Clips, name: str) -> None:
    level = levels_of(CorruptionSettings(), name)[0]
    whole = _corrupted(clips, name, level)
    (alone,) = _corrupted(clips.select(np.array([2])), name, level)
    np.testing.assert_array_equal(alone, whole[2])
    others = [_corrupted(clips, name, level, draw=1)[2], _corrupted(clips, name, level, seed=1)[2]]
    differ = [other.shape != alone.shape or bool((other != alone).any()) for other in others]
    assert differ == [CORRUPTIONS[name].random] * 2


@given(low=st.integers(0, 10), more=st.integers(0, 5))
@settings(max_examples=5, deadline=None)
def test_missing_joints_are_a_share_of_all_and_grow_with_the_level(
    tmp_path_factory: pytest.TempPathFactory, low: int, more: int
) -> None:
    clips = open_clips(tiny.clips(tmp_path_factory.getbasetemp())).select(np.arange(2))
    layout, size = clips.dataset.layout, len(clips.dataset.layout.joints)
    few, many = (_corrupted(clips, "joints", count / size) for count in (low, low + more))
    for before, a, b in zip(clips, few, many, strict=True):
        lost = [set(np.flatnonzero(~x.any(axis=(0, 1, 3)))) - set(np.flatnonzero(~before.any(axis=(0, 1, 3))))
                for x in (a, b)]  # fmt: skip
        assert [len(joints) for joints in lost] == [low, low + more] and lost[0] <= lost[1]
        assert not lost[1] & {layout.centre, *layout.across, *layout.spine}
        kept = [joint for joint in range(size) if joint not in lost[1]]
        np.testing.assert_allclose(b[:, :, kept], before[:, :, kept], atol=1e-5)


def test_noise_has_its_size_in_centimetres(clips: Clips) -> None:
    context = context_of(clips)
    x = np.repeat(np.asarray(clips[0], np.float64), 40, axis=1)
    moved = CORRUPTIONS["noise"].apply(x, 2.0, np.random.default_rng(0), context)
    assert context.centimetre == 0.01
    held = x.any(axis=-1)
    assert np.std((moved - x)[held]) == pytest.approx(0.02, rel=0.03)


def test_lost_frames_close_up_and_frames_of_another_rate_lie_between(clips: Clips) -> None:
    for before, after in zip(clips, _corrupted(clips, "frames", 0.5), strict=True):
        # Frames are found again by distances within the body: preparation turns it by its first frames.
        poses, found = (np.linalg.norm(x[0] - x[0, :, :1], axis=-1) for x in (before, after))
        lost = [min(np.abs(pose - frame).max() for frame in found) > 1e-4 for pose in poses]
        assert sum(lost) > 0.2 * len(poses) and len(found) < 0.8 * len(poses)
        steps = [int(np.abs(poses - frame).max(axis=1).argmin()) for frame in found]
        assert steps == sorted(steps)
    for before in clips:
        half, double = (
            CORRUPTIONS["rate"].apply(before, level, np.random.default_rng(), context_of(clips)) for level in (0.5, 2.0)
        )
        np.testing.assert_allclose(half, before[:, ::2][:, : half.shape[1]], atol=1e-5)
        assert abs(half.shape[1] - before.shape[1] / 2) <= 0.5
        np.testing.assert_allclose(double[:, ::2], before, atol=1e-5)
        np.testing.assert_allclose(double[:, 1:-1:2], (before[:, 1:] + before[:, :-1]) / 2, atol=1e-5)


def test_preparation_undoes_what_it_normalises_and_nothing_else(clips: Clips) -> None:
    """The preset turns bodies to the front, so a turn of the camera is undone, a tilt and an error of it are not."""
    assert clips.dataset.preparation == "facing"
    up = np.array(clips.dataset.layout.up) / np.linalg.norm(clips.dataset.layout.up)
    for before, camera, turn, tilt, scale in zip(
        clips, *(_corrupted(clips, *what) for what in (("camera", 70), ("turn", 30), ("tilt", 30), ("scale", 0.8))),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(camera, before, atol=1e-4)
        np.testing.assert_allclose(turn @ up, before @ up, atol=1e-4)
        level = before - (before @ up)[..., None] * up
        cosine = (level * turn).sum() / (level**2).sum()
        assert cosine == pytest.approx(np.cos(np.radians(30)), abs=1e-4)
        assert np.abs(tilt - before).max() > 0.1
        np.testing.assert_allclose(np.linalg.norm(tilt, axis=-1), np.linalg.norm(before, axis=-1), atol=1e-3)
        np.testing.assert_allclose(scale, 0.8 * before, atol=1e-4)


def test_clips_in_the_image_have_centimetres_of_a_body_and_no_depth(tmp_path: Path) -> None:
    clips = _flat_clips(tmp_path)
    context = context_of(clips)
    spans = [np.ptp(np.delete(frame, 3, axis=0), axis=0).max() for clip in clips for frame in clip[0]]
    assert min(spans) / 160 <= context.centimetre <= max(spans) / 160
    for name in ("joints", "noise", "frames", "rate", "scale", "tilt"):
        for level in levels_of(CorruptionSettings(), name):
            for before, after in zip(clips, _corrupted(clips, name, level), strict=True):
                assert after.shape[0] == 2 and np.isfinite(after).all()
                assert not after[0, :, 3].any()
                assert name in ("frames", "rate") or not after[1, 5:9].any(), "absent persons stay absent"
                assert name != "tilt" or np.allclose(np.linalg.norm(after, axis=-1), np.linalg.norm(before, axis=-1))
    names, notes = choose_corruptions(["all"], clips.dataset.layout)
    assert names == ("joints", "noise", "frames", "rate", "scale", "tilt")
    assert len(notes) == 2 and "needs depth" in notes[0]
    with pytest.raises(InputError, match=r"'camera': layout coco-17 is 2-D.*needs depth; leave it out"):
        choose_corruptions(["noise", "camera"], clips.dataset.layout)


def test_what_cannot_be_is_refused(clips: Clips) -> None:
    with pytest.raises(InputError, match="did you mean noise"):
        choose_corruptions(["nois"], clips.dataset.layout)
    with pytest.raises(InputError, match=r"preparation needs \d of the 20 joints; at most 0\.7"):
        _corrupted(clips, "joints", 0.9)
    with pytest.raises(InputError, match=r"corruption.frames .* must be from 0 to 0.99"):
        EvaluationSettings(corruption=CorruptionSettings(frames=(1.0,)))
