"""HumanML3D joints (Guo et al., CVPR 2022): `new_joints/*.npy`, (frames, 22, 3) of SMPL's first 22 joints.

Layout humanml-22, metres, y up, 20 frames a second; files starting with M are mirrored copies. Split `given`, if the
publisher's lists are there: the names in train.txt, val.txt and test.txt. Descriptions are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.persons import Bodies
from i2md.data.readers.arrays.array_files import array_in
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.name_tables import compare_names
from i2md.data.readers.poses import FILE, Pose, PoseOptions, one_file_each, pose_source
from i2md.data.recording import Source
from i2md.data.splits import Split
from i2md.errors import InputError
from i2md.skeletons import get_layout

_FILES = re.compile(r"[^.].*\.npy", re.IGNORECASE)
_LISTS = re.compile(r"(train|val|test)\.txt", re.IGNORECASE)
_LAYOUT = get_layout("humanml-22").with_channels(3)
_JOINTS = len(_LAYOUT.joints)


def open_source(path: Path, *, mirrored: bool = False) -> Source:
    """Open the joints of HumanML3D.

    Args:
        path: The folder HumanML3D, its new_joints, or a .zip.
        mirrored: Read the mirrored copies, M*.npy, too.

    Returns:
        The clips.

    Raises:
        InputError: If there is no such file.
    """
    found = find_files(path, _FILES, "new_joints/*.npy files of HumanML3D", unique_parts=FILE)
    in_joints = [file for file in found if "new_joints" in file.path.parts[:-1]] or list(found)
    files = [file for file in in_joints if mirrored or not file.base.startswith("M")]
    if not files:
        raise InputError(f"{path}: only mirrored copies, M*.npy; read them by --options.mirrored true")
    groups = [(Path(name).name, of) for name, of in one_file_each(files)]
    left_out = {"mirrored copies": len(in_joints) - len(files), "other .npy files": len(found) - len(in_joints)}
    source = pose_source(
        path,
        groups,
        _LAYOUT,
        _parse,
        PoseOptions(1, 0.0, 20.0),
        units="m",
        left_out={what: count for what, count in left_out.items() if count},
    )
    splits, unmatched = _splits(path, [name for name, _ in groups])
    return replace(
        source, name="humanml3d", splits=splits or source.splits, left_out={**source.left_out, **unmatched}, options={}
    )


def _splits(path: Path, names: Sequence[str]) -> tuple[Mapping[str, Split], dict[str, int]]:
    lists = {file.stem.lower(): file for file in find_files(path, _LISTS, "lists", unique_parts=FILE, required=False)}
    if not {"train", "test"} <= set(lists):
        return {}, {}
    present = set(names)
    parts: dict[str, Mapping[str, Sequence[Any]]] = {}
    counts: dict[str, int] = {}
    for part in ("train", "val", "test"):
        if part in lists:
            try:
                listed = load_file(lists[part]).decode("utf-8", "replace").split()
            except BadFile as error:
                raise InputError(f"{path}: {part}.txt {error}") from None
            plain = [name for name in listed if not name.startswith("M")]
            counts |= compare_names(path, f"{part}.txt", plain, names)
            parts[part] = {"name": tuple(name for name in listed if name in present)}
    return {"given": parts}, counts


def _parse(files: Iterable[tuple[File, bytes]]) -> Pose:
    ((_, data),) = files
    array = array_in(data)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[1:] != (_JOINTS, 3) or not array.size:
        raise BadFile(f"{array.dtype} of shape {array.shape}, not (frames, {_JOINTS}, 3)")
    with np.errstate(invalid="ignore"):
        positions = array.astype(np.float64)
    return Pose(Bodies(np.arange(len(positions)), positions))
