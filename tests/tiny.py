"""A whole job at a tiny size: what the tests of commands, runs and evaluations work on.

Everything here is made once a test session, in its folder `base`, however many test files ask for it;
nobody may write into it.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jobs_here import jobs_here

from i2md.cli.main import main
from i2md.data.recording import Interval, Recording
from i2md.data.splits import by_column
from i2md.data.store import ClipsWriter, open_clips
from i2md.encoders.base import Encoder
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings, ReadoutName
from i2md.skeletons import get_layout


def words(settings: dict[str, object]) -> list[str]:
    """Settings as they are typed."""
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


MAKE_CLIPS = words({"options.actions": 4, "options.subjects": 4, "options.repeats": 2})
SETTINGS = words(
    {
        # The published settings, where nothing else is said.
        "recipe": "ntu60",
        "epochs": 2,
        "batch_size": 8,
        "views.frames": 8,
        "encoder.hidden_size": 8,
        "encoder.num_layers": 1,
        "objectives.embedding_dim": 8,
        "objectives.queue_size": 32,
        "objectives.num_neighbours": 8,
        "objectives.warmup_steps": 2,
        "optimizer.name": "adamw",
        "optimizer.learning_rate": 0.001,
        "knn_every": 1,
        "diagnostics_every": 0,
        "device": "cpu",
    }
)
SWEEP = [*SETTINGS, "--protocol", "knn"]
GRID = [
    "--grid",
    "method=cmd,i2md",
    "--seeds",
    "0",
    "1",
    "--against",
    "method=cmd",
    "--baselines",
    "positions",
    "untrained",
]


# Small settings of every built-in encoder.
ENCODERS: dict[str, dict[str, object]] = {
    "gru": {"encoder.hidden_size": 8, "encoder.num_layers": 2},
    "tcn": {"encoder.options.hidden_size": 8, "encoder.options.num_blocks": 2},
    "graph": {"encoder.options.widths": "[4, 6]", "encoder.options.refinement": "channel-wise"},
    "two-tower": {
        "encoder.options.hidden_size": 8,
        "encoder.options.num_layers": 1,
        "encoder.options.num_positions": 6,
    },
}


def encoder(name: str, layout: str, persons: int, readout: ReadoutName | None = None) -> Encoder:
    """A small randomly initialised encoder."""
    own = {each.rpartition(".")[2]: yaml.safe_load(str(value)) for each, value in ENCODERS[name].items()}
    settings: dict[str, Any] = own if name == "gru" else {"options": own}
    return build_encoder(EncoderSettings(readout=readout, name=name, **settings), get_layout(layout), persons)


@functools.cache
def clips(base: Path) -> Path:
    """32 synthetic clips: 4 actions, 4 subjects, split xsub with 16 and 16."""
    folder = base / "tiny-clips"
    assert main(["prepare", "synthetic", "x", str(folder), *MAKE_CLIPS]) == 0
    return folder


@functools.cache
def recordings(base: Path) -> Path:
    """Three long recordings of five clips each, one after the other, with their labels as intervals; one with a gap."""
    short = open_clips(clips(base))
    folder = base / "tiny-recordings"
    splits = {"xsub": by_column("subject", train=(0, 1), test=(2,))}
    with ClipsWriter(folder, 20, 3) as writer:
        for number in range(3):
            chosen = [i for i in range(32) if i % 3 == number][:5]
            ends = np.cumsum([short[i].shape[1] for i in chosen]).tolist()
            intervals = tuple(
                Interval(end - short[i].shape[1], end - 10, int(short.labels[i]))
                for i, end in zip(chosen, ends, strict=True)
            )
            positions = np.concatenate([short[i][:1] for i in chosen], axis=1)
            about = {"subject": number, "fps": 30.0, "source": f"day{number}.npy"}
            writer.add(Recording(f"day{number}", positions, intervals=intervals, **about))
        # Nobody is there for two seconds.
        gap = np.concatenate([short[0][:1], np.zeros((1, 60, 20, 3), np.float32), short[1][:1]], axis=1)
        writer.add(Recording("gap", gap, fps=30.0, source="gap.npy"))
        writer.finish(replace(short.dataset, name="long", splits=splits, report={}))
    return folder


@functools.cache
def run(base: Path) -> Path:
    """A run of two epochs on them."""
    folder = base / "tiny-run"
    assert main(["pretrain", str(clips(base)), str(folder), *SETTINGS]) == 0
    return folder


@functools.cache
def swept(base: Path) -> Path:
    """A sweep of two methods with two seeds, in a folder `out`; what it said lies beside it."""
    out = base / "tiny-swept" / "out"
    out.parent.mkdir()
    with jobs_here():
        assert main(["sweep", str(clips(base)), str(out), *SWEEP, *GRID, "--json", str(out.parent / "said.json")]) == 0
    return out


@functools.cache
def reference_run(base: Path, checkpoint: Path) -> Path:
    """The reference checkpoint as a run."""
    folder = base / "reference-run"
    assert main(["import-cmd", str(checkpoint), str(folder)]) == 0
    return folder


def start(*typed: object) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "i2md", *map(str, typed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
