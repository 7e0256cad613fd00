"""What a folder of clips holds, and what looks wrong with it: counts, warnings, and exact copies among its clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from i2md.data.checks import body_warnings, spread_evenly
from i2md.data.splits import Split, select_part, training_part
from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS, LONG

MAX_EXAMINED = 2000
# What the table of classes calls clips without a label.
NO_LABEL = "no label"
# Reasons why recordings were left out, besides that of the first, of which an example is given.
MAX_REASONS = 4


def info(clips: Clips) -> dict[str, Any]:
    """Describe clips: counts, lengths, layout, classes, splits, copies and warnings.

    All clips are read to find copies; other statements on frames come from at most 2,000 clips, spread evenly.

    Args:
        clips: Opened clips.

    Returns:
        Plain data. `splits` counts the clips of each part of each split. `copies` counts the clips that repeat an
        earlier one exactly, and `duplicates`, for each split, its test clips that repeat a training clip.
        `untrimmed` counts the recordings that the clips were cut from and the actions labelled in them, if they are
        kept. `recognised` is what the format was taken for, `converted` how the file's units, axes and joints were
        described, `options` what else was given. `report` is what preparation changed and left out, `warnings` one
        sentence each.

    >>> import tempfile
    >>> from i2md.data.prepare import prepare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clips = prepare("synthetic", "x", f"{folder}/clips", actions=2, subjects=2, repeats=1)
    ...     info(clips)["splits"]
    {'xsub': {'train': 2, 'test': 2}}
    """
    dataset, frames = clips.dataset, clips.columns["frames"]
    originals = find_originals(clips)
    duplicates = _duplicates(clips, originals)
    quartiles = np.percentile(frames, [0, 25, 50, 75, 100]).astype(int).tolist()
    persons, counts = np.unique(clips.columns["persons"], return_counts=True)
    return {
        "dataset": dataset.name,
        "clips": len(clips),
        "layout": f"{dataset.layout.name} ({len(dataset.layout.joints)} joints, {dataset.layout.channels}-D)",
        "preparation": dataset.preparation,
        "units": dataset.units,
        **{name: dataset.report[name] for name in ("recognised", "converted", "options") if name in dataset.report},
        "frames": dict(zip(("min", "25%", "median", "75%", "max"), quartiles, strict=True)),
        "persons": {int(p): int(c) for p, c in zip(persons, counts, strict=True)},
        "bytes": int(clips.frames.nbytes),
        "classes": _classes(clips),
        "splits": {
            name: {part: len(select_part(values, clips.split_columns)) for part, values in split.items()}
            for name, split in dataset.splits.items()
        },
        "copies": int((originals != np.arange(len(clips))).sum()),
        "duplicates": {name: len(copies.clips) for name, copies in duplicates.items()},
        **_untrimmed(clips),
        **_windows(clips),
        "report": dict(dataset.report),
        "warnings": [*_warnings(clips), *_copy_warnings(clips, originals, duplicates)],
    }


def _untrimmed(clips: Clips) -> dict[str, Any]:
    untrimmed = clips.untrimmed
    if untrimmed is None:
        return {}
    intervals = 0 if untrimmed.intervals is None else len(untrimmed.intervals["clip"])
    return {"untrimmed": {"recordings": len(untrimmed), "intervals": intervals}}


def _windows(clips: Clips) -> dict[str, Any]:
    """What the clips are windows of."""
    if not clips.is_windowed:
        return {}
    whole = clips.recordings
    intervals = 0 if whole.intervals is None else len(whole.intervals["clip"])
    return {"windows": {"are": str(clips.dataset.windows), "recordings": len(whole), "intervals": intervals}}


def _classes(clips: Clips) -> dict[str, int]:
    names = clips.dataset.class_names
    labels, counts = np.unique(clips.labels, return_counts=True)
    known = {int(label): int(count) for label, count in zip(labels, counts, strict=True)}
    table = {name: known.pop(number, 0) for number, name in enumerate(names)}
    return table | {(NO_LABEL if label < 0 else f"class {label}"): count for label, count in known.items()}


class Copies(NamedTuple):
    """Clips of one part, and for each the clip of the other part that it is a copy of; indices."""

    clips: Int64[np.ndarray, " copies"]
    originals: Int64[np.ndarray, " copies"]


def find_originals(clips: Clips) -> Int64[np.ndarray, " clips"]:
    """For each clip the index of the first clip with the same content: its own, if none before it is equal.

    Content is the number of persons and frames and every coordinate, bit for bit; name and label don't count.
    Each clip is read once, and 16 bytes of it are kept.
    """
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(_digest(clips, index), index) for index in range(len(clips))], dtype=np.int64)


def copies_between(
    earlier: Int64[np.ndarray, " earlier"],
    later: Int64[np.ndarray, " later"],
    originals: Int64[np.ndarray, " clips"],
) -> Copies:
    """The clips `later` whose content is also among the clips `earlier`.

    Args:
        earlier: Indices of clips, such as the training part.
        later: Indices of clips, such as the test part.
        originals: As of `find_originals`, for all clips.

    Returns:
        The copies; of several equal clips in `earlier` the first is named.

    >>> copies_between(np.array([0, 1, 3]), np.array([2, 4]), np.array([0, 1, 1, 1, 4]))
    Copies(clips=array([2]), originals=array([1]))
    """
    holder = np.full(len(originals), -1)
    # Backwards, so that the first of several is what stays.
    holder[originals[earlier[::-1]]] = earlier[::-1]
    found = holder[originals[later]]
    return Copies(later[found >= 0], found[found >= 0])


def _digest(clips: Clips, index: int) -> bytes:
    clip = clips.read(index)
    content = blake2b(repr(clip.shape[:2]).encode(), digest_size=16)
    content.update(np.ascontiguousarray(clip).data)
    return content.digest()


def _duplicates(clips: Clips, originals: Int64[np.ndarray, " clips"]) -> dict[str, Copies]:
    """For each split the clips of its other parts that are copies of clips in its training part."""
    columns = clips.split_columns
    return {
        name: copies_between(select_part(split[training_part(split)], columns), _others(clips, split), originals)
        for name, split in clips.dataset.splits.items()
        if split
    }


def _others(clips: Clips, split: Split) -> Int64[np.ndarray, " clips"]:
    """The clips of all parts but the training part, each once."""
    train = training_part(split)
    rows = [select_part(part, clips.split_columns) for name, part in split.items() if name != train]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *rows]))


def _warnings(clips: Clips) -> Iterator[str]:
    yield from _frame_warnings(clips)
    yield from body_warnings(clips)
    yield from _long_warnings(clips)
    yield from clips.dataset.report.get("warnings", ())
    short = int((clips.columns["frames"] < 2).sum())
    if short:
        yield f"{short} clips have a single frame: their motion stream is zero"
    empty = [name for name, count in _classes(clips).items() if count == 0]
    if empty:
        yield f"{len(empty)} classes have no clip, for example {empty[0]!r}"
    present = [name for name, count in _classes(clips).items() if count and name != NO_LABEL]
    if len(present) == 1:
        yield f"all labelled clips have one class, {present[0]!r}: every accuracy on them is 100 %"
    for name in clips.dataset.splits:
        yield from split_warnings(clips, name)
    yield from _left_out_warnings(clips.dataset.report)


def _left_out_warnings(report: Mapping[str, Any]) -> Iterator[str]:
    """How many recordings were left out, and a recording for each of the most frequent reasons."""
    if not report.get("left_out"):
        return
    first = report["left_out_files"][0]
    others = [(line, count) for line, count in report.get("left_out_reasons", {}).items() if line != first]
    yield f"{report['left_out']} recordings were left out, for example {first}"
    for line, count in others[:MAX_REASONS]:
        yield f"{count} of them for another reason, for example {line}"
    if len(others) > MAX_REASONS:
        yield f"{len(others) - MAX_REASONS} more reasons are in left_out.txt"


def split_warnings(clips: Clips, name: str) -> Iterator[str]:
    """What looks wrong with a split: empty parts, and classes that cannot be learned or are not tested.

    Args:
        clips: The clips.
        name: Name of one of their splits.

    Yields:
        One sentence each.
    """
    split = clips.dataset.splits[name]
    rows = {part: select_part(values, clips.split_columns) for part, values in split.items()}
    for part, chosen in rows.items():
        if not len(chosen):
            yield f"split {name!r}: its part {part!r} is empty"
    if len(rows) < 2 or not all(map(len, rows.values())):
        return
    train = training_part(split)
    learned, tested = (set(clips.labels[each].tolist()) - {-1} for each in (rows[train], _others(clips, split)))
    lacking = [
        f"{len(labels)} classes have no {side} clips, for example {_class(clips, min(labels))}"
        for labels, side in ((tested - learned, "training"), (learned - tested, "test"))
        if labels
    ]
    if lacking:
        yield f"split {name!r}: {'; '.join(lacking)}"


def _class(clips: Clips, label: int) -> str:
    names = clips.dataset.class_names
    return repr(names[label]) if label < len(names) else f"class {label}"


def _frame_warnings(clips: Clips) -> Iterator[str]:
    empty, frozen, invalid = [], [], []
    for index in spread_evenly(len(clips), MAX_EXAMINED).tolist():
        clip = clips.read(index)
        name = clips.columns["name"][index]
        if not np.isfinite(clip).all():
            invalid.append(name)
            continue
        if not clip.any(axis=(2, 3)).any(axis=0).all():
            empty.append(name)
        if clip.shape[1] > 1 and not np.ptp(clip[0], axis=0).any():
            frozen.append(name)
    if invalid:
        yield f"{len(invalid)} clips hold coordinates that are not finite numbers, for example {invalid[0]}: damaged"
    if empty:
        yield f"{len(empty)} clips have frames without any person, for example {empty[0]}"
    if frozen:
        yield f"{len(frozen)} clips never move, for example {frozen[0]}"


def _long_warnings(clips: Clips) -> Iterator[str]:
    """Unlabelled recordings of minutes count as one clip each, unless they are divided into windows."""
    rates = clips.columns["fps"]
    seconds = clips.columns["frames"] / np.where(rates > 0, rates, ASSUMED_FPS)
    long = np.flatnonzero((seconds > LONG) & (clips.labels < 0))
    if len(long) and not clips.is_windowed:
        yield (
            f"{len(long)} clips without a label are longer than {LONG:g} s, for example"
            f" {clips.columns['name'][long[0]]}, and count as one clip each;"
            f" i2md windows {clips.path} --length 2s divides them"
        )


def _copy_warnings(
    clips: Clips, originals: Int64[np.ndarray, " clips"], duplicates: Mapping[str, Copies]
) -> Iterator[str]:
    names, splits = clips.columns["name"], clips.dataset.splits
    for name, copies in duplicates.items():
        if len(copies.clips):
            train = training_part(splits[name])
            others = [part for part in splits[name] if part != train]
            size = len(_others(clips, splits[name]))
            yield (
                f"split {name!r}: {len(copies.clips)} of {size} {' and '.join(others)} clips are exact copies of "
                f"{train} clips, for example {names[copies.clips[0]]} of {names[copies.originals[0]]}"
            )
    repeated = np.flatnonzero(originals != np.arange(len(clips)))
    if len(repeated) and not any(len(copies.clips) for copies in duplicates.values()):
        copy, original = names[repeated[0]], names[originals[repeated[0]]]
        yield f"{len(repeated)} clips are exact copies of others, for example {copy} of {original}"
