"""What the readers of pose estimators' output share: bodies per frame become the persons of a recording.

A reader finds files, tells the layout, and parses each recording into a `Pose`; names, labels, low confidence, the
order of persons and frames without anybody are handled here, in the same way for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int64

from i2md.data.persons import Bodies, arrange, without_low_confidence
from i2md.data.readers.clip_table import ClipTable, clip_table
from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.readers.limits import require_size
from i2md.data.readers.reading import Reading, to_positions
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import Layout
from i2md.skeletons.mapping import Weights, means_of_others

# Frames that may lie between two detections: more are a damaged number rather than a pause.
_LONGEST_PAUSE = 100_000
_MOST_FRAMES = 1_000
_FRAMES_A_BODY = 300
# Files that are tried before all count as unreadable.
_TRIED = 10

T = TypeVar("T")

FILE = 1000
"""As `unique_parts` of find_files: files of the same name in two folders are two clips."""


def first_parsed(path: Path, files: Sequence[File], parse: Callable[[File], T]) -> T:
    """What the first file that can be read says of all: their joints or columns.

    Args:
        path: Where the files are, named in the message.
        files: Some of the first are tried.
        parse: Reads a file; raises BadFile where that fails.

    Raises:
        InputError: None of them can be read; the message has the reason of the first.
    """
    reason = ""
    for file in files[:_TRIED]:
        try:
            return parse(file)
        except BadFile as error:
            reason = reason or f"{file.name}: {error}"
    raise InputError(f"{path}: {reason}")


class Pose(NamedTuple):
    """What a file says of one recording."""

    bodies: Bodies
    """Frames may have any numbers, in any order."""
    name: str = ""
    """Name of the recording, if its file holds several."""
    fps: float = 0.0
    """Frame rate, if the file gives it."""
    listed: Int64[np.ndarray, " frames"] | None = None
    """Numbers of all frames, if the file also lists those without anybody."""
    counts: Mapping[str, int] = {}
    by_id: bool = False
    """Whether persons are in the order of their identities rather than the one seen longest first."""
    not_read: tuple[str, ...] = ()
    """What else the file holds of the recording, a phrase each."""


@dataclass(frozen=True)
class PoseOptions:
    """The options that the readers of pose estimators' output have in common."""

    persons: int = 2
    score: float = 0.0
    fps: float = 0.0

    def __post_init__(self) -> None:
        if self.persons < 1 or not 0 <= self.score < 1:
            raise InputError(
                f"persons {self.persons}, score {self.score:g}: give at least one person and a score from 0 to below 1"
            )
        if not 0 <= self.fps <= 10_000:
            raise InputError(f"fps {self.fps:g}: give the frames per second of the recordings, such as 30")


@dataclass(frozen=True)
class Recordings:
    """A pass over recordings of one or several files each; Divisible by recordings."""

    groups: tuple[tuple[str, tuple[File, ...]], ...]
    """The name of each recording and its files, in order."""
    layout: Layout
    parse: Callable[[Iterable[tuple[File, bytes]]], Pose | Sequence[Pose]]
    """Turns the files of a recording into its pose; raises BadFile if it cannot."""
    table: ClipTable
    options: PoseOptions
    several: bool = False
    """Whether a file holds several recordings, whose names follow its own."""
    means: Mapping[int, Weights] = field(default_factory=dict)
    """Joints that the files lack and that are means of others, with these and their weights."""

    def __len__(self) -> int:
        return len(self.groups)

    def part(self, start: int, stop: int) -> Recordings:
        """The pass over recordings `start` to `stop` - 1."""
        groups = self.groups[start:stop]
        table = self.table if self.several else self.table.part([name for name, _ in groups])
        return replace(self, groups=groups, table=table)

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """Yield the recordings, or an Unreadable for one that is invalid."""
        for name, files in self.groups:
            reading = Reading((), self.layout, partial(self._parse, name))
            yield from reading.read_one(files[0], partial(_loaded, files))

    def _parse(self, name: str, first: File, files: Iterable[tuple[File, bytes]]) -> Sequence[Recording]:
        parsed = self.parse(files)
        poses = [parsed] if isinstance(parsed, Pose) else parsed
        if not poses:
            raise BadFile("no recording in it")
        return [self._recording(name, first, pose) for pose in poses]

    def _recording(self, name: str, first: File, pose: Pose) -> Recording:
        whole = full_name(name, pose.name)
        label, subject = self.table.label(whole), self.table.subject(whole)
        found = recording_of(pose, self.options, self.means)
        return replace(found, name=whole, label=label, subject=subject, source=first.name)


def recording_of(pose: Pose, options: PoseOptions, means: Mapping[int, Weights] | None = None) -> Recording:
    """The bodies of a recording put in order: joints of low confidence are missing, and persons told apart.

    Args:
        pose: What a file says of it.
        options: What to keep.
        means: Joints that are means of others, which are missing where one of those is.

    Returns:
        The recording, under the name that its file gives it.

    Raises:
        BadFile: Nobody is seen, or the numbers of the frames cannot be right.
    """
    bodies, counts = without_low_confidence(pose.bodies, options.score)
    if not len(bodies.frames):
        raise BadFile(f"{pose.name}: nobody is seen in any frame" if pose.name else "nobody is seen in any frame")
    bodies, frames, step = _numbered(bodies, pose.bodies.frames if pose.listed is None else pose.listed)
    for joint, of in (means or {}).items():
        bodies.positions[:, joint] = sum(weight * bodies.positions[:, other] for other, weight in of)
    require_size(8 * frames * options.persons * bodies.positions[0].size, "the recording")
    persons = arrange(bodies, frames, options.persons, pose.by_id)
    return Recording(
        name=pose.name,
        positions=to_positions(persons.positions),
        fps=options.fps or pose.fps / step,
        not_read=pose.not_read,
        counts={**pose.counts, **counts, **persons.counts, "recordings_of_every_nth_frame": int(step > 1)},
    )


def pose_source(
    path: Path,
    groups: Sequence[tuple[str, tuple[File, ...]]],
    layout: Layout,
    parse: Callable[[Iterable[tuple[File, bytes]]], Pose | Sequence[Pose]],
    options: PoseOptions,
    *,
    units: str,
    preset: str | None = None,
    clips: Sequence[str] | None = None,
    table: ClipTable | None = None,
    left_out: Mapping[str, int] | None = None,
    missing: Sequence[str] = (),
) -> Source:
    """Open recordings of poses.

    Args:
        path: The folder, .zip or file that was given.
        groups: The name of each recording and its files, in order.
        layout: Joints and channels of the recordings.
        parse: Turns the files of a recording into its pose, or several; raises BadFile if it cannot.
        options: What to keep of them.
        units: Unit of the coordinates.
        preset: The preparation; by default facing in 3-D, centred-scaled in 2-D.
        clips: Names of all clips, if a file holds several.
        table: What is known of the clips; by default what labels.csv or their folders say.
        left_out: What is known to be left out, counted.
        missing: Joints of the layout that the files lack. Those that are means of others by the usual constructions,
            as the pelvis is of both hips, are made.

    Returns:
        The recordings, named by their paths without suffix, with labels from labels.csv or from their folders.

    Raises:
        InputError: If two recordings have the same name, or labels.csv is invalid.
    """
    names = [name for name, _ in groups] if clips is None else list(clips)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: {twice} appears twice, in files of two kinds; keep one of the files")
    if table is None:
        table = clip_table(path, names)
    means = means_of_others(layout, missing)
    made = ", ".join(layout.joints[joint] for joint in means)
    lacking = [name for name in missing if layout.joints.index(name) not in means]
    if lacking:
        left_out = {
            **(left_out or {}),
            f"joints of layout {layout.name} that the files lack, such as {lacking[0]}": len(lacking),
        }
    return Source(
        name=path.stem,
        layout=layout,
        class_names=table.class_names,
        units=units,
        preset=preset or ("facing" if layout.channels == 3 else "centred-scaled"),
        read=Recordings(tuple(groups), layout, parse, table, options, clips is not None, means),
        count=len(groups) if clips is None else len(clips),
        splits=table.splits,
        left_out={**table.left_out, **(left_out or {})},
        options={"persons": options.persons, "score": options.score},
        converted={"means of others": made} if made else {},
    )


def one_file_each(files: Sequence[File], several: bool = False) -> list[tuple[str, tuple[File, ...]]]:
    """The groups of recordings of one file each, named by their paths without suffix.

    Args:
        files: The files.
        several: Whether a file holds several recordings; the only file then has no name besides theirs.

    Returns:
        As `groups` of `pose_source`.
    """
    if several and len(files) == 1:
        return [("", tuple(files))]
    return [(str(PurePosixPath(file.name).with_suffix("")), (file,)) for file in files]


def full_name(file: str, recording: str) -> str:
    """The name of a recording within a file.

    Args:
        file: Name of the file, or of its group.
        recording: Name in the file; empty if it holds one.

    Example:
        >>> full_name("day-1", "walk"), full_name("", "walk"), full_name("day-1", "")
        ('day-1/walk', 'walk', 'day-1')
    """
    return "/".join(filter(None, (file, recording)))


def _loaded(files: Sequence[File]) -> Iterator[tuple[File, bytes]]:
    for file, load in load_each(files):
        yield file, load()


def _numbered(bodies: Bodies, all_frames: np.ndarray) -> tuple[Bodies, int, int]:
    """The bodies in the order of frames, counted from the first frame listed; how many frames; and of how many one."""
    listed = np.unique(all_frames)
    steps = np.diff(listed)
    if len(steps) and int(steps.max()) > _LONGEST_PAUSE:
        at = int(steps.argmax())
        raise BadFile(f"frame {listed[at]} is followed by {listed[at + 1]}")
    # Every fifth frame of a video is a recording of a fifth of its frame rate.
    step = max(int(np.gcd.reduce(steps)), 1) if len(steps) else 1
    frames = (int(listed[-1]) - int(listed[0])) // step + 1
    if frames > _MOST_FRAMES + _FRAMES_A_BODY * len(bodies.frames):
        raise BadFile(f"{frames} frames from {listed[0]} to {listed[-1]}, of which {len(listed)} hold anybody")
    order = np.argsort(bodies.frames, kind="stable")
    chosen = (None if values is None else values[order] for values in (bodies.confidence, bodies.ids))
    return Bodies((bodies.frames[order] - listed[0]) // step, bodies.positions[order], *chosen), frames, step
