"""docs/examples/loss.py, the file itself: registered, it is weighted, logged by stream, and changes the training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from i2md.errors import InputError
from i2md.objectives.levels import build_term
from i2md.objectives.settings import TERMS
from i2md.pretraining.log import read_log

sys.path.insert(0, str(Path(__file__).parent))
from pretraining_examples import EXAMPLES, TINY, command, last_losses, load_example, pretrain


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TERMS, "_registered", {})
    TERMS.register("my-koleo", load_example("loss").KoLeo)


def test_it_is_minus_the_mean_log_distance_of_the_nearest() -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    expected = -torch.tensor([2.0, 2.0, 2.0]).sqrt().log().mean()
    torch.testing.assert_close(load_example("loss").KoLeo().of(points), expected)


def test_a_run_by_the_python_api_logs_the_weighted_term_of_each_stream(
    registered: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = {}
    for weight in (0.5, 1.0):
        objectives = replace(TINY.objectives, extra={"my-koleo": weight}, options={"my-koleo": {"epsilon": 1e-4}})
        # One step, so that both runs compute the loss of the same weights.
        settings = {"method": "moco", "batch_size": 16, "objectives": objectives, "streams": ("joint", "bone")}
        done = pretrain(tmp_path_factory.getbasetemp(), tmp_path / str(weight), **settings)
        first[weight] = {name: loss for name, loss in done.losses.items() if name.startswith("my-koleo/")}
    assert set(first[0.5]) == {"my-koleo/joint", "my-koleo/bone"}
    for name, loss in first[0.5].items():
        assert first[1.0][name] == pytest.approx(2 * loss)


def test_the_command_finds_it_through_the_entry_point(
    entry_point: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry_point("i2md.objectives", "koleo", "loss:KoLeo", EXAMPLES)
    base, plain, run = tmp_path_factory.getbasetemp(), tmp_path / "plain", tmp_path / "run"
    words = ("--objectives.extra.koleo", "0.5", "--objectives.options.koleo.epsilon", "1e-4")
    assert command(base, plain) == command(base, run, *words) == 0
    assert last_losses(run) - last_losses(plain) == {"koleo/joint", "koleo/motion", "koleo/bone"}
    # The step after the first is taken with other weights.
    assert read_log(run)[-1]["contrast/joint"] != read_log(plain)[-1]["contrast/joint"]


def test_wrong_names_and_settings_are_named(registered: None) -> None:
    with pytest.raises(InputError, match=r"loss term 'my-kolea' is unknown \(did you mean my-koleo\?\)"):
        replace(TINY, objectives=replace(TINY.objectives, extra={"my-kolea": 1.0}))
    with pytest.raises(InputError, match=r"objectives\.options\.my-koleo: settings of what is not chosen"):
        replace(TINY, objectives=replace(TINY.objectives, options={"my-koleo": {}}))
    with pytest.raises(InputError, match="contrast is a term of method i2md already"):
        replace(TINY, objectives=replace(TINY.objectives, extra={"contrast": 2.0}))
    with pytest.raises(InputError, match=r"objectives\.options\.my-koleo.eps is unknown"):
        build_term("my-koleo", replace(TINY.objectives, options={"my-koleo": {"eps": 1.0}}))
    with pytest.raises(InputError, match="loss term cmd has no settings"):
        build_term("cmd", replace(TINY.objectives, options={"cmd": {"eps": 1.0}}))
