"""Starting a run's encoders from the weights of an earlier run (`start_from`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from i2md.errors import InputError
from i2md.pretraining.checkpoint import load_tensors, with_prefix
from i2md.pretraining.masked import MaskedMotion
from i2md.pretraining.model import I2MD
from i2md.pretraining.run import MODEL, read_config
from i2md.pretraining.settings import PretrainSettings
from i2md.pretraining.shipped import find_run
from i2md.skeletons import Layout

# Settings of an encoder that do not decide which weights fit it.
_NOT_OF_WEIGHTS = {"initialisation", "activation_checkpointing", "frozen"}


def start_of(settings: PretrainSettings, layout: Layout, persons: int, preparation: str) -> dict[str, str] | None:
    """What a run starts from, as its configuration states it, checked.

    Args:
        settings: Of the new run; `start_from` names the earlier one.
        layout: Joints of the new run's clips.
        persons: Persons in one of its clips.
        preparation: Name of the clips' preset.

    Returns:
        The earlier run's folder and the SHA-256 of its weights; None where the encoders are initialised randomly.

    Raises:
        InputError: The folder is no finished run, or its encoders are not those of the new run.
    """
    if settings.start_from is None:
        return None
    run = find_run(settings.start_from)
    earlier = read_config(run)
    if not (run / MODEL).is_file():
        raise InputError(f"start_from {run}: that run is not finished ({MODEL} is missing); finish it first")
    mine, theirs = (
        {name: value for name, value in asdict(s.encoder).items() if name not in _NOT_OF_WEIGHTS}
        for s in (settings, earlier.settings)
    )
    differing = [
        *(f"encoder.{name} {theirs[name]} (here {mine[name]})" for name in mine if mine[name] != theirs[name]),
        *([f"layout {earlier.layout.name} (here {layout.name})"] if not _same_joints(layout, earlier.layout) else []),
        *([f"{earlier.persons} persons a clip (here {persons})"] if persons != earlier.persons else []),
        *([f"preparation {earlier.preparation} (here {preparation})"] if preparation != earlier.preparation else []),
    ]
    missing = [name for name in settings.streams if name not in earlier.settings.streams]
    if missing:
        differing.append(f"no stream {', '.join(missing)}, only {', '.join(earlier.settings.streams)}")
    if differing:
        raise InputError(f"start_from {run}: that run has {'; '.join(differing)}; start from a run of the same encoder")
    return {"run": settings.start_from, "weights": hashlib.sha256((run / MODEL).read_bytes()).hexdigest()}


def _same_joints(a: Layout, b: Layout) -> bool:
    return (a.joints, a.parents, a.channels) == (b.joints, b.parents, b.channels)


def load_start(model: I2MD | MaskedMotion, start: Mapping[str, Any]) -> None:
    """Give a new model's encoders, query and key, the weights of an earlier run's.

    Args:
        model: The model, before its first step.
        start: What `start_of` returned.

    Raises:
        InputError: The weights have changed since, or do not fit.
    """
    run = find_run(start["run"])
    tensors = load_tensors(run / MODEL)
    for name in model.settings.streams:
        weights = with_prefix(tensors, f"query.{name}.encoder.")
        for branches in (model.query, model.key) if isinstance(model, I2MD) else (model.query,):
            try:
                branches[name].encoder.load_state_dict(weights)
            except RuntimeError:
                raise InputError(
                    f"start_from {run}: its weights do not fit its config.yaml; pretrain it again"
                ) from None
