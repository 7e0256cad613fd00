"""Change the description of clips that are on disk already: add a split, divide recordings into windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from i2md.data.dataset import Dataset
from i2md.data.storage.remote import is_remote, write_bytes
from i2md.data.store import Clips, open_clips
from i2md.data.windows import Windows
from i2md.errors import InputError
from i2md.runtime.io import locked, write_text


def change_description(clips: Clips, change: Callable[[Dataset], Dataset]) -> Clips:
    """Write dataset.json again; what another process has changed meanwhile is kept.

    Args:
        clips: Opened clips.
        change: From the description as it is to the one to write.

    Returns:
        The clips, opened again.
    """
    path = clips.path / "dataset.json"
    if is_remote(path):
        write_bytes(path, change(Dataset.from_json(path.read_bytes(), path)).to_json().encode())
    else:
        with locked(path.with_name(f".{path.name}.lock"), wait=True):
            write_text(path, change(Dataset.from_json(path.read_bytes(), path)).to_json())
    return open_clips(clips.path)


def set_windows(clips: Clips, windows: Windows | None) -> Clips:
    """Open a folder of clips as windows from now on, or as whole recordings.

    Args:
        clips: Opened clips.
        windows: Length and stride; None for the whole recordings.

    Returns:
        The clips, opened again.

    Raises:
        InputError: A split of the clips has clips of one file in both parts, such as one by time.
    """
    if windows is not None:
        for name, split in clips.dataset.splits.items():
            if name.startswith("time-") and split:
                raise InputError(
                    f"{clips.path}: split {name!r} is by time, so windows of one recording would be in both parts;"
                    " prepare the clips again, or leave them whole"
                )
    return change_description(clips, lambda dataset: replace(dataset, windows=windows))
