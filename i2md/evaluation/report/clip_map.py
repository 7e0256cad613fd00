"""The report's map: clips in two dimensions by t-SNE, and their skeletons, packed to be played in the page."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int16, Int64

from i2md.evaluation.report.class_names import full_names, shortened_names
from i2md.evaluation.report.clusters import cluster, reduced
from i2md.skeletons import Layout

MOST_CLIPS = 1000
_FEWEST_CLIPS = 4  # t-SNE needs a perplexity of at least 1 and below the number of clips
_LABEL = 22  # characters of a class beside its points
_FRAMES = (32, 24, 16, 12, 8, 4)
_PACKED_CHARACTERS = 2_300_000  # leaves the whole page below 3 MB
_STEPS = 1000  # half the size of a skeleton in quantisation steps: finer than the pixels it is drawn with


@dataclass(frozen=True)
class MappedClips:
    """The clips that the map shows: one entry per clip in every field.

    `labels` are indices of `class_names`, -1 where unknown; `features` are those of all streams, concatenated.
    Skeletons are prepared positions; a person who is absent from a frame is all zeros there.
    """

    names: list[str]
    labels: Int[np.ndarray, " clips"]
    predictions: Int[np.ndarray, " clips"] | None
    class_names: tuple[str, ...]
    features: Float32[np.ndarray, "clips width"]
    skeletons: list[Float32[np.ndarray, "persons frames joints channels"]]
    layout: Layout
    total: int | None = None
    """Number of clips that these were taken from at even steps; None where they are all."""
    num_clusters: int | None = None
    """Into how many clusters to divide them. By default clips without any label are divided into a number of
    clusters that is chosen, and others are not."""

    def __post_init__(self) -> None:
        sizes = {len(self.names), len(self.labels), len(self.features), len(self.skeletons)}
        if self.predictions is not None:
            sizes.add(len(self.predictions))
        if len(sizes) > 1:
            raise ValueError(f"every field needs one entry per clip, got {sorted(sizes)}")


def even_steps(count: int) -> Int64[np.ndarray, " shown"]:
    """Indices of the clips to show of `count`: all of them, or `MOST_CLIPS` at even steps."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_CLIPS)).round().astype(np.int64))


def map_clips(clips: MappedClips) -> dict[str, Any] | str:
    """Make the data that the page draws and plays the map from.

    Args:
        clips: The clips; at most `MOST_CLIPS` of them are shown, spread evenly.

    Returns:
        JSON data, or a sentence that says why there is no map.

    Raises:
        InputError: The clips cannot be divided into the given number of clusters.
    """
    shown = even_steps(len(clips.names))
    if len(shown) < _FEWEST_CLIPS:
        return f"A map needs at least {_FEWEST_CLIPS} clips; there are {len(shown)}."
    features = clips.features[shown]
    if not np.isfinite(features).all():
        return "The features are not finite: the run has diverged, and there is no map."
    if (features == features[0]).all():
        return "All features are equal: the run has collapsed, and there is no map."
    skeletons = [clips.skeletons[i] for i in shown]
    view = viewing_axes(skeletons, clips.layout)
    frames, packed = _pack_within([_to_view(skeleton, view) for skeleton in skeletons])
    labels = clips.labels[shown]
    predictions = None if clips.predictions is None else clips.predictions[shown]
    named = [labels] if predictions is None else [labels, predictions]
    count = max(len(clips.class_names), *(int(indices.max()) + 1 for indices in named))
    classes = full_names(clips.class_names, count)
    return {
        "total": clips.total or len(clips.names),
        "names": [clips.names[i] for i in shown],
        "labels": labels.tolist(),
        "predictions": None if predictions is None else predictions.tolist(),
        "classes": classes,
        "short": shortened_names(classes, _LABEL),
        "clusters": _clusters(clips, features, labelled=bool((labels >= 0).any())),
        "points": project(features).round(4).tolist(),
        "joints": len(clips.layout.joints),
        "bones": [list(bone) for bone in clips.layout.bones],
        "sides": [_side(clips.layout.joints[child]) for _, child in clips.layout.bones],
        "persons": [len(skeleton) for skeleton in skeletons],
        "frames": [min(skeleton.shape[1], frames) for skeleton in skeletons],
        "recorded": [skeleton.shape[1] for skeleton in skeletons],
        "packed": packed,
    }


def _clusters(
    clips: MappedClips, features: Float32[np.ndarray, "shown width"], labelled: bool
) -> dict[str, Any] | None:
    if labelled and clips.num_clusters is None:
        return None
    found = cluster(features, clips.num_clusters)
    return {
        "assigned": found.assigned.tolist(),
        "names": found.names,
        "sizes": np.bincount(found.assigned).tolist(),
        "examples": found.examples,
        "silhouette": round(found.silhouette, 2),
        "chosen": found.chosen,
    }


def project(features: Float32[np.ndarray, "clips width"]) -> Float64[np.ndarray, "clips 2"]:
    """Project features to two dimensions by t-SNE with a fixed seed; the longer side is from -1 to 1."""
    from sklearn.manifold import TSNE

    rows = reduced(features)
    # A random start: the PCA start divides by a spread that is zero where features differ in length alone.
    tsne = TSNE(2, perplexity=min(30.0, (len(rows) - 1) / 3), init="random", random_state=0)
    points = tsne.fit_transform(rows).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-12)


def viewing_axes(
    skeletons: list[Float32[np.ndarray, "persons frames joints channels"]], layout: Layout
) -> Float64[np.ndarray, "3 channels"]:
    """The signed axes by which most bodies stand upright and face the viewer.

    Preparation may have rotated the bodies, so the axes are computed from the positions of trunk and shoulders.
    Three channels keep their handedness (a left arm stays a left arm); two are never mirrored horizontally.

    Args:
        skeletons: Positions of each clip.
        layout: Of the joints.

    Returns:
        Rows are the viewer's right, up and forward directions.
    """
    channels = skeletons[0].shape[-1]
    up = _nearest_axis(_mean_direction(skeletons, layout.spine), np.zeros(channels, dtype=bool))
    if channels < 3:
        view = np.zeros((3, channels))
        view[0, 0], view[1] = 1.0, up if up[1] else np.array([0.0, 1.0])
        return view
    leftwards = _mean_direction(skeletons, layout.across)
    if _side(layout.joints[layout.across[0]]) == "left":
        leftwards = -leftwards
    right_of_screen = _nearest_axis(leftwards, up != 0)  # a body that faces us has its left there
    return np.stack([right_of_screen, up, np.cross(right_of_screen, up)])


def _mean_direction(
    skeletons: list[Float32[np.ndarray, "persons frames joints channels"]], ends: tuple[int, int]
) -> Float64[np.ndarray, " channels"]:
    segments = [np.nan_to_num(s[:, :, ends[1]] - s[:, :, ends[0]]).sum((0, 1), dtype=np.float64) for s in skeletons]
    return np.sum(segments, axis=0)


def _nearest_axis(
    direction: Float64[np.ndarray, " channels"], taken: Bool[np.ndarray, " channels"]
) -> Float64[np.ndarray, " channels"]:
    axis = int(np.argmax(np.where(taken, -1.0, np.abs(direction))))
    return np.eye(len(direction))[axis] * (-1.0 if direction[axis] < 0 else 1.0)


def _side(joint: str) -> str:
    return next((side for side in ("left", "right") if side in joint.lower()), "")


def _to_view(
    skeleton: Float32[np.ndarray, "persons frames joints channels"], view: Float64[np.ndarray, "3 channels"]
) -> Int16[np.ndarray, "persons frames joints 3"]:
    """The clip rotated to the viewer, centred, scaled to its extent and quantised; absent persons stay zero."""
    finite = np.nan_to_num(skeleton)
    present = finite.any(axis=(2, 3))
    turned = finite.astype(np.float64) @ view.T
    if not present.any():
        return np.zeros(turned.shape, dtype=np.int16)
    seen = turned[present]
    centred = turned - (seen.min(axis=(0, 1)) + seen.max(axis=(0, 1))) / 2
    extent = np.linalg.norm(centred[present], axis=-1).max()
    centred *= present[:, :, None, None] * _STEPS / max(float(extent), 1e-12)
    return centred.round().astype(np.int16)


def _pack_within(clips: list[Int16[np.ndarray, "persons frames joints 3"]]) -> tuple[int, str]:
    """The largest number of frames per clip that keeps the page small, and the clips packed with it."""
    for frames in _FRAMES:
        packed = pack([clip[:, _even_frames(clip.shape[1], frames)] for clip in clips])
        if len(packed) <= _PACKED_CHARACTERS:
            break
    return frames, packed


def _even_frames(available: int, wanted: int) -> Int64[np.ndarray, " frames"]:
    return np.linspace(0, available - 1, min(available, wanted)).round().astype(np.int64)


def pack(clips: list[Int16[np.ndarray, "persons frames joints 3"]]) -> str:
    """Encode clips as text: int16 differences between frames, all low bytes before all high bytes, deflate, base64.

    The differences are small, so most high bytes are equal and a value takes about one byte.
    """
    if not clips:
        return ""
    steps = np.concatenate([np.diff(clip, axis=1, prepend=np.int16(0)).ravel() for clip in clips])
    planes = steps.astype("<i2").view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")
