"""Checkpoints of the reference implementation of CMD, read safely and renamed to this package's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError, refused_by_system
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.settings import PretrainSettings

_SIDES = {"encoder_q": "query", "encoder_k": "key"}
_GRU = re.compile(r"(.*)\.encoder\.gru\.(weight_ih|weight_hh|bias_ih|bias_hh)_l(\d+)")
_EXPECTED = "give a checkpoint of CMD's reference implementation (.pth.tar)"


def read_reference_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a .pth.tar file of the reference implementation, without executing any code in it.

    Args:
        path: The checkpoint.

    Returns:
        Tensors by the names of the reference implementation.

    Raises:
        InputError: The file is missing, or not a checkpoint of CMD pretraining.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = checkpoint.get("state_dict", checkpoint)
        state = {name.removeprefix("module."): value for name, value in state.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_EXPECTED}") from None
    except Exception as error:  # torch.load raises whatever the bytes provoke
        if refused_by_system(error):
            raise
        raise InputError(f"{path}: not a PyTorch checkpoint; {_EXPECTED}") from None
    if "encoder_q.encoder.gru.weight_ih_l0" not in state:
        raise InputError(f"{path}: not a checkpoint of CMD pretraining; give one of its .pth.tar files")
    return state


def rename_reference_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint to those of `I2MD.state_dict` with method "cmd".

    Heads, queues and both branches of all streams are kept.

    Args:
        state: What `read_reference_checkpoint` returned; a queue has shape (width, size).

    Returns:
        The tensors by this package's names; a queue has shape (size, width).

    Source: golden/README.md.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        gru = _GRU.fullmatch(name)
        if name.startswith("queue_ptr"):
            renamed[f"queues.{_stream(name, 'queue_ptr')}.pointer"] = value.reshape(()).long()
        elif name.startswith("queue"):
            renamed |= _queue(f"queues.{_stream(name, 'queue')}", value.T.contiguous())
        elif gru:
            branch, parameter, layer = gru.groups()
            pair = [value, state[f"{name}_reverse"]]
            joined = torch.cat(pair) if parameter.endswith("ih") else torch.stack(pair)
            renamed[f"{_branch(branch)}.encoder.layers.{layer}.{parameter}"] = joined
        elif not name.endswith("_reverse"):
            branch, _, rest = name.partition(".")
            head = rest.startswith("fc.")
            renamed[f"{_branch(branch)}.{'instance.' + rest[3:] if head else 'encoder.' + rest}"] = value
    return renamed


def _queue(name: str, keys: Tensor) -> dict[str, Tensor]:
    return {
        f"{name}.keys": keys,
        f"{name}.clips": torch.full((len(keys),), -1),
        f"{name}.filled": torch.tensor(len(keys)),
    }


def _branch(theirs: str) -> str:
    side = theirs[: len("encoder_q")]
    return f"{_SIDES[side]}.{_stream(theirs, side)}"


def _stream(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lstrip("_") or "joint"


def reference_settings(state: Mapping[str, Tensor]) -> PretrainSettings:
    """The published settings with the sizes found in a checkpoint.

    Args:
        state: What `read_reference_checkpoint` returned.
    """
    num_layers = sum(1 for name in state if re.fullmatch(r"encoder_q\.encoder\.gru\.weight_hh_l\d+", name))
    hidden_size = state["encoder_q.encoder.gru.weight_hh_l0"].shape[1]
    embedding_dim, queue_size = state["queue"].shape
    return PretrainSettings(
        method="cmd",
        batch_size=_published_batch_size(queue_size),
        encoder=EncoderSettings(hidden_size=hidden_size, num_layers=num_layers),
        objectives=ObjectiveSettings(
            embedding_dim=embedding_dim,
            queue_size=queue_size,
            num_neighbours=min(8192, queue_size // 2),
            warmup_steps=0,
        ),
    )


def _published_batch_size(queue_size: int) -> int:
    return next(size for size in (64, 32, 16, 8, 4, 2) if queue_size % size == 0)
