"""C3D motion capture: positions of markers, from which joints are means.

The layout is the given one, or the one that the labels of the points are of. Other labels need a table of markers: by
default that of the Plug-in Gait marker set (Vicon), which gives openni-15; `markers`, a YAML file, states another, each
joint of the layout with its markers:

    left elbow: [LELB, LELM]
    left hand: LFIN

A joint is missing in a frame in which one of its markers is. The unit is that of the file (POINT:UNITS), converted to
metres; z is often up there: `--axes "x,-z,y"`. The library is c3d, which reads from memory; ezc3d needs a file.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.joint_names import find_layout, match_layout
from i2md.data.readers.limits import require_size
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import FILE, Pose, PoseOptions, first_parsed, one_file_each, pose_source
from i2md.data.recording import Source
from i2md.errors import InputError, require_extra, shortened
from i2md.runtime.plain_data import NotPlainData, read_yaml
from i2md.skeletons import Layout, get_layout

FILES = re.compile(r"[^.].*\.c3d", re.IGNORECASE)
_UNITS = ("m", "cm", "mm")
# Joints of openni-15 as means of markers of the Plug-in Gait set.
_PLUG_IN_GAIT = {
    "head": ("LFHD", "RFHD", "LBHD", "RBHD"),
    "neck": ("C7", "CLAV"),
    "torso": ("T10", "STRN"),
    "left shoulder": ("LSHO",),
    "left elbow": ("LELB",),
    "left hand": ("LWRA", "LWRB"),
    "right shoulder": ("RSHO",),
    "right elbow": ("RELB",),
    "right hand": ("RWRA", "RWRB"),
    "left hip": ("LASI", "LPSI"),
    "left knee": ("LKNE",),
    "left foot": ("LANK",),
    "right hip": ("RASI", "RPSI"),
    "right knee": ("RKNE",),
    "right foot": ("RANK",),
}


@dataclass(frozen=True)
class _Points:
    """The points of a file."""

    labels: tuple[str, ...]
    rate: float
    units: str
    positions: Float64[np.ndarray, "frames points 3"]


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    markers: str | None = None,
    fps: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
) -> Source:
    """Open .c3d files.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints.
        markers: A YAML file that gives each joint its marker or markers.
        fps: Frame rate; by default that of the file.
        units: Unit of the coordinates; by default that of the first file.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings.

    Raises:
        InputError: If there is no such file, c3d is not installed, or the labels are of no layout.
    """
    require_extra("c3d", "mocap", "C3D files")
    files = find_files(path, FILES, ".c3d files", unique_parts=FILE)
    first = first_parsed(path, files, lambda file: _points(load_file(file)))
    known, table = _joints(path, first, layout, _read_markers(markers))
    missing = [joint for joint in known.joints if joint not in table]
    left_out = (
        {f"joints of layout {known.name} without a marker, such as {missing[0]}": len(missing)} if missing else {}
    )
    used = {label for labels in table.values() for label in labels}
    unused = [label for label in first.labels if label not in used]
    if unused:
        left_out[f"markers that no joint has, such as {shown(unused[0])}"] = len(unused)
    stated = first.units if first.units in _UNITS else None
    options = PoseOptions(1, 0.0, fps)
    parser = _Parser(known, table, first.units)
    source = pose_source(path, one_file_each(files), known, parser, options, units="unknown", left_out=left_out)
    return convert(source, units or stated, axes)


def _read_markers(file: str | None) -> Mapping[str, tuple[str, ...]] | None:
    if file is None:
        return None
    try:
        content = read_yaml(Path(file))
    except (OSError, NotPlainData) as error:
        raise InputError(f"{file}: {shortened(error)}; give a YAML file of joints and their markers") from None
    table = {}
    for joint, markers in (content if isinstance(content, dict) else {}).items():
        listed = [markers] if isinstance(markers, str) else markers
        if not isinstance(listed, list) or not listed or not all(isinstance(each, str) for each in listed):
            raise InputError(f"{file}: {str(joint)[:40]}: give a marker, or a list of markers")
        table[str(joint)] = tuple(listed)
    if not table:
        raise InputError(f"{file}: give each joint with its marker or markers, for example left elbow: [LELB, LELM]")
    return table


def _joints(
    path: Path, first: _Points, layout: str | None, markers: Mapping[str, tuple[str, ...]] | None
) -> tuple[Layout, dict[str, tuple[str, ...]]]:
    """The layout, and the markers of each of its joints."""
    labels = {label.upper(): label for label in first.labels}
    if markers is None:
        match = match_layout(first.labels, get_layout(layout)) if layout else find_layout(first.labels)
        if match is not None and any(at >= 0 for at in match.order):
            pairs = zip(match.layout.joints, match.order, strict=True)
            return match.layout, {joint: (first.labels[at],) for joint, at in pairs if at >= 0}
        markers = _PLUG_IN_GAIT
        if layout not in (None, "openni-15") or not all(each in labels for all_ in markers.values() for each in all_):
            raise InputError(
                f"{path}: the markers {shown(', '.join(first.labels))} are joints of no layout, nor the Plug-in Gait"
                " set; give --layout, and --options.markers FILE with the markers of each joint"
            )
    known = get_layout(layout or "openni-15")
    table = {}
    for joint, listed in markers.items():
        if joint not in known.joints:
            raise InputError(f"markers: layout {known.name} has no joint {joint[:40]!r}; give --layout")
        absent = [label for label in listed if label.upper() not in labels]
        if absent:
            raise InputError(f"{path}: there is no marker {absent[0][:40]!r} for {joint}; correct the file of markers")
        table[joint] = tuple(labels[label.upper()] for label in listed)
    return known, table


@dataclass(frozen=True)
class _Parser:
    layout: Layout
    table: Mapping[str, tuple[str, ...]]
    units: str

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        ((_, data),) = files
        points = _points(data)
        if points.units != self.units:
            raise BadFile(f"its unit is {points.units or 'not stated'}, and that of the first file {self.units}")
        place = {label: at for at, label in enumerate(points.labels)}
        absent = sorted({label for labels in self.table.values() for label in labels} - set(place))
        if absent:
            raise BadFile(f"no marker {absent[0][:40]}, which the first file has")
        positions = np.full((len(points.positions), len(self.layout.joints), 3), np.nan)
        for joint, labels in self.table.items():
            chosen = points.positions[:, [place[label] for label in labels]]
            positions[:, self.layout.joints.index(joint)] = chosen.mean(axis=1)
        return Pose(Bodies(np.arange(len(positions)), positions), fps=points.rate)


def _points(data: bytes) -> _Points:
    import c3d

    try:
        # The library warns of headers and parameters that disagree.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = c3d.Reader(io.BytesIO(data))
            frames = reader.last_frame - reader.first_frame + 1
            require_size(8 * max(frames, 0) * max(int(reader.point_used), 1) * 5, "the recording")
            rows = [points.copy() for _, points, _ in reader.read_frames(copy=False)]
            labels = _labels(reader)
            units = str(reader.get_string("POINT:UNITS")).strip().strip("\0").lower() if "POINT" in reader else ""
            rate = float(reader.point_rate)
    # On a damaged file the library may raise any exception.
    except Exception as error:
        raise BadFile(f"not a C3D file that can be read ({' '.join(str(error).split())[:160]})") from None
    if not rows or not labels or len(labels) != rows[0].shape[0]:
        raise BadFile(f"{len(rows)} frames, {len(labels)} labels of points")
    values = np.array(rows, dtype=np.float64)
    # A residual of -1 marks a marker that was not seen.
    positions = np.where(values[..., 3:4] < 0, np.nan, values[..., :3])
    return _Points(labels, rate if 0 < rate < 100_000 else 0.0, units, positions)


def _labels(reader: Any) -> tuple[str, ...]:
    """The labels of the points, without the name of the subject; of two that are equal the first."""
    labels = [str(label).strip().strip("\0").rpartition(":")[2].strip() for label in reader.point_labels]
    seen: dict[str, int] = {}
    for at, label in enumerate(labels):
        labels[at] = f"{label} {seen[label]}" if label in seen else label
        seen[label] = seen.get(label, 0) + 1
    return tuple(labels[: int(reader.point_used)])
