"""Rows of an array file, one in memory at a time: a memory-mapped .npy or a member of an .npz; and passes over clips.

Several processes can share a pass unless the array is compressed, when a row is only reached through those before it.
Nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy

from i2md.data.readers.limits import (
    DAMAGE,
    array_keys,
    map_npy,
    parse_npy,
    read_member,
    read_npy_header,
    require_dense,
    require_size,
)
from i2md.data.readers.name_tables import shown
from i2md.data.recording import Recording, Unreadable
from i2md.errors import InputError, refused_by_system

_ENCRYPTED = 1


@dataclass(frozen=True)
class ArrayRows:
    """An array on disk, or a range of its rows, iterated along the first axis."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    member: str | None = None
    """The array's file within an .npz; None for a .npy."""
    start: int = 0
    """Index of the first row in the whole array."""
    offset: int | None = None
    """Byte of the .npz at which row 0 of the whole array starts, if it is not compressed."""

    @property
    def mapped(self) -> bool:
        """Whether a row can be read without reading those before it."""
        return self.member is None or self.offset is not None

    def __iter__(self) -> Iterator[np.ndarray]:
        with _readable(self.path):
            if self.member is None:
                yield from map_npy(self.path)[self.start : self.start + self.shape[0]]
            elif self.offset is not None:
                skipped = self.start * self._row_bytes()
                yield from np.memmap(self.path, self.dtype, "r", self.offset + skipped, self.shape)
            else:
                yield from self._stream(self.member)

    def part(self, start: int, stop: int) -> ArrayRows:
        """The rows `start` to `stop` - 1."""
        return replace(self, start=self.start + start, shape=(stop - start, *self.shape[1:]))

    def _stream(self, member: str) -> Iterator[np.ndarray]:
        """The rows of a member that may be compressed, which cannot be memory-mapped."""
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
            read_npy_header(stream)
            size = self._row_bytes()
            stream.seek(self.start * size, io.SEEK_CUR)
            for _ in range(self.shape[0]):
                yield np.frombuffer(stream.read(size), self.dtype).reshape(self.shape[1:])

    def _row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def open_rows(path: Path, key: str) -> ArrayRows:
    """Open an array for reading row by row.

    Args:
        path: A .npy file, or an .npz.
        key: Key of the array in the .npz.

    Returns:
        The rows.

    Raises:
        InputError: If the file is missing or damaged, lacks the key, or would have to be unpickled.
    """
    if not path.is_file() or path.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"{path}: no .npy or .npz file found; give the file that holds the {key}")
    with _readable(path):
        if path.suffix.lower() == ".npy":
            array = map_npy(path)
            require_size(math.prod(array.shape[1:]) * array.dtype.itemsize, "a clip")
            return ArrayRows(path, array.shape, array.dtype)
        with _npz(path) as archive:
            keys = array_keys(archive)
            if key not in keys:
                found = shown(", ".join(keys)) or "nothing"
                raise InputError(f"{path}: no key {key} in it, only {found}; save the clips as {key}")
        return _rows_of_member(path, key)


def other_arrays(path: Path, *keys: str) -> Mapping[str, np.ndarray]:
    """Load all arrays of an .npz except some.

    Args:
        path: The .npz; a .npy has no other arrays.
        keys: Keys of the arrays that are not loaded.

    Returns:
        The arrays by key.

    Raises:
        InputError: As in `open_rows`.
    """
    if path.suffix.lower() == ".npy":
        return {}
    with _readable(path), _npz(path) as archive:
        others = [key for key in array_keys(archive) if key not in keys]
        return {other: parse_npy(read_member(archive, f"{other}.npy")) for other in others}


@runtime_checkable
class ArrayClips(Protocol):
    """Clips that are the rows of one array."""

    @property
    def rows(self) -> ArrayRows:
        """The array."""

    def part(self, start: int, stop: int) -> ArrayClips:
        """The clips `start` to `stop` - 1."""

    def __iter__(self) -> Iterator[Recording | Unreadable]: ...


def read_arrays(*arrays: ArrayClips) -> Callable[[], Iterator[Recording | Unreadable]]:
    """Make a pass over the clips of several arrays, one array after the other.

    Args:
        arrays: The clips of each array.

    Returns:
        A pass, which is Divisible (i2md.data.recording) unless an array is compressed.
    """
    whole = _Pass(arrays)
    return whole if all(clips.rows.mapped for clips in arrays) else whole.__call__


@dataclass(frozen=True)
class _Pass:
    arrays: tuple[ArrayClips, ...]

    def __len__(self) -> int:
        return sum(clips.rows.shape[0] for clips in self.arrays)

    def part(self, start: int, stop: int) -> _Pass:
        pieces, first = [], 0
        for clips in self.arrays:
            size = clips.rows.shape[0]
            begin, end = max(start - first, 0), min(stop - first, size)
            if begin < end:
                pieces.append(clips.part(begin, end))
            first += size
        return _Pass(tuple(pieces))

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for clips in self.arrays:
            yield from clips


def _rows_of_member(path: Path, key: str) -> ArrayRows:
    member = f"{key}.npy"
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        shape, fortran_order, dtype = read_npy_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{key} holds Python objects")
        info = archive.getinfo(member)
        if info.file_size != stream.tell() + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{key} has another size than its header says")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{key} is compressed in a way that NumPy does not use")
        require_dense(shape)
        require_size(math.prod(shape[1:]) * dtype.itemsize, f"a row of {key}")
        offset = _offset_in(path, info, stream.tell())
    if fortran_order:
        raise InputError(f"{path}: {key} is stored in Fortran order; save np.ascontiguousarray({key})")
    return ArrayRows(path, shape, dtype, member, offset=offset)


def _offset_in(path: Path, member: zipfile.ZipInfo, offset: int) -> int | None:
    """Byte of the .npz at which byte `offset` of a member is, None if the member is compressed or encrypted."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
        return None
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    return member.header_offset + 30 + int(name) + int(extra) + offset


@contextmanager
def _npz(path: Path) -> Iterator[zipfile.ZipFile]:
    with open(path, "rb") as file:
        if file.read(6) == npy.MAGIC_PREFIX:
            raise ValueError("a .npy file named .npz")
        with zipfile.ZipFile(file) as archive:
            yield archive


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        if refused_by_system(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not arrays that can be read ({reason}); save it again with numpy") from None
