"""The globals that a pickle may refer to: NumPy's arrays, scalars and dtypes, and a few plain containers.

Each of them is replaced by a function of this module, which validates the arguments before NumPy gets them: NumPy
itself would accept a short list for a long array of objects, and bytes as pointers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from i2md.data.readers.limits import require_dense

_CODE = re.compile(r"[biufcSUO]\d*")
_SIMPLE = (str, bytes, int, float, complex, np.generic, type(None))


class RefusedPickle(Exception):
    """A pickle that needs more than arrays and plain containers; the message completes "this pickle ..."."""


@dataclass(frozen=True)
class Known:
    """A global that a pickle may refer to, and the function that replaces it."""

    name: str
    make: Callable[..., Any]


class Dtype:
    """A dtype under construction: a pickle gives kind and size first, the byte order later."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise RefusedPickle("holds a dtype that is not a plain number, string or object")
        self.numpy = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Set the byte order; refuse fields and subarrays, which could declare bytes to be objects."""
        _version, order, *parts = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in parts[:3]):
            raise RefusedPickle("holds a dtype with fields")
        self.numpy = self.numpy.newbyteorder(order)


def known(module: str, name: str) -> Known:
    """Look up a global.

    Args:
        module: Module that the pickle names.
        name: Name in that module.

    Returns:
        Its replacement.

    Raises:
        RefusedPickle: If it is not an array type or a plain container.
    """
    canonical = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
    if (found := _KNOWN.get(f"{canonical}.{name}")) is None:
        raise RefusedPickle(f"asks for {ascii(f'{module}.{name}')[1:-1][:80]}")
    return found


def simple(values: Iterable[Any]) -> Iterable[Any]:
    """Check values that become dict keys or set members: nested tuples could take for ever to hash.

    Args:
        values: The values.

    Yields:
        The same values.

    Raises:
        RefusedPickle: If one is not a number, string, bytes or None.
    """
    for value in values:
        if not isinstance(value, _SIMPLE):
            raise RefusedPickle(f"has a {type(value).__name__} as the key of a dict or in a set")
        yield value


def set_state(target: Any, state: Any) -> None:
    """Set the state of an object that the pickle has created.

    Args:
        target: A new array or dtype.
        state: Its state as pickled.

    Raises:
        RefusedPickle: If the target is anything else, or the state is not an array's or dtype's.
    """
    if not isinstance(state, tuple):
        raise RefusedPickle(f"sets attributes of a {type(target).__name__}")
    if isinstance(target, Dtype):
        target.set_state(state)
    elif isinstance(target, np.ndarray) and target.dtype == np.int8 and target.shape == (0,):
        _fill(target, *state[-4:])
    else:
        raise RefusedPickle(f"sets attributes of a {type(target).__name__}")


def _fill(array: np.ndarray, shape: Any, dtype: Any, fortran_order: Any, data: Any) -> None:
    kind, size = _dtype(dtype), _size(shape, dtype)
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != size:
            raise ValueError("an array of another number of objects than its shape has")
    else:
        data = _bytes(data, size * kind.itemsize)
    state: Any = (1, shape, kind, bool(fortran_order), data)
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


def _size(shape: Any, dtype: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        raise ValueError("a shape that is not whole numbers")
    require_dense(shape)
    size = math.prod(shape)
    if size > 1 and not _dtype(dtype).itemsize:
        raise ValueError("an array of empty strings, which may have any number of elements")
    return size


def _bytes(data: Any, size: int) -> bytes | bytearray:
    # Python 2 pickles bytes as strings.
    data = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(data, bytes | bytearray) or len(data) != size:
        raise ValueError(f"an array whose data are not the {size} bytes of its shape")
    return data


def _new_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    if kind is not _NDARRAY or shape != (0,) or code not in ("b", b"b"):
        raise RefusedPickle("makes an array in an unusual way")
    return np.empty(0, np.int8)


def _array_of_bytes(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    kind, size = _dtype_of_bytes(dtype), _size(shape, dtype)
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
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
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
