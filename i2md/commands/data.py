"""Commands on recordings and clips: prepare, info and join."""

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
    preset: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    jobs: int | None = None,
    precision: str = "float32",
    cluster: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Clips:
    """Read recordings, prepare them and write them to a folder of clips.

    The folder appears once it is complete. Killed or interrupted, the same command resumes where it stopped. What is
    left out, filled in or converted is counted and shown.

    Args:
        format: Format of the recordings: ntu-rgbd, pku-mmd, kinetics-skeleton, utd-mhad, msr-action3d, nw-ucla,
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
        preset: Preparation: facing, facing-scaled, ntu or none; by default the format's own.
        strict: Stop at the first recording that cannot be read instead of leaving it out.
        overwrite: Replace the clips that are there.
        jobs: Number of worker processes; by default one a core where it is worth it. The bytes written are the same.
        precision: float32, or float16 for half the size.
        cluster: Ray cluster that does the work: auto, local or ray://HOST:PORT.
        options: Options of the reader, as --options.NAME VALUE.

    Returns:
        The clips, opened.

    Raises:
        InputError: An argument is wrong, or no recording can be prepared.
    """
    from i2md.data import prepare as preparing

    described = {"layout": layout, "units": units, "axes": axes, "joints": joints}
    of_reader = {**(options or {}), **{name: value for name, value in described.items() if value is not None}}
    return preparing.prepare(format, source, clips, preset, strict, overwrite, jobs, precision, cluster, **of_reader)


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


def join(*, out: PathLike, clips: Sequence[PathLike | Clips], overwrite: bool = False) -> Clips:
    """Write the clips of several folders into one folder, to pretrain on all of them.

    Clips are named `DATASET/NAME`; classes and subjects of different data sets stay apart. Splits are not carried
    over.

    Args:
        out: Folder of clips to write.
        clips: Folders of clips of one layout, preparation and unit; two or more.
        overwrite: Replace the clips that are there.

    Returns:
        The joined clips, opened.

    Raises:
        InputError: Layouts, preparations or units differ, or two data sets share a name.
    """
    from i2md.data import join as joining

    return joining.join(out, clips, overwrite)
