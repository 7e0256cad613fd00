"""Encoders that come with the package: runs that a command finds by their name, such as kinect-base.

Each is a folder here with `config.yaml`, `model.safetensors` (the encoders alone, in float16) and `README.md`, the
model card.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from importlib.resources import files
from pathlib import Path

from i2md.data.storage.remote import is_remote, to_path
from i2md.distributed import collectives
from i2md.pretraining.run import CONFIG, MODEL
from i2md.runtime.io import atomic_write

CARD = "README.md"


def shipped_names() -> tuple[str, ...]:
    """Names of the encoders that come with the package, sorted.

    >>> shipped_names()
    ('kinect-base',)
    """
    return tuple(sorted(path.name for path in _folder().iterdir() if (path / CONFIG).is_file()))


def find_run(run: str | os.PathLike[str]) -> Path:
    """The folder of a run that is given by its path, or by the name of a shipped encoder.

    Args:
        run: A path, or a name of `shipped_names`. A run in a folder of that name comes first.

    >>> find_run("kinect-base").name, find_run("runs/mine").as_posix()
    ('kinect-base', 'runs/mine')
    """
    path = to_path(run)
    return _folder() / path.name if _is_shipped(path) else path


def own_run(run: str | os.PathLike[str]) -> Path:
    """The folder of a run that results are written to: a shipped encoder is copied to a folder of its name here.

    Args:
        run: As for `find_run`.

    Raises:
        OSError: The copy cannot be written.
    """
    path = to_path(run)
    if _is_shipped(path):
        collectives.run_on_main(partial(_copy, _folder() / path.name, path))
    return path


def _is_shipped(path: Path) -> bool:
    named = not is_remote(path) and len(path.parts) == 1 and path.name in shipped_names()
    return named and not (path / CONFIG).exists()


def _copy(shipped: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    # The configuration last: with it the folder is a run.
    for name in (CARD, MODEL, CONFIG):
        with atomic_write(target / name) as partial_path:
            shutil.copyfile(shipped / name, partial_path)
    print(f"i2md: {shipped.name} is copied to the folder ./{target.name}, where its results go", file=sys.stderr)


def _folder() -> Path:
    return Path(str(files(__name__)))
