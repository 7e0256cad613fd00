"""What a pickle may name beside its literals: NumPy's arrays, scalars and dtypes, and a few plain containers.

Each name stands for a function written here, which checks what the pickle says before NumPy sees it: NumPy
itself would take a short list for a long array of objects, and bytes for pointers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

_CODE = re.compile(r"[biufcSUO]\d*")
_SIMPLE = (str, bytes, int, float, complex, np.generic, type(None))


class RefusedPickle(Exception):
    """A pickle that asks for more than arrays and plain containers: what it does, as the rest of a sentence."""


@dataclass(frozen=True)
class Known:
    """Something that a pickle may name, and what calling it makes."""

    name: str
    make: Callable[..., Any]


class Dtype:
    """A dtype in the making: a pickle tells its kind and size first and its byte order later."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise RefusedPickle("holds a dtype that is no plain number, string or object")
        self.numpy = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take the byte order; refuse fields and subarrays, which could declare bytes to be objects."""
        _version, order, *parts = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in parts[:3]):
            raise RefusedPickle("holds a dtype with fields")
        self.numpy = self.numpy.newbyteorder(order)


def known(module: str, name: str) -> Known:
    """What `module.name` stands for; RefusedPickle where that is no array and no plain container."""
    place = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
    if (found := _KNOWN.get(f"{place}.{name}")) is None:
        raise RefusedPickle(f"asks for {ascii(f'{module}.{name}')[1:-1][:80]}")
    return found


def simple(values: Iterable[Any]) -> Iterable[Any]:
    """The values, all of them fit for keys and members; tuples in tuples would hash without an end in sight."""
    for value in values:
        if not isinstance(value, _SIMPLE):
            raise RefusedPickle(f"has a {type(value).__name__} as the key of a dict or in a set")
        yield value


def set_state(target: Any, state: Any) -> None:
    """Give a new array or dtype the state that the pickle tells; nothing else has one."""
    if not isinstance(state, tuple):
        raise RefusedPickle(f"sets attributes of a {type(target).__name__}")
    if isinstance(target, Dtype):
        target.set_state(state)
    elif isinstance(target, np.ndarray) and target.dtype == np.int8 and target.shape == (0,):
        _fill(target, *state[-4:])
    else:
        raise RefusedPickle(f"sets attributes of a {type(target).__name__}")


def _fill(array: np.ndarray, shape: Any, dtype: Any, by_columns: Any, data: Any) -> None:
    kind, size = _dtype(dtype), _size(shape)
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != size:
            raise ValueError("an array of objects that are not as many as its shape says")
    else:
        data = _bytes(data, size * kind.itemsize)
    state: Any = (1, shape, kind, bool(by_columns), data)
    array.__setstate__(state)


def _dtype(given: Any) -> np.dtype:
    if not isinstance(given, Dtype):
        raise ValueError("an array without a dtype")
    return given.numpy


def _dtype_of_bytes(given: Any) -> np.dtype:
    kind = _dtype(given)
    if kind.hasobject:
        raise RefusedPickle("takes bytes for objects")
    return kind


def _size(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("a shape that is not whole numbers")
    return math.prod(shape)


def _bytes(data: Any, size: int) -> bytes | bytearray:
    # Python 2 wrote bytes as strings.
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(data, bytes | bytearray) or len(data) != size:
        raise ValueError(f"an array whose data are not the {size} bytes that its shape says")
    return data


def _new_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    if kind is not _NDARRAY or shape != (0,) or code not in ("b", b"b"):
        raise RefusedPickle("makes an array in an unusual way")
    return np.empty(0, np.int8)


def _array_of_bytes(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    kind, size = _dtype_of_bytes(dtype), _size(shape)
    data = _bytes(data, size * kind.itemsize)
    flat = np.frombuffer(data, kind) if data else np.zeros(size, kind)
    if axes is not None:
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: Any, data: Any) -> np.generic:
    scalar: np.generic = _array_of_bytes(data, dtype, (1,), "C")[0]
    return scalar


def _no_array(*arguments: Any) -> Any:
    raise RefusedPickle("makes an array in an unusual way")


def _encoded(text: str, encoding: str = "") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickle("encodes text")
    return text.encode("latin-1")


def _bytes_of(data: bytes = b"") -> bytes:
    if not isinstance(data, bytes | bytearray):
        raise ValueError("bytes made of something else")
    return bytes(data)


def _set_of(values: list[Any] | tuple[Any, ...] = ()) -> set[Any]:
    return set(simple(values))


def _ordered(pairs: list[Any] | tuple[Any, ...] = ()) -> dict[Any, Any]:
    return dict(zip(simple([key for key, _ in pairs]), [value for _, value in pairs], strict=True))


_NDARRAY = Known("numpy.ndarray", _no_array)
_MAKERS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _array_of_bytes,
    "numpy.dtype": Dtype,
    "_codecs.encode": _encoded,
    "collections.OrderedDict": _ordered,
    "builtins.bytes": _bytes_of,
    "builtins.bytearray": _bytes_of,
    "builtins.set": _set_of,
    "builtins.frozenset": _set_of,
}
_KNOWN = {_NDARRAY.name: _NDARRAY} | {name: Known(name, make) for name, make in _MAKERS.items()}
