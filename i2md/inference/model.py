"""A trained run as one object: recordings or clips in, features out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2md.data.packed import PackedClips, pack, pack_arrays
from i2md.data.presets import LeftOut, prepare_positions
from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.evaluation.evaluate import require_same_layout
from i2md.evaluation.features import clip_features
from i2md.pretraining.checkpoint import load_encoders
from i2md.pretraining.run import read_config
from i2md.runtime.device import choose_device, fast_cpu_matmul
from i2md.skeletons import get_layout


class Model:
    """The encoders of a run, with the layout and preparation they were trained on."""

    def __init__(self, run: str | os.PathLike[str], device: str = "auto") -> None:
        self.run = Path(run)
        self.config = read_config(self.run)
        self.device = choose_device(device)
        self.encoders = load_encoders(self.run, self.config, self.device)

    def embed(
        self, clips: Clips | Sequence[Float[np.ndarray, ...]], layout: str | None = None
    ) -> dict[str, Float[np.ndarray, "clips width"]]:
        """Features of each clip, by stream; concatenate them for one vector a clip.

        `clips` are Clips of the run's layout, or raw arrays (frames, joints, channels) or (persons, frames,
        joints, channels), which are prepared as the run's own were; `layout` says how their joints are ordered
        (by default as the run's). Raises InputError where they don't fit.
        """
        if isinstance(clips, Clips):
            require_same_layout(self.config, clips, self.run)
            packed = pack(clips, self.device)
        else:
            packed = self._pack(clips, layout)
        with fast_cpu_matmul():
            features = clip_features(
                self.encoders, self.config.layout, packed, self.config.settings.views.frames, self.config.persons
            )
        return {name: value.cpu().numpy() for name, value in features.items()}

    def _pack(self, arrays: Sequence[np.ndarray], layout: str | None) -> PackedClips:
        mine = self.config.layout
        if layout is not None and get_layout(layout).joints != mine.joints:
            raise InputError(f"{self.run}: pretrained on layout {mine.name!r}, not {layout!r}; reorder the joints")
        prepared = [self._prepare(array, number) for number, array in enumerate(arrays)]
        if not prepared:
            raise InputError("embed: no clips given; pass at least one array of (frames, joints, channels)")
        return pack_arrays(prepared, self.device)

    def _prepare(self, array: np.ndarray, number: int) -> np.ndarray:
        clip = np.asarray(array, dtype=np.float32)
        clip = clip[None] if clip.ndim == 3 else clip
        joints, channels = len(self.config.layout.joints), self.config.layout.channels
        if clip.ndim != 4 or clip.shape[2:] != (joints, channels):
            raise InputError(
                f"embed: clip {number} has shape {np.shape(array)}; layout {self.config.layout.name!r} needs"
                f" ([people,] frames, {joints}, {channels})"
            )
        prepared = prepare_positions(clip, self.config.layout, self.config.preparation)
        if isinstance(prepared, LeftOut):
            raise InputError(f"embed: clip {number}: {prepared.reason}; leave it out")
        return prepared.positions


def load(run: str | os.PathLike[str], device: str = "auto") -> Model:
    """Load a run's trained encoders: `i2md.load("runs/a").embed(i2md.open_clips("clips"))`."""
    return Model(run, device)
