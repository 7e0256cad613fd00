"""What a set of clips holds, and what looks wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.data.duplicates import Copies, copies_between, find_originals
from i2md.data.splits import select_part
from i2md.data.store import Clips

# A person's height in metres lies well within these; a tenth or ten times of it is another unit.
PLAUSIBLE_EXTENT = (0.5, 4.0)
EXAMINED = 2000


def info(clips: Clips) -> dict[str, Any]:
    """Counts, lengths, layout, classes, splits, copies and warnings, as plain data.

    `copies` counts the clips that repeat an earlier one exactly, and `duplicates`, for each split, its test
    clips that repeat a training clip. All clips are read for that; what else is said of frames comes from at
    most 2,000 clips, spread evenly. `untrimmed` counts the whole recordings that the clips were cut from and the
    actions labelled in them, where they are kept.
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
        "frames": dict(zip(("min", "25%", "median", "75%", "max"), quartiles, strict=True)),
        "persons": {int(p): int(c) for p, c in zip(persons, counts, strict=True)},
        "bytes": int(clips.frames.nbytes),
        "classes": _classes(clips),
        "splits": {
            name: {part: len(select_part(values, clips.columns)) for part, values in split.items()}
            for name, split in dataset.splits.items()
        },
        "copies": int((originals != np.arange(len(clips))).sum()),
        "duplicates": {name: len(copies.clips) for name, copies in duplicates.items()},
        **_untrimmed(clips),
        "report": dict(dataset.report),
        "warnings": [*_warnings(clips), *_copy_warnings(clips, originals, duplicates)],
    }


def _untrimmed(clips: Clips) -> dict[str, Any]:
    whole = clips.untrimmed
    if whole is None:
        return {}
    intervals = 0 if whole.intervals is None else len(whole.intervals["clip"])
    return {"untrimmed": {"recordings": len(whole), "intervals": intervals}}


def _duplicates(clips: Clips, originals: Int64[np.ndarray, " clips"]) -> dict[str, Copies]:
    """For each split the clips of its other parts that are copies of clips in its first, the training part."""
    found = {}
    for name, split in clips.dataset.splits.items():
        parts = [select_part(part, clips.columns) for part in split.values()]
        first, *others = [*parts, np.zeros(0, dtype=np.int64)]
        found[name] = copies_between(first, np.concatenate([first[:0], *others]), originals)
    return found


def _classes(clips: Clips) -> dict[str, int]:
    names = clips.dataset.class_names
    labels, counts = np.unique(clips.labels, return_counts=True)
    known = {int(label): int(count) for label, count in zip(labels, counts, strict=True)}
    table = {name: known.pop(number, 0) for number, name in enumerate(names)}
    return table | {("no label" if label < 0 else f"class {label}"): count for label, count in known.items()}


def _warnings(clips: Clips) -> Iterator[str]:
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), EXAMINED)).astype(int))
    empty, frozen, extents = [], [], []
    for index in chosen:
        clip = clips.read(index)
        name = clips.columns["name"][index]
        seen = clip.any(axis=(2, 3)).any(axis=0)
        if not seen.all():
            empty.append(name)
        if clip.shape[1] > 1 and not np.ptp(clip[0], axis=0).any():
            frozen.append(name)
        extents.append(np.ptp(clip[0, clip[0].any(axis=(1, 2))], axis=1).max(initial=0.0))
    if empty:
        yield f"{len(empty)} clips have frames without anybody, {empty[0]} for one"
    if frozen:
        yield f"{len(frozen)} clips never move, {frozen[0]} for one"
    extent = float(np.median(extents))
    low, high = PLAUSIBLE_EXTENT
    if clips.dataset.units == "m" and not low <= extent <= high:
        yield f"units: a body spans {extent:.3g} where metres would give {low} to {high}"
    short = int((clips.columns["frames"] < 2).sum())
    if short:
        yield f"{short} clips have a single frame: their motion stream is zero"
    unlabelled = [name for name, count in _classes(clips).items() if count == 0]
    if unlabelled:
        yield f"{len(unlabelled)} classes have no clip, {unlabelled[0]!r} for one"
    for name, split in clips.dataset.splits.items():
        for part, values in split.items():
            if not len(select_part(values, clips.columns)):
                yield f"split {name!r}: its part {part!r} is empty"
    if clips.dataset.report.get("left_out"):
        first = clips.dataset.report["left_out_files"][0]
        yield f"{clips.dataset.report['left_out']} recordings were left out, for one {first}"


def _copy_warnings(
    clips: Clips, originals: Int64[np.ndarray, " clips"], duplicates: Mapping[str, Copies]
) -> Iterator[str]:
    names, splits = clips.columns["name"], clips.dataset.splits
    for name, copies in duplicates.items():
        if len(copies.clips):
            first, *others = splits[name]
            size = sum(len(select_part(splits[name][part], clips.columns)) for part in others)
            yield (
                f"split {name!r}: {len(copies.clips)} of {size} {' and '.join(others)} clips are exact copies of "
                f"{first} clips, {names[copies.clips[0]]} of {names[copies.originals[0]]} for one"
            )
    repeated = np.flatnonzero(originals != np.arange(len(clips)))
    if len(repeated) and not any(len(copies.clips) for copies in duplicates.values()):
        one, other = names[repeated[0]], names[originals[repeated[0]]]
        yield f"{len(repeated)} clips are exact copies of others, {one} of {other} for one"
