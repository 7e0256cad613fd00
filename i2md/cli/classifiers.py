"""What the commands on classifiers print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def fitted_text(data: Mapping[str, Any]) -> str:
    """What `i2md fit` prints.

    Args:
        data: What it returned.
    """
    low, high = (100 * each for each in data["interval"])
    by = f"bootstrap over {data['held_out_together']}s" if data["interval_by"] == "bootstrap" else "Wilson, over clips"
    together = {"subject": "subjects", "recording": "recordings", "clip": "clips (no subject or recording is known)"}
    unit = "clips" if data["windows"] is None else f"windows of {data['windows']}"
    lines = [
        f"fitted to {data['clips']} {unit} of {len(data['classes'])} classes",
        f"cross-validated over {together[data['held_out_together']]}, {data['folds']} folds:",
    ]
    for name, accuracy in data["candidates"].items():
        lines.append(f"  {name:32} {100 * accuracy:5.1f} %" + (" (chosen)" if name == data["classifier"] else ""))
    lines.append(f"accuracy: {100 * data['accuracy']:.1f} % (95 % interval {low:.1f} to {high:.1f}, {by})")
    before, after = 100 * data["calibration_error_before"], 100 * data["calibration_error"]
    lines.append(f"calibration error: {after:.1f} %, before the temperature {before:.1f} %")
    rocs = ", ".join(f"{name} {value:.2f}" for name, value in data["auroc_of_left_out_classes"].items())
    never = "no score tells left-out classes" if data["false_alarms"] else "as asked for"
    alarms = f"by the score {data['known_score']}; {100 * data['false_alarms']:g} % false alarms"
    lines.append(f"none of these: {f'never, {never}' if data['threshold'] is None else alarms}")
    if data["false_alarms"]:
        lines.append(f"  AUROC of classes left out: {rocs or 'not measured with fewer than three classes'}")
    lines += _confused(data)
    if "smoothing" in data:
        lines.append(f"over time: {_over_time(data['smoothing'])}")
    if "held_out" in data:
        test = data["held_out"]
        low, high = (100 * each for each in test["interval"])
        lines.append(
            f"test part: {100 * test['accuracy']:.1f} % of {test['clips']} (95 % interval {low:.1f} to {high:.1f}),"
            f" calibration error {100 * test['calibration_error']:.1f} %, {100 * test['rejected']:.1f} % rejected"
        )
    single = data["in_a_single_group"]
    if single:
        lines.append(
            f"warning: {len(single)} classes are of one {data['held_out_together']} each, so that none of their clips"
            f" can be predicted in cross-validation: {', '.join(single[:5])}"
        )
    lines += [f"note: {text}" for text in data["notes"]]
    lines += [f"picture: {data['picture']}"] if "picture" in data else []
    return "\n".join([*lines, f"model: {data['model']}"])


def _over_time(figures: Mapping[str, Any]) -> str:
    f1 = "/".join(f"{100 * value:.1f}" for value in figures["f1"].values())
    return f"frame accuracy {100 * figures['frame_accuracy']:.1f} %, F1@10/25/50 {f1}, edit {100 * figures['edit']:.1f}"


def _confused(data: Mapping[str, Any]) -> list[str]:
    """The pairs of classes that are confused most."""
    names = data["classes"]
    pairs = [
        (count, names[true], names[predicted])
        for true, row in enumerate(data["confusion"])
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    shown = "; ".join(f"{true} as {predicted} ({count})" for count, true, predicted in sorted(pairs, reverse=True)[:5])
    return [f"most confused: {shown}"] if shown else []


def predicted_text(data: Mapping[str, Any]) -> str:
    """What `i2md predict` prints.

    Args:
        data: What it returned.
    """
    timed = "recordings" in data
    of = f"{data['recordings']} recordings, {data['windows']}, smoothing {data['smooth']}" if timed else ""
    lines = [of or f"{data['clips']} clips", f"{data['predicted']} {'intervals' if timed else 'clips'} predicted:"]
    lines += [f"  {count:6} {name}" for name, count in data["classes"].items()]
    if data["rejected"]:
        lines.append(f"  {data['rejected']:6} none of these")
    if timed and data["empty_windows"]:
        lines.append(f"nobody is seen in {data['empty_windows']} windows")
    if "accuracy" in data:
        accuracy = f"{100 * data['accuracy']:.1f} % of {data['labelled']}"
        lines.append(f"accuracy against the labels there, also of clips that were fitted to: {accuracy}")
    if "scores" in data:
        lines.append(f"against the labels there, also of recordings that were fitted to: {_over_time(data['scores'])}")
    lines += [f"written: {path}" for path in data["files"]]
    return "\n".join([*lines, *([f"page: {data['page']}"] if "page" in data else [])])


def streamed_text(data: Mapping[str, Any]) -> str:
    """The last line of `i2md stream`.

    Args:
        data: What it returned.
    """
    return json.dumps(dict(data))
