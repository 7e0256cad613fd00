"""The rows of an array file, one in memory at a time: a memory-mapped .npy, or a member of an .npz."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from i2md.errors import InputError

# What NumPy and zipfile raise at files that are not what they say.
DAMAGE = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, MemoryError, OverflowError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
_ENCRYPTED = 1


@dataclass(frozen=True)
class Rows:
    """An array on disk, iterated along its first axis; `member` is its file within an .npz, if any.

    `start` is the row of the file's array that is the first here, `at` the place of row 0 in an .npz's bytes
    where it is not compressed.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    member: str | None = None
    start: int = 0
    at: int | None = None

    @property
    def mapped(self) -> bool:
        """Whether a row can be reached without reading those before it."""
        return self.member is None or self.at is not None

    def __iter__(self) -> Iterator[np.ndarray]:
        with _mendable(self.path):
            if self.member is None:
                yield from npy.open_memmap(self.path, mode="r")[self.start : self.start + self.shape[0]]
            elif self.at is not None:
                skipped = self.start * self._row_bytes()
                yield from np.memmap(self.path, self.dtype, "r", self.at + skipped, self.shape)
            else:
                yield from self._stream(self.member)

    def part(self, start: int, stop: int) -> Rows:
        """The rows from `start` to before `stop`."""
        return replace(self, start=self.start + start, shape=(stop - start, *self.shape[1:]))

    def _stream(self, member: str) -> Iterator[np.ndarray]:
        """Row after row of a member that may be compressed, which no memory map can reach into."""
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
            _read_header(stream)
            size = self._row_bytes()
            stream.seek(self.start * size, io.SEEK_CUR)
            for _ in range(self.shape[0]):
                yield np.frombuffer(stream.read(size), self.dtype).reshape(self.shape[1:])

    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize


def open_rows(path: Path, key: str) -> Rows:
    """The rows of a .npy file, or of `key` in an .npz.

    Raises InputError where the file is absent, damaged, without that key, or would have to be unpickled.
    """
    if not path.is_file() or path.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"{path}: no .npy or .npz file found; give the file that holds the {key}")
    with _mendable(path):
        if path.suffix.lower() == ".npy":
            array = npy.open_memmap(path, mode="r")
            return Rows(path, array.shape, array.dtype)
        with _npz(path) as archive:
            if key not in archive.files:
                found = ", ".join(archive.files) or "nothing"
                raise InputError(f"{path}: no key {key} in it, only {found}; save the clips as {key}")
        return _rows_of_member(path, key)


def arrays_beside(path: Path, *keys: str) -> Mapping[str, np.ndarray]:
    """The arrays of an .npz but those of `keys`, in memory; a .npy has none. Raises InputError as `open_rows`."""
    if path.suffix.lower() == ".npy":
        return {}
    with _mendable(path), _npz(path) as archive:
        return {other: archive[other] for other in archive.files if other not in keys}


def _rows_of_member(path: Path, key: str) -> Rows:
    member = f"{key}.npy"
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        shape, by_columns, dtype = _read_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{key} holds Python objects")
        told = archive.getinfo(member)
        if told.file_size != stream.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ValueError(f"{key} is not as long as it says")
        at = _place_in(path, told, stream.tell())
    if by_columns:
        raise InputError(f"{path}: {key} is stored column after column; save np.ascontiguousarray({key})")
    return Rows(path, shape, dtype, member, at=at)


def _place_in(path: Path, member: zipfile.ZipInfo, offset: int) -> int | None:
    """Where byte `offset` of an uncompressed member is in the .npz, after a header that tells its own length."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
        return None
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    return member.header_offset + 30 + int(name) + int(extra) + offset


def _read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(stream)


@contextmanager
def _npz(path: Path) -> Iterator[Any]:
    # Given a path, NumPy leaves the file open where it turns out to be no archive.
    with open(path, "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("a .npy file that is named .npz")
        with archive:
            yield archive


@contextmanager
def _mendable(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not arrays that can be read ({reason}); save it again with numpy") from None
