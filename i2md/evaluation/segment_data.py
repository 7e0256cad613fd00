"""Windows of whole recordings with labelled intervals: what protocols of predictions over time are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from jaxtyping import Int64

from i2md.data.packed import pack_arrays
from i2md.data.recording import UNKNOWN
from i2md.data.store import Clips
from i2md.data.windows import Windows, windows_like
from i2md.errors import InputError
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.results import Result, Variant
from i2md.evaluation.settings import SegmentSettings
from i2md.evaluation.timeline import LabelledRecording, LabelledWindows, labelled_windows, window_bounds

# The class of what lies outside the labelled intervals of recordings.
BACKGROUND = "background"
# Of more labelled windows so many are used, at even steps.
MOST_WINDOWS = 2000
DEFAULT_WINDOWS = Windows(2.0, 0.2)


@dataclass
class SegmentData(ProbeData):
    """Windows as training and test clips, and the recordings that they are of.

    The last class is the background's. Of the training recordings some of the windows are used, of the test recordings
    all in which somebody is seen.
    """

    train_recordings: Sequence[LabelledRecording] = ()
    test_recordings: Sequence[LabelledRecording] = ()
    recording_names: tuple[Sequence[str], Sequence[str]] = ((), ())
    """Of the training and of the test recordings."""
    class_names: Sequence[str] = ()
    """With the background's."""
    variant: Variant = field(default_factory=Variant)

    @property
    def background(self) -> int:
        """The class of frames without an action."""
        return self.num_classes - 1

    def of_recordings(self, result: Result) -> Result:
        """A result of this data, with the names and numbers of its recordings in place of clips.

        Args:
            result: As of the clips.
        """
        train, test = map(list, self.recording_names)
        return replace(
            result,
            split=result.split if self.variant.labelled_subjects is None else "drawn",
            train_clips=len(train),
            test_clips=len(test),
            counted="frames",
            labelled_clips=train,
            class_names=list(self.class_names),
            clip_names=test,
            labels=[],
        )


def segment_data(
    data: ProbeData, clips: Clips, settings: SegmentSettings, split: str, preset: str
) -> Iterator[SegmentData]:
    """The windows of each draw of labelled recordings; of the split's training part where none are drawn.

    Args:
        data: Of the clips: encoders, layout and seed.
        clips: Clips whose recordings have labelled intervals, or were cut from such.
        settings: Windows and draws.
        split: Name of the split.
        preset: Preparation of the windows, each on its own.

    Raises:
        InputError: There are no recordings with labelled intervals, or too few of them.
    """
    recordings, windows = recordings_of(clips), _chosen(clips, settings)
    for variant, train, test in _parts(recordings, settings, split, data.seed):
        yield _windows(data, recordings, windows, (train, test), preset, variant)


def in_windows(clips: Clips, settings: SegmentSettings) -> Clips:
    """Whole recordings with labelled intervals as windows, which have labels; other clips as they are.

    Args:
        clips: Any clips.
        settings: Length and stride.
    """
    whole = not clips.is_windowed and clips.intervals is not None
    return clips.windows(_chosen(clips, settings)) if whole else clips


def _chosen(clips: Clips, settings: SegmentSettings) -> Windows:
    return windows_like(clips.dataset.windows, settings.windows, settings.stride) or DEFAULT_WINDOWS


def recordings_of(clips: Clips) -> Clips:
    """The whole recordings of clips, with their labelled intervals.

    Args:
        clips: Clips, or windows.

    Raises:
        InputError: There are none.
    """
    for whole in (clips.recordings, clips.untrimmed):
        if whole is not None and whole.intervals is not None and len(whole.intervals["label"]):
            return whole
    raise InputError(
        f"segment: {clips.path} has no whole recordings with labelled intervals; prepare recordings with --windows 2s,"
        " and with --intervals LABELS where they come without labels"
    )


def _parts(
    recordings: Clips, settings: SegmentSettings, split: str, seed: int
) -> Iterator[tuple[Variant, Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]]]:
    """Positions of the training and of the test recordings, those with labels."""
    assert recordings.intervals is not None
    labelled = np.isin(np.arange(len(recordings)), recordings.intervals["clip"])
    if settings.subjects:
        of = recordings.columns["subject"]
        subjects = np.unique(of[labelled & (of != UNKNOWN)])
        if settings.subjects >= len(subjects):
            raise InputError(
                f"segment.subjects {settings.subjects} leaves none of {len(subjects)} subjects to test on; give fewer"
            )
        for draw in range(settings.draws):
            drawn = np.random.default_rng([seed, draw]).permutation(subjects)[: settings.subjects]
            train = labelled & np.isin(of, drawn)
            variant = Variant(draw=draw, labelled_subjects=settings.subjects)
            yield variant, np.flatnonzero(train), np.flatnonzero(labelled & ~train)
        return
    position = {name: place for place, name in enumerate(recordings.columns["name"].tolist())}
    parts = []
    for part in ("train", "test"):
        places = [position[name] for name in recordings.part(split, part).columns["name"].tolist()]
        parts.append(np.array([place for place in places if labelled[place]], dtype=np.int64))
        if not len(parts[-1]):
            raise InputError(f"segment: no recording in the {part} part of split {split!r} has labels; choose another")
    yield Variant(), parts[0], parts[1]


def _windows(
    data: ProbeData,
    recordings: Clips,
    windows: Windows,
    parts: tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]],
    preset: str,
    variant: Variant,
) -> SegmentData:
    columns, classes = recordings.columns, recordings.dataset.class_names
    number = dict(zip(range(len(classes)), range(len(classes)), strict=True))
    bounds = {
        int(i): window_bounds(int(columns["frames"][i]), float(columns["fps"][i]), windows)
        for i in np.concatenate(parts)
    }
    every = -(-sum(len(bounds[int(i)].begins) for i in parts[0]) // MOST_WINDOWS)
    found: list[LabelledWindows] = []
    for part, step in zip(parts, (every, 1), strict=True):
        chosen = part.tolist()
        found.append(
            labelled_windows(recordings, chosen, number, len(classes), bounds, data.layout, preset, step),
        )
        if not found[-1].positions:
            raise InputError(f"segment: {recordings.path}: nobody is seen in any window of the labelled recordings")
    train, test = found
    subjects = columns["subject"][train.owners]
    known = (subjects != UNKNOWN).all() and len(np.unique(subjects)) > 1
    names = [[str(columns["name"][i]) for i in part] for part in parts]
    common = {each.name: getattr(data, each.name) for each in fields(ProbeData)}
    of_windows = {
        "train": pack_arrays(train.positions, data.device),
        "test": pack_arrays(test.positions, data.device),
        "train_names": train.names,
        "train_labels": torch.as_tensor(train.labels, device=data.device),
        "test_labels": torch.as_tensor(test.labels, device=data.device),
        "train_subjects": torch.as_tensor(np.array(subjects if known else train.owners, dtype=np.int64)),
        "num_classes": len(classes) + 1,
    }
    return SegmentData(
        **{**common, **of_windows},
        train_recordings=train.recordings,
        test_recordings=test.recordings,
        recording_names=(names[0], names[1]),
        class_names=[*classes, BACKGROUND],
        variant=variant,
    )
