"""Cached features are read back unchanged, from memory or from files without names."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch

from i2md.evaluation import probe_data
from i2md.evaluation.probe_data import FeatureCache


def _features(number: int) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(number)
    return {"joint": torch.randn(5, 3, generator=draws), "bone": torch.randn(5, 2, generator=draws)}


@pytest.mark.parametrize("in_memory", [0, 100, 250, 10**6], ids=["none", "one", "two", "all"])
def test_each_set_is_computed_once_and_read_back(
    in_memory: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(probe_data, "IN_MEMORY", in_memory)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made: list[int] = []
    store = FeatureCache(lambda number: made.append(number) or _features(number))
    for number in (0, 1, 2, 2, 0, 1, 3):
        found = store[number]
        assert found.keys() == {"joint", "bone"}
        assert all(torch.equal(found[name], value) for name, value in _features(number).items())
    assert made == [0, 1, 2, 3]
    assert list(tmp_path.iterdir()) == []
