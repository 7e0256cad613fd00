"""Representations of 3D human action from unlabelled skeleton sequences, by I2MD.

Names here are public, and loaded when first used: importing i2md does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2md.apply.model import Model, load
    from i2md.clips.info import info
    from i2md.clips.join import join
    from i2md.clips.prepare import prepare
    from i2md.clips.recording import Recording, Source, Unreadable
    from i2md.clips.store import Clips, open_clips
    from i2md.commands import embed, evaluate, import_cmd, pretrain, report
    from i2md.errors import InputError
    from i2md.evaluation.settings import EvaluationSettings
    from i2md.pretraining.settings import PretrainSettings
    from i2md.recipes import load_recipe
    from i2md.reproducing.reproduce import reproduce
    from i2md.skeletons import Layout, get_layout
    from i2md.sweeping.sweep import sweep

_HOMES = {
    "Clips": "i2md.clips.store",
    "EvaluationSettings": "i2md.evaluation.settings",
    "InputError": "i2md.errors",
    "Layout": "i2md.skeletons",
    "Model": "i2md.apply.model",
    "PretrainSettings": "i2md.pretraining.settings",
    "Recording": "i2md.clips.recording",
    "Source": "i2md.clips.recording",
    "Unreadable": "i2md.clips.recording",
    "embed": "i2md.commands",
    "evaluate": "i2md.commands",
    "get_layout": "i2md.skeletons",
    "import_cmd": "i2md.commands",
    "info": "i2md.clips.info",
    "join": "i2md.clips.join",
    "load": "i2md.apply.model",
    "load_recipe": "i2md.recipes",
    "open_clips": "i2md.clips.store",
    "prepare": "i2md.clips.prepare",
    "pretrain": "i2md.commands",
    "report": "i2md.commands",
    "reproduce": "i2md.reproducing.reproduce",
    "sweep": "i2md.sweeping.sweep",
}

__all__ = [
    "Clips",
    "EvaluationSettings",
    "InputError",
    "Layout",
    "Model",
    "PretrainSettings",
    "Recording",
    "Source",
    "Unreadable",
    "embed",
    "evaluate",
    "get_layout",
    "import_cmd",
    "info",
    "join",
    "load",
    "load_recipe",
    "open_clips",
    "prepare",
    "pretrain",
    "report",
    "reproduce",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'i2md' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
