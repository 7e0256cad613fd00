"""Where the tests find what they measure against."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Everything here is small: a second thread would only wait, and on a busy machine wait long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook

if not torch.cuda.is_available():
    # Triton's kernels run in its interpreter then. It asks when it is imported, by whatever test comes first.
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Shapes that annotations state are checked, from before anything of these rooms is imported.
# The numeric tower lets a whole number pass where a float is asked for, as every type checker does.
CHECKED = [
    "i2md.views",
    "i2md.encoders",
    "i2md.objectives",
    "i2md.pretraining",
    "i2md.evaluation.finetuning",
    "i2md.evaluation.classify",
    "i2md.evaluation.features",
    "i2md.evaluation.knn",
    "i2md.evaluation.label_subsets",
    "i2md.evaluation.linear_probe",
    "i2md.evaluation.metrics",
    "i2md.evaluation.neighbours",
    "i2md.evaluation.retrieval",
    "i2md.evaluation.probe_data",
    "i2md.evaluation.sweep",
    "i2md.evaluation.training",
    "i2md.data.packed",
]
install_import_hook(CHECKED, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference numbers of the published program."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("I2MD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings: {folder} is absent (set I2MD_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def pack_arrays() -> Callable[[Sequence[np.ndarray]], Any]:
    """A function from arrays (persons, frames, joints, channels), a clip each, to PackedClips."""
    import torch

    from i2md.data.packed import PackedClips

    def pack(arrays: Sequence[np.ndarray]) -> PackedClips:
        rows = [torch.as_tensor(np.ascontiguousarray(a, dtype=np.float32)).flatten(0, 1) for a in arrays]
        lengths = torch.tensor([len(r) for r in rows])
        return PackedClips(
            torch.cat(rows),
            lengths.cumsum(0) - lengths,
            torch.tensor([a.shape[1] for a in arrays]),
            torch.tensor([a.shape[0] for a in arrays]),
        )

    return pack
