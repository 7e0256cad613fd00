"""Named extensions: built in, registered from Python, or installed by another package as an entry point."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from i2md.errors import InputError
from i2md.runtime.settings import checked_settings

Extension = TypeVar("Extension")
Registered = TypeVar("Registered")
Settings = TypeVar("Settings")


class Registry(Generic[Extension]):
    """Extensions of one kind by name; nothing is imported before it is asked for.

    Args:
        kind: What one extension is called in messages, such as "encoder".
        group: Entry point group in which other packages declare theirs, such as "i2md.encoders".
        builtin: Name to "module:attribute" of the extensions of this package.

    >>> greetings: Registry[str] = Registry("greeting", "i2md.greetings", {"doc": "i2md.errors:__doc__"})
    >>> greetings.register("hello", "Hello!")
    'Hello!'
    >>> greetings["hello"], list(greetings)
    ('Hello!', ['doc', 'hello'])
    >>> greetings["helo"]
    Traceback (most recent call last):
    ...
    i2md.errors.InputError: greeting 'helo' is unknown (did you mean hello?); choose among doc, hello
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._builtin = dict(builtin)
        self._registered: dict[str, Extension] = {}
        self._loaded: dict[str, Extension] = {}

    def register(self, name: str, extension: Registered) -> Registered:
        """Make an extension known by `name` in this process; registering a name again replaces it.

        Args:
            name: What settings call it.
            extension: The function or class.

        Returns:
            `extension`.

        Raises:
            InputError: The name is one of this package's own.
        """
        if name in self._builtin:
            raise InputError(f"{self.kind} {name!r} is built in; register yours by another name")
        self._registered[name] = cast(Any, extension)
        return extension

    def decorator(self, name: str) -> Callable[[Registered], Registered]:
        """`register` as a decorator."""
        return lambda extension: self.register(name, extension)

    def __getitem__(self, name: str) -> Extension:
        """The extension of a name.

        Raises:
            InputError: No such extension, with the known names and the nearest; or its package fails to import.
        """
        if name in self._registered:
            return self._registered[name]
        if name not in self._loaded:
            self.check(name)
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def check(self, name: str) -> None:
        """Raise the InputError that names the known extensions, unless `name` is one; imports nothing."""
        if name not in self:
            near = difflib.get_close_matches(name, list(self), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"{self.kind} {name!r} is unknown{hint}; choose among {', '.join(self)}")

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._builtin or name in self._installed()

    def __iter__(self) -> Iterator[str]:
        """All names, those of this package first."""
        return iter(dict.fromkeys([*self._builtin, *self._registered, *sorted(self._installed())]))

    def _installed(self) -> set[str]:
        return {point.name for point in entry_points(group=self.group)}

    def _load(self, name: str) -> Extension:
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return cast(Extension, getattr(import_module(module), attribute))
        point = next(point for point in entry_points(group=self.group) if point.name == name)
        try:
            return cast(Extension, point.load())
        except Exception as error:  # whatever another package raises while it is imported
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"{self.kind} {name!r} ({point.value}) can't be imported: {reason}; reinstall its package"
            ) from error


def checked_options(kind: type[Settings], options: Mapping[str, Any], where: str) -> Settings:
    """The settings dataclass of an extension from plain data, checked.

    Args:
        kind: The dataclass.
        options: Values by the names of its fields.
        where: What the options are called in messages, such as "encoder.options".

    Returns:
        An instance of `kind`.

    Raises:
        InputError: An option is unknown (names the known ones) or of the wrong type.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            choices = f"choose among {', '.join(known)}" if known else "there are none"
            raise InputError(f"{where}.{name} is unknown{hint}; {choices}")
    try:
        return checked_settings(kind, options)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
