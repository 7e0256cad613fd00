"""Settings from nested plain data, checked against their dataclass."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

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
    data = json.loads(text)
    try:
        return _built(kind, data)
    except (_Unlike, TypeError, ValueError):
        pass  # jsonargparse says what is wrong, or knows the type
    from jsonargparse import ArgumentError

    parser = _parser(kind)
    try:
        parsed = parser.parse_object({"settings": data})
        return parser.instantiate(parsed).settings
    except (ArgumentError, TypeError, ValueError) as error:
        raise InputError(" ".join(str(error).split())) from None


class _Unlike(Exception):
    """A value is not what its type says."""


def _built(kind: Any, data: Any) -> Any:
    """A value of a type from plain data of exactly that type: settings as they are saved, without jsonargparse.

    Raises:
        _Unlike: The data are of another type, or have an unknown name.
    """
    if kind is Any or (kind is type(None) and data is None) or (kind in (bool, int, str) and type(data) is kind):
        return data
    if kind is float and type(data) in (int, float):
        return float(data)
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(data, dict):
        return _built_dataclass(kind, data)
    if origin is Literal and data in arguments:
        return data
    if origin in (Union, UnionType):
        for each in arguments:
            with suppress(_Unlike):
                return _built(each, data)
    if origin is tuple and isinstance(data, list):
        kinds = arguments[:1] * len(data) if arguments[1:] == (...,) else arguments
        if len(kinds) == len(data):
            return tuple(_built(*pair) for pair in zip(kinds, data, strict=True))
    if origin is Mapping and isinstance(data, dict):
        return {name: _built(arguments[1], value) for name, value in data.items()}
    raise _Unlike


def _built_dataclass(kind: Any, data: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    if not data.keys() <= {each.name for each in fields(kind) if each.init}:
        raise _Unlike
    return kind(**{name: _built(hints[name], value) for name, value in data.items()})


@cache
def _parser(kind: Any) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "settings")
    return parser
