"""docs/examples/encoder.py, the file itself: registered, it is pretrained, evaluated and its settings are checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch

import i2md
from i2md.encoders.registry import ENCODERS, build_encoder
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.skeletons import get_layout

sys.path.insert(0, str(Path(__file__).parent))
from pretraining_examples import EXAMPLES, command, load_example, pretrain


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENCODERS, "_registered", {})
    ENCODERS.register("my-tcn", load_example("encoder").TCN)


def test_the_encoder_gets_layout_persons_and_its_own_settings(registered: None) -> None:
    layout = get_layout("openni-15")
    encoder = build_encoder(EncoderSettings(name="my-tcn", options={"hidden_size": 6}), layout, persons=2)
    assert encoder.width == 6
    assert encoder(torch.randn(4, 10, 15, 3, 2)).shape == (4, 6)


def test_a_run_by_the_python_api(registered: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    done = pretrain(base, tmp_path / "run", encoder=EncoderSettings(name="my-tcn", options={"hidden_size": 6}))
    assert done.losses["contrast/joint"] > 0
    features = i2md.load(tmp_path / "run", "cpu").embed(i2md.open_clips(tiny.clips(base)))
    assert {values.shape for values in features.values()} == {(32, 6)}


def test_the_command_finds_it_through_the_entry_point(
    entry_point: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry_point("i2md.encoders", "my-tcn", "encoder:TCN", EXAMPLES)
    words = ("--encoder.name", "my-tcn", "--encoder.options.hidden_size", "6", "--encoder.options.kernel_size", "5")
    assert command(tmp_path_factory.getbasetemp(), tmp_path / "run", *words) == 0
    weights = i2md.load(tmp_path / "run", "cpu").encoders["joint"].state_dict()
    assert weights["layers.1.weight"].shape == (6, 60, 5)


def test_wrong_settings_are_named(registered: None) -> None:
    layout = get_layout("openni-15")
    with pytest.raises(InputError, match=r"encoder.options.hiden_size is unknown \(did you mean hidden_size\?\)"):
        build_encoder(EncoderSettings(name="my-tcn", options={"hiden_size": 6}), layout, 1)
    with pytest.raises(InputError, match=r"encoder.options: .*kernel_size"):
        build_encoder(EncoderSettings(name="my-tcn", options={"kernel_size": 4}), layout, 1)
    with pytest.raises(InputError, match=r"settings of encoder gru are encoder\.readout, encoder\.hidden_size"):
        build_encoder(EncoderSettings(options={"hidden_size": 6}), layout, 1)
