"""Latency of one clip, raw joints to features: PyTorch and onnxruntime, alternately in one process on one thread.

    python benchmarks/latency.py --encoder gru tcn --batch 1 64

For each encoder (three streams, 128 hidden units, 64 frames; random weights) it prints milliseconds of processor time a
clip and the ratios to onnxruntime in float32:

- embed: `Model.embed`, which prepares the clip in NumPy;
- training layers: the same with the GRU layers of training, which inference of few clips took before;
- graph: the exported module in PyTorch;
- fp32, fp16, int8: the exported files in onnxruntime, and their size.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import machine, ratios, spread, time_interleaved

import i2md
from i2md.encoders.gru import encoder as gru_encoder
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings
from i2md.inference.export.files import export_file, sample_clips
from i2md.inference.export.graph import FeatureGraph
from i2md.pretraining.checkpoint import save_tensors
from i2md.pretraining.run import CONFIG, MODEL, RunConfig, versions
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import get_layout

PRECISIONS = ("fp32", "fp16", "int8")
OPTIONS: dict[str, dict[str, Any]] = {
    "gru": {"hidden_size": 128},
    "tcn": {"options": {"hidden_size": 128}},
    "two-tower": {"options": {"hidden_size": 128}},
    "graph": {"options": {"widths": (32, 64, 128)}},
}


def made_run(folder: Path, encoder: str) -> Path:
    """A run of three streams with random weights.

    Args:
        folder: Where it goes.
        encoder: Name of the encoder.
    """
    folder.mkdir()
    layout = get_layout("kinect-v2")
    settings = PretrainSettings(encoder=EncoderSettings(name=encoder, **OPTIONS[encoder]))
    about = {"name": "none", "split": "all", "count": 0, "frames": 0, "units": "m"}
    (folder / CONFIG).write_text(RunConfig(settings, layout, "facing-rigid", 1, about, versions()).to_yaml())
    states = {name: build_encoder(settings.encoder, layout, 1).state_dict() for name in settings.streams}
    save_tensors(
        folder / MODEL, {f"query.{s}.encoder.{key}": value for s, own in states.items() for key, value in own.items()}
    )
    return folder


def by_training_layers(call: Callable[[], object]) -> Callable[[], object]:
    """The call with the GRU layers of training for any number of clips."""

    def called() -> object:
        few, gru_encoder.FEW = gru_encoder.FEW, 0
        try:
            return call()
        finally:
            gru_encoder.FEW = few

    return called


def measure(folder: Path, encoder: str, batch: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a clip of each implementation.

    Args:
        folder: An empty folder.
        encoder: Name of the encoder.
        batch: Clips of a call.
        rounds: Rounds of the comparison.
    """
    import onnxruntime

    run = made_run(folder / f"{encoder}-{batch}", encoder)
    model = i2md.load(run, "cpu")
    graph = FeatureGraph(model).eval()
    joints = sample_clips(graph, count=batch)
    calls: dict[str, Callable[[], object]] = {"embed": lambda: model.embed(list(joints))}
    if encoder == "gru":
        calls["training layers"] = by_training_layers(calls["embed"])
    calls["graph"] = torch.no_grad()(lambda: graph(torch.as_tensor(joints)))
    sizes = {}
    for precision in PRECISIONS:
        file = run / f"{precision}.onnx"
        sizes[precision] = export_file(run, file, None, precision, False)["megabytes"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        calls[precision] = lambda session=session: session.run(None, {"joints": joints})
    spent = time_interleaved(calls, rounds, time.process_time)
    return {
        "encoder": encoder,
        "batch": batch,
        "ms_per_clip": {name: spread(1000 * each / batch for each in values) for name, values in spent.items()},
        "times_fp32": ratios(spent, "fp32"),
        "megabytes": sizes,
    }


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", default=["gru", "tcn"], choices=list(OPTIONS))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for encoder in arguments.encoder:
            for batch in arguments.batch:
                found = measure(Path(folder), encoder, batch, arguments.rounds)
                json.dump({**found, "machine": machine(), "numpy": np.__version__}, sys.stdout, indent=1)
                print(flush=True)


if __name__ == "__main__":
    main()
