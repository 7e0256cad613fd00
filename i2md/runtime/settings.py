"""Settings from nested plain data, checked against their dataclass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, TypeVar

from i2md.errors import InputError

# A dataclass of settings.
Settings = TypeVar("Settings")


def flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as pairs of dotted name and value.

    Args:
        data: Nested settings.
        prefix: Prepended to each name.

    >>> dict(flatten({"epochs": 2, "encoder": {"name": "recurrent"}}))
    {'epochs': 2, 'encoder.name': 'recurrent'}
    """
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def checked_settings(kind: type[Settings], data: Mapping[str, Any]) -> Settings:
    """Settings of a dataclass from nested plain data, checked.

    Args:
        kind: Dataclass of the settings.
        data: Settings by name; what is missing has its default.

    Raises:
        InputError: A setting is unknown or of the wrong type (names it).
    """
    return _checked(kind, json.dumps(data, default=repr))  # type: ignore[arg-type]  # a class can be hashed


# Parsing settings takes a tenth of a second, and the settings of a run are read several times.
@lru_cache(maxsize=4096)
def _checked(kind: Any, text: str) -> Any:
    from jsonargparse import ArgumentError

    parser = _parser(kind)
    try:
        parsed = parser.parse_object({"settings": json.loads(text)})
        return parser.instantiate(parsed).settings
    except (ArgumentError, TypeError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from None


@cache
def _parser(kind: Any) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    return parser
