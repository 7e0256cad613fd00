"""Where the work runs."""

from __future__ import annotations

import re

import torch

from i2md.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """The device called auto, cpu, cuda or cuda:N; auto takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"device {name!r} is not known; choose auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs; choose auto or cpu")
    return device
