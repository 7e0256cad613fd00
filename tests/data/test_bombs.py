"""Small files that would unpack to gigabytes: each command ends in one line, in little time and memory as a whole."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i2md.data.dataset import COLUMNS

MAX_SECONDS = 5.0
MAX_MEGABYTES = 500
_ROWS = 700 * (1 << 20) // (25 * 3 * 4)
# Runs a command, then prints its exit code, the seconds of a processor that it took, which do not depend on what else
# the machine does, and its largest size in memory.
_MEASURED = """
import sys, time
from i2md.cli.main import main
code = main(sys.argv[1:])
size = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, time.process_time(), int(size.split()[1]) / 1024)
"""
# A command line, made in a folder with the folder of clips and that of a run.
Bomb = Callable[[Path, Path, Path], list[object]]


def _header(*shape: int) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _zipped(format: str, archive: str, name: str, start: bytes, method: int = zipfile.ZIP_DEFLATED) -> Bomb:
    """A valid start, then zeros that unpack to 700 MB."""

    def make(folder: Path, clips: Path, run: Path) -> list[object]:
        with (
            zipfile.ZipFile(folder / archive, "w", method) as target,
            target.open(name, "w", force_zip64=True) as stream,
        ):
            stream.write(start)
            for _ in range(700):
                stream.write(bytes(1 << 20))
        return ["prepare", format, folder / archive if archive[1] == "." else folder, folder / "out"]

    return make


def _hollow(folder: Path, clips: Path, run: Path) -> list[object]:
    (folder / "x.npy").write_bytes(_header(10**12, 25, 0))
    return ["prepare", "arrays", folder / "x.npy", folder / "out"]


def _pickle(folder: Path, clips: Path, run: Path) -> list[object]:
    """A string of 3 GB, as it says."""
    (folder / "x.pkl").write_bytes(b"\x80\x04\x8e" + (3 << 30).to_bytes(8, "little") + b"abc.")
    return ["prepare", "pyskl", folder / "x.pkl", folder / "out"]


def _damaged_clips(damage: Callable[[Path], object]) -> Bomb:
    def make(folder: Path, clips: Path, run: Path) -> list[object]:
        shutil.copytree(clips, folder / "clips")
        damage(folder / "clips")
        return ["info", folder / "clips"]

    return make


def _many_equal_rows(clips: Path) -> None:
    count = 100_000_000
    values = {"name": "x", "source": "x", "fps": 30.0}
    arrays = [
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([values.get(field.name, 1)]))
        for field in COLUMNS
    ]
    pq.write_table(pa.table(dict(zip(COLUMNS.names, arrays, strict=True))), clips / "clips.parquet")


def _damaged_run(name: str, damage: Callable[[bytes], bytes]) -> Bomb:
    def make(folder: Path, clips: Path, run: Path) -> list[object]:
        shutil.copytree(run, folder / "run")
        (folder / "run" / name).write_bytes(damage((run / name).read_bytes()))
        return ["embed", folder / "run", clips, folder / "out.npz", "--device", "cpu"]

    return make


def _laughs(data: bytes) -> bytes:
    lines = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    return data + f"a0: &a0 [x, x]\n{lines}".encode()


def _larger(data: bytes) -> bytes:
    assert b"hidden_size: 8" in data
    return data.replace(b"hidden_size: 8", b"hidden_size: 16384").replace(b"num_layers: 1", b"num_layers: 900")


BOMBS: dict[str, Bomb] = {
    "text in a zip": _zipped("msr-action3d", "x.zip", "a01_s01_e01_skeleton3D.txt", b"0 "),
    "npy in a zip": _zipped("arrays", "x.zip", "a.npy", _header(_ROWS, 25, 3)),
    "npy in a zip of bzip2": _zipped("arrays", "x.zip", "a.npy", _header(_ROWS, 25, 3), zipfile.ZIP_BZIP2),
    "mat in a zip": _zipped("utd-mhad", "x.zip", "a1_s1_t1_skeleton.mat", b"MATLAB 5.0"),
    "labels.csv in a zip": _zipped("arrays", "x.zip", "labels.csv", b"name,label\n"),
    "npz in a folder": _zipped("arrays", "of-clips.npz", "positions.npy", _header(_ROWS, 25, 3)),
    "npz of one clip": _zipped("arrays", "x.npz", "positions.npy", _header(1, _ROWS, 25, 3)),
    "npy without elements": _hollow,
    "pickle": _pickle,
    "parquet": _damaged_clips(_many_equal_rows),
    "json": _damaged_clips(lambda clips: (clips / "dataset.json").write_text("[" * 1_000_000)),
    "yaml": _damaged_run("config.yaml", _laughs),
    "numbers in yaml": _damaged_run("config.yaml", _larger),
    "safetensors": _damaged_run("model.safetensors", lambda data: (90 << 20).to_bytes(8, "little") + bytes(90 << 20)),
}
_QUICK = ("npy without elements", "pickle", "json")


@pytest.mark.parametrize(
    "name", [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BOMBS]
)
def test_bomb_ends_in_one_line(name: str, clips: Path, run: Path, tmp_path: Path) -> None:
    words = [str(word) for word in BOMBS[name](tmp_path, clips, run)]
    done = subprocess.run([sys.executable, "-c", _MEASURED, *words], capture_output=True, text=True, check=False)
    code, seconds, megabytes = done.stdout.split()[-3:]
    said = done.stderr.replace("\r", "\n").splitlines()
    assert code == "2", said[-5:]
    assert said[-1].startswith("i2md: ") and len(said[-1]) < 500
    assert float(seconds) < MAX_SECONDS
    assert float(megabytes) < MAX_MEGABYTES
