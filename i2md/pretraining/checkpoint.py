"""Saving and loading of a run's tensors: safetensors only, written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from i2md.errors import InputError
from i2md.pretraining.run import MODEL, STATE
from i2md.runtime.io import written_whole


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Save named tensors in one file."""
    # Contiguous copies on the CPU: safetensors refuses tensors that share memory.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with written_whole(path) as partial:
        try:
            save_file(plain, partial)
        except SafetensorError as error:
            # It tells only in words what the operating system refused.
            refused = re.search(r"(?:os error|code:) (\d+)", str(error))
            if refused is None:
                raise
            raise OSError(int(refused[1]), str(error)) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors out of a file that `save_tensors` wrote."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a checkpoint of i2md ({reason}); remove it or restore a copy") from None


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names.

    >>> list(below({"model.a": torch.zeros(1), "optimizer.0.b": torch.zeros(1)}, "model."))
    ['a']
    """
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors: "optimizer.<parameter's number>.<name>"."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def load_model_tensors(run: Path) -> dict[str, Tensor]:
    """The model of a run: of its end, or of its last saved state while it is still training."""
    for name in (MODEL, STATE):
        if (run / name).is_file():
            return {
                key.removeprefix("model."): value
                for key, value in load_tensors(run / name).items()
                if not key.startswith(("optimizer.", "progress."))
            }
    raise InputError(f"{run}: nothing saved there yet; run i2md pretrain until its first checkpoint")
