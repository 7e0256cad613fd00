"""One training step in the published order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from i2md.distributed import collectives as ranks
from i2md.pretraining.model import I2MD

# Losses of a batch by name, and by stream the keys of both levels.
Learnt = tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]
# From the two views of a batch and its clips' indices; gradients are left with the query's parameters.
Learning = Callable[[Tensor, Tensor, Tensor], Learnt]


def train_step(
    model: I2MD,
    optimizer: torch.optim.Optimizer,
    query_view: Tensor,
    key_view: Tensor,
    clips: Tensor,
    learning: Learning | None = None,
) -> dict[str, Tensor]:
    """Move the keys, losses, gradients (by `learning`, which is `learn` or its capture), weights, and then the queues.

    Views and clips are this process's rows of the batch; gradients and keys are those of the whole. Losses are
    means over the rows. Nothing here makes the host wait for a GPU. Source: golden/cmd_step.npz.
    """
    model.train()
    model.update_keys()
    losses, keys = (learning or partial(learn, model))(query_view, key_view, clips)
    ranks.all_reduce_mean(weight.grad for weight in model.query.parameters() if weight.grad is not None)
    optimizer.step()
    gathered = {name: (ranks.all_gather_rows(k), ranks.all_gather_rows(v)) for name, (k, v) in keys.items()}
    model.remember(gathered, ranks.all_gather_rows(clips))
    return losses


def learn(model: I2MD, query_view: Tensor, key_view: Tensor, clips: Tensor) -> Learnt:
    """Losses and keys of a batch; gradients are left with the query's parameters."""
    # None, not zero: heads that no loss reaches yet are not to decay, and a capture's gradients stay in its memory.
    model.zero_grad(set_to_none=True)
    losses, keys = model(query_view, key_view, clips)
    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}, keys
