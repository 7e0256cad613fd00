"""Labelled clips, or labelled windows of recordings, to fit a classifier to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from i2md.data.conversion import in_layout
from i2md.data.packed import PackedClips, pack, pack_arrays
from i2md.data.recording import UNKNOWN
from i2md.data.store import Clips
from i2md.data.windows import Windows
from i2md.errors import InputError
from i2md.evaluation.fit import check_clips
from i2md.evaluation.segment_data import BACKGROUND, MOST_WINDOWS
from i2md.evaluation.timeline import LabelledRecording, labelled_windows, window_bounds
from i2md.inference.model import Model


@dataclass(frozen=True)
class TrainingSet:
    """Clips with their classes, and what must not be on both sides of a split."""

    clips: PackedClips
    labels: Int64[np.ndarray, " clips"]
    class_names: tuple[str, ...]
    groups: Int64[np.ndarray, " clips"]
    grouped_by: str
    """subject, recording or clip."""
    names: list[str]
    unlabelled: int
    """Clips that are left out for they have no label."""
    windows: Windows | None = None
    background: int | None = None
    """Class of windows without an action, if there are any."""
    recordings: Sequence[LabelledRecording] = ()
    notes: tuple[str, ...] = ()


def clip_set(model: Model, clips: Clips) -> TrainingSet:
    """The clips that have a label.

    Args:
        model: The run whose layout they get.
        clips: Clips of the run's preparation.

    Raises:
        InputError: There are too few labels.
    """
    chosen = np.flatnonzero(clips.labels >= 0)
    used = _used_classes(clips, clips.labels[chosen])
    labelled = clips.select(chosen)
    groups, grouped_by = _groups(labelled, np.arange(len(labelled)))
    return TrainingSet(
        clips=pack(in_layout(labelled, model.config.layout, model.config.preparation), model.device),
        labels=np.searchsorted(used, labelled.labels),
        class_names=tuple(clips.dataset.class_names[label] for label in used),
        groups=groups,
        grouped_by=grouped_by,
        names=[str(name) for name in labelled.columns["name"]],
        unlabelled=len(clips) - len(chosen),
    )


def window_set(model: Model, recordings: Clips, windows: Windows) -> TrainingSet:
    """The windows of the recordings that have labelled intervals, each prepared on its own.

    A window has the class of the frame in its middle: the background's outside the intervals.

    Args:
        model: The run whose layout and preparation they get.
        recordings: Whole recordings.
        windows: Length and stride.

    Raises:
        InputError: There are too few labels.
    """
    if recordings.intervals is None or not len(recordings.intervals["label"]):
        raise InputError(f"{recordings.path}: has no labelled intervals; name a file of them by --labels")
    used = _used_classes(recordings, recordings.intervals["label"])
    class_names = tuple(recordings.dataset.class_names[label] for label in used)
    background = len(used)
    with_intervals = np.unique(recordings.intervals["clip"]).tolist()
    columns = recordings.columns
    bounds = {i: window_bounds(int(columns["frames"][i]), float(columns["fps"][i]), windows) for i in with_intervals}
    every = -(-sum(len(each.begins) for each in bounds.values()) // MOST_WINDOWS)
    number = {int(label): place for place, label in enumerate(used)}
    own = model.config.layout, model.config.preparation
    found = labelled_windows(recordings, with_intervals, number, background, bounds, *own, every)
    if not found.positions:
        raise InputError(f"{recordings.path}: nobody is seen in any window of the labelled recordings")
    has_background = bool((found.labels == background).any())
    groups, grouped_by = _groups(recordings, found.owners)
    return TrainingSet(
        clips=pack_arrays(found.positions, model.device),
        labels=found.labels,
        class_names=(*class_names, *([BACKGROUND] if has_background else [])),
        groups=groups,
        grouped_by=grouped_by,
        names=found.names,
        unlabelled=len(recordings) - len(with_intervals),
        windows=windows,
        background=background if has_background else None,
        recordings=found.recordings,
        notes=(f"one of {every} windows is used, {len(found.positions)} in all",) if every > 1 else (),
    )


def check_labelled(model: Model, clips: Clips, of_windows: bool) -> None:
    """Check that labelled clips fit a run, before `clip_set` or `window_set`, and warn of what is converted.

    Args:
        model: The run.
        clips: Clips; whole recordings where windows of them are wanted.
        of_windows: Whether they are.

    Raises:
        InputError: They have another preparation, or too few joints can be had.
    """
    if of_windows:
        check_recordings(model, clips)
    else:
        check_clips(model.config, clips, model.run)


def check_recordings(model: Model, recordings: Clips) -> None:
    """Check that windows of recordings can be prepared for a run's encoders.

    Args:
        model: The run.
        recordings: Whole recordings of the run's preparation, or of none.

    Raises:
        InputError: They have another preparation, or too few joints can be had.
    """
    if recordings.dataset.preparation == "none":
        dataset = replace(recordings.dataset, preparation=model.config.preparation)
        recordings = Clips(recordings.path, dataset, recordings.frames, recordings.columns)
    check_clips(model.config, recordings, model.run)


def _used_classes(clips: Clips, labels: Int64[np.ndarray, " labelled"]) -> Int64[np.ndarray, " classes"]:
    """The classes that occur among labels, ascending.

    Raises:
        InputError: There are fewer than two.
    """
    used = np.unique(labels)
    if len(used) < 2:
        found = f"only class {clips.dataset.class_names[used[0]]!r}" if len(used) else "no label"
        raise InputError(f"{clips.path}: has {found}; label clips of two classes or more, by --labels LABELS.csv")
    return used


def _groups(clips: Clips, owners: Int64[np.ndarray, " rows"]) -> tuple[Int64[np.ndarray, " rows"], str]:
    """What rows are held out together: those of a subject, else of a recording, else each by itself.

    Args:
        clips: Clips or recordings.
        owners: Of which of them each row is.
    """
    subjects = clips.columns["subject"][owners]
    if (subjects != UNKNOWN).all() and len(np.unique(subjects)) > 1:
        return subjects.astype(np.int64), "subject"
    sources = clips.split_columns["source"] if not clips.is_windowed else clips.split_columns["name"]
    _, recordings = np.unique(sources[owners].astype(str), return_inverse=True)
    if len(np.unique(recordings)) > 1:
        return recordings.astype(np.int64), "clip" if len(np.unique(recordings)) == len(owners) else "recording"
    return np.arange(len(owners)), "clip"
