"""The command that divides long recordings: windows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.data.store import Clips

PathLike = str | os.PathLike[str]


def windows(
    *, clips: PathLike | Clips, length: str | None = None, stride: str | None = None, whole: bool = False
) -> dict[str, Any]:
    """Divide the recordings of a folder of clips into windows, or put them together again.

    Pretraining, embedding and evaluation then take windows for clips. Frames are not copied: windows are rows of the
    index. A window has the label of the interval that covers at least half of it.

    Args:
        clips: Folder of clips, or its URL.
        length: Length of a window: 2s, 500ms or 1min.
        stride: Time from the beginning of a window to that of the next; by default half of the length.
        whole: Take whole recordings for clips again.

    Returns:
        The numbers of `recordings` and of `clips`, and what the `windows` are.

    Raises:
        InputError: A duration is invalid, or a split has clips of one recording in both parts.
    """
    from i2md.data.describe import set_windows
    from i2md.data.store import Clips, open_clips
    from i2md.data.windows import parse_windows

    if (length is None) != whole or (whole and stride is not None):
        raise InputError("windows: give the length of windows by --length, such as 2s, or --whole to have none")
    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    found = set_windows(opened, None if length is None else parse_windows(length, stride))
    return {
        "recordings": len(found.recordings),
        "clips": len(found),
        "windows": "none" if found.dataset.windows is None else str(found.dataset.windows),
    }
