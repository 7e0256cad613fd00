"""Recordings of any format as clips of a run: read and prepared like the clips that it was pretrained on."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.auto import recognise
from i2md.data.recording import Recording
from i2md.data.storage.remote import is_remote, to_path
from i2md.data.store import Clips, open_clips
from i2md.data.windows import ASSUMED_FPS, Windows
from i2md.distributed.process_group import world_size
from i2md.errors import InputError

_EXCERPT = re.compile(r"(?P<source>.+)@(?P<start>\d+(\.\d*)?)s?-(?P<end>\d+(\.\d*)?)s?")


def opened_clips(source: str | os.PathLike[str] | Clips) -> Clips | None:
    """The clips of a folder of clips; None for recordings.

    Args:
        source: Folder of clips, or its URL, or recordings.
    """
    if isinstance(source, Clips):
        return source
    return open_clips(source) if (to_path(source) / "dataset.json").is_file() else None


@contextmanager
def clips_or_recordings(
    source: str | os.PathLike[str] | Clips, out: Path, preparation: str, windows: Windows | None
) -> Iterator[Clips]:
    """Clips as they are; of recordings the clips that they are prepared to, which are removed when the block ends.

    Recordings are prepared next to `out`, so that a command that was killed resumes with those it has prepared.

    Args:
        source: Folder of clips, or recordings.
        out: What the command writes.
        preparation: The preset that recordings are prepared by.
        windows: Into which windows recordings are divided; None takes each for a clip.

    Yields:
        The clips, opened.

    Raises:
        InputError: There is nothing that can be read.
    """
    clips = opened_clips(source)
    if clips is not None:
        yield clips
        return
    path = to_path(cast("str | os.PathLike[str]", source))
    if not path.exists():
        raise InputError(f"{path}: neither a folder of clips nor recordings; make clips with i2md prepare")
    try:
        recognise(path)
    except InputError as error:
        raise InputError(f"{error}; or give a folder of clips: make one with i2md prepare") from None
    if world_size() > 1:
        raise InputError(f"{path}: not a folder of clips; several processes need one: i2md prepare auto {path} CLIPS")
    with TemporaryDirectory(prefix="i2md-") as temporary:
        folder = Path(temporary) / "clips" if is_remote(out) else out.with_name(f".{out.name}.clips")
        yield prepare("auto", path, folder, preparation, overwrite=True, windows=windows)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def recorded_clip(where: str, preparation: str) -> Iterator[Clips]:
    """A recording, or an excerpt of it, as clips in a folder that is removed when the block ends.

    Args:
        where: A file, or FILE@START-END with seconds.
        preparation: The preset of the run's clips.

    Yields:
        The clips of the file, or the one of the excerpt.

    Raises:
        InputError: The file cannot be read, or has nothing at that time.
    """
    with TemporaryDirectory(prefix="i2md-") as folder:
        path, excerpt = to_path(where), None
        if not path.exists():
            match = _EXCERPT.fullmatch(where)
            if match is None:
                raise InputError(f"{where}: there is no such file, nor a clip of this name")
            path, excerpt = to_path(match["source"]), (float(match["start"]), float(match["end"]))
        clips = Path(folder) / "clips"
        if excerpt is None:
            yield prepare("auto", path, clips, preparation, jobs=1)
        else:
            yield prepare("auto", path, clips, preparation, jobs=1, intervals=_interval(Path(folder), path, *excerpt))


def _interval(folder: Path, source: Path, start: float, end: float) -> Path:
    """A file of labelled intervals with one of the recording in a file."""
    if end <= start:
        raise InputError(f"{source}@{start:g}-{end:g}: ends before it starts; write @START-END in seconds")
    recording = next((each for each in open_source("auto", source).read() if isinstance(each, Recording)), None)
    if recording is None:
        raise InputError(f"{source}: holds no recording that can be read")
    rate, frames = recording.fps or ASSUMED_FPS, recording.positions.shape[1]
    if start * rate >= frames:
        raise InputError(f"{source}@{start:g}-{end:g}: the recording has {frames / rate:.1f} s; choose a part of it")
    path = folder / "excerpt.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["recording", "start_frame", "end_frame", "label"])
        rows.writerow([recording.name, round(start * rate), min(max(round(end * rate), 1), frames), "query"])
    return path
