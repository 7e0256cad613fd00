"""Clips of another scale than a run's: a warning of evaluate and embed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from i2md.cli.main import main
from i2md.data.checks import body_span
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter, open_clips
from i2md.evaluation.fit import clip_misfits
from i2md.pretraining.run import read_config
from i2md.skeletons import get_layout


@pytest.mark.parametrize(("factor", "warned"), [(1, False), (1000, True), (0.01, True)])
def test_clips_of_another_scale_meet_a_run(
    factor: float, warned: bool, clips: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = open_clips(clips)
    with ClipsWriter(tmp_path / "scaled", 20, 3) as writer:
        for index in range(len(original)):
            row = {name: original.columns[name][index] for name in ("name", "label", "subject")}
            writer.add(Recording(positions=(factor * original.read(index)).astype("f4"), **row))
        writer.finish(replace(original.dataset, name="scaled"))
    capsys.readouterr()
    assert main(["embed", str(run), str(tmp_path / "scaled"), str(tmp_path / "out.npz"), "--device", "cpu"]) == 0
    assert ("warning: scale: in" in capsys.readouterr().err) == warned


def test_units_and_sizes_in_images_are_compared(clips: Path, run: Path) -> None:
    config, original = read_config(run), open_clips(clips)
    assert list(clip_misfits(config, original)) == []
    in_pixels = replace(config, clips={**config.clips, "units": "pixels"})
    (sentence,) = clip_misfits(in_pixels, original)
    assert sentence == f"units: {clips} is in m, the clips pretrained on were in pixels; prepare both in one unit"
    span = float(config.clips["extent"])
    flat = replace(config, layout=replace(config.layout, channels=2))
    # Bodies in an image are near or far.
    found = [len(list(clip_misfits(replace(flat, clips={"extent": span / by}), original))) for by in (2.5, 3.5)]
    assert found == [0, 1]


def test_span_of_a_body_in_an_image_does_not_reach_to_missing_joints() -> None:
    layout = get_layout("openpose-18").with_channels(2)
    clip = np.full((1, 4, 18, 2), 500.0)
    clip[0, :, 3] = 560, 620
    clip[0, 1:, 7] = 0
    assert body_span([clip, np.full_like(clip, np.nan), np.zeros_like(clip)], layout) == 120
    assert body_span([np.zeros_like(clip)], layout) is None
