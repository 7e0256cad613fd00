"""The rows of an array file, one in memory at a time: a memory-mapped .npy, or a member of an .npz."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from i2md.errors import InputError


@dataclass(frozen=True)
class Rows:
    """An array on disk, iterated along its first axis; `member` is its file within an .npz, if any."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    member: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        with _mendable(self.path):
            if self.member is None:
                yield from np.load(self.path, mmap_mode="r", allow_pickle=False)
            else:
                yield from self._stream(self.member)

    def _stream(self, member: str) -> Iterator[np.ndarray]:
        """Row after row of a member that may be compressed, which no memory map can reach into."""
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
            _read_header(stream)
            size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
            for _ in range(self.shape[0]):
                yield np.frombuffer(stream.read(size), self.dtype).reshape(self.shape[1:])


def open_rows(path: Path, key: str) -> tuple[Rows, Mapping[str, np.ndarray]]:
    """The rows of a .npy file, or of `key` in an .npz together with the .npz's other arrays.

    Raises InputError where the file is absent, damaged, without that key, or would have to be unpickled.
    """
    if not path.is_file() or path.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"{path}: no .npy or .npz file found; give the file that holds the {key}")
    with _mendable(path):
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return Rows(path, array.shape, array.dtype), {}
        with np.load(path, allow_pickle=False) as archive:
            if key not in archive.files:
                found = ", ".join(archive.files) or "nothing"
                raise InputError(f"{path}: no key {key} in it, only {found}; save the clips as {key}")
            others = {other: archive[other] for other in archive.files if other != key}
        return _rows_of_member(path, key), others


def _rows_of_member(path: Path, key: str) -> Rows:
    member = f"{key}.npy"
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        shape, by_columns, dtype = _read_header(stream)
    if dtype.hasobject:
        raise ValueError(f"{key} holds Python objects")
    if by_columns:
        raise InputError(f"{path}: {key} is stored column after column; save np.ascontiguousarray({key})")
    return Rows(path, shape, dtype, member)


def _read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return read(stream)


@contextmanager
def _mendable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not arrays that can be read ({reason}); save it again with numpy") from None
