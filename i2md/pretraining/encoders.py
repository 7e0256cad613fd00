"""The trained query encoders of a run, ready to give features."""

from __future__ import annotations

from pathlib import Path

import torch

from i2md.encoders.base import Encoder
from i2md.encoders.registry import build_encoder
from i2md.errors import InputError
from i2md.pretraining.checkpoint import load_model_tensors
from i2md.pretraining.model import I2MD
from i2md.pretraining.run import RunConfig
from i2md.runtime.random import derive_seed


def new_encoders(config: RunConfig) -> dict[str, Encoder]:
    """Untrained encoders, a stream each, with the weights that the run began with."""
    # The whole model: a stream's heads are drawn between its encoder and the next stream's.
    torch.manual_seed(derive_seed(config.settings.seed, "weights"))
    model = I2MD(config.settings, config.layout, config.persons)
    return {name: branch.encoder.eval() for name, branch in model.query.items()}


def load_encoders(run: Path, config: RunConfig, device: torch.device) -> dict[str, Encoder]:
    """The query encoders of a run, in evaluation mode."""
    channels = len(config.layout.joints) * config.layout.channels * config.persons
    encoders = {name: build_encoder(config.settings.encoder, channels).eval() for name in config.settings.streams}
    tensors = load_model_tensors(run)
    for name, encoder in encoders.items():
        prefix = f"query.{name}.encoder."
        weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            encoder.load_state_dict(weights)
        except RuntimeError:
            raise InputError(
                f"{run}: its weights do not fit its config.yaml; restore the folder or pretrain again"
            ) from None
        encoder.to(device)
    return encoders
