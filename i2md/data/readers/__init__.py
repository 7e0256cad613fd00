"""Readers: one module for each file format, with a function `open_source(path, **options) -> Source`.

A Source (i2md.data.recording) streams its recordings one at a time. A reader's keyword parameters are options of
`i2md prepare`: `fps: float = 0.0` becomes `--options.fps`. A package of your own adds a format by an entry point of the
group `i2md.readers` (docs/examples/reader.py is a complete example), a program by `READERS.register`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.readers.listing import listed
from i2md.data.recording import Source
from i2md.data.storage.remote import is_remote, to_path
from i2md.errors import InputError
from i2md.runtime.registry import Registry

_BUILT_IN = {
    "arrays": "i2md.data.readers.arrays.arrays:open_source",
    "asf-amc": "i2md.data.readers.asf_amc:open_source",
    "auto": "i2md.data.readers.auto:open_source",
    "bvh": "i2md.data.readers.bvh:open_source",
    "c3d": "i2md.data.readers.c3d_markers:open_source",
    "cmd-arrays": "i2md.data.readers.arrays.cmd_arrays:open_source",
    "coco": "i2md.data.readers.coco:open_source",
    "ctr-gcn": "i2md.data.readers.arrays.ctr_gcn:open_source",
    "deeplabcut": "i2md.data.readers.deeplabcut:open_source",
    "humanml3d": "i2md.data.readers.humanml3d:open_source",
    "kinetics-skeleton": "i2md.data.readers.kinetics_skeleton:open_source",
    "mediapipe": "i2md.data.readers.mediapipe:open_source",
    "msr-action3d": "i2md.data.readers.msr_action3d:open_source",
    "ntu-rgbd": "i2md.data.readers.ntu_rgbd:open_source",
    "nw-ucla": "i2md.data.readers.nw_ucla:open_source",
    "openpose": "i2md.data.readers.openpose:open_source",
    "pku-mmd": "i2md.data.readers.pku_mmd:open_source",
    "pyskl": "i2md.data.readers.arrays.pyskl:open_source",
    "sbu-interaction": "i2md.data.readers.sbu_interaction:open_source",
    "sleap": "i2md.data.readers.sleap:open_source",
    "synthetic": "i2md.synthetic.reader:open_source",
    "table": "i2md.data.readers.table:open_source",
    "utd-mhad": "i2md.data.readers.utd_mhad:open_source",
    "utkinect-action3d": "i2md.data.readers.utkinect:open_source",
}
READERS: Registry[Callable[..., Source]] = Registry("format", "i2md.readers", _BUILT_IN)
# Formats that can be read from remote storage: those read file by file, by i2md.data.readers.files. A reader from an
# entry point declares that it can by an attribute of its function, `reads_remote = True`.
_REMOTE = frozenset(_BUILT_IN) - {"cmd-arrays", "ctr-gcn", "pyskl"}


def reader_names() -> tuple[str, ...]:
    """List the formats that can be read, including those of installed packages (entry-point group `i2md.readers`)."""
    return tuple(sorted(READERS))


def open_source(format: str, path: Path, **options: Any) -> Source:
    """Open recordings.

    Args:
        format: Name of a format, one of `reader_names()`.
        path: Folder, file or .zip of the recordings, local or remote.
        **options: Options of the format's reader.

    Returns:
        The recordings.

    Raises:
        InputError: If there is no such format or option, an option has another type, or the reader refuses the path.

    Example:
        >>> open_source("synthetic", Path("unused"), actions=2, subjects=2, repeats=1).count
        4
    """
    reader, path = READERS[format], to_path(path)
    _check_options(format, reader, options)
    _check_path(path)
    if is_remote(path) and not (format in _REMOTE or getattr(reader, "reads_remote", False)):
        raise InputError(f"{path}: format {format!r} is read from a local disk; copy it to one first")
    # NumPy warns of numbers beyond float32 and of signalling NaNs in what readers look into.
    with listed() as listing, np.errstate(over="ignore", invalid="ignore"):
        source = reader(path, **options)
    return replace(source, left_out={**source.left_out, **listing.not_read()})


def _check_path(path: Path) -> None:
    if not is_remote(path):
        try:
            os.stat(path)
        except OSError as error:
            # Paths that do not exist are refused by the readers, which know what they look for.
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                raise InputError(f"{path}: cannot be read ({error.strerror}); give another path") from None
        except ValueError as error:
            raise InputError(f"{str(path)!r}: not a path ({error}); give another path") from None


def _check_options(format: str, reader: Callable[..., Source], options: Mapping[str, Any]) -> None:
    if not options:
        return
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
