"""Random numbers that depend only on the seed, the purpose and the step, so that a resumed run draws the same ones."""

from __future__ import annotations

import numpy as np
import torch

_PURPOSES = ("weights", "order", "views", "classifier", "crops", "validation", "finetune", "diagnostics")


def derive_seed(seed: int, purpose: str, number: int = 0) -> int:
    """A seed for one purpose at one time, independent of all others.

    Args:
        seed: Seed of the run.
        purpose: What the random numbers are for.
        number: Epoch or step.
    """
    entropy = [seed, _PURPOSES.index(purpose), number]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1


def generator(seed: int, purpose: str, number: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator seeded by `derive_seed`.

    Args:
        seed: Seed of the run.
        purpose: What the random numbers are for.
        number: Epoch or step.
        device: Device of the generator.
    """
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, number))
