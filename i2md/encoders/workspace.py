"""Memory that is used again from step to step.

What a program gives back and takes anew the operating system has to clear first, page by page. The buffers of a
recurrence are so large that this takes a quarter of a step on a CPU; a GPU's allocator keeps what it has.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor


class Workspace:
    """Buffers by shape and type; one that is no longer lent is lent again."""

    def __init__(self) -> None:
        self._spare: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = defaultdict(list)

    def lend(self, *shape: int, like: Tensor, dtype: torch.dtype | None = None) -> Lent:
        """An uninitialised tensor on `like`'s device, of its type unless another is named."""
        key = torch.Size(shape), dtype or like.dtype
        spare = self._spare[key] if like.device.type == "cpu" else []
        return Lent(spare.pop() if spare else like.new_empty(shape, dtype=dtype), spare)

    def __deepcopy__(self, memo: dict[int, object]) -> Workspace:
        """A copy of an encoder begins with a workspace of its own."""
        return Workspace()


class Lent:
    """A tensor on loan: it goes back when nobody holds this any more, as when autograd's graph is freed."""

    def __init__(self, tensor: Tensor, spare: list[Tensor]) -> None:
        self.tensor, self._spare = tensor, spare

    def __del__(self) -> None:
        self._spare.append(self.tensor)
