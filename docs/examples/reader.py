"""A reader for motion capture as CSV files: `i2md prepare mocap-csv FOLDER CLIPS --options.fps 120`.

A file `ACTION_pNN.csv` is one clip of one person NN: a header line, then a line for each frame with x, y, z of the
20 joints of layout kinect-v1 in metres, y up. The reader is registered in pyproject.toml of the package it is in:

    [project.entry-points."i2md.readers"]
    mocap-csv = "reader:open_source"
"""

import io
import re
from functools import partial
from pathlib import Path

import numpy as np

from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.reading import Reading, numbers_in_name, to_positions
from i2md.data.recording import Recording, Source
from i2md.data.splits import by_column
from i2md.skeletons import get_layout

NAME, LAYOUT = re.compile(r"[a-z]+_p(?P<subject>\d+)\.csv"), get_layout("kinect-v1")


def open_source(path: Path, *, fps: float = 0.0) -> Source:  # keyword parameters become --options.NAME
    files = find_files(path, NAME, "ACTION_pNN.csv files")
    class_names = tuple(sorted({file.stem.split("_")[0] for file in files}))
    read = Reading(files, LAYOUT, partial(parse, class_names=class_names, fps=fps))
    splits = {"xsub": by_column("subject", train=range(1, 100, 2), test=range(2, 100, 2))}
    return Source("mocap-csv", LAYOUT, class_names, units="m", preset="facing", read=read, splits=splits)


def parse(file: File, data: bytes, class_names: tuple[str, ...], fps: float) -> Recording:
    try:
        frames = np.loadtxt(io.BytesIO(data), delimiter=",", skiprows=1, ndmin=2).reshape(1, -1, 20, 3)
    except ValueError as error:
        raise BadFile(f"not lines of 60 numbers ({error})") from None
    label, subject = class_names.index(file.stem.split("_")[0]), numbers_in_name(file, NAME)["subject"]
    return Recording(file.stem, to_positions(frames), label, subject, fps=fps, source=file.name)
