"""From settings to an encoder: built in, registered, or an entry point of the group i2md.encoders."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.runtime.registry import Registry, checked_options
from i2md.skeletons import Layout

if TYPE_CHECKING:
    from i2md.encoders.base import Encoder

ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder",
    "i2md.encoders",
    {
        "gru": "i2md.encoders.gru.encoder:GRUEncoder",
        "tcn": "i2md.encoders.tcn:TCNEncoder",
        "graph": "i2md.encoders.graph:GraphEncoder",
        "two-tower": "i2md.encoders.two_tower:TwoTowerEncoder",
    },
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
    encoder = _without_projection(settings, layout, persons)
    if settings.feature_size is None:
        return encoder
    from i2md.encoders.projected import ProjectedEncoder

    return ProjectedEncoder(encoder, settings.feature_size, settings.frozen)


def _without_projection(settings: EncoderSettings, layout: Layout, persons: int) -> Encoder:
    encoder = ENCODERS[settings.name]
    if not isinstance(settings, encoder.Settings):
        options = {**settings.options, **_shared(settings, encoder)}
        return encoder(layout, persons, checked_options(encoder.Settings, options, "encoder.options"))
    if settings.options:
        names = ", ".join(f"encoder.{name}" for name in encoder.Settings.__dataclass_fields__)
        raise InputError(f"encoder.options: the settings of encoder {settings.name} are {names}")
    return encoder(layout, persons, settings)


def _shared(settings: EncoderSettings, encoder: type[Encoder]) -> dict[str, str]:
    """The settings that all encoders with a read-out share.

    Raises:
        InputError: A read-out is chosen, and the encoder has none or `options` names another.
    """
    if settings.readout is None:
        return {}
    if not any(field.name == "readout" for field in fields(encoder.Settings)):
        raise InputError(f"encoder.readout: encoder {settings.name} has no setting `readout`; leave it out")
    if settings.options.get("readout") not in (None, settings.readout):
        raise InputError(
            f"encoder.readout {settings.readout}: encoder.options.readout is {settings.options['readout']}; give one"
        )
    return {"readout": settings.readout}
