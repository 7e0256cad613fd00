"""Damaged folders of clips: each ends in one InputError of under 500 characters, or opens with valid indices."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i2md.data.info import info
from i2md.data.store import open_clips
from i2md.errors import InputError


def _set(column: str, value: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        table = pq.read_table(folder / "clips.parquet")
        values = table[column].to_pylist()
        values[1] = value
        index = table.column_names.index(column)
        pq.write_table(table.set_column(index, column, pa.array(values, pa.int64())), folder / "clips.parquet")

    return change


def _described(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        (folder / "dataset.json").write_text(json.dumps(data | changes), encoding="utf-8")

    return change


def _header(text: bytes) -> Callable[[Path], None]:
    """frames.npy with another header."""

    def change(folder: Path) -> None:
        padded = text.ljust(117) + b"\n"
        content = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(1000)
        (folder / "frames.npy").write_bytes(content)

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_set("start", value) for value in (-1, 10**6, 2**62)),
        *(_set("frames", value) for value in (0, -5, 10**9, 2**62)),
        *(_set("persons", value) for value in (0, -1, 3, 2**32)),
        *(_set("label", value) for value in (-2, 4, 2**40)),
        _header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 25, 3), }"),
        _header(b"{'descr': '|O', 'fortran_order': False, 'shape': (3, 25, 3), }"),
        _header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 60 + b",), }"),
        _header(b"(" * 100),
        _header(b"{'descr': "),
        _described(splits={"xsub": 3}),
        _described(splits={"xsub": {"train": {"nothing": [1]}}}),
        _described(splits={"xsub": {"train": {"subject": [[1]]}}}),
        _described(class_names=[1, 2]),
        _described(name={"a": "b" * 10_000}),
        _described(report=[]),
        _described(report={"left_out": 3}),
        _described(report={"not_read": {"x": "many"}}),
        _described(format_version="9" * 10_000),
        _described(layout={"name": "x" * 10_000}),
        _described(layout=3),
        lambda folder: (folder / "dataset.json").write_text("[" * 100_000, encoding="utf-8"),
        lambda folder: (folder / "dataset.json").write_text('{"format_version": ' + "9" * 6000, encoding="utf-8"),
        lambda folder: (folder / "dataset.json").write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_damage_is_an_input_error(change: Callable[[Path], Any], clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    change(folder)
    with pytest.raises(InputError) as raised:
        open_clips(folder)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 500
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["clips.parquet", "frames.npy", "dataset.json"])
def test_random_damage_is_an_input_error_or_harmless(name: str, clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    content = (folder / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        limit = 128 if name == "frames.npy" else len(damaged)
        for position in rng.integers(limit, size=rng.integers(1, 9)):
            damaged[position] = rng.integers(256)
        (folder / name).write_bytes(damaged[: rng.integers(len(damaged))] if rng.random() < 0.2 else damaged)
        try:
            opened = open_clips(folder)
            info(opened)
        except InputError as error:
            assert len(str(error).replace(str(tmp_path), "")) < 500
