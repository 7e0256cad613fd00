"""The reference implementation's training step, out of a copy of it that runs on today's PyTorch and on this device.

Make the copy yourself (without torchvision, and with `.cuda()` only where there is a GPU); nothing of it is included.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2md.pretraining.model import I2MD


def published_model(checkout: Path, model: I2MD) -> Any:
    """The reference implementation's model at the sizes of ours, fresh."""
    sys.path.insert(0, str(checkout))
    from moco.builder_cmd import MoCo  # type: ignore[import-not-found]

    s, o, layout = model.settings, model.settings.objectives, model.layout
    encoder = {
        "en_input_size": len(layout.joints) * layout.channels * model.persons,
        "en_hidden_size": s.encoder.hidden_size,
        "en_num_layers": s.encoder.num_layers,
        "num_class": o.embedding_dim,
    }
    temperatures = (o.temperature, o.teacher_temperature, o.student_temperature)
    # It prints all that it is made of.
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = MoCo(
            "seq-based",
            encoder,
            o.embedding_dim,
            o.queue_size,
            o.momentum,
            *temperatures,
            1.0,
            o.num_neighbours,
            mlp=True,
        )
    theirs.Bone = [(child + 1, parent + 1) for child, parent in enumerate(layout.parents)]
    return theirs.to(next(model.parameters()).device).train()


def published_step(theirs: Any, query_view: Tensor, key_view: Tensor) -> Callable[[], dict[str, Tensor]]:
    """A function that takes its next step, as its training script does, and gives the losses."""
    views = [view.permute(0, 3, 1, 2, 4).contiguous() for view in (query_view, key_view)]
    optimizer = torch.optim.SGD(theirs.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()

    def step() -> dict[str, Tensor]:
        *logits, target, distilled = theirs(*views)
        losses = {"cmd": distilled}
        losses |= {
            f"contrast/{name}": criterion(x, target)
            for name, x in zip(("joint", "motion", "bone"), logits, strict=True)
        }
        total = sum(losses.values())
        total.item()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    return step
