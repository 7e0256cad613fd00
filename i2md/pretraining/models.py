"""The model of a method: contrastive ones share I2MD, masked motion prediction has its own."""

from __future__ import annotations

from i2md.pretraining.masked import MaskedMotion
from i2md.pretraining.model import I2MD
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import Layout

Model = I2MD | MaskedMotion


def build_model(settings: PretrainSettings, layout: Layout, persons: int = 1, clips: int = 0) -> Model:
    """A randomly initialised model; for one seed the encoders of every method have the same weights.

    Args:
        settings: Everything that decides the weights.
        layout: Joints of the clips.
        persons: Persons in a clip.
        clips: Number of training clips, which a memory of clips has to hold.
    """
    if settings.method == "masked":
        return MaskedMotion(settings, layout, persons)
    return I2MD(settings, layout, persons, clips)
