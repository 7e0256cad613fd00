"""Readers: one file a format, each opening a folder or file as a Source that streams one recording at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from i2md.data.recording import Source
from i2md.data.storage.remote import is_remote, to_path
from i2md.errors import InputError

# A reader: open_source(path, **options) -> Source. Modules are imported only when asked for.
_BUILT_IN = {
    "arrays": "i2md.data.readers.arrays.arrays",
    "cmd-arrays": "i2md.data.readers.arrays.cmd_arrays",
    "ctr-gcn": "i2md.data.readers.arrays.ctr_gcn",
    "synthetic": "i2md.synthetic.reader",
    "kinetics-skeleton": "i2md.data.readers.kinetics_skeleton",
    "msr-action3d": "i2md.data.readers.msr_action3d",
    "ntu-rgbd": "i2md.data.readers.ntu_rgbd",
    "nw-ucla": "i2md.data.readers.nw_ucla",
    "pku-mmd": "i2md.data.readers.pku_mmd",
    "pyskl": "i2md.data.readers.arrays.pyskl",
    "sbu-interaction": "i2md.data.readers.sbu_interaction",
    "utd-mhad": "i2md.data.readers.utd_mhad",
    "utkinect-action3d": "i2md.data.readers.utkinect",
}
# Those that read file after file. A plug-in's reader says so by an attribute of its function, `reads_stores = True`.
_FROM_A_STORE = frozenset(_BUILT_IN) - {"cmd-arrays", "ctr-gcn", "pyskl"}


def reader_names() -> tuple[str, ...]:
    """Formats that can be read, those of installed plug-ins (entry-point group `i2md.readers`) included."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in entry_points(group="i2md.readers"))}))


def open_source(format: str, path: Path, **options: Any) -> Source:
    """The recordings at `path`, read as `format`; options are the reader's own, InputError for one it hasn't."""
    reader, path = _reader(format), to_path(path)
    _check_options(format, reader, options)
    if is_remote(path) and not (format in _FROM_A_STORE or getattr(reader, "reads_stores", False)):
        raise InputError(f"{path}: format {format!r} is read from a disk; copy it to one first")
    return reader(path, **options)


def _check_options(format: str, reader: Callable[..., Source], options: Mapping[str, Any]) -> None:
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    known = parser.add_function_arguments(reader, skip={"path"})
    for name in options:
        if name not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"format {format!r} has no option {name!r}; {has}")
    try:
        parser.parse_object(dict(options))
    except ArgumentError as error:
        raise InputError(f"format {format!r}: {' '.join(str(error).split())}") from None


def _reader(format: str) -> Callable[..., Source]:
    if format in _BUILT_IN:
        return import_module(_BUILT_IN[format]).open_source
    for point in entry_points(group="i2md.readers"):
        if point.name == format:
            return point.load()
    raise InputError(f"format {format!r} is not known; choose one of {', '.join(reader_names())}")
