"""NW-UCLA (Wang, Nie, Xia, Wu, Zhu, CVPR 2014): Kinect v1 skeletons seen by three cameras, in JSON.

A file `aAA_sSS_eEE_vVV.json` is one clip of one person: an object with `skeletons` (frames, 20 joints, x y z) and
`label` (from 1). Layout kinect-v1 in its joint order, metres, frame rate unknown. Split `xview`: train on cameras 1
and 2, test on 3. In the copies that circulate all 95 test clips of actions a02 and a03 are copies, byte for byte, of
their training clips: split `xview-clean` trains on the same clips and tests without these.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.readers.files import BadFile, File
from i2md.data.readers.reading import label_of, numbers_in_name, open_clip_files, to_positions
from i2md.data.recording import Recording, Source
from i2md.data.splits import Split, by_column
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.skeletons import get_layout

CLASS_NAMES = (
    "pick up with one hand",
    "pick up with two hands",
    "drop trash",
    "walk around",
    "sit down",
    "stand up",
    "donning",
    "doffing",
    "throw",
    "carry",
)
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<trial>\d+)_v(?P<camera>\d+)\.json", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v1")
# Labels of actions a02 and a03.
_COPIED_LABELS = (1, 2)


def open_source(path: Path) -> Source:
    """Open the `a*_s*_e*_v*.json` files of NW-UCLA.

    Args:
        path: The folder that holds them or a parent of it, or a .zip.

    Returns:
        The clips.

    Raises:
        InputError: If there is no such file, or two have the same name.
    """
    return open_clip_files(
        path,
        _NAME,
        "a*_s*_e*_v*.json files",
        _parse,
        name="nw-ucla",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        splits={"xview": by_column("camera", train=(1, 2), test=(3,)), "xview-clean": _clean_split()},
    )


def _clean_split() -> Split:
    kept = tuple(label for label in range(len(CLASS_NAMES)) if label not in _COPIED_LABELS)
    return {"train": {"camera": (1, 2)}, "test": {"camera": (3,), "label": kept}}


def _parse(file: File, data: bytes) -> Recording:
    numbers = numbers_in_name(file, _NAME)
    content = _content(data)
    return Recording(
        name=file.stem,
        positions=_positions(content["skeletons"]),
        label=label_of(content["label"], CLASS_NAMES),
        subject=numbers["subject"],
        camera=numbers["camera"],
        trial=numbers["trial"],
        source=file.name,
    )


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = parse_json(data)
    except NotPlainData as error:
        raise BadFile(str(error)) from None
    if not isinstance(content, dict) or "skeletons" not in content or not isinstance(content.get("label"), int):
        raise BadFile("not an object with skeletons and a label")
    return content


def _positions(skeletons: Any) -> np.ndarray:
    try:
        frames = np.asarray(skeletons, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadFile("skeletons is not frames of 20 joints of 3 numbers") from None
    if frames.ndim != 3:
        raise BadFile(f"skeletons has {frames.ndim} dimensions, not frames x joints x 3")
    return to_positions(frames[None])
