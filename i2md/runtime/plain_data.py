"""Reading JSON and YAML that anyone may have written: plain data of limited size and depth, or one kind of error."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml

from i2md.errors import refused_by_system, shortened

# A configuration has some kilobytes. PyYAML takes seconds for more, and squares with the depth of lists in one another.
MAX_YAML_BYTES = 1 << 19
MAX_DEPTH = 100
_MAX_BITS = 64


class NotPlainData(ValueError):
    """A text that is not JSON or YAML, or holds what this package never writes; the message says what, in one line."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Args:
        text: A document.

    Returns:
        Its value.

    Raises:
        NotPlainData: It is not JSON, or is nested too deeply.

    Example:
        >>> parse_json('{"epoch": 1}')
        {'epoch': 1}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        i2md.runtime.plain_data.NotPlainData: not JSON (nested too deeply)
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise NotPlainData("not JSON (nested too deeply)") from None
    except ValueError as error:
        raise NotPlainData(f"not JSON ({shortened(error)})") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file: mappings, lists, texts, numbers, without aliases or repeated keys.

    Args:
        path: The file.

    Returns:
        Its value; None if it is empty.

    Raises:
        NotPlainData: It is not YAML, too large or nested too deeply, has an alias (a few lines of which unfold to
            gigabytes), a key twice or a number beyond 64 bits; or it is not a file that can be read.
        OSError: There is no such file, or the system refuses to read it.
    """
    try:
        size = path.stat().st_size
        if size > MAX_YAML_BYTES:
            raise NotPlainData(f"larger than {MAX_YAML_BYTES >> 10} KB")
        return parse_yaml(path.read_bytes())
    except OSError as error:
        if refused_by_system(error) or isinstance(error, FileNotFoundError):
            raise
        raise NotPlainData(f"cannot be read ({error.strerror})") from None


def parse_yaml(text: bytes) -> Any:
    """Parse YAML as `read_yaml` does.

    Args:
        text: A document.

    Returns:
        Its value.

    Raises:
        NotPlainData: As in `read_yaml`.

    Example:
        >>> parse_yaml(b"epochs: 2")
        {'epochs': 2}
        >>> parse_yaml(b"a: &a [1, 1]\\nb: [*a, *a]")
        Traceback (most recent call last):
        ...
        i2md.runtime.plain_data.NotPlainData: not plain YAML (an alias, *a, in line 2)
    """
    if _depth(text) > MAX_DEPTH:
        raise NotPlainData("not plain YAML (nested too deeply)")
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError:
        raise NotPlainData("not plain YAML (nested too deeply)") from None
    except NotPlainData:
        raise
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise NotPlainData(f"not YAML ({shortened(error.problem or error.context)}{line})") from None
    # The constructors of dates, numbers and binary data raise what Python's own functions raise.
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, AttributeError, KeyError, IndexError) as error:
        raise NotPlainData(f"not YAML ({shortened(error)})") from None


def has_type(value: Any, hint: Any) -> bool:
    """Whether plain data have the type of an annotation.

    Args:
        value: Plain data, or dataclasses of them.
        hint: An annotation of a dataclass of results: a type, `list[int]`, `dict[str, float]`, `int | None`, `Any`.

    Returns:
        Whether they do; a whole number is a float as well, and numbers have at most 64 bits.

    Example:
        >>> has_type({"top-5": 1}, dict[str, float]), has_type([True], list[int]), has_type(None, int | None)
        (True, False, True)
    """
    kind, of = get_origin(hint) or hint, get_args(hint)
    if kind is Any:
        return True
    if kind in (Union, UnionType):
        return any(has_type(value, each) for each in of)
    if kind is NoneType:
        return value is None
    if kind in (int, float):
        allowed = int | float if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool) and not abs(value) >= 1 << 63
    if not isinstance(value, kind):
        return False
    if kind is list and of:
        return all(has_type(each, of[0]) for each in value)
    if kind is dict and of:
        return all(has_type(key, of[0]) and has_type(each, of[1]) for key, each in value.items())
    return True


def _depth(text: bytes) -> int:
    """How deeply brackets are nested, those in quotes and comments included."""
    deepest = depth = 0
    for letter in text.translate(None, _OTHER_THAN_BRACKETS):
        depth += 1 if letter in b"[{" else -1
        deepest = max(deepest, depth)
        depth = max(depth, 0)
    return deepest


_OTHER_THAN_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, repeated keys and endless numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise NotPlainData(f"not plain YAML (an alias, *{event.anchor[:40]}, in line {event.start_mark.line + 1})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise NotPlainData(f"not plain YAML (a key that is no text, in line {key_node.start_mark.line + 1})")
            if key in seen:
                shown = shortened(key)
                raise NotPlainData(f"{shown}: given twice, again in line {key_node.start_mark.line + 1}; remove one")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        line = node.start_mark.line + 1
        # Python converts numbers of thousands of digits slowly, and refuses to write them.
        if len(node.value) > 5 * _MAX_BITS:
            raise NotPlainData(f"not plain YAML (a number of {len(node.value)} characters in line {line})")
        whole = node.tag.endswith(":int")
        number = self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        if whole and abs(number) >= 1 << _MAX_BITS:
            raise NotPlainData(f"not plain YAML (a number of more than {_MAX_BITS} bits in line {line})")
        return number


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_number)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_number)
