"""From settings to an encoder."""

from __future__ import annotations

from i2md.encoders.base import Encoder
from i2md.encoders.gru.encoder import RecurrentEncoder
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError


def build_encoder(settings: EncoderSettings, channels: int) -> Encoder:
    """A fresh encoder for frames of `channels` numbers; its `width` is that of its features."""
    if settings.name != "recurrent":
        raise InputError(f"encoder {settings.name!r} is not known; choose recurrent")
    return RecurrentEncoder(
        channels, settings.hidden_size, settings.num_layers, settings.initialisation, settings.activation_checkpointing
    )
