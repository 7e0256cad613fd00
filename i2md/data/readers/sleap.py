"""SLEAP (Pereira et al., Nature Methods 2022): projects and predictions (.slp) and analysis files (.h5), through h5py.

- .slp: predicted and user's instances of each labelled frame, with their tracks; a user's instance replaces the
  predicted one that it was made from. A file of several videos is several recordings.
- analysis .h5: `tracks` (tracks, 2, nodes, frames), `node_names`, `edge_inds` and `point_scores`.

Positions are pixels, y down. The layout is the given one, the one that the names of the nodes are of, or the skeleton
of the first file, whose edges must be a tree and whose names tell left from right (i2md.skeletons.inference).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.joint_names import Match, find_layout, match_layout
from i2md.data.readers.limits import require_size
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import FILE, Pose, PoseOptions, first_parsed, full_name, one_file_each, pose_source
from i2md.data.recording import Source
from i2md.errors import InputError, require_extra
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.skeletons import get_layout, make_layout

FILES = re.compile(r"[^.].*\.(slp|h5|hdf5)", re.IGNORECASE)
_MOST_NODES = 1000


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    axes: str | None = None,
) -> Source:
    """Open .slp and analysis .h5 files of SLEAP.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default the one that the names of the nodes are of, or the file's skeleton.
        fps: Frame rate of the video; the files do not hold it.
        persons: Persons (or animals) kept at most.
        score: A joint whose confidence is this or less is missing.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings, in pixels.

    Raises:
        InputError: If there is no such file, h5py is not installed, or the skeleton is of no layout.
    """
    require_extra("h5py", "sleap", "SLEAP files")
    files = find_files(path, FILES, ".slp or .h5 files of SLEAP", unique_parts=FILE)
    first = first_parsed(path, files, lambda file: _labels(load_file(file)))
    match = _match(path, first, layout)
    match = match._replace(layout=match.layout.with_channels(2))
    several = len(first.videos) > 1
    groups = one_file_each(files, several)
    clips = [full_name(name, video) for name, (file,) in groups for video in _videos(file)] if several else None
    options = PoseOptions(persons, score, fps)
    source = pose_source(
        path,
        groups,
        match.layout,
        _Parser(match, first.nodes, several),
        options,
        units="px",
        clips=clips,
        missing=match.missing,
    )
    return convert(source, None, axes)


@dataclass(frozen=True)
class _Labels:
    """The content of a file."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    videos: tuple[str, ...]
    video: np.ndarray
    """The video of each instance."""
    bodies: Bodies


def _videos(file: File) -> Sequence[str]:
    try:
        return _labels(load_file(file)).videos
    except BadFile:
        # Named and counted when the recordings are read.
        return ()


def _match(path: Path, first: _Labels, layout: str | None) -> Match:
    if layout is not None:
        match = match_layout(first.nodes, get_layout(layout))
        if all(at < 0 for at in match.order):
            raise InputError(f"{path}: none of the nodes {shown(', '.join(first.nodes))} is one of layout {layout}")
        return match
    found = find_layout(first.nodes)
    if found is not None and not found.missing:
        return found
    parents = [-1] * len(first.nodes)
    for source, target in first.edges:
        parents[target] = source
    try:
        own = make_layout("sleap", first.nodes, parents)
    except InputError as error:
        raise InputError(f"{path}: its skeleton is no layout ({error}); give --layout my.yaml (i2md layouts)") from None
    return Match(own, tuple(range(len(first.nodes))))


@dataclass(frozen=True)
class _Parser:
    match: Match
    nodes: tuple[str, ...]
    several: bool

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Sequence[Pose]:
        ((_, data),) = files
        labels = _labels(data)
        if labels.nodes != self.nodes:
            raise BadFile(
                "its nodes are not those of the first file; prepare files of different skeletons by themselves"
            )
        if not self.several and len(labels.videos) > 1:
            raise BadFile(f"{len(labels.videos)} videos in it, and one in the first file; prepare it by itself")
        return [self._pose(labels, at) for at in range(len(labels.videos))]

    def _pose(self, labels: _Labels, video: int) -> Pose:
        chosen = labels.video == video
        frames, positions, confidence, ids = labels.bodies
        assert confidence is not None
        order = np.array(self.match.order)
        positions = np.where((order < 0)[:, None], np.nan, positions[chosen][:, order])
        return Pose(
            Bodies(frames[chosen], positions, confidence[chosen][:, order], None if ids is None else ids[chosen]),
            labels.videos[video] if self.several else "",
        )


def _labels(data: bytes) -> _Labels:
    import h5py

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return _analysis(file) if "tracks" in file else _project(file)
    # On a damaged file h5py may raise any of these.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BadFile(f"not a file of SLEAP that can be read ({reason})") from None


def _read(file: Any, name: str) -> np.ndarray:
    dataset = file[name]
    require_size(int(dataset.size) * max(int(dataset.dtype.itemsize), 1), name)
    return dataset[()]


def _names(values: Any) -> tuple[str, ...]:
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    if not texts or len(set(texts)) < len(texts) or len(texts) > _MOST_NODES:
        raise BadFile(f"{len(texts)} nodes, of which some have the same name" if texts else "no nodes")
    return tuple(texts)


def _analysis(file: Any) -> _Labels:
    tracks = np.asarray(_read(file, "tracks"), dtype=np.float64)
    nodes = _names(_read(file, "node_names"))
    # SLEAP writes for MATLAB; its own library can also write (frames, tracks, nodes, 2).
    if tracks.ndim == 4 and tracks.shape[3] == 2 and tracks.shape[2] == len(nodes):
        tracks = tracks.transpose(1, 3, 2, 0)
    if tracks.ndim != 4 or tracks.shape[1:3] != (2, len(nodes)):
        raise BadFile(f"tracks are {tracks.shape}, not (tracks, 2, {len(nodes)}, frames)")
    positions = tracks.transpose(3, 0, 2, 1)
    confidence = np.ones(positions.shape[:3])
    if "point_scores" in file:
        scores = np.asarray(_read(file, "point_scores"), dtype=np.float64)
        scores = scores if scores.shape == tracks[:, 0].shape else scores.transpose(1, 2, 0)
        if scores.shape == tracks[:, 0].shape:
            # Points that a person set have no score.
            confidence = np.nan_to_num(scores.transpose(2, 0, 1), nan=1.0)
    count = positions.shape[1]
    found = ~np.isnan(positions).all(axis=(2, 3))
    at, track = np.nonzero(found)
    edges = _read(file, "edge_inds").reshape(-1, 2).tolist() if "edge_inds" in file else []
    ids = track if count > 1 and "track_names" in file else None
    bodies = Bodies(at, positions[found], confidence[found], ids)
    return _Labels(nodes, _edges(edges, len(nodes)), ("",), np.zeros(len(at), dtype=np.int64), bodies)


def _edges(pairs: Iterable[Any], nodes: int) -> tuple[tuple[int, int], ...]:
    edges = [(int(a), int(b)) for a, b in pairs]
    if not all(0 <= a < nodes and 0 <= b < nodes for a, b in edges):
        raise BadFile("an edge ends at a node that there is not")
    return tuple(edges)


def _project(file: Any) -> _Labels:
    text = file["metadata"].attrs["json"]
    try:
        metadata = parse_json(bytes(text) if isinstance(text, bytes) else str(text))
    except NotPlainData as error:
        raise BadFile(f"its metadata is {error}") from None
    nodes, edges = _skeleton(metadata)
    frames, instances = _read(file, "frames"), _read(file, "instances")
    points, predicted = _read(file, "points"), _read(file, "pred_points")
    replaced = {int(number) for number in instances["from_predicted"] if number >= 0}
    by_frame = {int(row["frame_id"]): (int(row["video"]), int(row["frame_idx"])) for row in frames}
    videos = [_video(value, at) for at, value in enumerate(_read(file, "videos_json"))] if "videos_json" in file else []
    rows = [row for row in instances if int(row["instance_id"]) not in replaced and int(row["frame_id"]) in by_frame]
    positions = np.full((len(rows), len(nodes), 2), np.nan)
    confidence = np.ones((len(rows), len(nodes)))
    for at, row in enumerate(rows):
        source = predicted if int(row["instance_type"]) else points
        start, end = int(row["point_id_start"]), int(row["point_id_end"])
        if not 0 <= start <= end <= len(source) or end - start != len(nodes):
            raise BadFile(f"instance {at} has {end - start} points, not {len(nodes)}")
        found = source[start:end]
        # Projects before format 1.1 count pixels from their corner; half a pixel is below what is told apart here.
        positions[at] = np.where(found["visible"][:, None], np.stack([found["x"], found["y"]], axis=1), np.nan)
        if "score" in (found.dtype.names or ()):
            confidence[at] = found["score"]
    placed = np.array([by_frame[int(row["frame_id"])] for row in rows], dtype=np.int64).reshape(-1, 2)
    video, index = placed.T
    tracks = np.array([int(row["track"]) for row in rows], dtype=np.int64)
    names = _distinct(videos) if len(videos) > 1 else ("",)
    if len(video) and int(video.max()) >= len(names):
        raise BadFile("an instance is of a video that there is not")
    seen = ~np.isnan(positions).all(axis=(1, 2))
    ids = tracks[seen] if (tracks[seen] >= 0).all() and len(tracks[seen]) else None
    bodies = Bodies(index[seen], positions[seen], confidence[seen], ids)
    return _Labels(nodes, edges, names, video[seen], bodies)


def _skeleton(metadata: Any) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """The nodes of the first skeleton in their order, and its edges."""
    skeleton = metadata["skeletons"][0]
    ids = [node["id"] for node in skeleton["nodes"]]
    if not all(isinstance(each, int) for each in ids):
        raise BadFile("its skeleton is written in another way than SLEAP does; save the project again")
    place = {each: at for at, each in enumerate(ids)}
    nodes = _names(metadata["nodes"][each]["name"] for each in ids)
    pairs = []
    for link in skeleton["links"]:
        kind = link.get("type", {})
        symmetric = kind.get("py/id") == 2 or kind.get("py/reduce", [{}, {}])[1] == {"py/tuple": [2]}
        if not symmetric and link["source"] in place and link["target"] in place:
            pairs.append((place[link["source"]], place[link["target"]]))
    return nodes, _edges(pairs, len(nodes))


def _video(value: Any, at: int) -> str:
    try:
        content = parse_json(value)
        name = content.get("filename") or content["backend"]["filename"]
    except (NotPlainData, KeyError, TypeError, AttributeError):
        name = ""
    return PurePosixPath(name.replace("\\", "/")).stem if isinstance(name, str) and name else f"video-{at}"


def _distinct(videos: Sequence[str]) -> tuple[str, ...]:
    return tuple(name if videos.count(name) == 1 else f"{name}-{at}" for at, name in enumerate(videos))
