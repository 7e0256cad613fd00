"""Load pickles of arrays and plain containers without Python's unpickler: no code in them is run.

A pickle is a program for a small stack machine. The machine here has the instructions that build numbers,
strings, lists, tuples, dicts and sets, and those that NumPy 1 and 2 write for arrays and scalars
(i2md.data.readers.arrays.pickled_arrays), in protocols 0 to 5, including Python 2's. It imports nothing.

Python's own unpickler with a list of permitted globals would not be safe: NumPy trusts what a pickle says about an
array's memory, and a pickle of ten bytes can request gigabytes.
"""

from __future__ import annotations

import os
import pickletools
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from i2md.data.readers.arrays.pickled_arrays import Known, RefusedPickle, known, set_state, simple
from i2md.data.readers.limits import require_regular
from i2md.errors import InputError, refused_by_system


def load(path: Path) -> Any:
    """Load a pickle.

    Args:
        path: The file.

    Returns:
        Plain containers, numbers, strings and NumPy arrays.

    Raises:
        InputError: If the file cannot be read or is damaged, or needs anything else, which the message names.
    """
    try:
        require_regular(path)
        with open(path, "rb") as file:
            return _Machine().run(pickletools.genops(cast(Any, _Whole(file))))
    except RefusedPickle as refused:
        raise InputError(
            f"{path}: this pickle {refused}; only arrays and plain containers are loaded: nothing was run, "
            "do not open it with pickle unless you trust where it comes from"
        ) from None
    except OSError as error:
        if refused_by_system(error):
            raise
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the file itself") from None
    # Whatever a hostile file makes this machine or NumPy raise is a fault of the file.
    except Exception as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        if zipfile.is_zipfile(path):
            raise InputError(f"{path}: a .zip, not a pickle; unpack it and give the pickle") from None
        raise InputError(f"{path}: not a whole pickle ({reason}); download it or write it again") from None


# Of what a read returns, before it is worth asking where in the file it begins.
_MUCH = 1 << 16


class _Whole:
    """A file that never allocates more than it has: a pickle may announce a string of any length."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.readline, self.tell = file, file.readline, file.tell
        self._size = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        if count > _MUCH and count > self._size - self.tell():
            raise ValueError("it ends within a value")
        return self._file.read(count)


# NumPy frees nested arrays recursively: ten thousand of them, one in another, would overflow the stack.
_MAX_ARRAYS_OF_ARRAYS = 1000


class _Machine:
    """A stack of values, the marks on it, and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.arrays_of_arrays = 0

    def run(self, instructions: Iterable[tuple[Any, Any, Any]]) -> Any:
        """Execute the instructions up to STOP and return the value that is then on top."""
        for instruction, argument, _ in instructions:
            name = instruction.name
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _REMEMBERING:
                self.memo[argument] = self.stack[-1]
            elif name in _RECALLING:
                self.stack.append(self.memo[argument])
            elif name in _STEPS:
                _STEPS[name](self)
            elif name == "GLOBAL":
                self.stack.append(known(*argument.split(" ", 1)))
            elif name not in _SILENT:
                raise RefusedPickle(f"uses the instruction {name}")
        return self.pop()

    def pop(self) -> Any:
        """Remove and return the topmost value above the last mark."""
        if self.marks and self.marks[-1] >= len(self.stack):
            raise ValueError("a mark where a value is expected")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """Remove the last mark and the values above it, and return these."""
        at = self.marks.pop()
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def top(self, kind: type) -> Any:
        """Return the topmost value, which has to be of this type."""
        if type(self.stack[-1]) is not kind:
            raise RefusedPickle(f"fills a {type(self.stack[-1]).__name__} as if it were a {kind.__name__}")
        return self.stack[-1]


def _drop(machine: _Machine) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.pop()


def _drop_marked(machine: _Machine) -> None:
    machine.pop_marked()


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _set_items(machine: _Machine, values: list[Any]) -> None:
    machine.top(dict).update(_paired(values))


def _add_items(machine: _Machine, values: list[Any]) -> None:
    machine.top(set).update(simple(values))


def _paired(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(simple(values[::2]), values[1::2], strict=True))


def _named(machine: _Machine) -> Known:
    name, module = machine.pop(), machine.pop()
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a global whose name is not text")
    return known(module, name)


def _called(machine: _Machine) -> Any:
    arguments, what = machine.pop(), machine.pop()
    if not isinstance(what, Known) or not isinstance(arguments, tuple):
        raise RefusedPickle("calls what is no name")
    return what.make(*arguments)


def _build(machine: _Machine) -> None:
    state, target = machine.pop(), machine.stack[-1]
    set_state(target, state)
    if isinstance(target, np.ndarray) and target.dtype.hasobject:
        machine.arrays_of_arrays += any(isinstance(value, np.ndarray) for value in target.flat)
        if machine.arrays_of_arrays > _MAX_ARRAYS_OF_ARRAYS:
            raise RefusedPickle(f"holds more than {_MAX_ARRAYS_OF_ARRAYS} arrays of arrays")


def _pushing(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _tuple_of(count: int) -> Callable[[_Machine], None]:
    return _pushing(lambda machine: tuple([machine.pop() for _ in range(count)][::-1]))


# The instructions are documented in the standard library's pickletools.
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_LITERALS = frozenset((*_NUMBERS, *_TEXTS, *_BYTES))
_REMEMBERING = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_RECALLING = frozenset(("GET", "BINGET", "LONG_BINGET"))
_SILENT = frozenset(("PROTO", "FRAME", "STOP"))
_STEPS: dict[str, Callable[[_Machine], None]] = {
    "NONE": _pushing(lambda machine: None),
    "NEWTRUE": _pushing(lambda machine: True),
    "NEWFALSE": _pushing(lambda machine: False),
    "EMPTY_LIST": _pushing(lambda machine: []),
    "EMPTY_TUPLE": _tuple_of(0),
    "EMPTY_DICT": _pushing(lambda machine: {}),
    "EMPTY_SET": _pushing(lambda machine: set()),
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "POP": _drop,
    "POP_MARK": _drop_marked,
    "DUP": _pushing(lambda machine: machine.stack[-1]),
    "MEMOIZE": lambda machine: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "LIST": _pushing(lambda machine: machine.pop_marked()),
    "TUPLE": _pushing(lambda machine: tuple(machine.pop_marked())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "DICT": _pushing(lambda machine: _paired(machine.pop_marked())),
    "FROZENSET": _pushing(lambda machine: frozenset(simple(machine.pop_marked()))),
    "APPEND": lambda machine: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine: _append(machine, machine.pop_marked()),
    "SETITEM": lambda machine: _set_items(machine, [machine.pop() for _ in range(2)][::-1]),
    "SETITEMS": lambda machine: _set_items(machine, machine.pop_marked()),
    "ADDITEMS": lambda machine: _add_items(machine, machine.pop_marked()),
    "STACK_GLOBAL": _pushing(_named),
    "REDUCE": _pushing(_called),
    "BUILD": _build,
}
