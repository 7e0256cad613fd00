"""Seeded mutations of valid files: of their bytes, of the numbers written in them, and of what the format contains."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE]-?\d+)?")
_NUMBERS = (
    *(b"0", b"-1", b"1e308", b"-1e39", b"1e-320", b"nan", b"-inf", b"NaN", b"Infinity", b"0x10", b"1_0", b"1,5"),
    *(b"2147483648", b"4294967296", b"9223372036854775808", b"-9223372036854775809", b"1000000000000", b"9" * 5000),
    *(b"", b" ", b"\xff", "\u0663".encode(), "\u00b2".encode(), b"'", b'"', b"\x00"),
)
# Stand for text that Python does not write: numbers of 5,000 digits, and 50,000 lists within one another.
_DIGITS, _DEEP = "@digits@", "@deep@"
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**12, 10**30),
    *(0.5, -0.5, 1e308, 1e-320, float("nan"), float("inf"), 1e39),
    *("", "x", "x" * 10_000, "two\nlines", "\x00", "../../x", "\ud800", "\U0001f600", "'", "{}", _DIGITS, _DEEP),
    *([], {}, [[]], [None], {"a": {}}, {"": 0}, [1, "a"], list(range(2000))),
)


def mutate(name: str, data: bytes, rng: Random) -> bytes:
    """Change a file at random.

    Args:
        name: Name of the file; its suffix tells the format.
        data: The valid file.
        rng: The source of all randomness.

    Returns:
        The changed file.
    """
    structural = _STRUCTURAL.get(PurePosixPath(name).suffix.lower())
    if structural is not None and rng.random() < 0.6:
        data = structural(data, rng)
        if rng.random() < 0.8:
            return data
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(_BYTES)(data, rng)
    return data


def _span(data: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 8, 64, 1024)))


def _flip_bits(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 20)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _run(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    filling = rng.choice((bytes(end - start), b"\xff" * (end - start), rng.randbytes(end - start)))
    return data[:start] + filling + data[end:]


def _truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.choice((0, 1, rng.randrange(len(data) + 1), max(0, len(data) - rng.randrange(20))))]


def _insert(data: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    new = rng.choice((rng.randbytes(rng.choice((1, 9, 300))), b"\n", b" " * 5000, b"[" * 20_000, b"\xef\xbb\xbf"))
    return data[:at] + new + data[at:]


def _repeat(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _remove(data: bytes, rng: Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _exchange(data: bytes, rng: Random) -> bytes:
    (a, b), (c, d) = sorted((_span(data, rng), _span(data, rng)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _edit_number(data: bytes, rng: Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _flip_bits(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]


def _edit_lines(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    action = rng.randrange(5)
    if action == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif action == 1:
        del lines[one]
    elif action == 2:
        lines.insert(one, lines[other])
    elif action == 3:
        lines[one] = lines[one][: rng.randrange(len(lines[one]) + 1)]
    else:
        return rng.choice((b"\r\n", b"\r", b"\n\n", b"\x1c")).join(lines)
    return b"\n".join(lines)


_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flip_bits, _run, _truncate, _insert, _repeat, _remove, _exchange, _edit_number, _edit_number, _edit_lines),
)


def mutate_value(value: Any, rng: Random) -> Any:
    """Change a tree of plain data and arrays in one place: replace, remove, add, nest or exchange a part of it.

    Args:
        value: Lists, dicts, arrays and values; not changed.
        rng: The source of all randomness.

    Returns:
        The changed tree.
    """
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        action = rng.random()
        if action < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if action < 0.2:
            return {**value, rng.choice(("", "x" * 3000, "\ud800", key)): value[key]}
        return {**value, key: mutate_value(value[key], rng)}
    if isinstance(value, list | tuple) and value and rng.random() < 0.85:
        at, action = rng.randrange(len(value)), rng.random()
        changed = list(value)
        if action < 0.1:
            del changed[at]
        elif action < 0.2:
            changed.insert(at, changed[rng.randrange(len(value))])
        else:
            changed[at] = mutate_value(changed[at], rng)
        return tuple(changed) if isinstance(value, tuple) else changed
    if isinstance(value, np.ndarray) and rng.random() < 0.85:
        return _mutate_array(value, rng)
    return rng.choice((*_VALUES, [value], [[value]], {"a": value}, str(value)[:50]))


def _mutate_array(array: np.ndarray, rng: Random) -> np.ndarray:
    action = rng.randrange(7)
    if action == 0:
        return array.transpose(rng.sample(range(array.ndim), array.ndim))
    if action == 1:
        return array.reshape(rng.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
    if action == 2:
        axis = rng.randrange(array.ndim) if array.ndim else None
        return array if axis is None else np.take(array, range(rng.randrange(array.shape[axis] + 1)), axis)
    if action == 3:
        kinds = ("<f2", ">f8", "<i1", ">i8", "<u8", "?", "<c16", "S5", "<U5", "O", "<M8[s]")
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(kinds), casting="unsafe") if array.dtype.kind in "fiub" else array[:0]
    changed = array.copy()
    if action == 4 and changed.size:
        changed = np.asfortranarray(changed)
    elif changed.size and changed.dtype.kind == "f":
        with np.errstate(all="ignore"):
            changed.flat[rng.randrange(changed.size)] = rng.choice((np.nan, np.inf, 1e308, 1e-320, 0.0))
    elif changed.size and changed.dtype.kind in "iu":
        limits = np.iinfo(changed.dtype)
        changed.flat[rng.randrange(changed.size)] = rng.choice((limits.min, limits.max, 0, 1))
    return np.concatenate([changed, changed]) if action == 6 and changed.ndim else changed


def _special(text: str, opening: str = "[", closing: str = "]") -> bytes:
    deep = opening * 50_000 + closing * 50_000
    for mark, replacement in ((_DIGITS, "9" * 5000), (_DEEP, deep)):
        text = re.sub(rf"(['\"]?){mark}\1", lambda _, new=replacement: new, text)
    return text.encode("utf-8", "surrogatepass")


def _json(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    # Lines of JSON, or one document.
    at = rng.randrange(len(lines))
    try:
        return b"\n".join(
            [*lines[:at], _special(json.dumps(mutate_value(json.loads(lines[at]), rng))), *lines[at + 1 :]]
        )
    except ValueError:
        pass
    try:
        return _special(json.dumps(mutate_value(json.loads(data), rng)))
    except ValueError:
        return data


def _yaml(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.1:
        laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
        return rng.choice((laughs.encode(), data + laughs.encode(), b"<<: [*a, &a {}]\n" + data, b"a: &a [*a]\n"))
    if rng.random() < 0.1:
        return data + rng.choice(
            (b"!!python/object:os.system x\n", b"? [a]\n: b\n", b"x: !!binary z\n", b"--- 1\n", b"\t")
        )
    value = mutate_value(yaml.safe_load(data), rng)
    return _special(yaml.safe_dump(value, sort_keys=False, allow_unicode=False))


def _pickle(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return pickle.dumps(mutate_value(pickle.loads(data), rng), protocol=rng.randrange(6))
    positions = [position for _, _, position in pickletools.genops(data)] + [len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(positions)]
    for _ in range(rng.choice((1, 1, 3))):
        at, action = rng.randrange(len(parts)), rng.randrange(4)
        if action == 0:
            del parts[at]
        elif action == 1:
            parts.insert(at, rng.choice(parts))
        elif action == 2:
            parts[at] = rng.choice(
                (b"0", b"2", b"(", b"t", b"l", b"d", b"]", b"}", b"N", b"R", b"b", b"a", b"s", b"e", b".")
            )
        else:
            parts[at:at] = [rng.choice((b"]" * 30_000 + b"a" * 30_000, b"N\x85" * 30_000, b"I" + b"9" * 5000 + b"\n"))]
    return b"".join(parts)


def _npy(data: bytes, rng: Random) -> bytes:
    array = np.load(io.BytesIO(data))
    if rng.random() < 0.5:
        return npy_bytes(_mutate_array(array, rng))
    shape: list[Any] = list(array.shape) or [1]
    shape[rng.randrange(len(shape))] = rng.choice((0, -1, 10**12, 2**63, 2**64, 1, "9" * 500, True, 1.0, None))
    if rng.random() < 0.2:
        shape = [1, 0] * 40
    kinds = (array.dtype.str, "|O", "<f16", "|V0", "<U0", "|S0", "<U99999999", "<f4,<f4", "[('a','<f4')]", ">f8", "zz")
    order = rng.choice(("False", "True", "None", "1"))
    shown = ", ".join(str(size) for size in shape)
    header = f"{{'descr': '{rng.choice(kinds)}', 'fortran_order': {order}, 'shape': ({shown},), }}".encode()
    header = rng.choice((header, header, header, b"(" * 3000, header + b" " * 60_000, b"", header[:-3]))
    version = rng.choice((1, 1, 1, 2, 3, 9))
    length = struct.pack("<H" if version == 1 else "<I", min(len(header) + 1, 65_535))
    length = rng.choice((length, length, length, b"\xff" * len(length)))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + b"\n" + array.tobytes()


def npy_bytes(array: np.ndarray) -> bytes:
    """The bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def zip_bytes(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The bytes of a .zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), data, method)
    return stream.getvalue()


def _zip(data: bytes, rng: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(files))
    action = rng.random()
    if action < 0.1:
        del files[name]
    elif action < 0.2:
        files[rng.choice(("../" + name, "/" + name, name.upper(), "x" * 300 + name, name + "/", "\u202e" + name))] = (
            files[name]
        )
    elif action < 0.9:
        files[name] = mutate(name, files[name], rng)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    changed = zip_bytes(files, rng.choice(methods))
    at = changed.find(b"PK\x01\x02")
    if rng.random() < 0.3 and at > 0:
        # A field of the first entry of the directory: version, flags, method, checksum, sizes, offset.
        field = at + rng.choice((4, 6, 8, 10, 16, 20, 24, 28, 42))
        changed = changed[:field] + rng.choice((b"\xff\xff", b"\0\0", b"\1\0")) + changed[field + 2 :]
    return changed


def _mat(data: bytes, rng: Random) -> bytes:
    from scipy.io import loadmat, savemat

    variables = {name: value for name, value in loadmat(io.BytesIO(data)).items() if not name.startswith("__")}
    name = rng.choice(list(variables))
    with_array = _mutate_array(variables[name], rng)
    value = rng.choice((with_array, with_array, "text", {"a": 1}, np.zeros((0, 3)), np.array([[1, 2], [3, 4]])))
    stream = io.BytesIO()
    try:
        savemat(stream, {rng.choice((name, name, "x")): value}, do_compression=rng.random() < 0.5)
    except (TypeError, ValueError):
        return data
    return stream.getvalue()


def _parquet(data: bytes, rng: Random) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    index = rng.randrange(table.num_columns)
    name, column = table.column_names[index], table.column(index).to_pylist()
    action = rng.randrange(4)
    if action == 0:
        table = table.remove_column(index)
    elif action == 1:
        table = table.slice(rng.randrange(table.num_rows + 1))
    elif action == 2:
        column = [str(value) for value in column] if rng.random() < 0.5 else [None] * len(column)
        table = table.set_column(index, name, pa.array(column))
    elif column and not isinstance(column[0], list | dict):
        values = (0, -1, 1, 2, 10**9, 2**31, 2**62, -(2**63)) if isinstance(column[0], int) else ("", "x" * 5000, "\n")
        values = (float("nan"), -1.0, 1e308) if isinstance(column[0], float) else values
        column[rng.randrange(len(column))] = rng.choice(values)
        table = table.set_column(index, name, pa.array(column, table.schema.field(index).type))
    stream = io.BytesIO()
    pq.write_table(table, stream, compression=rng.choice(("none", "snappy", "gzip", "zstd")))
    return stream.getvalue()


def _safetensors(data: bytes, rng: Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header = _special(json.dumps(mutate_value(json.loads(data[8 : 8 + size]), rng)))
    stated = rng.choice((len(header), len(header), len(header), 2**63, 0, len(data) * 2))
    return stated.to_bytes(8, "little") + header + data[8 + size :]


def _torch(data: bytes, rng: Random) -> bytes:
    """A checkpoint: one member of its .zip, or the pickle within it."""
    return _zip(data, rng) if zipfile.is_zipfile(io.BytesIO(data)) else data


_STRUCTURAL: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": _json,
    ".jsonl": _json,
    ".yaml": _yaml,
    ".pkl": _pickle,
    ".npy": _npy,
    ".npz": _zip,
    ".zip": _zip,
    ".mat": _mat,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".tar": _torch,
}
