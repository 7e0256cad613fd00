"""Commands that make classifiers out of labels, and use them: fit, predict and stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.data.store import Clips

# As in i2md.evaluation.smoothing, which imports NumPy.
Smoothing = Literal["hmm", "median", "none"]
PathLike = str | os.PathLike[str]


def fit(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    model: PathLike,
    labels: PathLike | None = None,
    split: str | None = None,
    candidates: Sequence[str] = ("learned", "positions"),
    windows: str | None = None,
    stride: str | None = None,
    false_alarms: float = 0.05,
    confusion: PathLike | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Fit a classifier to a few labels: of clips, or of intervals in long recordings.

    The classifier reads frozen features. It is chosen among candidates by cross-validation over subjects (over
    recordings where subjects are unknown), with calibrated probabilities and a threshold for "none of these". The
    folder written needs nothing else to predict.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips, or its URL; labelled recordings are divided into windows.
        model: Folder of the classifier to write.
        labels: File of labels: a .csv with the columns name and label (perhaps subject); or labelled intervals, as in
            prepare --intervals. By default the labels that the clips have.
        split: Fit to the training part of this split and report the accuracy on its test part, too; by default all
            labelled clips are fitted to.
        candidates: Classifiers to choose from, and from sums of their scores: learned (ridge regression on the run's
            features), logistic (logistic regression on them), positions (ridge regression on raw positions),
            minirocket (on MiniRocket's features; needs aeon, also to predict).
        windows: Length of the windows of recordings with labelled intervals; by default that of the folder, or 2s.
        stride: Time from a window to the next; by default that of the folder, or a tenth of the length.
        false_alarms: Share of clips of known classes that may be rejected as "none of these"; 0 rejects
            nothing.
        confusion: Picture of the confusion matrix in cross-validation to write, too: .png or .svg.
        overwrite: Replace a classifier that is there.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        The `model`, what was chosen, and its figures in cross-validation.

    Raises:
        InputError: Run, clips and labels do not fit one another, or there are too few labels.
    """
    from i2md.data.clip_labels import label_clips
    from i2md.data.store import Clips, open_clips
    from i2md.data.windows import Windows, windows_like
    from i2md.evaluation.report.confusion_figure import check_picture, write_confusion
    from i2md.inference.candidates import candidate_names
    from i2md.inference.classifier_files import check_writable, write_classifier
    from i2md.inference.fit import fit_parts
    from i2md.inference.model import Model
    from i2md.inference.training_set import check_labelled, clip_set, window_set
    from i2md.runtime.device import fast_cpu_matmul

    if not 0 <= false_alarms < 1:
        raise InputError(f"false_alarms {false_alarms:g} must be at least 0 and below 1, such as 0.05")
    candidate_names(candidates)
    check_writable(Path(model), overwrite)
    if confusion is not None:
        check_picture(Path(confusion))
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    divided = windows_like(opened.dataset.windows, windows, stride) or Windows(2.0, 0.2)
    notes: list[str] = []
    if labels is not None:
        opened, notes = label_clips(opened, Path(labels))
    recordings = opened.recordings
    of_windows = recordings.intervals is not None and len(recordings.intervals["label"]) > 0
    if windows is not None and not of_windows:
        raise InputError("fit: --windows divides recordings with labelled intervals; these clips have none")
    loaded, labelled = Model(run, device), recordings if of_windows else opened
    check_labelled(loaded, labelled, of_windows)
    with fast_cpu_matmul():
        parts = {
            name: window_set(loaded, each, divided) if of_windows else clip_set(loaded, each)
            for name, each in _parts(labelled, split).items()
        }
        fitted = fit_parts(loaded, parts["train"], candidates, false_alarms, parts.get("test"))
    write_classifier(Path(model), loaded, fitted, overwrite)
    info = fitted.info
    if confusion is not None:
        unit = "clips" if info.windows is None else "windows"
        accuracy, together = 100 * info.report["accuracy"], info.report["held_out_together"]
        title = f"{accuracy:.1f} % right in cross-validation over {together}s"
        write_confusion(Path(confusion), info.report["confusion"], info.class_names, title, unit)
    return {
        "model": str(model),
        "classes": list(info.class_names),
        "classifier": "+".join(info.candidate),
        "temperature": info.temperature,
        "threshold": info.threshold,
        "false_alarms": info.false_alarms,
        "windows": None if info.windows is None else str(info.windows),
        **info.report,
        "notes": [*notes, *info.report["notes"]],
        **({} if confusion is None else {"picture": str(confusion)}),
    }


def predict(
    *,
    model: PathLike,
    source: PathLike | Clips,
    out: PathLike,
    windows: str | None = None,
    stride: str | None = None,
    smooth: Smoothing | None = None,
    page: PathLike | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Predict the class of clips, or actions over time in long recordings.

    Recordings are predicted over time if the classifier was fitted to intervals, if the clips are windows, or if
    --windows says so. Each prediction has a calibrated confidence; what is rejected is none of the classes.

    Args:
        model: Folder that i2md fit wrote.
        source: Folder of clips, or its URL; or recordings of any format that prepare auto recognises.
        out: File to write: .csv, .json, or .eaf (ELAN; one a recording).
        windows: Length of a window; by default that of the intervals fitted to.
        stride: Time from a window to the next; by default that fitted with, or a tenth of the length.
        smooth: hmm (a hidden Markov model of the labelled recordings), median or none; by default hmm where recordings
            were fitted to, else median.
        page: HTML page to write, too: the skeletons play next to their predictions.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        The `files` written, and the number of `clips` or the `recordings` with their predictions counted by class.

    Raises:
        InputError: Classifier, recordings and file do not fit one another.
    """
    from i2md.data.windows import windows_like
    from i2md.inference.classifier import load_classifier
    from i2md.inference.predict import predict_clips, predict_recordings
    from i2md.inference.prediction_files import check_out
    from i2md.inference.recordings import clips_or_recordings, opened_clips

    loaded = load_classifier(model, device)
    prepared = opened_clips(source)
    divided = windows_like(loaded.info.windows, windows, stride)
    if divided is None and prepared is not None:
        divided = prepared.dataset.windows
    check_out(Path(out), timed=divided is not None)
    where = None if page is None else Path(page)
    # Windows are prepared one by one.
    preset = loaded.model.config.preparation if divided is None else "none"
    with clips_or_recordings(source if prepared is None else prepared, Path(out), preset, divided) as clips:
        if divided is None:
            return predict_clips(loaded, clips, Path(out), where)
        return predict_recordings(loaded, clips.recordings, Path(out), divided, smooth, where)


def stream(
    *,
    model: PathLike,
    source: PathLike,
    fps: float = 30.0,
    windows: str | None = None,
    stride: str | None = None,
    layout: str | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Predict frames as they come: JSON lines in, JSON lines out, one for each window.

    A line of input is a frame: {"joints": [[x, y, z], ...]}, or {"persons": {NAME: [[x, y, z], ...]}}, with "frame"
    (its number) or "time" (seconds) where some may be missing. A window gives the same as that of a file; memory does
    not grow.

    Args:
        model: Folder that i2md fit wrote.
        source: File of JSON lines, or - for standard input.
        fps: Frames a second.
        windows: Length of a window; by default that of the intervals fitted to.
        stride: Time from a window to the next; by default that fitted with, or a tenth of the length.
        layout: Joint layout of the frames: a name or a YAML file; by default the run's.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        How many frames were taken in, were missing, and came too late: the last line.

    Raises:
        InputError: Classifier and frames do not fit one another, or a line is not a frame.
    """
    import json
    import sys

    from i2md.data.windows import windows_like
    from i2md.inference.classifier import load_classifier
    from i2md.inference.stream import Stream, json_lines, prediction_lines

    loaded = load_classifier(model, device)
    live = Stream(loaded, fps, windows_like(loaded.info.windows, windows, stride), layout)

    def run(lines: Iterable[str]) -> None:
        for line in prediction_lines(live, json_lines(lines)):
            print(json.dumps(line), flush=True)

    if str(source) == "-":
        run(sys.stdin)
    elif not Path(source).is_file():
        raise InputError(f"{source}: there is no such file of frames; name one, or - for standard input")
    else:
        with open(source, encoding="utf-8", errors="replace") as file:
            run(file)
    return {"end": True, **vars(live.counts)}


def _parts(clips: Clips, split: str | None) -> dict[str, Clips]:
    return {"train": clips} if split is None else {part: clips.part(split, part) for part in ("train", "test")}
