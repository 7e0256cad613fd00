"""The command that shows recordings and clips: view."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.data.store import Clips

PathLike = str | os.PathLike[str]


def view(
    *,
    source: PathLike | Clips,
    out: PathLike | None = None,
    clips: Sequence[str] | None = None,
    most: int = 48,
    gif: PathLike | None = None,
    mp4: PathLike | None = None,
    png: PathLike | None = None,
    format: str | None = None,
    layout: str | None = None,
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a page that shows clips or recordings: skeletons that play, timelines, what is missing.

    The page is one file that needs no server and no network. It shows clips as recorded beside as prepared, where the
    recordings are still at hand, and what was left out and why.

    Args:
        source: Folder of clips, or its URL; or recordings, which are read by --format and not written.
        out: HTML page to write; by default view.html in the folder of clips, or here for recordings.
        clips: Names of the clips to show, in which * stands for any text; by default as many of each class.
        most: How many clips are shown at most.
        gif: GIF animation to write, too, of up to 12 of the clips.
        mp4: MP4 video of them to write, too.
        png: PNG image of them to write, too, three moments of each.
        format: Format of the recordings, as in prepare.
        layout: Joint layout of the recordings, for formats that do not decide it: a name or a YAML file.
        preset: Preparation of the recordings; by default the format's own.
        options: Options of the reader, as --options.NAME VALUE.

    Returns:
        The path of the `page`, the numbers of `clips` and of clips `shown`, of `recordings` with a timeline, and the
        paths of the images.

    Raises:
        InputError: There are neither clips nor recordings, or no clip of such a name.
    """
    from i2md.data.storage.remote import is_remote, to_path
    from i2md.data.store import Clips, open_clips
    from i2md.pages.images import check_images, write_images
    from i2md.pages.view import view_clips, write_view

    if most < 1:
        raise InputError(f"most is {most}; give the number of clips to show, 1 or more")
    images = {kind: Path(path) for kind, path in (("gif", gif), ("mp4", mp4), ("png", png)) if path is not None}
    check_images(images)
    described = {"layout": layout, **(options or {})}
    of_reader = {name: value for name, value in described.items() if value is not None}
    if isinstance(source, Clips) or (to_path(source) / "dataset.json").is_file():
        if format is not None or preset is not None or of_reader:
            raise InputError("view: --format, --layout, --preset and --options are for recordings; these are clips")
        opened = source if isinstance(source, Clips) else open_clips(source)
        viewed = view_clips(opened, clips, most)
        page = Path("view.html") if is_remote(opened.path) else opened.path / "view.html"
    else:
        if clips is not None:
            raise InputError("view: --clips names clips of a folder of clips; prepare the recordings first")
        viewed = _recordings(to_path(source), format, preset, most, of_reader)
        page = Path("view.html")
    written = write_view(viewed, Path(out) if out else page)
    write_images(viewed, images)
    return {
        "page": str(written),
        "clips": viewed.total,
        "shown": len(viewed.clips),
        "recordings": len(viewed.recordings),
        **{kind: str(path) for kind, path in images.items()},
    }


def _recordings(path: Path, format: str | None, preset: str | None, most: int, options: Mapping[str, Any]) -> Any:
    from i2md.data.prepare import preset_for
    from i2md.data.readers import open_source, reader_names
    from i2md.pages.view import view_source

    if format is None:
        if "auto" not in reader_names():
            raise InputError(f"{path}: not a folder of clips; for recordings name their format by --format")
        format = "auto"
    opened = open_source(format, path, **options)
    return view_source(opened, preset_for(opened, preset), path, most)
