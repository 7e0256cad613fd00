"""From recordings to clips: read, prepare, write, and count what was changed or left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from i2md.data.dataset import PRECISIONS, Dataset
from i2md.data.executor import open_executor
from i2md.data.fingerprint import fingerprint
from i2md.data.labelled import unused_labels, with_labels
from i2md.data.labels import read_labels
from i2md.data.outcomes import Outcome, PreparedClip, Report
from i2md.data.pipeline import Done, prepare_recordings
from i2md.data.presets import CHOOSING, CLOSING_GAPS, preset_names
from i2md.data.readers import open_source
from i2md.data.recorded import MADE_FROM, made_from
from i2md.data.recording import Divisible, Source
from i2md.data.split_by import SplitBy, add_split, draw_split, with_split
from i2md.data.storage.remote import to_path
from i2md.data.store import UNTRIMMED, Clips, open_clips
from i2md.data.third_coordinate import confidence_warnings
from i2md.data.timing import Timing, retime
from i2md.data.windows import Windows
from i2md.data.writer import ClipsWriter
from i2md.errors import InputError, name_file_in_errors
from i2md.runtime.exit_codes import stop_signals_as_interrupt
from i2md.runtime.progress import progress

PathLike = str | os.PathLike[str]

# Prepares a source by a preset, after so many units: `prepare_recordings` with its workers chosen.
_Prepare = Callable[[Source, str, int], Generator[Done, None, None]]


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
    split_by: SplitBy | None = None,
    timing: Timing | None = None,
    max_gap: int | None = None,
    windows: Windows | None = None,
    intervals: PathLike | None = None,
    **options: Any,
) -> Clips:
    """Read recordings, prepare them and write them to a folder of clips.

    The folder appears when it is complete. Killed, terminated, interrupted or ended by a full disk, the same call
    resumes, as long as the source has not changed; anything else that ends it leaves nothing behind. The bytes are the
    same for any number of workers, on one machine or a cluster.

    Args:
        format: a reader's name (`i2md.data.readers.reader_names`).
        source: the folder, .zip or file of recordings, or its URL.
        clips: the folder to write, or its URL.
        preset: the preparation; by default the format's own.
        strict: stop at a file that can't be read, instead of leaving it out, named and counted.
        overwrite: replace clips that are there.
        jobs: worker processes; by default one a core, if the work takes more than some seconds.
        precision: float32, or float16 for half the size.
        cluster: a Ray cluster that does the work (`auto`, `local`, `ray://HOST:PORT`); it has to reach `source`.
        split_by: a split to draw, in addition to those of the reader.
        timing: the frame rate to resample recordings to, and how to smooth them.
        max_gap: a joint that has no value for up to so many frames is interpolated; 30 by default.
        windows: whole recordings are the clips, opened as windows.
        intervals: file or folder of labelled intervals (i2md.data.labels), which the recordings are cut into.
        **options: the reader's own.

    Returns:
        The clips, opened.

    Raises:
        InputError: an argument is invalid, nothing could be prepared, or the split cannot be drawn: then the clips are
            there without it.
        WorkerLost: a worker process ended before its time; the same call resumes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(prepare("synthetic", "x", f"{folder}/clips", actions=2, subjects=2, repeats=1))
    4
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs {jobs} must be at least 1")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; choose one of {', '.join(PRECISIONS)}")
    if jobs is not None and cluster is not None:
        raise InputError(f"jobs {jobs} counts processes of this machine; leave it out with a cluster")
    if max_gap is not None and max_gap < 0:
        raise InputError(f"max_gap {max_gap} must be at least 0, a number of frames")
    where, target = to_path(source), to_path(clips)
    recordings = open_source(format, where, **options)
    warned = confidence_warnings(recordings)
    if intervals is not None:
        recordings = with_labels(recordings, Path(intervals))
    if windows is not None:
        recordings = _whole(recordings, preset)
    recordings = _with_options(recordings, options, timing or Timing(), max_gap)
    preset = preset_for(recordings, preset)
    if preset in CHOOSING and recordings.read_all_bodies is not None:
        recordings = replace(recordings, read=recordings.read_all_bodies)
    arguments = {"format": format, "options": options, "preset": preset, "strict": strict, "precision": precision}
    arguments |= {"timing": timing, "max_gap": max_gap}
    if windows is not None or intervals is not None:
        arguments |= {"windows": str(windows), "intervals": None if intervals is None else read_labels(Path(intervals))}
    key = fingerprint(where, target, version=version("i2md"), joints=recordings.layout.joints, **arguments)
    with (
        stop_signals_as_interrupt(),
        open_executor(cluster) as executor,
        _writer(target, recordings, overwrite, precision, key) as writer,
    ):
        by_workers = partial(prepare_recordings, jobs=jobs, executor=executor)
        report = _Filling(writer, recordings, preset, strict).write_all(by_workers, f"prepare {format}")
        if not len(writer):
            first = report.left_out[0] if report.left_out else "it holds no recordings"
            raise InputError(f"{where}: no clip could be prepared ({first}); fix that, or check the format {format!r}")
        if recordings.untrimmed is not None:
            _write_untrimmed(recordings.untrimmed, writer.subfolder(UNTRIMMED), strict, by_workers, precision, key)
        _list_left_out(writer, target)
        if intervals is not None:
            unused = unused_labels(Path(intervals), writer.columns())
            recordings = replace(recordings, left_out={**recordings.left_out, **unused})
        origin = made_from(format, where, options, intervals)
        dataset = replace(_describe(recordings, preset, report, origin, warned), windows=windows)
        if split_by is None or windows is not None:
            writer.finish(dataset)
        else:
            _finish_with_split(writer, dataset, split_by, target)
    clips_of_target = open_clips(target)
    if split_by is None or windows is None:
        return clips_of_target
    # Stratified by the labels of the windows, which are known now.
    return add_split(clips_of_target, split_by)


def _whole(source: Source, asked: str | None) -> Source:
    """The whole recordings of a source, prepared in a way that keeps their time.

    Args:
        source: Opened recordings.
        asked: The preset that was asked for.

    Raises:
        InputError: The preset closes gaps in time.
    """
    if asked in CLOSING_GAPS:
        kept = ", ".join(name for name in preset_names() if name not in CLOSING_GAPS)
        raise InputError(f"preset {asked!r} moves frames in time, which must be kept for windows; choose one of {kept}")
    preset = "facing" if source.preset in CLOSING_GAPS else source.preset
    if source.untrimmed is None:
        return replace(source, preset=preset)
    return replace(source.untrimmed, preset=preset, splits=source.splits, left_out=source.left_out)


def _with_options(source: Source, given: Mapping[str, Any], timing: Timing, max_gap: int | None) -> Source:
    """The source, retimed, with all options that decide what the clips hold."""
    described = {name: value for name, value in asdict(timing).items() if value is not None}
    given = {name: value for name, value in given.items() if value is not None and name not in source.converted}
    if max_gap is not None:
        described["max_gap"] = max_gap
        source = replace(source, max_gap=max_gap)
    return replace(retime(source, timing), options={**given, **source.options, **described})


def preset_for(source: Source, asked: str | None) -> str:
    """The preparation of a source.

    Args:
        source: Opened recordings.
        asked: The preset that was asked for; None for the source's own.

    Returns:
        The name of the preset; `none` for recordings that have been prepared already.

    Raises:
        InputError: There is no such preset, or the recordings have had another one.
    """
    preset = asked or source.preset
    if preset not in preset_names():
        raise InputError(f"preset {preset!r} is not known; choose one of {', '.join(preset_names())}")
    if source.prepared and preset not in ("none", source.prepared):
        raise InputError(f"{source.name} has had preset {source.prepared!r} already; leave out --preset {preset}")
    return "none" if source.prepared else preset


def _writer(path: Path, source: Source, overwrite: bool, precision: str, key: str) -> ClipsWriter:
    return ClipsWriter(path, len(source.layout.joints), source.layout.channels, overwrite, precision, key)


def _write_untrimmed(source: Source, folder: Path, strict: bool, prepared: _Prepare, precision: str, key: str) -> None:
    """Write the untrimmed recordings, unprepared, into a folder of the clips; a resumed call finds them complete."""
    if (folder / "dataset.json").exists():
        return
    with _writer(folder, source, False, precision, key) as writer:
        report = _Filling(writer, source, "none", strict).write_all(prepared, "untrimmed recordings")
        _list_left_out(writer, folder)
        if len(writer):
            writer.finish(_describe(source, "none", report))


def _finish_with_split(writer: ClipsWriter, dataset: Dataset, split_by: SplitBy, target: Path) -> None:
    try:
        drawn = draw_split(writer.columns(), split_by)
    except InputError as error:
        # Hours of preparation are not lost for it.
        writer.finish(dataset)
        raise InputError(f"{target}: {error} (the clips are complete: i2md split {target} --by ...)") from None
    writer.finish(with_split(dataset, split_by, drawn))


class _Filling:
    """Writes one source: the report of what the last checkpoint covers, and of what has come since."""

    def __init__(self, writer: ClipsWriter, source: Source, preset: str, strict: bool) -> None:
        self._writer, self._source, self._preset, self._strict = writer, source, preset, strict
        self._report, self._since = Report(), Report()
        self._done = 0
        for note in writer.notes():
            self._report.add_note(note)
            self._done = note["done"]

    def write_all(self, prepared: _Prepare, title: str) -> Report:
        """Write everything that is not written yet, and report on all."""
        read, count, unit, before = self._source.read, self._source.count, "clip", self._report.recordings
        if count is None and isinstance(read, Divisible):
            count, unit, before = len(read), "file", self._done
        bar: AbstractContextManager[Any] = progress(count, title, unit, initial=before)
        with bar as shown, closing(prepared(self._source, self._preset, self._done)) as outcomes:
            for done, found in outcomes:
                self._write(found)
                shown.update(done - self._done if unit == "file" else len(found))
                self._done = done
                if self._writer.checkpoint_is_due:
                    self._checkpoint()
        self._checkpoint()
        return self._report

    def _write(self, found: Sequence[Outcome]) -> None:
        for outcome in found:
            if isinstance(outcome, PreparedClip):
                self._writer.add(outcome.clip)
            elif outcome.unreadable and self._strict:
                raise InputError(f"{outcome.reason}; fix or remove it, or leave out --strict")
        self._since.add(found)

    def _checkpoint(self) -> None:
        note = {"done": self._done, **self._since.to_note()}
        self._writer.checkpoint(note)
        self._report.add_note(note)
        self._since = Report()


def _list_left_out(writer: ClipsWriter, clips: Path) -> None:
    """Write left_out.txt: every recording that was left out, a line each."""
    path = writer.folder / "left_out.txt"
    with name_file_in_errors(clips):
        path.unlink(missing_ok=True)
        for note in writer.notes():
            if note["left_out"]:
                with open(path, "a", encoding="utf-8") as file:
                    file.writelines(f"{text}\n" for text in note["left_out"])


def _describe(
    source: Source,
    preset: str,
    report: Report,
    origin: Mapping[str, Any] | None = None,
    warned: Sequence[str] = (),
) -> Dataset:
    counts = report.to_dict()
    return Dataset(
        name=source.name,
        layout=source.layout,
        class_names=source.class_names,
        units=source.units,
        preparation=source.prepared or preset,
        splits=source.splits,
        report={
            **counts,
            "not_read": {**source.left_out, **counts["not_read"]},
            **({"converted": dict(source.converted)} if source.converted else {}),
            **({MADE_FROM: dict(origin)} if origin else {}),
            **({"recognised": source.recognised} if source.recognised else {}),
            **({"options": dict(source.options)} if source.options else {}),
            **({"warnings": list(warned)} if warned else {}),
        },
    )
