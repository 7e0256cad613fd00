"""Commands that take a run or a classifier to where it is used: export."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

PathLike = str | os.PathLike[str]


def export(
    *,
    source: PathLike,
    out: PathLike,
    layout: str | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    prepared: bool = False,
) -> dict[str, Any]:
    """Write a run or a classifier as one ONNX file: raw joints in, features or predictions out.

    Everything is inside: missing joints, joint layout, preparation, crop, streams, encoders, classifier, rejection. The
    file takes any number of clips of any number of frames, and runs in onnxruntime without this package or PyTorch.

    Args:
        source: Folder of a run or of a classifier of i2md fit, or the name of a shipped encoder: kinect-base.
        out: File to write: .onnx, or .pt2 for torch.export.
        layout: Joint layout of the input: a name or a YAML file; by default the run's.
        precision: fp32; fp16 stores the encoders' weights in half precision; int8 is dynamic quantisation.
        prepared: Take clips that are prepared by the run's preset, instead of raw joints.

    Returns:
        What the `file` takes and gives, and its deviation from the package's own results on made-up clips.

    Raises:
        InputError: A library is missing, or what the run does cannot be computed of one clip by a graph.
    """
    from i2md.inference.export.files import export_file

    return export_file(Path(source), Path(out), layout, precision, prepared)
