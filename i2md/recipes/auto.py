"""Recipe `auto`: the settings of the recipes for small data sets, with sizes chosen for the clips at hand.

The encoder, the views and the objective are those of recipe utd-mhad, which was searched on 431 clips; docs/results.md
has what the same settings reach on sets of 291 and 1,020 clips. What depends on the clips follows from their number and
their length:

- a batch of 64, or a third of fewer than 192 clips; smaller where more than an eighth of the clips would fill no batch;
- a queue of about half the clips, in whole batches, of at most the published 16,384 keys, and half as many neighbours;
- 32 frames, 16 where most clips are shorter than that, 64 where most are longer than 100;
- 30 epochs, more where these are fewer than 180 steps, and at least 10 where they are more than 10,000.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.pretraining.run import settings_from_dict
from i2md.pretraining.settings import PretrainSettings
from i2md.recipes import merged, read_recipe, recipe_path

AUTO = "auto"
BASE = "utd-mhad"
# Fewer clips than a batch of two and another one have nothing to be told apart from.
MIN_CLIPS = 4
_BATCH = 64
# A batch may leave out this part of the clips in each epoch.
_MAX_REST = 1 / 8
_MAX_QUEUE = 16384
# Gives the queues that were chosen for 431 and for 1,020 clips, 256 and 512.
_QUEUE_SHARE = 0.52
_EPOCHS, _MAX_EPOCHS, _MIN_EPOCHS = 30, 200, 10
_MIN_STEPS, _MAX_STEPS = 180, 10_000
_LONG, _SHORT = 100, 16


def auto_recipe(
    clips: Clips, split: str | None = None, batch_size: int | None = None, own_encoder: bool = False
) -> dict[str, Any]:
    """Choose a recipe for clips.

    Args:
        clips: All clips of the data set.
        split: Name of the split whose training part is pretrained on; by default the first one, "all" for every clip.
        batch_size: A batch that was chosen already.
        own_encoder: Whether an encoder was chosen already: it is left out then, with what fits it alone.

    Returns:
        Settings by name, nested, as a recipe's file has them.

    Raises:
        InputError: There is no such split, or its training part has too few clips.
    """
    name = split or clips.default_split() or "all"
    chosen = clips if name == "all" else clips.part(name, "train")
    count = len(chosen)
    if count < MIN_CLIPS:
        raise InputError(f"{clips.path}: {count} clips to pretrain on are too few; give {MIN_CLIPS} or more")
    batch = batch_size or _batch(count)
    queue = batch * max(1, round(min(count * _QUEUE_SHARE, _MAX_QUEUE) / batch))
    length = float(np.median(chosen.columns["frames"]))
    changes: dict[str, Any] = {
        "epochs": _epochs(max(count // batch, 1)),
        "batch_size": batch,
        "views": {"frames": 64 if length > _LONG else 16 if length < _SHORT else 32},
        "objectives": {"queue_size": queue, "num_neighbours": max(queue // 2, 1)},
    }
    if queue <= _dna_neighbours():
        changes["objectives"]["dna_num_neighbours"] = max(queue // 2, 1)
    if clips.dataset.layout.channels == 2:
        changes["views"]["rotation"] = 0.0
    base = read_recipe(recipe_path(BASE))
    if own_encoder:
        del base["encoder"], base["objectives"]["projection"], base["objectives"]["embedding_dim"]
    return merged(base, changes)


def auto_settings(clips: Clips) -> PretrainSettings:
    """The settings of recipe `auto`.

    Args:
        clips: The clips to pretrain on.

    Raises:
        InputError: As of `auto_recipe`.
    """
    return settings_from_dict(auto_recipe(clips))


def chosen_batch(batch_size: int) -> int | None:
    """The size of a batch where it is not the default, which stands for none.

    Args:
        batch_size: As it was typed, or the default.
    """
    return None if batch_size == PretrainSettings().batch_size else batch_size


def _batch(count: int) -> int:
    most = max(min(_BATCH, count // 3), 2)
    return next(batch for batch in range(most, 1, -1) if count % batch <= max(_MAX_REST * count, 1))


def _epochs(steps: int) -> int:
    """Passes over the clips, given the steps of one."""
    if steps * _EPOCHS < _MIN_STEPS:
        return min(-(-_MIN_STEPS // steps), _MAX_EPOCHS)
    return _EPOCHS if steps * _EPOCHS <= _MAX_STEPS else max(_MAX_STEPS // steps, _MIN_EPOCHS)


def _dna_neighbours() -> int:
    return PretrainSettings().objectives.dna_num_neighbours
