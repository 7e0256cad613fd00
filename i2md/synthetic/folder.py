"""Where generated files go: a folder of their own, or a .zip in it, as the publishers hand them out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from i2md.errors import InputError

# Stated in the archive instead of the time of writing, so that the same seed gives the same bytes.
_DATE = (2000, 1, 1, 0, 0, 0)
# The level whose writing keeps up with the generator.
_FAST = 1

Put = Callable[[str, bytes], None]


@contextmanager
def new_folder(folder: Path, archive: str | None = None) -> Iterator[Put]:
    """A function that writes a file of a name below `folder`, or into the .zip `archive` there.

    InputError where the folder is there and holds anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there and not empty; name a new folder for generated files")
    folder.mkdir(parents=True, exist_ok=True)
    if archive is None:
        yield _into_folder(folder)
        return
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as packed:
        yield lambda name, data: packed.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED, _FAST)


def _into_folder(folder: Path) -> Put:
    made: set[Path] = set()

    def put(name: str, data: bytes) -> None:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(data)

    return put
