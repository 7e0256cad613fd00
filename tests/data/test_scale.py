"""Clips of another scale than a run's: a warning of evaluate and embed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2md.cli.main import main
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter, open_clips


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
