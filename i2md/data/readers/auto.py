"""The format `auto`: recognises the format of recordings by the names of files and what the first of them hold.

What it took them for, and why, is recorded in dataset.json and shown by prepare and info. Naming the format overrules
it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from i2md.data import readers
from i2md.data.readers import coco, deeplabcut, mediapipe, openpose, sleap
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.joint_names import find_layout
from i2md.data.readers.json_poses import load_json
from i2md.data.readers.limits import DAMAGE
from i2md.data.readers.listing import listed
from i2md.data.readers.mediapipe_results import LANDMARKS, plain
from i2md.data.readers.name_tables import shown
from i2md.data.readers.table_columns import given_columns, recognise_columns
from i2md.data.readers.table_files import column_names, has_names
from i2md.data.recording import Source
from i2md.errors import InputError

_ANY = re.compile(r"(?!labels\.csv$)[^.].*\.\w+", re.IGNORECASE)
# Names of files that tell a publisher's format by themselves; with the folder where that tells.
_PUBLISHED = {
    "ntu-rgbd": r"S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}\.skeleton",
    "utd-mhad": r"a\d+_s\d+_t\d+_skeleton\.mat",
    "msr-action3d": r"a\d+_s\d+_e\d+_skeleton3D\.txt",
    "utkinect-action3d": r"joints_s\d+_e\d+\.txt",
    "nw-ucla": r"a\d+_s\d+_e\d+_v\d+\.json",
    "sbu-interaction": r"skeleton_pos\.txt",
    "pku-mmd": r"(\d{4}|A\d{2}N\d{2})-[LMR]\.txt",
    "humanml3d": r"(.*/)?new_joints/M?\d+\.npy",
    "cmd-arrays": r"(train|val)_(data_joint|num_frame)\.npy|(train|val)_label\.pkl",
    "openpose": openpose.FRAMES.pattern,
}
# Such files are recordings of their publisher however many others lie beside them, unless they are this few.
_FEW = 0.05
# Suffixes that tell a format.
_BY_SUFFIX = {
    "bvh": r".*\.bvh",
    "c3d": r".*\.c3d",
    "asf-amc": r".*\.amc",
    "sleap": sleap.FILES.pattern,
    "pyskl": r".*\.pkl",
}
# By the suffix of files whose content is looked at.
_LOOKED_INTO = {
    **dict.fromkeys(("json", "jsonl"), "json"),
    **dict.fromkeys(("csv", "tsv", "txt", "parquet", "pq"), "table"),
    **dict.fromkeys(("npy", "npz"), "array"),
}
_TRIED = 5


class Recognised(NamedTuple):
    """A format, and by what it was recognised."""

    format: str
    why: str


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    columns: str | None = None,
    fps: float = 0.0,
    persons: int | None = None,
    score: float | None = None,
    coordinates: str | None = None,
    image_size: str | None = None,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open recordings of a format that is recognised.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: As of the format's reader, like all other options.
        columns: Of tables.
        fps: Frame rate.
        persons: Persons kept at most.
        score: A joint whose confidence is this or less is missing.
        coordinates: Of MediaPipe.
        image_size: Of MediaPipe.
        units: Unit of the coordinates.
        axes: What the coordinates are.
        joints: Names of joints in the file's order.

    Returns:
        The recordings, with what they were recognised by.

    Raises:
        InputError: If the format is not recognised, or does not have one of the options.
    """
    found = recognise(path, columns)
    given: dict[str, Any] = {
        "layout": layout,
        "columns": columns,
        "fps": fps or None,
        "persons": persons,
        "score": score,
    }
    given |= {"coordinates": coordinates, "image_size": image_size, "units": units, "axes": axes, "joints": joints}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        source = readers.open_source(found.format, path, **given)
    except InputError as error:
        raise InputError(f"{error} (taken for format {found.format}: {found.why})") from None
    return replace(source, recognised=f"{found.format} ({found.why}); to overrule it, name the format")


def recognise(path: Path, columns: str | None = None) -> Recognised:
    """Recognise the format of recordings.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        columns: Names of a table's columns, if the user gives them.

    Returns:
        The format and why.

    Raises:
        InputError: If there is nothing that is recognised; the message names the first file.
    """
    # Which files are not read is for the format's own reader to say.
    with listed():
        files = find_files(path, _ANY, "recordings", unique_parts=1000)
    named = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in (_PUBLISHED | _BY_SUFFIX).items()}
    kinds: Counter[str] = Counter()
    firsts: dict[str, list[File]] = {}
    for file in files:
        names = (file.base, f"{path.name}/{file.name}")
        kind = next((kind for kind, pattern in named.items() if any(map(pattern.fullmatch, names))), None)
        kind = kind or _LOOKED_INTO.get(file.base.rpartition(".")[2].lower(), "")
        kinds[kind] += 1
        firsts.setdefault(kind, []).append(file)
    del kinds[""]
    if not kinds:
        zips = [file.name for file in files if file.base.lower().endswith(".zip")]
        raise InputError(
            f"{path}: holds {shown(zips[0])} and nothing else that is recognised; give {path / zips[0]}"
            if zips
            else f"{path}: {shown(files[0].name)} is of no format that is recognised; name the format"
            " (i2md prepare --help)"
        )
    published = Counter({kind: count for kind, count in kinds.items() if kind in _PUBLISHED})
    enough = published.total() >= _FEW * kinds.total()
    kind, count = (published if published and enough else kinds).most_common(1)[0]
    first = firsts[kind][0]
    if kind in named:
        return Recognised(kind, f"{count} {'files' if count > 1 else 'file'} named like {shown(first.base)}")
    reasons = []
    for file in firsts[kind][:_TRIED]:
        try:
            return _CONTENT[kind](file, columns)
        except BadFile as error:
            reasons.append(f"{shown(file.base)}: {error}")
    raise InputError(f"{path}: the format is not recognised ({reasons[0]}); name it (i2md prepare --help)")


def _in_json(file: File, columns: str | None) -> Recognised:
    content = load_json(load_file(file))
    if isinstance(content, dict) and {"data", "label"} <= set(content):
        return Recognised("kinetics-skeleton", f"{shown(file.base)} holds data and label")
    if isinstance(content, dict) and "people" in content:
        return Recognised("openpose", f"{shown(file.base)} holds people")
    frames = content.get("frames") if isinstance(content, dict) else content
    first = next((each for each in frames if isinstance(each, dict)), {}) if isinstance(frames, list) else {}
    if {plain(key) for key in first} & LANDMARKS:
        return Recognised("mediapipe", f"the frames in {shown(file.base)} hold landmarks")
    if next(coco.detections_in(content), None) is None:
        raise BadFile("nobody is detected in it")
    return Recognised("coco", f"{shown(file.base)} holds detections with keypoints")


def _in_table(file: File, columns: str | None) -> Recognised:
    data = load_file(file)
    if deeplabcut.is_deeplabcut(data):
        return Recognised("deeplabcut", f"{shown(file.base)} begins with a line of scorers")
    names = column_names(file.base, data)
    if columns is not None and has_names(names):
        given_columns(columns, names)
        return Recognised("table", "its columns are given")
    if not has_names(names):
        return Recognised("table", f"{shown(file.base)} is {len(names)} numbers a line")
    found = recognise_columns(names)
    if found.long:
        return Recognised("table", f"{shown(file.base)} has columns {found.roles['joint']}, x and y, a joint a row")
    match = find_layout(list(found.joints))
    if match is not None and match.layout.name in mediapipe.LAYOUTS:
        return Recognised("mediapipe", f"the columns of {shown(file.base)} are its {len(found.joints)} landmarks")
    example = next(iter(found.joints.values()))
    return Recognised("table", f"{shown(file.base)} has columns such as {shown(example['x'])}, a frame a row")


def _in_array(file: File, columns: str | None) -> Recognised:
    if file.base.lower().endswith(".npz"):
        names = {plain(name) for name in _keys_of(load_file(file))}
        if names & LANDMARKS and "positions" not in names:
            return Recognised("mediapipe", f"{shown(file.base)} holds landmarks")
        if names & {"xtrain", "xtest"}:
            return Recognised("ctr-gcn", f"{shown(file.base)} holds x_train and x_test")
    return Recognised("arrays", f"{shown(file.base)} is an array")


def _keys_of(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGE as error:
        raise BadFile(f"not an .npz that can be read ({' '.join(str(error).split())[:100]})") from None


_CONTENT = {"json": _in_json, "table": _in_table, "array": _in_array}
