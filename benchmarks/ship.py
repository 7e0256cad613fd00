"""Write a run as a shipped encoder: `python benchmarks/ship.py RUN NAME`.

The folder i2md/pretraining/shipped/NAME gets the run's configuration and its encoders in float16; the features of
a synthetic clip are written to tests/golden. The model card, README.md, is written by hand.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from i2md.inference.model import Model
from i2md.pretraining.run import CONFIG, MODEL, read_config

ROOT = Path(__file__).resolve().parents[1]


def main(run: Path, name: str) -> None:
    """Write the files.

    Args:
        run: Folder of the finished run.
        name: Name of the encoder.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from shipped_clips import made_clip

    folder = ROOT / "i2md" / "pretraining" / "shipped" / name
    folder.mkdir(parents=True, exist_ok=True)
    config = read_config(run)
    clips = {key: value for key, value in config.clips.items() if key != "path"}
    (folder / CONFIG).write_text(replace(config, clips=clips, recipe=name).to_yaml())
    tensors = load_file(run / MODEL)
    save_file({key: value.half().contiguous() for key, value in tensors.items() if ".encoder." in key}, folder / MODEL)
    (folder / MODEL).chmod(0o644)
    model = Model(folder, "cpu")
    clip = made_clip("kinect-v2")
    features = {stream: values[0] for stream, values in model.embed([clip], layout="kinect-v2").items()}
    np.savez_compressed(ROOT / "tests" / "golden" / f"{name}.npz", **features)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
