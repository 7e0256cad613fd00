"""SBU Kinect Interaction (Yun, Honorio, Chattopadhyay, Berg, Samaras, CVPR-W 2012): two persons, OpenNI, text files.

A file `sXXsYY/CLASS/TRIAL/skeleton_pos.txt` is one clip: a line for each frame of its number and x y z of 2 x 15
joints, separated by commas; 15 frames a second. The folder `s01s02` is the ordered pair of subjects, the one who acts
first. Layout openni-15, in the file's order of joints and of persons: who acts is not always the first person.
`subject` is the one who acts and `setup` the ordered pair, 102 for s01s02. Splits `fold-1` to `fold-5`, the
publisher's: that fold's pairs are the test set, the others train; one reports the mean of the five accuracies.

Units: the publisher stores x and y as fractions of a window and z as a fraction of a range, y down, and gives the
formula that undoes it: 1280 - 2560 x, 960 - 1920 y and 10000 z / 7.8125. The result is millimetres in camera space,
y up, not a projection. This was measured on the recordings: by the formula the length of a bone varies by 1.3 %
within a clip (as stored: 3.7 %; read as pixels and depth: 3.9 % or more) and does not grow with the distance from the
sensor, an upper arm is 0.29 m and a thigh 0.43 m long, and the scales of x and y at which bone lengths vary least are
2.00 and 1.50 times that of z, as in the formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2md.data.readers.files import BadFile, File
from i2md.data.readers.reading import label_of, open_clip_files, to_positions
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Recording, Source
from i2md.data.splits import Split
from i2md.skeletons import get_layout

CLASS_NAMES = (
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking hands",
    "hugging",
    "exchanging object",
    "punching",
)
# The publisher's folds of pairs.
_FOLDS = (
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
_FILE = re.compile(r"skeleton_pos\.txt", re.IGNORECASE)
_FOLDERS = re.compile(r"s(?P<active>\d\d)s(?P<other>\d\d)/(?P<action>\d\d)/(?P<trial>\d{3})", re.IGNORECASE)
_LAYOUT = get_layout("openni-15")
_FIELDS = 1 + 2 * 15 * 3
# Metres, from the publisher's formula in millimetres.
_ORIGIN = np.array([1.280, 0.960, 0.0])
_SCALE = np.array([-2.560, -1.920, 1.280])


def open_source(path: Path) -> Source:
    """Open the `sXXsYY/CLASS/TRIAL/skeleton_pos.txt` files of SBU Kinect Interaction.

    Args:
        path: The folder of the pairs' folders or a parent of it, a .zip, or a folder of the publisher's .zip files.

    Returns:
        Clips of two persons, in metres.

    Raises:
        InputError: If there is no such file, or two have the same folders.
    """
    return open_clip_files(
        path,
        _FILE,
        "sXXsYY/*/*/skeleton_pos.txt files",
        _parse,
        name="sbu-interaction",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        splits=dict(_folds()),
        unique_parts=4,
    )


def _folds() -> Iterator[tuple[str, Split]]:
    folds = [tuple(int(pair[1:3]) * 100 + int(pair[4:6]) for pair in fold) for fold in _FOLDS]
    for number, test in enumerate(folds, start=1):
        train = tuple(pair for fold in folds if fold is not test for pair in fold)
        yield f"fold-{number}", {"train": {"setup": train}, "test": {"setup": test}}


def _parse(file: File, data: bytes) -> Recording:
    folders = "/".join(file.path.parts[-4:-1])
    match = _FOLDERS.fullmatch(folders)
    if match is None:
        raise BadFile(f"its folders, {folders}, are not the publisher's sXXsYY/CLASS/TRIAL")
    numbers = {key: int(value) for key, value in match.groupdict().items()}
    try:
        return Recording(
            name=folders.replace("/", "-"),
            positions=_positions(data),
            label=label_of(numbers["action"], CLASS_NAMES),
            subject=numbers["active"],
            setup=numbers["active"] * 100 + numbers["other"],
            trial=numbers["trial"],
            fps=15.0,
            source=file.name,
        )
    except BadFile as error:
        raise BadFile(f"{folders}: {error}") from None


def _positions(data: bytes) -> Float[np.ndarray, "2 frames 15 3"]:
    rows = _rows(data)
    stored = rows[:, 1:].reshape(len(rows), 2, 15, 3).swapaxes(0, 1)
    # A joint that was not tracked is zeros, and stays so.
    return to_positions(np.where(stored.any(axis=-1, keepdims=True), _ORIGIN + _SCALE * stored, 0.0))


def _rows(data: bytes) -> Float[np.ndarray, "frames 91"]:
    # A line that is cut within its last number would still be valid.
    if data.strip() and not data.endswith(b"\n"):
        raise BadFile("the last line does not end: the file is cut short")
    rows = number_rows(data, _FIELDS, separator=",")
    frames = rows[:, 0]
    if not (np.isfinite(frames).all() and (np.diff(frames) > 0).all()):
        raise BadFile("frame numbers do not increase from line to line")
    return rows
