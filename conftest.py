"""Modules that import an optional package at their top are not collected where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

# Triton has wheels for Linux only.
collect_ignore = (
    []
    if find_spec("triton")
    else [
        "i2md/encoders/gru/triton_cell.py",
        "i2md/encoders/gru/triton_layer.py",
        "tests/encoders/gru/compiled_frames.py",
    ]
)
