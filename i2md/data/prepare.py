"""From recordings to Clips: read, prepare, write, and count what was mended or left out."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from i2md.data.cluster_crew import crew_at
from i2md.data.dataset import PRECISIONS
from i2md.data.executor import Crew, work_through
from i2md.data.fingerprint import fingerprint
from i2md.data.outcomes import Made, Outcome
from i2md.data.presets import CHOOSING, preset_names
from i2md.data.readers import open_source
from i2md.data.recording import Divisible, Source
from i2md.data.report import Report
from i2md.data.storage.remote import to_path
from i2md.data.store import UNTRIMMED, Clips, ClipsWriter, Dataset, open_clips
from i2md.errors import InputError, naming
from i2md.runtime.exit_codes import terminated_as_interrupted

PathLike = str | os.PathLike[str]
# What a kill can cost at most, in seconds.
_BETWEEN_CHECKPOINTS = 2.0


class Labour(NamedTuple):
    """Who does the work: so many processes, or a crew."""

    jobs: int | None
    crew: Crew | None


def prepare(
    format: str,
    source: PathLike,
    clips: PathLike,
    preset: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    jobs: int | None = None,
    precision: str = "float32",
    cluster: str | None = None,
    **options: Any,
) -> Clips:
    """Read the recordings at `source`, prepare them and write them to the folder `clips`.

    `preset` is the preparation (by default the format's own), `options` are the reader's. `jobs` processes
    share the work, by default as many as there are cores where it is worth it; the bytes are the same for any
    number. With a `cluster` (`auto`, `local`, `ray://HOST:PORT`) its machines do it, to the same bytes; they have to
    reach `source`, usually a URL. `precision` float16 stores half as much. A file that can't be read is named,
    counted and left out, or ends the work when `strict`.

    The folder appears when it is whole. Killed, terminated or interrupted, the same call goes on where it
    was, as long as the source is what it was; anything else that ends it leaves nothing behind.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs {jobs} must be at least 1")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; choose one of {', '.join(PRECISIONS)}")
    if jobs is not None and cluster is not None:
        raise InputError(f"jobs {jobs} counts processes of this machine; leave it out with a cluster")
    with crew_at(cluster) as crew:
        _write(
            format, to_path(source), to_path(clips), preset, strict, overwrite, Labour(jobs, crew), precision, options
        )
    return open_clips(clips)


def _write(
    format: str,
    source: Path,
    clips: Path,
    preset: str | None,
    strict: bool,
    overwrite: bool,
    labour: Labour,
    precision: str,
    options: dict[str, Any],
) -> None:
    recordings = open_source(format, source, **options)
    preset = _preset_for(recordings, preset)
    if preset in CHOOSING and recordings.read_everybody is not None:
        recordings = replace(recordings, read=recordings.read_everybody)
    told = {"format": format, "options": options, "preset": preset, "strict": strict, "precision": precision}
    key = fingerprint(source, clips, version=version("i2md"), joints=recordings.layout.joints, **told)
    with terminated_as_interrupted(), _writer(clips, recordings, overwrite, precision, key) as writer:
        report = _Filling(writer, recordings, preset, strict).go(labour, f"prepare {format}")
        if not len(writer):
            first = report.left_out[0] if report.left_out else "it holds no recordings"
            raise InputError(f"{source}: no clip could be prepared ({first}); check the format {format!r}")
        if recordings.untrimmed is not None:
            _write_untrimmed(recordings.untrimmed, writer.beside(UNTRIMMED), strict, labour, precision, key)
        _list_left_out(writer, clips)
        writer.finish(_describe(recordings, preset, report))


def _preset_for(source: Source, asked: str | None) -> str:
    preset = asked or source.preset
    if preset not in preset_names():
        raise InputError(f"preset {preset!r} is not known; choose one of {', '.join(preset_names())}")
    if source.prepared and preset not in ("none", source.prepared):
        raise InputError(f"{source.name} has had preset {source.prepared!r} already; leave out --preset {preset}")
    return "none" if source.prepared else preset


def _writer(path: Path, source: Source, overwrite: bool, precision: str, key: str) -> ClipsWriter:
    return ClipsWriter(path, len(source.layout.joints), source.layout.channels, overwrite, precision, key)


def _write_untrimmed(source: Source, folder: Path, strict: bool, labour: Labour, precision: str, key: str) -> None:
    """The whole recordings as they were recorded, beside the clips; where a kill came after them, they are there."""
    if (folder / "dataset.json").exists():
        return
    with _writer(folder, source, False, precision, key) as writer:
        report = _Filling(writer, source, "none", strict).go(labour, "whole recordings")
        _list_left_out(writer, folder)
        if len(writer):
            writer.finish(_describe(source, "none", report))


class _Filling:
    """Clips on their way from a source to a writer."""

    def __init__(self, writer: ClipsWriter, source: Source, preset: str, strict: bool) -> None:
        self._writer, self._source, self._preset, self._strict = writer, source, preset, strict
        self._report, self._since = Report(), Report()
        self._done = 0
        for note in writer.notes():
            self._report.add_note(note)
            self._done = note["done"]

    def go(self, labour: Labour, said: str) -> Report:
        """Write everything that is not written yet, and report on all."""
        with (
            self._progress(said) as progress,
            closing(work_through(self._source, self._preset, labour.jobs, self._done, labour.crew)) as work,
        ):
            checked = time.monotonic()
            for done, found in work:
                self._write(found)
                progress.update(len(found) if progress.unit == "clip" else done - self._done)
                self._done = done
                if time.monotonic() - checked > _BETWEEN_CHECKPOINTS * self._writer.pause:
                    self._checkpoint()
                    checked = time.monotonic()
        self._checkpoint()
        return self._report

    def _progress(self, said: str) -> tqdm:
        """Counts recordings where the source knows how many there are, or else its files."""
        read, count = self._source.read, self._source.count
        if count is None and isinstance(read, Divisible):
            return tqdm(total=len(read), initial=self._done, unit="file", desc=said)
        return tqdm(total=count, initial=self._report.seen, unit="clip", desc=said)

    def _write(self, found: Sequence[Outcome]) -> None:
        for outcome in found:
            if isinstance(outcome, Made):
                self._writer.add(outcome.clip)
            elif outcome.unreadable and self._strict:
                raise InputError(f"{outcome.reason}; mend or remove it, or leave out --strict")
        self._since.add(found)

    def _checkpoint(self) -> None:
        note = {"done": self._done, **self._since.to_note()}
        self._writer.checkpoint(note)
        self._report.add_note(note)
        self._since = Report()


def _list_left_out(writer: ClipsWriter, clips: Path) -> None:
    """A line each, all of them, however many."""
    path = writer.folder / "left_out.txt"
    with naming(clips):
        path.unlink(missing_ok=True)
        for note in writer.notes():
            if note["left_out"]:
                with open(path, "a", encoding="utf-8") as file:
                    file.writelines(f"{text}\n" for text in note["left_out"])


def _describe(source: Source, preset: str, report: Report) -> Dataset:
    return Dataset(
        name=source.name,
        layout=source.layout,
        class_names=source.class_names,
        units=source.units,
        preparation=source.prepared or preset,
        splits=source.splits,
        report={**report.to_dict(), "not_read": dict(source.left_out)},
    )
