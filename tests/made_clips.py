"""Made-up clips of any kind, and the page that `i2md view` writes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from made_report import Page

from i2md.cli.main import main
from i2md.data.dataset import Dataset
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v1")
FLAT = get_layout("coco-17").with_channels(2)


def write_clips(folder: Path, recordings: list[Recording], layout: Any = LAYOUT, **about: Any) -> Path:
    joints, channels = recordings[0].positions.shape[2:]
    with ClipsWriter(folder, joints, channels) as writer:
        for recording in recordings:
            writer.add(recording)
        described = {"name": "made", "class_names": ("sit", "stand", "<wave>"), "units": "m", "preparation": "none"}
        writer.finish(Dataset(layout=layout, **{**described, **about}))
    return folder


def moving(name: str, frames: int = 20, persons: int = 1, layout: Any = LAYOUT, **about: Any) -> Recording:
    rng = np.random.default_rng(frames)
    steps = rng.normal(size=(persons, frames, len(layout.joints), layout.channels)).cumsum(axis=1)
    return Recording(name, (steps + 5).astype(np.float32), **about)


def view(*words: object) -> Page:
    assert main(["view", *map(str, words)]) == 0
    out = [str(words[i + 1]) for i, word in enumerate(words) if word == "--out"]
    return Page(Path(out[0]) if out else Path(str(words[0])) / "view.html")
