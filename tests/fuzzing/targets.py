"""All targets by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from fuzzing.campaign import Target
from fuzzing.folders import folder_targets
from fuzzing.recordings import reader_targets


def targets(base: Path) -> dict[str, Callable[[], Target]]:
    """A function that makes each target, by its name.

    Args:
        base: A folder for what targets are made of; commands make it when it is first needed.
    """
    readers = {target.name: partial(_same, target) for target in reader_targets()}
    return {**readers, **folder_targets(base)}


def _same(target: Target) -> Target:
    return target
