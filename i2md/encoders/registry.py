"""From settings to an encoder: built in, registered, or an entry point of the group i2md.encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.runtime.registry import Registry, checked_options
from i2md.skeletons import Layout

if TYPE_CHECKING:
    from i2md.encoders.base import Encoder

ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder", "i2md.encoders", {"gru": "i2md.encoders.gru.encoder:GRUEncoder"}
)


def build_encoder(settings: EncoderSettings, layout: Layout, persons: int) -> Encoder:
    """Build a randomly initialised encoder.

    Args:
        settings: Its name and its settings.
        layout: Joints and channels of the clips.
        persons: Persons in a clip.

    Returns:
        The encoder; `width` is that of its features.

    Raises:
        InputError: The name is unknown, or `options` do not fit the encoder's own settings.
    """
    encoder = ENCODERS[settings.name]
    if not isinstance(settings, encoder.Settings):
        return encoder(layout, persons, checked_options(encoder.Settings, settings.options, "encoder.options"))
    if settings.options:
        names = ", ".join(f"encoder.{name}" for name in encoder.Settings.__dataclass_fields__)
        raise InputError(f"encoder.options: the settings of encoder {settings.name} are {names}")
    return encoder(layout, persons, settings)
