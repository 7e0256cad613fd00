"""Whether clips fit a run: what cannot be read is refused, and what is likely to be another unit is warned of."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2md.data.checks import body_span, clips_span, scale_difference, spread_evenly
from i2md.data.conversion import conversion_of, has_layout, in_layout
from i2md.data.presets import SCALED
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.errors import InputError
from i2md.pretraining.run import RunConfig

# As many clips are measured.
_MEASURED = 50


def require_same_layout(config: RunConfig, clips: Clips, run: Path) -> None:
    """Check that the run's encoders can read the clips.

    Args:
        config: Settings of the run.
        clips: The clips to be read.
        run: Folder of the run, named in the message.

    Raises:
        InputError: The clips have another joint layout or were prepared by another preset.
    """
    layout = clips.dataset.layout
    if layout.channels != config.layout.channels:
        raise InputError(
            f"{run}: pretrained on {config.layout.channels}-D clips, but {clips.path} is {layout.channels}-D; give"
            f" {config.layout.channels}-D clips"
        )
    if layout.joints != config.layout.joints:
        raise InputError(
            f"{run}: pretrained on layout {config.layout.name!r}, but {clips.path} has {layout.name!r};"
            f" convert them: i2md convert {clips.path} OUT --to {config.layout.name}"
        )
    if clips.dataset.preparation != config.preparation:
        raise InputError(
            f"{run}: pretrained on clips prepared by {config.preparation!r}, but {clips.path} was prepared by"
            f" {clips.dataset.preparation!r}; prepare it with --preset {config.preparation}"
        )


def clip_misfits(config: RunConfig, clips: Clips) -> Iterator[str]:
    """Describe how clips that can be read differ from those that a run was pretrained on.

    Args:
        config: The run's configuration.
        clips: Clips that its encoders are about to read.

    Yields:
        A sentence each on units, on the size of the bodies and on persons that are left out.
    """
    units, own = config.clips.get("units"), clips.dataset.units
    # Where the preset scales bodies to one size, their unit does not matter.
    scaled = config.preparation in SCALED
    if isinstance(units, str) and not scaled and units != own and "unknown" not in (units, own):
        yield f"units: {clips.path} is in {own}, the clips pretrained on were in {units}; prepare both in one unit"
    measured = clips
    if clips.dataset.preparation != config.preparation:
        some = clips.select(spread_evenly(len(clips), _MEASURED))
        measured = in_layout(some, config.layout, config.preparation)
    yield from _misfits(config, clips_span(measured, _MEASURED), clips.columns["persons"], f"in {clips.path}")


def array_misfits(
    config: RunConfig, arrays: Sequence[Float[np.ndarray, "persons frames joints channels"]]
) -> list[str]:
    """Describe how arrays differ from the clips that a run was pretrained on, as `clip_misfits` does.

    Args:
        config: The run's configuration.
        arrays: Prepared positions.

    Returns:
        A sentence each.
    """
    chosen = spread_evenly(len(arrays), _MEASURED)
    span = body_span((arrays[int(index)] for index in chosen), config.layout)
    return list(_misfits(config, span, np.array([len(clip) for clip in arrays]), "here"))


def check_clips(config: RunConfig, clips: Clips, run: Path) -> None:
    """Check that a run's encoders can read clips, and say on stderr how those of another layout are converted.

    Args:
        config: The run's configuration.
        clips: The clips, to be converted by `in_layout`.
        run: Folder of the run, named in messages.

    Raises:
        InputError: The clips cannot be prepared as the run's were, or too few joints can be had.
    """
    if clips.dataset.layout.channels != config.layout.channels:
        require_same_layout(config, clips, run)
    if not has_layout(clips, config.layout, config.preparation):
        described = _conversion(config, clips, run)
        collectives.run_on_main(partial(print, f"i2md: warning: {described}", file=sys.stderr))
    warn_of_misfit(config, clips)


def _conversion(config: RunConfig, clips: Clips, run: Path) -> str:
    """What is changed about clips before a run's encoders read them."""
    try:
        return conversion_of(clips, config.layout, config.preparation)[1]
    except InputError as error:
        raise InputError(f"{run}: {error}") from None


def warn_of_misfit(config: RunConfig, clips: Clips) -> None:
    """Print `clip_misfits` on stderr of the first process.

    Args:
        config: The run's configuration.
        clips: Clips that its encoders are about to read.
    """
    collectives.run_on_main(partial(_print_misfits, config, clips))


def _print_misfits(config: RunConfig, clips: Clips) -> None:
    for sentence in clip_misfits(config, clips):
        print(f"i2md: warning: {sentence}", file=sys.stderr)


def _misfits(config: RunConfig, span: float | None, persons: np.ndarray, where: str) -> Iterator[str]:
    extent = config.clips.get("extent")
    difference = scale_difference(extent, span, config.layout.channels) if isinstance(extent, float) and span else None
    if difference:
        yield (
            f"scale: {where} {difference}, which it spans in the clips pretrained on; prepare both in one unit"
            " (--units)"
        )
    more = int((persons > config.persons).sum())
    if more:
        yield (
            f"persons: {more} of {len(persons)} clips have more than the {config.persons} that the run's clips had; the"
            " others of each are not read"
        )
