"""Where bytes of a file enter memory: sizes are asked before memory is taken, and only regular files are read.

A file, a member of a .zip or an .npz and a row of an array may have 256 MB after decompression; the environment
variable I2MD_MAX_FILE_MB sets another limit. A .zip or a .mat of 3 MB can otherwise unpack to gigabytes.
"""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import math
import os
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy

from i2md.errors import InputError

_DEFAULT_MB = 256
_CHUNK = 1 << 20
_ENCRYPTED = 1
_MAX_HEADER = 1 << 16
# Exceptions that Python, NumPy and zipfile raise on damaged files.
DAMAGE = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, IndexError, MemoryError, OverflowError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, SyntaxError),
)


def max_bytes() -> int:
    """Return the number of bytes that a file, a member of an archive or a row of an array may have in memory.

    Raises:
        InputError: If I2MD_MAX_FILE_MB is not a positive whole number.
    """
    given = os.environ.get("I2MD_MAX_FILE_MB", str(_DEFAULT_MB))
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and int(given)):
        raise InputError(f"I2MD_MAX_FILE_MB is {given[:40]!r}; set it to a number of megabytes such as {_DEFAULT_MB}")
    return int(given) * 1_000_000


def require_size(size: int, what: str = "the file") -> None:
    """Check a size before so much memory is taken.

    Args:
        size: Number of bytes.
        what: What has this size, for the message.

    Raises:
        ValueError: If it is more than `max_bytes`.
    """
    limit = max_bytes()
    if size > limit:
        raise ValueError(
            f"{what} has {max(size, 0) // 1_000_000 if size < 1 << 60 else 'millions of'} MB, more than the limit of "
            f"{limit // 1_000_000}; set I2MD_MAX_FILE_MB if it is right"
        )


def read_file(path: Path) -> bytes:
    """Read a regular file.

    Args:
        path: The file; a link to one is followed.

    Returns:
        Its bytes.

    Raises:
        OSError: If it cannot be read, or is a device, a pipe or a folder.
        ValueError: If it is too large.
    """
    require_regular(path)
    require_size(path.stat().st_size)
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Check that reading a file cannot block or go on for ever.

    Args:
        path: A file that exists; a link is followed.

    Raises:
        OSError: If it does not exist, links lead in a circle, or it is a device, a pipe, a socket or a folder.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file but a folder, a pipe or a device")


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a file of a .zip in pieces; an entry that states a wrong size does not take more memory than it states.

    Args:
        archive: The archive.
        name: Name of the file in it.

    Returns:
        Its bytes.

    Raises:
        ValueError: If it is too large. Damage raises one of DAMAGE.
    """
    member = archive.getinfo(name)
    require_size(member.file_size)
    if member.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA) and not member.flag_bits & _ENCRYPTED:
        return _unpacked(archive, member)
    parts = []
    with archive.open(member) as stream:
        while part := stream.read(_CHUNK):
            parts.append(part)
    return b"".join(parts)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Unpack bzip2 and LZMA, which zipfile does without a limit: 4 KB of bzip2 can become gigabytes."""
    require_size(member.compress_size)
    assert archive.fp is not None
    archive.fp.seek(member.header_offset)
    name, extra = struct.unpack("<26x2H", archive.fp.read(30))
    archive.fp.seek(name + extra, io.SEEK_CUR)
    packed = archive.fp.read(member.compress_size)
    if member.compress_type == zipfile.ZIP_BZIP2:
        data = bz2.BZ2Decompressor().decompress(packed, member.file_size + 1)
    else:
        # In a .zip the five bytes of properties follow a version and a length; here an unknown size follows them.
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=max_bytes())
        data = decompressor.decompress(packed[4:9] + b"\xff" * 8 + packed[9:], member.file_size + 1)
    if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile("a damaged entry, or one that is larger than it states")
    return data


def array_keys(archive: zipfile.ZipFile) -> list[str]:
    """List the keys of the arrays in an .npz.

    Args:
        archive: The .npz.
    """
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def parse_npy(data: bytes) -> np.ndarray:
    """Parse a .npy without unpickling.

    Args:
        data: The bytes of the file.

    Returns:
        A view of the bytes.

    Raises:
        ValueError: If it holds Python objects, or not as many bytes as its shape needs. Damage raises one of DAMAGE.
    """
    stream = io.BytesIO(data)
    shape, fortran_order, dtype = read_npy_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    require_dense(shape)
    if len(data) - stream.tell() < math.prod(shape) * dtype.itemsize:
        raise ValueError("it is shorter than its header says")
    flat = np.frombuffer(data, dtype, math.prod(shape), stream.tell()) if math.prod(shape) else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C")


def require_dense(shape: tuple[int, ...]) -> None:
    """Check that an array without elements does not pretend to have many rows, each of which would take time.

    Args:
        shape: Shape of an array.

    Raises:
        ValueError: If it has an axis of size 0 and more than a million rows.
    """
    if 0 in shape and math.prod(size for size in shape if size) > 1_000_000:
        raise ValueError("its shape has no elements but millions of rows")


class _Bounded:
    """A stream for a header, which may state that it is gigabytes long."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, count: int) -> bytes:
        if count > _MAX_HEADER:
            raise ValueError(f"its header has {count} bytes")
        return self._stream.read(count)


def map_npy(path: Path) -> np.memmap:
    """Map a .npy into memory, without unpickling.

    Args:
        path: The file.

    Returns:
        Its array; nothing of it is read yet.

    Raises:
        ValueError: As in `parse_npy`, but for the size of the file. Damage raises one of DAMAGE.
    """
    require_regular(path)
    with open(path, "rb") as stream:
        shape, fortran_order, dtype = read_npy_header(stream)
        start, end = stream.tell(), stream.seek(0, os.SEEK_END)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    require_dense(shape)
    # NumPy's own check overflows.
    if end - start < math.prod(shape) * dtype.itemsize:
        raise ValueError("it is shorter than its header says")
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran_order else "C")


def read_npy_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a .npy.

    Args:
        stream: The file, at its start; afterwards at the first element.

    Returns:
        Shape, whether the array is in Fortran order, and dtype.

    Raises:
        ValueError: If it is not such a header, or a size is negative.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        # NumPy advises to save a file of Python 2 again.
        warnings.simplefilter("ignore", UserWarning)
        shape, fortran_order, dtype = read(cast(Any, _Bounded(stream)))
    if any(size < 0 for size in shape):
        raise ValueError("its shape has a negative size")
    return shape, fortran_order, dtype
