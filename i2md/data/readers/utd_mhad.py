"""UTD-MHAD (Chen, Jafari, Kehtarnavaz, ICIP 2015): Kinect v1 skeletons in MATLAB files.

A file `aA_sS_tT_skeleton.mat` is one clip of one person: the variable `d_skel` (20 joints, x y z, frames) in metres,
30 frames a second. Joints become layout kinect-v1; the file's order is that of the publisher's
Skeleton_joint_order.txt. Split `xsub`: train on subjects 1 3 5 7, test on 2 4 6 8.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat, whosmat

from i2md.data.readers.files import BadFile, File
from i2md.data.readers.limits import require_size
from i2md.data.readers.reading import joint_order, label_of, numbers_in_name, open_clip_files, to_positions
from i2md.data.recording import Recording, Source
from i2md.data.splits import by_column
from i2md.skeletons import get_layout

CLASS_NAMES = (
    "right arm swipe to the left",
    "right arm swipe to the right",
    "right hand wave",
    "two hand front clap",
    "right arm throw",
    "cross arms in the chest",
    "basketball shoot",
    "right hand draw x",
    "right hand draw circle (clockwise)",
    "right hand draw circle (counter clockwise)",
    "draw triangle",
    "bowling (right hand)",
    "front boxing",
    "baseball swing from right",
    "tennis right hand forehand swing",
    "arm curl (two arms)",
    "tennis serve",
    "two hand push",
    "right hand knock on door",
    "right hand catch an object",
    "right hand pick up and throw",
    "jogging in place",
    "walking in place",
    "sit to stand",
    "stand to sit",
    "forward lunge (left foot forward)",
    "squat (two arms stretch out)",
)
# Type of a compressed element of a MATLAB 5 file.
_COMPRESSED = 15
_NAME = re.compile(r"a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<trial>\d+)_skeleton\.mat", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v1")
_ORDER = joint_order(
    """head, shoulder centre, spine, hip centre, left shoulder, left elbow, left wrist, left hand,
    right shoulder, right elbow, right wrist, right hand, left hip, left knee, left ankle, left foot,
    right hip, right knee, right ankle, right foot""",
    _LAYOUT,
)


def open_source(path: Path) -> Source:
    """Open the `a*_s*_t*_skeleton.mat` files of UTD-MHAD.

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
        "a*_s*_t*_skeleton.mat files",
        _parse,
        name="utd-mhad",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        splits={"xsub": by_column("subject", train=(1, 3, 5, 7), test=(2, 4, 6, 8))},
    )


def _parse(file: File, data: bytes) -> Recording:
    numbers = numbers_in_name(file, _NAME)
    skeleton = _skeleton(data)
    return Recording(
        name=file.stem.removesuffix("_skeleton"),
        positions=to_positions(skeleton[_ORDER].transpose(2, 0, 1)[None]),
        label=label_of(numbers["action"], CLASS_NAMES),
        subject=numbers["subject"],
        trial=numbers["trial"],
        fps=30.0,
        source=file.name,
    )


def _skeleton(data: bytes) -> Float[np.ndarray, "20 3 frames"]:
    try:
        _require_size(data)
        variables = loadmat(io.BytesIO(data), variable_names=["d_skel"])
    # On a damaged file scipy's parser may raise any exception.
    except Exception as error:
        raise BadFile(f"not a MATLAB file that can be read ({_one_line(error)})") from None
    if "d_skel" not in variables:
        raise BadFile("no variable d_skel in it")
    skeleton = variables["d_skel"]
    # MATLAB drops a last dimension of one: a clip of one frame.
    if skeleton.shape == (20, 3):
        skeleton = skeleton[:, :, None]
    if skeleton.ndim != 3 or skeleton.shape[:2] != (20, 3):
        raise BadFile(f"d_skel is {' x '.join(map(str, skeleton.shape))}, not 20 x 3 x frames")
    if skeleton.dtype.kind not in "fiu":
        raise BadFile(f"d_skel holds {skeleton.dtype} values, not numbers")
    return np.asarray(skeleton, dtype=np.float64)


def _require_size(data: bytes) -> None:
    """Raise ValueError if the elements of a MATLAB 5 file unpack to more than the limit, or d_skel is larger."""
    at, unpacked = 128, 0
    while at + 8 <= len(data):
        kind, size = struct.unpack("<II" if data[126:128] == b"IM" else ">II", data[at : at + 8])
        if kind == _COMPRESSED:
            rest, stream = data[at + 8 : at + 8 + size], zlib.decompressobj()
            while rest and not stream.eof:
                unpacked += len(stream.decompress(rest, 1 << 20))
                require_size(unpacked)
                rest = stream.unconsumed_tail
        at += 8 + size
    for name, shape, _ in whosmat(io.BytesIO(data)):
        if name == "d_skel":
            require_size(8 * math.prod(shape), name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
