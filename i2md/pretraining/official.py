"""Checkpoints of the published CMD program, read safely and renamed to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.settings import PretrainSettings

_SIDES = {"encoder_q": "query", "encoder_k": "key"}
_GRU = re.compile(r"(.*)\.encoder\.gru\.(weight_ih|weight_hh|bias_ih|bias_hh)_l(\d+)")


def read_official(path: Path) -> dict[str, Tensor]:
    """The state dict of an official .pth.tar, without running any code that it may hold."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = checkpoint.get("state_dict", checkpoint)
        state = {name.removeprefix("module."): value for name, value in state.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give an official CMD checkpoint (.pth.tar)") from None
    except Exception:  # torch.load raises whatever the bytes provoke
        raise InputError(f"{path}: not a PyTorch checkpoint; give an official CMD checkpoint (.pth.tar)") from None
    if "encoder_q.encoder.gru.weight_ih_l0" not in state:
        raise InputError(f"{path}: not a checkpoint of CMD pretraining; give one of its .pth.tar files")
    return state


def rename_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to those of `I2MD.state_dict` with method "cmd".

    Heads, queues and both branches of all streams are kept; a queue of shape (width, size) is turned to (size, width).
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        gru = _GRU.fullmatch(name)
        if name.startswith("queue_ptr"):
            renamed[f"queues.{_stream(name, 'queue_ptr')}.pointer"] = value.reshape(()).long()
        elif name.startswith("queue"):
            renamed |= _bank(f"queues.{_stream(name, 'queue')}", value.T.contiguous())
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


def _bank(name: str, keys: Tensor) -> dict[str, Tensor]:
    return {
        f"{name}.keys": keys,
        f"{name}.clips": torch.full((len(keys),), -1),
        f"{name}.filled": torch.tensor(len(keys)),
    }


def _branch(official: str) -> str:
    side = official[: len("encoder_q")]
    return f"{_SIDES[side]}.{_stream(official, side)}"


def _stream(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lstrip("_") or "joint"


def official_settings(state: Mapping[str, Tensor]) -> PretrainSettings:
    """The published settings at the sizes found in a checkpoint."""
    layers = sum(1 for name in state if re.fullmatch(r"encoder_q\.encoder\.gru\.weight_hh_l\d+", name))
    units = state["encoder_q.encoder.gru.weight_hh_l0"].shape[1]
    embedding, queue = state["queue"].shape
    return PretrainSettings(
        method="cmd",
        batch_size=_published_batch(queue),
        encoder=EncoderSettings(hidden_size=units, num_layers=layers),
        objectives=ObjectiveSettings(
            embedding_dim=embedding, queue_size=queue, num_neighbours=min(8192, queue // 2), warmup_steps=0
        ),
    )


def _published_batch(queue: int) -> int:
    return next(size for size in (64, 32, 16, 8, 4, 2) if queue % size == 0)
