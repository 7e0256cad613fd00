"""A run on disk: config.yaml, model.safetensors, the training state and the log."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from i2md.errors import InputError, shortened
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.io import PARTIAL, being_written, check_target, locked, write_text
from i2md.runtime.plain_data import read_yaml
from i2md.runtime.settings import checked_settings, flatten
from i2md.skeletons import Layout

CONFIG, MODEL, STATE, LOG = "config.yaml", "model.safetensors", "training_state.safetensors", "log.jsonl"
# Of config.yaml and the files beside it; runs from before it was written there have it too.
FORMAT_VERSION = 1
_MAX_NAME = 1000
# Locked by the process that trains the run.
LOCK = ".pretrain.lock"


_DECIDING_NO_WEIGHT = (
    "versions.",
    "clips.path",
    "clips.extent",
    "clips.units",
    "recipe",
    "settings.knn_every",
    "settings.diagnostics_every",
    "settings.trackers",
    "settings.checkpoint_",
    "settings.start_from",
    "start.run",
)


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
    start: Mapping[str, Any] | None = None
    """The run whose encoders' weights this one starts from, and their SHA-256; None where they are drawn."""

    def to_yaml(self) -> str:
        """The text of config.yaml."""
        data = {"format_version": FORMAT_VERSION, **asdict(self)}
        return yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False)

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
        data = read_yaml(path)
        number = data.get("format_version", FORMAT_VERSION)
        if number != FORMAT_VERSION:
            raise InputError(f"format {shortened(number)}, this i2md reads {FORMAT_VERSION}; update i2md")
        config = RunConfig(
            settings=settings_from_dict(data["settings"]),
            layout=Layout.from_dict(data["layout"]),
            preparation=data["preparation"],
            persons=data["persons"],
            clips=data["clips"],
            versions=data["versions"],
            recipe=data.get("recipe"),
            start=data.get("start"),
        )
        _check_types(config)
        return config
    except InputError as error:
        raise InputError(f"{path}: {shortened(error)}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        reason = shortened(error)
        raise InputError(f"{path}: not the configuration of a run ({reason}); pretrain again") from None


def _check_types(config: RunConfig) -> None:
    """Check what memory is reserved by, and what is not a setting.

    Raises:
        ValueError: A number is larger than any run's, or a value has another type than `RunConfig` states.
    """
    encoder, views = config.settings.encoder, config.settings.views
    for name, value, most in (
        ("persons", config.persons, 1000),
        ("encoder.hidden_size", encoder.hidden_size, 1 << 14),
        ("encoder.num_layers", encoder.num_layers, 1000),
        ("views.frames", views.frames, 1_000_000),
    ):
        if type(value) is not int or not 1 <= value <= most:  # true is an int, too
            raise ValueError(f"{name} is {shortened(value)}, outside 1 to {most}")
    if not isinstance(config.layout.name, str) or len(config.layout.name) > _MAX_NAME:
        raise ValueError(f"the name of the layout is not a text of at most {_MAX_NAME} characters")
    if not isinstance(config.preparation, str) or not isinstance(config.recipe, str | None):
        raise ValueError("preparation and recipe must be texts")
    if not isinstance(config.clips, dict) or not isinstance(config.versions, dict):
        raise ValueError("clips and versions must be mappings")
    if not isinstance(config.start, dict | None):
        raise ValueError("start must be a mapping")


def settings_from_dict(data: Mapping[str, Any]) -> PretrainSettings:
    """Settings out of nested plain data, checked.

    Args:
        data: Settings by name, as in a recipe; what is missing has its default.

    Raises:
        InputError: A setting is unknown or of the wrong type (names it).
    """
    return checked_settings(PretrainSettings, data)


@contextmanager
def claimed(run: Path, config: RunConfig, longer: bool) -> Iterator[None]:
    """In the block the folder holds this run, and no other process trains it.

    Args:
        run: Folder of the run, made if necessary.
        config: Its configuration.
        longer: Whether the folder may hold a run that differs only in having fewer epochs, by a step schedule.

    Raises:
        InputError: The folder holds something else, or another process trains the run.
    """
    check_target(run)
    _require_own_folder(run, config, longer)
    run.mkdir(parents=True, exist_ok=True)
    with ExitStack() as lock:
        try:
            lock.enter_context(locked(run / LOCK))
        except BlockingIOError:
            raise being_written(run) from None
        except PermissionError:
            pass  # somebody else's run; if it is finished nothing will be written
        epochs = _require_own_folder(run, config, longer)
        if epochs is not None:
            # The checkpoint stands for the run meanwhile. Evaluations of the shorter run are none of the longer one.
            (run / MODEL).unlink(missing_ok=True)
            if (run / "evaluation").is_dir():
                (run / "evaluation").rename(run / f"evaluation-{epochs}-epochs")
        if epochs is not None or not (run / CONFIG).is_file():
            write_text(run / CONFIG, config.to_yaml())
        yield


def _require_own_folder(run: Path, config: RunConfig, longer: bool) -> int | None:
    """The epochs of the run in the folder where this one continues it for longer, None where it is this one or new."""
    if (run / CONFIG).is_file():
        before = read_config(run)
        changed = before.differences(config)
        if changed == ["settings.epochs"] and longer:
            return _require_longer(run, before.settings, config.settings)
        if changed:
            names = ", ".join(name.removeprefix("settings.") for name in changed)
            raise InputError(f"{run}: holds a run that differs in {names}; name another folder for this one")
        return None
    if run.exists() and (
        not run.is_dir() or any(path.name != LOCK and not path.name.endswith(PARTIAL) for path in run.iterdir())
    ):
        raise InputError(f"{run}: exists and is not a run; name a folder that does not exist")
    return None


def _require_longer(run: Path, before: PretrainSettings, settings: PretrainSettings) -> int:
    if settings.epochs < before.epochs:
        raise InputError(
            f"{run}: holds a run of {before.epochs} epochs, more than {settings.epochs}; name another folder"
        )
    if settings.optimizer.schedule != "step":
        raise InputError(
            f"{run}: its {before.optimizer.schedule} schedule lowers the learning rate to 0 over {before.epochs} epochs"
            f" and cannot be continued to {settings.epochs}; pretrain in another folder (runs of"
            " --optimizer.schedule step can be continued)"
        )
    return before.epochs
