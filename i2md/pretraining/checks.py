"""Settings that do not fit a run's clips or its encoder, in words: warnings, not errors."""

from __future__ import annotations

from dataclasses import fields

from i2md.encoders.registry import ENCODERS
from i2md.encoders.settings import EncoderSettings, GRUSettings
from i2md.objectives.settings import METHODS
from i2md.pretraining.settings import PretrainSettings

# Recipe auto warns below so many clips.
FEW_CLIPS = 300


def small_run_warnings(clips: int, settings: PretrainSettings) -> list[str]:
    """What happens to a run of few clips that its settings were not made for.

    Args:
        clips: Number of clips to train on.
        settings: The run's settings.

    Returns:
        A sentence on terms of the loss that never begin, and one on clips of which each epoch leaves out a tenth or
        more since they do not fill a batch.
    """
    batch, warmup = settings.batch_size, settings.warmup_steps
    steps = clips // batch
    waiting = [name for name in settings.terms if name in METHODS["i2md"] and name != "contrast"]
    found = []
    if waiting and steps and warmup >= steps * settings.epochs:
        found.append(
            f"{', '.join(waiting)} never begin: they wait for {warmup} steps, and {settings.epochs} epochs of {clips}"
            f" clips are {steps * settings.epochs}; lower --objectives.queue_size (and num_neighbours) or"
            f" --objectives.warmup_steps, or train for more than {warmup // steps} --epochs"
        )
    if steps and 10 * (clips % batch) >= clips:
        found.append(
            f"each epoch leaves out {clips % batch} of {clips} clips, other ones each time, which do not fill a batch"
            f" of {batch}; choose another --batch_size to use more"
        )
    return found


def describe_sizes(clips: int, settings: PretrainSettings) -> str:
    """The settings that follow from the number and the length of the clips, in a line.

    Args:
        clips: Number of clips to train on.
        settings: The run's settings.
    """
    o, steps = settings.objectives, clips // settings.batch_size
    return (
        f"{clips} clips: batch_size {settings.batch_size}, objectives.queue_size {o.queue_size}, num_neighbours"
        f" {o.num_neighbours}, views.frames {settings.views.frames}, epochs {settings.epochs} of {steps} steps"
    )


def few_clips_warnings(clips: int) -> list[str]:
    """A sentence where there are too few clips to expect much of pretraining on them alone.

    Args:
        clips: Number of clips to train on.
    """
    if clips >= FEW_CLIPS:
        return []
    return [
        f"{clips} clips are few to pretrain on (the settings were chosen on 431); before you rely on the features,"
        " label some clips and compare with baselines that need no pretraining: i2md evaluate --baselines positions"
        " minirocket; and with the encoder that comes with the package: i2md evaluate kinect-base CLIPS"
    ]


def unused_settings(encoder: EncoderSettings) -> list[str]:
    """A sentence on settings of the GRU that were changed although another encoder was chosen.

    Args:
        encoder: The encoder's settings.

    >>> unused_settings(EncoderSettings(name="tcn", hidden_size=64))
    ['encoder.hidden_size: of gru, and not used by tcn; set encoder.options.hidden_size']
    """
    changed = [
        field.name
        for field in fields(GRUSettings)
        if field.name != "readout" and getattr(encoder, field.name) != field.default
    ]
    if not changed or isinstance(encoder, ENCODERS[encoder.name].Settings):
        return []
    own = ", ".join(f"encoder.options.{name}" for name in changed)
    names = ", ".join(f"encoder.{name}" for name in changed)
    return [f"{names}: of gru, and not used by {encoder.name}; set {own}"]
