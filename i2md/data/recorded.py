"""The recordings that clips were prepared from, read again from where they were when `prepare` ran."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i2md.data.labelled import of_files, with_labels
from i2md.data.presets import CHOOSING
from i2md.data.readers import open_source
from i2md.data.readers.archives import archives_kept_open
from i2md.data.recording import Recording
from i2md.data.storage.remote import is_remote
from i2md.data.store import Clips
from i2md.errors import InputError, shortened

# The key of a data set's report that says where its recordings were.
MADE_FROM = "made_from"
# Of a source that cannot be read file by file so many recordings are looked through.
_LOOKED_THROUGH = 5000


class Recorded(NamedTuple):
    """What was found of the recordings."""

    positions: dict[int, np.ndarray]
    """Positions (persons, frames, joints, channels) as they were recorded, by index of the clip."""
    note: str
    """Why some or all are missing, a sentence; empty where none is."""


def made_from(
    format: str, source: Path, options: Mapping[str, Any], intervals: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Describe where recordings were read from, for the report of a data set.

    Args:
        format: Name of the reader.
        source: The recordings.
        options: Options of the reader.
        intervals: File or folder of the labelled intervals that they were cut into.
    """
    path = str(source) if is_remote(source) else str(source.absolute())
    described = {"format": format, "path": path, "options": json.loads(json.dumps(dict(options), default=str))}
    return described if intervals is None else {**described, "intervals": str(Path(intervals).absolute())}


def recorded(clips: Clips, indices: Sequence[int]) -> Recorded:
    """Read the recordings of some clips again, before preparation.

    Args:
        clips: Opened clips.
        indices: Positions of clips.

    Returns:
        What is found under the clips' names, which may be nothing.
    """
    described = clips.dataset.report.get(MADE_FROM)
    if not isinstance(described, dict):
        return Recorded({}, "It is not recorded where these clips were prepared from.")
    path = Path(str(described.get("path", "")))
    if "://" in str(described.get("path", "")):
        return Recorded({}, f"The recordings are in remote storage ({path}), which is not read again.")
    names = {str(clips.columns["name"][index]): int(index) for index in indices}
    files = {str(clips.columns["source"][index]) for index in indices}
    try:
        source = open_source(str(described.get("format")), path, **dict(described.get("options") or {}))
        if source.layout.joints != clips.dataset.layout.joints or source.layout.channels != clips.frames.shape[2]:
            return Recorded({}, "The recordings have another joint layout than these clips, and are not shown.")
        if described.get("intervals"):
            source = with_labels(source, Path(str(described["intervals"])))
        read: Any = source.read
        if clips.dataset.preparation in CHOOSING and source.read_all_bodies is not None:
            read = source.read_all_bodies
        found: dict[int, np.ndarray] = {}
        # Windows are of whole recordings, which are apart from the clips that were cut from them.
        passes = [of_files(each, files) for each in (read, *([source.untrimmed.read] if source.untrimmed else []))]
        with archives_kept_open():
            for recording in chain.from_iterable(islice(each(), _LOOKED_THROUGH) for each in passes):
                if isinstance(recording, Recording) and recording.name in names:
                    found[names[recording.name]] = recording.positions
                if len(found) == len(names):
                    break
    except (InputError, OSError, TypeError, ValueError) as error:
        return Recorded({}, f"The recordings cannot be read again ({shortened(error)}).")
    lost = len(names) - len(found)
    note = f"Of {lost} clips the recording was not found again in {path}." if lost else ""
    return Recorded(found, note)
