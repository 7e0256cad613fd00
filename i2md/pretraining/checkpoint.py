"""The tensors of a run on disk (safetensors only, written whole or not at all), and the encoders that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from i2md.encoders.base import Encoder
from i2md.encoders.readout import read_out_by
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError, refused_by_system
from i2md.pretraining.models import build_model
from i2md.pretraining.run import MODEL, STATE, RunConfig
from i2md.runtime.io import atomic_write
from i2md.runtime.random import derive_seed


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Save named tensors in one file.

    Args:
        path: The file, replaced in one step when all is written.
        tensors: Tensors by name, on any device.

    Raises:
        OSError: The operating system refuses to write.
    """
    # Contiguous copies on the CPU: safetensors refuses tensors that share memory.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_write(path) as partial:
        # Not save_file: it replaces the file by one that only its owner may read, and leaves it behind when killed.
        partial.write_bytes(save(plain))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Load the named tensors of a file that `save_tensors` wrote.

    Args:
        path: The file.

    Raises:
        InputError: The file is missing or not a whole safetensors file.
    """
    try:
        # Opened by Python, whose errors have numbers: that of safetensors tells no permission from damage.
        open(path, "rb").close()
        return load_file(path)
    except (SafetensorError, OSError) as error:
        if refused_by_system(error):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a checkpoint of i2md ({reason}); remove it or restore a copy") from None


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names.

    >>> list(with_prefix({"model.a": torch.zeros(1), "optimizer.0.b": torch.zeros(1)}, "model."))
    ['a']
    """
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_model_tensors(run: Path) -> dict[str, Tensor]:
    """Load a run's model: the finished one, or that of the last checkpoint while it is still training.

    Args:
        run: Folder of the run.

    Raises:
        InputError: Nothing has been saved there yet.
    """
    for name in (MODEL, STATE):
        if (run / name).is_file():
            return {
                key.removeprefix("model."): value
                for key, value in load_tensors(run / name).items()
                if not key.startswith(("optimizer.", "progress."))
            }
    raise InputError(f"{run}: nothing saved there yet; run i2md pretrain until its first checkpoint")


def new_encoders(config: RunConfig, readout: WeightlessReadout | None = None) -> dict[str, Encoder]:
    """Randomly initialised encoders, one a stream, with the weights that a run of this configuration starts from
    unless it starts from another run.

    Args:
        config: The run's configuration; its seed decides the weights.
        readout: Read-out of the features, in place of the run's.

    Returns:
        Encoders by stream, in evaluation mode.
    """
    # The whole model: a stream's heads are drawn between its encoder and the next stream's.
    torch.manual_seed(derive_seed(config.settings.seed, "weights"))
    model = build_model(config.settings, config.layout, config.persons)
    encoders = {name: branch.encoder.eval() for name, branch in model.query.items()}
    read_out_by(encoders, readout)
    return encoders


def _may_fit(config: RunConfig, weights: Mapping[str, Tensor]) -> bool:
    """Whether weights have the shapes of the configuration's encoder, before memory is taken for it."""
    try:
        with torch.device("meta"):
            expected = build_encoder(config.settings.encoder, config.layout, config.persons).state_dict()
    # An encoder of another package may need numbers while it is built.
    except (RuntimeError, NotImplementedError):
        return True
    return {name: value.shape for name, value in expected.items()} == {n: value.shape for n, value in weights.items()}


def load_encoders(
    run: Path, config: RunConfig, device: torch.device, readout: WeightlessReadout | None = None
) -> dict[str, Encoder]:
    """Load the query encoders of a run.

    Args:
        run: Folder of the run.
        config: Its configuration.
        device: Where the encoders go.
        readout: Read-out of the features, in place of the run's.

    Returns:
        Encoders by stream, in evaluation mode.

    Raises:
        InputError: Nothing has been saved yet, the weights do not fit the configuration, or the encoder has
            no read-out to change.
    """
    settings, tensors = config.settings, load_model_tensors(run)
    stored = {name: with_prefix(tensors, f"query.{name}.encoder.") for name in settings.streams}
    does_not_fit = InputError(f"{run}: its weights do not fit its config.yaml; restore the folder or pretrain again")
    if not all(_may_fit(config, weights) for weights in stored.values()):
        raise does_not_fit
    encoders = {
        name: build_encoder(settings.encoder, config.layout, config.persons).eval() for name in settings.streams
    }
    for name, encoder in encoders.items():
        try:
            encoder.load_state_dict(stored[name])
        except RuntimeError:
            raise does_not_fit from None
        encoder.to(device)
    read_out_by(encoders, readout)
    return encoders
