"""Commands on recordings and clips: prepare, split, info, convert and join."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2md.data.store import Clips

PathLike = str | os.PathLike[str]


def prepare(
    *,
    format: str,
    source: PathLike,
    clips: PathLike,
    layout: str | None = None,
    units: str | None = None,
    axes: str | None = None,
    joints: str | None = None,
    columns: str | None = None,
    fps: float | None = None,
    resample: float | None = None,
    smooth: float | str | None = None,
    max_gap: int | None = None,
    preset: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    jobs: int | None = None,
    precision: str = "float32",
    cluster: str | None = None,
    split_by: str | None = None,
    test_share: float | None = None,
    split_seed: int | None = None,
    windows: str | None = None,
    stride: str | None = None,
    intervals: PathLike | None = None,
    options: Mapping[str, Any] | None = None,
) -> Clips:
    """Read recordings, prepare them and write them to a folder of clips.

    The folder appears once it is complete. Killed or interrupted, the same command resumes where it stopped. What is
    left out, filled in or converted is counted and shown.

    Args:
        format: Format of the recordings: auto (recognise it), mediapipe, openpose, coco, table, sleap, deeplabcut, bvh,
            asf-amc, c3d, humanml3d, ntu-rgbd, pku-mmd, kinetics-skeleton, utd-mhad, msr-action3d, nw-ucla,
            utkinect-action3d, sbu-interaction, arrays, cmd-arrays, ctr-gcn, pyskl, synthetic, or a plug-in's.
        source: Folder, .zip or file of recordings, or its URL (any word for synthetic).
        clips: Folder to write, or its URL.
        layout: Joint layout of the recordings, for formats that do not decide it: a name (see i2md layouts) or a YAML
            file.
        units: Unit of the recordings' coordinates, for formats that do not decide it: m, cm or mm. Clips are in metres
            then.
        axes: What the recordings' coordinates are, in their order, for formats that do not decide it: "x,-z,y" for
            z-up recordings and a layout that is y-up, as those of Kinect are.
        joints: Names of the layout's joints in the order of the recordings, separated by commas, for formats that do
            not decide it.
        columns: Where a table has what, for formats of tables: "x={joint}_x,y={joint}_y,frame=t".
        fps: Frames per second of the recordings, for formats that do not decide it.
        resample: Resample recordings to so many frames per second, by linear interpolation in time.
        smooth: Smooth recordings: by a Savitzky-Golay filter of degree 2 over a window of so many seconds, or by the
            1€ filter (one-euro, or one-euro:MIN_CUTOFF:BETA), which uses the frames before alone.
        max_gap: Interpolate a joint that is missing (NaN) for up to so many frames of the clip; 30 by default.
        preset: Preparation: facing, facing-scaled, facing-rigid, centred-scaled, ntu, denoised or none; by default the
            format's own.
        strict: Stop at the first recording that cannot be read instead of leaving it out.
        overwrite: Replace the clips that are there.
        jobs: Number of worker processes; by default one a core where it is worth it. The bytes written are the same.
        precision: float32, or float16 for half the size.
        cluster: Ray cluster that does the work: auto, local or ray://HOST:PORT.
        split_by: Draw a split in addition to the format's own, as i2md split does: by subject, recording, random or
            time.
        test_share: Share of test clips in that split; 0.3 by default.
        split_seed: Seed of that split; 0 by default.
        windows: Take whole recordings, opened as windows of this length, such as 2s or 500ms; frames are not copied.
        stride: Time from the beginning of a window to that of the next; by default half of the length.
        intervals: File or folder of labelled intervals, which recordings are cut into: .csv, .tsv, .eaf (ELAN), .boris,
            or .json of Label Studio.
        options: Options of the reader, as --options.NAME VALUE.

    Returns:
        The clips, opened.

    Raises:
        InputError: An argument is wrong, or no recording can be prepared.
    """
    from i2md.data import prepare as preparing
    from i2md.data.split_by import SplitBy
    from i2md.data.timing import Timing
    from i2md.data.windows import parse_windows
    from i2md.errors import InputError

    drawn: dict[str, Any] = {
        name: value for name, value in (("test_share", test_share), ("seed", split_seed)) if value is not None
    }
    if drawn and split_by is None:
        raise InputError("test_share and split_seed belong to a split; say which by --split_by")
    how = None if split_by is None else SplitBy(split_by, **drawn)
    if stride is not None and windows is None:
        raise InputError("stride belongs to windows; give their length by --windows, such as 2s")
    divided = None if windows is None else parse_windows(windows, stride)
    described = {"layout": layout, "units": units, "axes": axes, "joints": joints, "columns": columns, "fps": fps}
    of_reader = {**(options or {}), **{name: value for name, value in described.items() if value is not None}}
    return preparing.prepare(
        format,
        source,
        clips,
        preset,
        strict,
        overwrite,
        jobs,
        precision,
        cluster,
        how,
        Timing(resample, smooth),
        max_gap,
        divided,
        intervals,
        **of_reader,
    )


def split(*, clips: PathLike | Clips, by: str = "subject", test_share: float = 0.3, seed: int = 0) -> dict[str, Any]:
    """Draw a split of clips into training and test clips, for data sets that have none.

    The split is added to the clips' description under a name such as subject-0.3-seed0. It is stratified: each class
    has about the same share of test clips. The same arguments draw the same split.

    Args:
        clips: Folder of clips, or its URL.
        by: What is never in both parts: subject, recording (all clips of a file, and other camera views of the same
            performance), random (all clips of a file), or time (the last clips of each file are test clips).
        test_share: Share of the clips that are test clips.
        seed: Seed of the draw; time needs none.

    Returns:
        The name of the `split`, the number of clips in its `parts`, and `warnings`.

    Raises:
        InputError: There are no two subjects, recordings or clips of one recording to tell apart.
    """
    from i2md.data.info import split_warnings
    from i2md.data.split_by import SplitBy, add_split
    from i2md.data.splits import select_part
    from i2md.data.store import Clips, open_clips

    how = SplitBy(by, test_share, seed)
    found = add_split(clips if isinstance(clips, Clips) else open_clips(clips), how)
    parts = found.dataset.splits[how.name]
    noted = [text for text in found.dataset.report.get("warnings", ()) if text.startswith(f"split {how.name!r}: ")]
    return {
        "clips": str(found.path),
        "split": how.name,
        "parts": {name: len(select_part(part, found.split_columns)) for name, part in parts.items()},
        "warnings": [*noted, *split_warnings(found, how.name)],
    }


def info(*, clips: PathLike | Clips, classes: bool = False) -> dict[str, Any]:
    """Show what a folder of clips holds, and what looks wrong with it.

    Args:
        clips: Folder of clips, or its URL.
        classes: Print the number of clips of each class, too.

    Returns:
        Counts, lengths, layout, classes, splits, copies and warnings, as plain data.

    Raises:
        InputError: The folder holds no clips, or they are damaged.
    """
    from i2md.data import info as description
    from i2md.data.store import Clips, open_clips

    return description.info(clips if isinstance(clips, Clips) else open_clips(clips))


def convert(*, clips: PathLike | Clips, out: PathLike, to: str | None = None, overwrite: bool = False) -> Clips:
    """Write clips in another joint layout, with their labels and splits.

    Joints are found by their names, whatever a layout calls them; the pelvis, neck, spine, head and hands are means of
    others where they have to be. What cannot be had is missing, and named. The clips are prepared by the same preset
    again. Killed or interrupted, the same command resumes.

    Args:
        clips: Folder of clips, or its URL.
        out: Folder of clips to write, or its URL.
        to: Layout wanted: a name (see i2md layouts) or a YAML file.
        overwrite: Replace the clips that are there.

    Returns:
        The converted clips, opened.

    Raises:
        InputError: There is no such layout, or too few of its joints can be had.
    """
    from i2md.data import convert as converting
    from i2md.errors import InputError

    if to is None:
        raise InputError("convert: name the layout wanted by --to, such as --to kinect-v1 (see i2md layouts)")
    return converting.convert(clips, out, to, overwrite)


def join(*, out: PathLike, clips: Sequence[PathLike | Clips], to: str | None = None, overwrite: bool = False) -> Clips:
    """Write the clips of several folders into one folder, to pretrain on all of them.

    Clips are named `DATASET/NAME`; classes and subjects of different data sets stay apart. Splits are not carried
    over.

    Args:
        out: Folder of clips to write.
        clips: Folders of clips of one layout, preparation and unit; two or more.
        to: Layout that all are converted to, as by i2md convert; by default all must have the same.
        overwrite: Replace the clips that are there.

    Returns:
        The joined clips, opened.

    Raises:
        InputError: Layouts, preparations or units differ, or two data sets share a name.
    """
    from i2md.data import join as joining

    return joining.join(out, clips, overwrite, to)
