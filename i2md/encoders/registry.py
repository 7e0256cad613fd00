"""From settings to an encoder."""

from __future__ import annotations

from i2md.encoders.base import Encoder
from i2md.encoders.gru.encoder import RecurrentEncoder
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.skeletons import Layout


def build_encoder(settings: EncoderSettings, layout: Layout, persons: int) -> Encoder:
    """A randomly initialised encoder for clips of this layout and number of persons."""
    if settings.name != "recurrent":
        raise InputError(f"encoder {settings.name!r} is not known; choose recurrent")
    channels = len(layout.joints) * layout.channels * persons
    return RecurrentEncoder(
        channels, settings.hidden_size, settings.num_layers, settings.initialisation, settings.activation_checkpointing
    )
