"""PKU-MMD, phases I and II (Liu, Hu, Li, Song, Liu, arXiv 1703.07475, 2017): Kinect v2, long recordings.

    skeleton/NAME.txt      a line for each frame: x y z of 2 x 25 joints, metres, zeros for an absent second person
    label/NAME.txt         a line for each action: class,start,end,confidence (i2md.data.readers.pku_mmd_labels)
    cross_subject*.txt     the publisher's splits (i2md.data.readers.pku_mmd_splits), and cross_view*.txt

NAME is 0002-L in phase I and A01N01-L in phase II, where N01 is the subject; L, M and R are cameras 1, 2 and 3. Layout
kinect-v2 in its joint order, metres, 30 frames a second, one or two persons. A clip is an annotated interval, its first
300 frames, named by its line in the label file (A01N01-L_001); the whole recordings with their intervals are
`untrimmed`. Splits `xsub` and `xview`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Float64

from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.intervals import clips_of, with_intervals
from i2md.data.readers.name_tables import compare_names
from i2md.data.readers.pku_mmd_labels import CLASS_NAMES, TWO_PERSON_LABELS, LabelFile, read_labels
from i2md.data.readers.pku_mmd_splits import (
    CAMERAS,
    NAMES,
    SPLIT_FILE,
    ListedSplit,
    phase_of,
    read_split_files,
    splits_for,
)
from i2md.data.readers.reading import Reading, to_positions
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import UNKNOWN, Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

MAX_FRAMES = 300
_LAYOUT = get_layout("kinect-v2")
_PERSONS, _JOINTS = 2, 25
_RECORDING = re.compile(rf"({'|'.join(pattern.pattern for pattern in NAMES.values())})\.txt")


def open_source(path: Path, phase: Literal[1, 2] | None = None) -> Source:
    """Open the skeleton, label and split files of one phase of PKU-MMD.

    Args:
        path: A folder with the folders `skeleton` and `label` at any depth, a .zip, or a folder of .zip files.
        phase: The phase, needed if files of both are found.

    Returns:
        The clips. Splits are as in the publisher's split files; `xsub` exists without them too. Counted as left out
        are recordings without labels, labels without a recording, and names in split files without a recording.

    Raises:
        InputError: If there are no skeleton or no label files, both phases and no choice, or an invalid split file.
    """
    found = find_files(path, _RECORDING, "PKU-MMD skeleton files (0002-L.txt, A01N01-L.txt)", wanted=_is_skeleton)
    number = _one_phase(path, found, phase)
    files = tuple(file for file in found if phase_of(file.stem) == number)
    labels = read_labels(find_files(path, _RECORDING, "PKU-MMD files in a folder `label`", wanted=_is_label))
    listed = read_split_files(find_files(path, SPLIT_FILE, "split files", required=False), number)
    clips = Source(
        name=f"pku-mmd-{number}",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        units="m",
        preset="ntu",
        read=Reading(files, _LAYOUT, _Clips(labels)),
        count=sum(_count(file, labels) for file in files),
        splits=splits_for(number, {file.stem: file.name for file in files}, listed),
        left_out=_not_read(path, files, labels, listed, number),
    )
    whole = replace(clips, preset="none", read=Reading(files, _LAYOUT, _Whole(labels)), count=len(files), left_out={})
    return replace(clips, untrimmed=whole)


@dataclass(frozen=True)
class _Clips:
    labels: Mapping[str, LabelFile]

    def __call__(self, file: File, data: bytes) -> Sequence[Recording | Unreadable]:
        annotations = _labels_of(file, self.labels).annotations(file.stem)
        clips = clips_of(_whole(file, data), annotations, MAX_FRAMES) if annotations else ()
        return tuple(_with_actors(clip) if isinstance(clip, Recording) else clip for clip in clips)


@dataclass(frozen=True)
class _Whole:
    labels: Mapping[str, LabelFile]

    def __call__(self, file: File, data: bytes) -> Recording:
        return with_intervals(_whole(file, data), _labels_of(file, self.labels).annotations(file.stem))


def parse_skeleton(data: bytes) -> Float64[np.ndarray, "2 frames 25 3"]:
    """Parse a skeleton file.

    Args:
        data: Lines of x y z of 2 x 25 joints, metres.

    Returns:
        Positions of both persons, zeros where one is absent.

    Raises:
        BadFile: If a line is not 150 numbers.
    """
    rows = number_rows(data, _PERSONS * _JOINTS * 3)
    return rows.reshape(-1, _PERSONS, _JOINTS, 3).transpose(1, 0, 2, 3)


def _whole(file: File, data: bytes) -> Recording:
    subject = re.search(r"N(\d+)", file.stem)
    return Recording(
        name=file.stem,
        positions=to_positions(parse_skeleton(data)),
        subject=int(subject[1]) if subject else UNKNOWN,
        camera=CAMERAS[file.stem[-1]],
        fps=30.0,
        source=file.name,
    )


def _with_actors(clip: Recording) -> Recording:
    return replace(clip, actors=2 if clip.label in TWO_PERSON_LABELS else 1)


def _labels_of(file: File, labels: Mapping[str, LabelFile]) -> LabelFile:
    return labels.get(file.stem, LabelFile())


def _count(file: File, labels: Mapping[str, LabelFile]) -> int:
    try:
        return len(_labels_of(file, labels).annotations(file.stem))
    except BadFile:
        return 1


def _is_label(file: File) -> bool:
    """Whether the innermost folder (or .zip) whose name has either label or skelet in it has label."""
    folders = PurePosixPath(file.inner).parent.parts
    folders = (file.container.stem, *folders) if file.in_zip else folders
    for name in reversed(folders):
        labels, skeletons = "label" in name.lower(), "skelet" in name.lower()
        if labels != skeletons:
            return labels
    return False


def _is_skeleton(file: File) -> bool:
    return not _is_label(file)


def _one_phase(path: Path, files: Sequence[File], phase: int | None) -> int:
    found = sorted({of_file for file in files if (of_file := phase_of(file.stem)) is not None})
    if phase is None and len(found) > 1:
        raise InputError(f"{path}: holds both phases of PKU-MMD; choose one with --options.phase 1 or 2")
    if phase is not None and phase not in found:
        raise InputError(f"{path}: holds no recording of phase {phase} of PKU-MMD, only of phase {found[0]}")
    return phase or found[0]


def _not_read(
    path: Path, files: Sequence[File], labels: Mapping[str, LabelFile], listed: Mapping[str, ListedSplit], phase: int
) -> dict[str, int]:
    names = [file.stem for file in files]
    counts: dict[str, int] = {}
    for split in listed.values():
        chosen = [name for part in split.names.values() for name in part]
        counts |= compare_names(path, split.file, chosen, names, what="recording")
    labelled = [name for name in labels if phase_of(name) == phase]
    counts |= compare_names(path, "the label files", labelled, names, what="recording")
    return counts | {"without labels, kept only as whole recordings": sum(not _labels_of(f, labels) for f in files)}
