"""What a command suggests to do next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def after_prepare(clips: str, arguments: Mapping[str, Any]) -> str:
    """The command after prepare, convert or join: pretrain, by the recipe for the format if there is one.

    Args:
        clips: Folder of clips.
        arguments: What the command was called with.
    """
    from i2md.recipes import recipe_names

    format = arguments.get("format")
    return f"i2md pretrain {clips} RUN" + (f" --recipe {format}" if format in recipe_names() else "")


def after_pretraining(run: Path, clips: Any) -> str:
    """The command after pretrain: evaluate, or for clips without labels a report, which shows them as the run does.

    Args:
        run: Folder of the run.
        clips: Folder of clips, or the clips.
    """
    from i2md.data.store import Clips, open_clips

    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    labelled = bool((opened.labels >= 0).any())
    return f"i2md evaluate {run} {opened.path}" if labelled else f"i2md report {run} --clips {opened.path}"
