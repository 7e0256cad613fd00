"""The files of a run that make a model, wherever the run lies: on a disk, in a store, or on the way to a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from i2md.data.storage.remote import is_remote, remote_errors
from i2md.errors import InputError
from i2md.inference.model import Model
from i2md.pretraining.run import CONFIG, MODEL, STATE


@dataclass(frozen=True)
class RunFiles:
    """The bytes of those files by name; two of one `key` are the same."""

    key: str
    files: Mapping[str, bytes] = field(compare=False, repr=False)

    @staticmethod
    def read(run: Path) -> RunFiles:
        """The files of the run at a place. Raises InputError where it is none, or has nothing saved yet."""
        with remote_errors(run):
            weights = MODEL if (run / MODEL).exists() else STATE
            missing = [name for name in (CONFIG, weights) if not (run / name).exists()]
            if missing:
                raise InputError(f"{run}: not a run ({missing[0]} is missing); make one with i2md pretrain")
            files = {name: (run / name).read_bytes() for name in (CONFIG, weights)}
        return RunFiles(sha256(b"\0".join(files.values())).hexdigest(), files)


# A process of a cluster works at share after share with one model.
@lru_cache(maxsize=1)
def model_of(run: RunFiles, device: str) -> Model:
    """The model that the files make."""
    with tempfile.TemporaryDirectory(prefix="i2md-") as folder:
        for name, content in run.files.items():
            (Path(folder) / name).write_bytes(content)
        return Model(folder, device)


def open_model(run: Path, device: str) -> Model:
    """The model of the run at a place."""
    return model_of(RunFiles.read(run), device) if is_remote(run) else Model(run, device)
