"""The data of a page of playing clips: what is drawn of each, what is missing of it, and what to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64

from i2md.data.missing import missing_joints
from i2md.data.recording import UNKNOWN
from i2md.data.windows import ASSUMED_FPS, LONG
from i2md.pages.skeletons import FILLED, NEVER, States, carry_over_gaps, even_steps, pack_skeletons, viewing_axes
from i2md.skeletons import Layout

Positions = Float32[np.ndarray, "persons frames joints channels"]

# Of a clip longer than LONG the page plays an excerpt of so many seconds; the recording as a whole has its timeline.
EXCERPT = 8.0
# Frames of a clip that are packed, the most that fit; and those of a whole recording.
_FRAMES = (96, 64, 48, 32, 24, 16, 12, 8)
_FRAMES_OF_RECORDING = (2400, 1600, 1000, 600, 400, 250, 150, 80)
_PACKED = 1_500_000
_PACKED_RECORDINGS = 900_000
# The missing joints of a clip over time, in as many steps.
_STEPS = 60


class PredictedTime(NamedTuple):
    """An action that was predicted: first frame, frame after the last, label, and its probability."""

    start: int
    end: int
    label: int
    confidence: float


@dataclass(frozen=True)
class ViewedClip:
    """A clip as a page shows it."""

    name: str
    prepared: Positions
    raw: Positions | None = None
    """As it was recorded; None where the recording is not at hand."""
    label: int = UNKNOWN
    fps: float = 0.0
    """Frames a second; 0 where unknown."""
    intervals: tuple[tuple[int, int, int], ...] = ()
    """First frame, frame after the last, and label of each action."""
    predicted: tuple[PredictedTime, ...] | None = None
    """Actions that were predicted; None where nothing was."""

    @property
    def rate(self) -> float:
        """Frames a second, assumed where they are unknown."""
        return self.fps or ASSUMED_FPS

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.prepared.shape[1] / self.rate


def gallery(clips: Sequence[ViewedClip], layout: Layout, class_names: Sequence[str]) -> dict[str, Any]:
    """The data of the grid: for each clip the prepared and, where it is at hand, the recorded skeletons.

    Args:
        clips: The clips; an excerpt is shown of those that are long.
        layout: Of their joints.
        class_names: Names of the labels.

    Returns:
        JSON data: `figures` for the player, and `cards`.
    """
    excerpts = [_excerpt(clip) for clip in clips]
    drawn = [_drawn(clip, layout) for clip, _ in excerpts]
    recorded = [
        carry_over_gaps(clip.raw, missing_joints(clip.raw, layout)) for clip, _ in excerpts if clip.raw is not None
    ]
    skeletons = [positions for positions, _ in (*drawn, *recorded)]
    views = _views(drawn, layout) + _views(recorded, layout)
    seconds = [clip.seconds for clip, _ in excerpts]
    seconds += [clip.seconds for clip, _ in excerpts if clip.raw is not None]
    cards, number = [], len(clips)
    for place, ((clip, begin), (_, states)) in enumerate(zip(excerpts, drawn, strict=True)):
        card = _card(clips[place], clip, begin, states, layout, class_names)
        cards.append({**card, "prepared": place, "raw": number if clip.raw is not None else -1})
        number += clip.raw is not None
    figures = pack_skeletons(skeletons, layout, seconds, [s for _, s in (*drawn, *recorded)], _FRAMES, _PACKED, views)
    return {"figures": figures, "cards": cards}


def timelines(clips: Sequence[ViewedClip], layout: Layout, class_names: Sequence[str]) -> dict[str, Any]:
    """The data of the timelines of long recordings.

    Args:
        clips: Whole recordings. Their persons are kept in the middle of the picture.
        layout: Of their joints.
        class_names: Names of the labels.

    Returns:
        JSON data: `figures` for the player, and `recordings`.
    """
    drawn, rows = [], []
    for clip in clips:
        kept = even_steps(clip.prepared.shape[1], _FRAMES_OF_RECORDING[0])
        missing = missing_joints(clip.prepared, layout)
        positions, states = carry_over_gaps(clip.prepared[:, kept], missing[:, kept])
        drawn.append((_followed(positions), states))
        rows.append(
            {
                "name": clip.name,
                "seconds": round(clip.seconds, 3),
                "fps": round(clip.rate, 3),
                "assumed": not clip.fps,
                **_intervals(clip),
                "missing": _over_time(missing),
                "absent": _over_time((_present(clip.prepared).sum(axis=0) == 0)[None, :, None]),
            }
        )
    figures = pack_skeletons(
        [positions for positions, _ in drawn],
        layout,
        [clip.seconds for clip in clips],
        [states for _, states in drawn],
        _FRAMES_OF_RECORDING,
        _PACKED_RECORDINGS,
    )
    return {"figures": figures, "recordings": rows, "classes": list(class_names)}


def _intervals(clip: ViewedClip) -> dict[str, Any]:
    """The intervals of the upper lane, predicted ones if there are any, and below them those that were labelled."""
    labelled = [[round(s / clip.rate, 3), round(e / clip.rate, 3), label] for s, e, label in clip.intervals]
    if clip.predicted is None:
        return {"kind": "labelled", "intervals": labelled, "labelled": []}
    predicted = [
        [round(each.start / clip.rate, 3), round(each.end / clip.rate, 3), each.label, round(each.confidence, 3)]
        for each in clip.predicted
    ]
    return {"kind": "predicted", "intervals": predicted, "labelled": labelled}


def _views(drawn: Sequence[tuple[Positions, States]], layout: Layout) -> list[Float64[np.ndarray, "3 channels"]]:
    skeletons = [positions for positions, _ in drawn]
    return [viewing_axes(skeletons, layout)] * len(skeletons) if skeletons else []


def _excerpt(clip: ViewedClip) -> tuple[ViewedClip, int | None]:
    """The clip, or the middle seconds of a long one and the frame that they begin at."""
    if clip.seconds <= LONG:
        return clip, None
    length, frames = max(1, round(EXCERPT * clip.rate)), clip.prepared.shape[1]
    begin = (frames - length) // 2
    raw = clip.raw
    if raw is not None:
        first = begin * raw.shape[1] // frames
        raw = raw[:, first : first + max(1, length * raw.shape[1] // frames)]
    return ViewedClip(clip.name, clip.prepared[:, begin : begin + length], raw, clip.label, clip.fps), begin


def _drawn(clip: ViewedClip, layout: Layout) -> tuple[Positions, States]:
    """Prepared positions, and the state of each joint, where those that preparation filled are known as such."""
    missing = missing_joints(clip.prepared, layout)
    positions, states = carry_over_gaps(clip.prepared, missing)
    lacking = _aligned(clip, layout)
    if lacking is not None:
        present = _present(clip.prepared)[..., None]
        states[lacking & ~missing & present] = FILLED
        # What is never recorded is not interpolated: the centre of such a clip is zeros like the rest.
        states[(lacking | ~present).all(axis=1, keepdims=True) & present] = NEVER
    return positions, states


def _aligned(clip: ViewedClip, layout: Layout) -> Bool[np.ndarray, "persons frames joints"] | None:
    """The joints that the recording lacks, by person and frame of the prepared clip; None if those do not correspond.

    Preparation may leave out persons who are never seen, and frames without anybody at either end.
    """
    if clip.raw is None:
        return None
    lacking = missing_joints(clip.raw, layout)
    seen = np.nan_to_num(clip.raw).any(axis=(2, 3))
    lacking, seen = lacking[seen.any(axis=1)], seen[seen.any(axis=1)]
    occupied = np.flatnonzero(seen.any(axis=0))
    wanted = clip.prepared.shape[:3]
    if lacking.shape != wanted and len(occupied):
        lacking = lacking[:, occupied[0] : occupied[-1] + 1]
    return lacking if lacking.shape == wanted else None


def _card(
    whole: ViewedClip, clip: ViewedClip, begin: int | None, states: States, layout: Layout, class_names: Sequence[str]
) -> dict[str, Any]:
    lacking = states > 0
    present = _present(clip.prepared)
    joints = int(present.sum()) * len(layout.joints)
    by_joint = {name: int((states[..., j] > FILLED).sum()) for j, name in enumerate(layout.joints)}
    worst = sorted((name for name, count in by_joint.items() if count), key=lambda name: -by_joint[name])
    known = 0 <= whole.label < len(class_names)
    return {
        "name": whole.name,
        "class": class_names[whole.label] if known else f"class {whole.label}" if whole.label >= 0 else "",
        "frames": whole.prepared.shape[1],
        "recorded": None if whole.raw is None else whole.raw.shape[1],
        "seconds": round(whole.seconds, 2),
        "assumed": not whole.fps,
        "persons": len(whole.prepared),
        "begin": None if begin is None else round(begin / whole.rate, 2),
        "filled": int((states == FILLED).sum()),
        "missing": int((states > FILLED).sum()),
        "share": round(100 * float(lacking.sum()) / max(joints, 1), 1),
        "joints": [f"{name} ({by_joint[name]})" for name in worst[:8]],
        "over_time": _over_time(lacking) if lacking.any() else [],
    }


def _present(positions: Positions) -> Bool[np.ndarray, "persons frames"]:
    return np.any(positions, axis=(2, 3))


def _over_time(flags: Bool[np.ndarray, "persons frames joints"]) -> list[int]:
    """The share of joints that are flagged, in percent, in at most _STEPS equal parts of the time."""
    by_frame = flags.mean(axis=(0, 2))
    parts = np.array_split(by_frame, min(_STEPS, len(by_frame)))
    return [int(np.ceil(100 * float(part.mean()))) for part in parts]


def _followed(positions: Positions) -> Positions:
    """Positions without the path of the persons' middle, averaged over a twentieth of a minute's frames."""
    present = _present(positions)
    if not present.any():
        return positions
    weights = present[..., None, None].astype(np.float64)
    frames = np.flatnonzero(present.any(axis=0))
    middle = (positions * weights).sum(axis=(0, 2))[frames] / (weights.sum(axis=(0, 2))[frames] * positions.shape[2])
    path: Float64[np.ndarray, "frames channels"] = np.stack(
        [np.interp(np.arange(positions.shape[1]), frames, column) for column in middle.T], axis=1
    )
    width = max(1, positions.shape[1] // 60)
    padded = np.pad(path, ((width // 2, width - 1 - width // 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, np.full(width, 1 / width), "valid") for column in padded.T], axis=1)
    return ((positions - smooth[None, :, None]) * weights).astype(np.float32)
