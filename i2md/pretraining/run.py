"""A run on disk: config.yaml, model.safetensors, the training state and the log."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.settings import checked_settings, flatten
from i2md.skeletons import Layout

CONFIG, MODEL, STATE, LOG = "config.yaml", "model.safetensors", "training_state.safetensors", "log.jsonl"


_DECIDING_NO_WEIGHT = ("versions.", "clips.path", "recipe", "settings.knn_every", "settings.checkpoint_")


@dataclass(frozen=True)
class RunConfig:
    """The content of config.yaml: enough to repeat the run and to build its encoders."""

    settings: PretrainSettings
    layout: Layout
    preparation: str
    persons: int
    clips: Mapping[str, Any]
    """The data set, split and number of clips pretrained on."""
    versions: Mapping[str, str]
    recipe: str | None = None
    """The recipe that the settings were taken from, some of them perhaps changed; None without."""

    def to_yaml(self) -> str:
        """The text of config.yaml."""
        return yaml.safe_dump(json.loads(json.dumps(asdict(self))), sort_keys=False)

    def differences(self, other: RunConfig) -> list[str]:
        """Names of what decides the weights and differs between two configurations."""
        mine, theirs = (dict(flatten(json.loads(json.dumps(asdict(c))))) for c in (self, other))
        names = sorted(mine.keys() | theirs.keys())
        return [n for n in names if mine.get(n) != theirs.get(n) and not n.startswith(_DECIDING_NO_WEIGHT)]


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    from importlib.metadata import version

    packages = {name: version(name) for name in ("i2md", "torch", "numpy")}
    return {**packages, "python": platform.python_version()}


def read_config(run: Path) -> RunConfig:
    """The configuration of the run in a folder.

    Args:
        run: Folder of the run.

    Raises:
        InputError: The folder is not a run, or its config.yaml is invalid.
    """
    path = run / CONFIG
    if not path.is_file():
        raise InputError(f"{run}: not a run ({CONFIG} is missing); make one with i2md pretrain")
    try:
        data = yaml.safe_load(path.read_bytes())
        return RunConfig(
            settings=settings_from_dict(data["settings"]),
            layout=Layout.from_dict(data["layout"]),
            preparation=data["preparation"],
            persons=data["persons"],
            clips=data["clips"],
            versions=data["versions"],
            recipe=data.get("recipe"),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not the configuration of a run ({reason}); pretrain again") from None


def settings_from_dict(data: Mapping[str, Any]) -> PretrainSettings:
    """Settings out of nested plain data, checked.

    Args:
        data: Settings by name, as in a recipe; what is missing has its default.

    Raises:
        InputError: A setting is unknown or of the wrong type (names it).
    """
    return checked_settings(PretrainSettings, data)
