"""Self-supervised representation learning for skeleton-based action recognition, by I2MD.

The public names of the package. They are imported when first used, so that importing i2md does not import torch. The
commands (`prepare`, `pretrain`, `evaluate`, ...) are the functions behind the command line of the same name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2md.commands import (
        cluster,
        convert,
        embed,
        evaluate,
        explore,
        export,
        fit,
        import_cmd,
        info,
        join,
        predict,
        prepare,
        pretrain,
        report,
        reproduce,
        search,
        split,
        stream,
        suggest,
        sweep,
        view,
        windows,
    )
    from i2md.data.readers.mediapipe_objects import mediapipe_frames, mediapipe_recording
    from i2md.data.recording import Recording, Source, Unreadable
    from i2md.data.store import Clips, open_clips
    from i2md.errors import InputError
    from i2md.evaluation.settings import EvaluationSettings
    from i2md.inference.classifier import Classifier, load_classifier
    from i2md.inference.model import Model, load
    from i2md.inference.transformer import SkeletonEncoder
    from i2md.pretraining.settings import PretrainSettings
    from i2md.recipes import load_recipe
    from i2md.skeletons import Layout, get_layout

_MODULES = {
    "Classifier": "i2md.inference.classifier",
    "Clips": "i2md.data.store",
    "EvaluationSettings": "i2md.evaluation.settings",
    "InputError": "i2md.errors",
    "Layout": "i2md.skeletons",
    "Model": "i2md.inference.model",
    "PretrainSettings": "i2md.pretraining.settings",
    "Recording": "i2md.data.recording",
    "SkeletonEncoder": "i2md.inference.transformer",
    "Source": "i2md.data.recording",
    "Unreadable": "i2md.data.recording",
    "cluster": "i2md.commands",
    "convert": "i2md.commands",
    "embed": "i2md.commands",
    "evaluate": "i2md.commands",
    "export": "i2md.commands",
    "explore": "i2md.commands",
    "fit": "i2md.commands",
    "get_layout": "i2md.skeletons",
    "import_cmd": "i2md.commands",
    "info": "i2md.commands",
    "join": "i2md.commands",
    "load": "i2md.inference.model",
    "load_classifier": "i2md.inference.classifier",
    "load_recipe": "i2md.recipes",
    "mediapipe_frames": "i2md.data.readers.mediapipe_objects",
    "mediapipe_recording": "i2md.data.readers.mediapipe_objects",
    "open_clips": "i2md.data.store",
    "predict": "i2md.commands",
    "prepare": "i2md.commands",
    "pretrain": "i2md.commands",
    "report": "i2md.commands",
    "reproduce": "i2md.commands",
    "search": "i2md.commands",
    "split": "i2md.commands",
    "stream": "i2md.commands",
    "suggest": "i2md.commands",
    "sweep": "i2md.commands",
    "view": "i2md.commands",
    "windows": "i2md.commands",
}

__all__ = [
    "Classifier",
    "Clips",
    "EvaluationSettings",
    "InputError",
    "Layout",
    "Model",
    "PretrainSettings",
    "Recording",
    "SkeletonEncoder",
    "Source",
    "Unreadable",
    "cluster",
    "convert",
    "embed",
    "evaluate",
    "explore",
    "export",
    "fit",
    "get_layout",
    "import_cmd",
    "info",
    "join",
    "load",
    "load_classifier",
    "load_recipe",
    "mediapipe_frames",
    "mediapipe_recording",
    "open_clips",
    "predict",
    "prepare",
    "pretrain",
    "report",
    "reproduce",
    "search",
    "split",
    "stream",
    "suggest",
    "sweep",
    "view",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("i2md")
    if name not in _MODULES:
        raise AttributeError(f"module 'i2md' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
