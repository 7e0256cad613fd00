"""MSR Action3D (Li, Zhang, Liu, CVPR-W 2010): depth-camera skeletons in metres (`MSRAction3DSkeletonReal3D`).

A file `aAA_sSS_eEE_skeleton3D.txt` is one clip of one person: 20 lines for each frame, one for each joint, of x y z
confidence; 15 frames a second. Joints become layout kinect-v1, metres; confidences are not kept. The clip
a13_s09_e02 is zero throughout, as published, and is passed on. Split `xsub`: train on odd subjects, test on even.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2md.data.readers.files import BadFile, File
from i2md.data.readers.reading import joint_order, label_of, numbers_in_name, open_clip_files, to_positions
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Recording, Source
from i2md.data.splits import by_column
from i2md.skeletons import get_layout

CLASS_NAMES = (
    "high arm wave",
    "horizontal arm wave",
    "hammer",
    "hand catch",
    "forward punch",
    "high throw",
    "draw x",
    "draw tick",
    "draw circle",
    "hand clap",
    "two hand wave",
    "side-boxing",
    "bend",
    "forward kick",
    "side kick",
    "jogging",
    "tennis swing",
    "tennis serve",
    "golf swing",
    "pick up and throw",
)
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_e(?P<trial>\d+)_skeleton3D\.txt", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v1")
# The publisher does not name the joints. Their order follows from geometry: bones keep their length, feet point to the
# sensor, and one-armed actions, which subjects were asked to do with the right arm, move the arm that is listed second.
_ORDER = joint_order(
    """left shoulder, right shoulder, shoulder centre, spine, left hip, right hip, hip centre,
    left elbow, right elbow, left wrist, right wrist, left hand, right hand,
    left knee, right knee, left ankle, right ankle, left foot, right foot, head""",
    _LAYOUT,
)
_LINES = 20


def open_source(path: Path) -> Source:
    """Open the `a*_s*_e*_skeleton3D.txt` files of MSR Action3D.

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
        "a*_s*_e*_skeleton3D.txt files",
        _parse,
        name="msr-action3d",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        splits={"xsub": by_column("subject", train=(1, 3, 5, 7, 9), test=(2, 4, 6, 8, 10))},
    )


def _parse(file: File, data: bytes) -> Recording:
    numbers = numbers_in_name(file, _NAME)
    return Recording(
        name=file.stem.removesuffix("_skeleton3D"),
        positions=to_positions(_frames(data)[None, :, _ORDER]),
        label=label_of(numbers["action"], CLASS_NAMES),
        subject=numbers["subject"],
        trial=numbers["trial"],
        fps=15.0,
        source=file.name,
    )


def _frames(data: bytes) -> Float[np.ndarray, "frames 20 3"]:
    rows = number_rows(data, columns=4)
    if len(rows) % _LINES:
        raise BadFile(f"{len(rows)} lines are not whole frames of {_LINES}: the last frame is cut short")
    return rows[:, :3].reshape(-1, _LINES, 3)
