"""A trained run as one object: recordings or clips in, features out; and the files that it is loaded from."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Float

from i2md.data.conversion import changed_joints, converted, has_layout, map_positions, mapping_for
from i2md.data.packed import PackedClips, pack, pack_arrays
from i2md.data.presets import LeftOut, Prepared, prepare_positions
from i2md.data.readers.arrays.axis_order import check_axes
from i2md.data.readers.files import BadFile
from i2md.data.recording import MAX_GAP
from i2md.data.storage.remote import is_remote, remote_errors
from i2md.data.store import Clips
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.evaluation.features import clip_features
from i2md.evaluation.fit import array_misfits, clip_misfits, require_same_layout
from i2md.pretraining.checkpoint import load_encoders
from i2md.pretraining.run import CONFIG, MODEL, STATE, read_config
from i2md.pretraining.shipped import find_run
from i2md.runtime.device import choose_device
from i2md.skeletons import JointMapping, get_layout

# What prepared clips count of joints without a value.
_CHANGES = ("interpolated", "missing")
_AXES = ("persons", "frames", "joints", "channels")


class Model:
    """The encoders of a run, with the layout and the preparation of the clips that they were pretrained on.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Raises:
        InputError: The folder is not a run, there is no such device, or the encoders have no read-out to change.
    """

    def __init__(
        self, run: str | os.PathLike[str], device: str = "auto", readout: WeightlessReadout | None = None
    ) -> None:
        self.run = find_run(run)
        self.config = read_config(self.run)
        self.device = choose_device(device)
        self.encoders = load_encoders(self.run, self.config, self.device, readout)

    def embed(
        self, clips: Clips | Sequence[Float[np.ndarray, ...]], layout: str | None = None
    ) -> dict[str, Float[np.ndarray, "clips width"]]:
        """Compute the features of clips; several threads may do so at once, with the same results.

        Warns of joints without a value, of bodies of another size than in pretraining, and of persons left out.

        Args:
            clips: Clips, or raw arrays (frames, joints, channels) or (persons, frames, joints, channels), which are
                prepared as the run's clips were. Clips of another layout or preparation are converted to the run's,
                with a warning that names the joints that are means of others or missing.
            layout: Name of the arrays' joint layout, or its YAML file; by default the run's. Arrays of another layout
                are converted like clips.

        Returns:
            Features (clips, width) by stream. Concatenate them for one vector per clip.

        Raises:
            InputError: The clips cannot be prepared as the run's were or have too few joints, or an array has another
                shape or no person.
        """
        return self._features(self.pack(clips, layout))

    def pack(self, clips: Clips | Sequence[Float[np.ndarray, ...]], layout: str | None = None) -> PackedClips:
        """Prepare clips for the encoders, as `embed` does, with its warnings.

        Args:
            clips: As for `embed`.
            layout: As for `embed`.

        Raises:
            InputError: As `embed`.
        """
        if not isinstance(clips, Clips):
            return self._pack(clips, layout)
        if not has_layout(clips, self.config.layout, self.config.preparation):
            done = converted(clips, self.config.layout, self.config.preparation)
            warnings.warn(f"embed: {done.described}", stacklevel=3)
            clips = done.clips
        for sentence in clip_misfits(self.config, clips):
            warnings.warn(f"embed: {sentence}", stacklevel=3)
        require_same_layout(self.config, clips, self.run)
        return pack(clips, self.device)

    def features(self, clips: Clips) -> dict[str, Float[np.ndarray, "clips width"]]:
        """Compute the features of clips as `embed` does, without its warnings.

        Args:
            clips: Clips of the run's layout and preparation.

        Returns:
            Features (clips, width) by stream.

        Raises:
            InputError: The clips have another layout or preparation.
        """
        require_same_layout(self.config, clips, self.run)
        return self._features(pack(clips, self.device))

    def _features(self, packed: PackedClips) -> dict[str, np.ndarray]:
        # Not in `fast_cpu_matmul`, which would change the products of the caller's other threads.
        features = clip_features(
            self.encoders, self.config.layout, packed, self.config.settings.views.frames, self.config.persons
        )
        return {name: value.cpu().numpy() for name, value in features.items()}

    def _pack(self, arrays: Sequence[np.ndarray], layout: str | None) -> PackedClips:
        own, mapping = self.config.layout, None
        if layout is not None and (given := get_layout(layout)).joints != own.joints:
            mapping = mapping_for(given.with_channels(own.channels), own, self.config.preparation)
            warnings.warn(f"embed: {mapping.describe()}", stacklevel=4)
        prepared = [self._prepare(array, number, mapping) for number, array in enumerate(arrays)]
        if not prepared:
            raise InputError("embed: no clips given; pass at least one array of (frames, joints, channels)")
        changed = [changed_joints(clip, mapping) for clip in prepared]
        interpolated, missing = (sum(clip.get(f"joints_{kind}", 0) for clip in changed) for kind in _CHANGES)
        if interpolated or missing:
            warnings.warn(
                f"embed: of the joints without a value, {interpolated} were interpolated and {missing} are zeros"
                f" (gaps of more than {MAX_GAP} frames); each counts once in every frame",
                stacklevel=4,
            )
        for sentence in array_misfits(self.config, [clip.positions for clip in prepared]):
            warnings.warn(f"embed: {sentence}", stacklevel=4)
        return pack_arrays([clip.positions for clip in prepared], self.device)

    def _prepare(self, array: np.ndarray, number: int, mapping: JointMapping | None) -> Prepared:
        clip = np.asarray(array, dtype=np.float32)
        layout = self.config.layout if mapping is None else mapping.source
        try:
            check_axes(clip.shape, _AXES[1:] if clip.ndim == 3 else _AXES, layout)
        except BadFile as error:
            raise InputError(f"embed: clip {number}: {error}") from None
        clip = clip[None] if clip.ndim == 3 else clip
        if np.isinf(clip).any():
            raise InputError(f"embed: clip {number}: a coordinate is infinite; write NaN for a missing joint")
        positions = clip if mapping is None else map_positions(clip, mapping)
        prepared = prepare_positions(positions, self.config.layout, self.config.preparation)
        if isinstance(prepared, LeftOut):
            raise InputError(f"embed: clip {number}: {prepared.reason}; leave it out")
        return prepared


def load(run: str | os.PathLike[str], device: str = "auto", readout: WeightlessReadout | None = None) -> Model:
    """Load a run's encoders: `i2md.load("runs/a").embed(i2md.open_clips("clips"))`.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Raises:
        InputError: The folder is not a run, there is no such device, or the encoders have no read-out to change.
    """
    return Model(run, device, readout)


@dataclass(frozen=True)
class RunFiles:
    """The files of a run that `Model` needs, as bytes, for other machines; equal `key`s are equal files."""

    key: str
    files: Mapping[str, bytes] = field(compare=False, repr=False)

    @staticmethod
    def read(run: Path) -> RunFiles:
        """Read the files of a run.

        Args:
            run: Its folder, which may be a remote path.

        Raises:
            InputError: The folder is not a run, or has no saved weights yet.
        """
        with remote_errors(run):
            weights = MODEL if (run / MODEL).exists() else STATE
            missing = [name for name in (CONFIG, weights) if not (run / name).exists()]
            if missing:
                raise InputError(f"{run}: not a run ({missing[0]} is missing); make one with i2md pretrain")
            files = {name: (run / name).read_bytes() for name in (CONFIG, weights)}
        return RunFiles(sha256(b"\0".join(files.values())).hexdigest(), files)


# A worker of a cluster computes many parts with one model.
@lru_cache(maxsize=1)
def load_files(run: RunFiles, device: str, readout: WeightlessReadout | None = None) -> Model:
    """Load a model from the bytes of a run's files; a process keeps the last one."""
    with tempfile.TemporaryDirectory(prefix="i2md-") as folder:
        for name, content in run.files.items():
            (Path(folder) / name).write_bytes(content)
        return Model(folder, device, readout)


def open_model(run: Path, device: str, readout: WeightlessReadout | None = None) -> Model:
    """Load the model of a run whose folder may be a remote path."""
    if is_remote(run):
        return load_files(RunFiles.read(run), device, readout)
    return Model(run, device, readout)
