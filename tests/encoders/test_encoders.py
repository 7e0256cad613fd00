"""What every built-in encoder keeps to, at a tiny size: shapes, gradients, read-outs, whole runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.cli.main import main
from i2md.encoders.readout import Readout
from i2md.encoders.registry import ENCODERS
from i2md.pretraining.checkpoint import load_tensors
from i2md.skeletons import get_layout
from i2md.skeletons.files import layout_names

every = pytest.mark.parametrize("name", tiny.ENCODERS)


def clips_of(layout, persons, batch=3, frames=9):
    """Random clips, their batch the last axis in memory, as that of views is."""
    shape = (frames, len(get_layout(layout).joints), get_layout(layout).channels, persons, batch)
    return torch.randn(shape).permute(4, 0, 1, 2, 3)


def test_every_built_in_encoder_is_tested():
    assert set(tiny.ENCODERS) == set(ENCODERS._builtin)


@every
@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("layout", layout_names())
def test_any_layout_and_number_of_persons(name, layout, persons):
    encoder = tiny.encoder(name, layout, persons)
    features = encoder(clips_of(layout, persons))
    assert features.shape == (3, encoder.width)
    assert features.dtype == torch.float32
    assert features.isfinite().all()


@every
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_any_number_of_frames(name, frames):
    assert tiny.encoder(name, "openni-15", 1)(clips_of("openni-15", 1, frames=frames)).isfinite().all()


@every
@pytest.mark.parametrize("readout", ["last", "mean", "max", "attention", "pyramid"])
def test_every_readout_and_its_exchange(name, readout):
    torch.manual_seed(0)
    encoder = tiny.encoder(name, "openni-15", 2, readout).eval()
    clips = clips_of("openni-15", 2)
    assert encoder(clips).shape == (3, encoder.width)
    torch.manual_seed(0)
    by_max = tiny.encoder(name, "openni-15", 2, "max").eval()
    encoder.read_out_by("max")
    torch.testing.assert_close(encoder(clips), by_max(clips))
    assert (encoder.width, encoder.head_width) == (by_max.width, by_max.head_width)


@every
def test_gradients_are_those_of_finite_differences(name):
    """Along a random direction of all weights, and of the clips."""
    torch.manual_seed(0)
    encoder = tiny.encoder(name, "openni-15", 2, "mean").double().train()
    clips = clips_of("openni-15", 2).double().requires_grad_()
    weights = [clips, *encoder.parameters()]
    towards = torch.randn(3, encoder.width).double()
    directions = [torch.randn_like(weight) for weight in weights]
    gradients = torch.autograd.grad((encoder(clips) * towards).sum(), weights)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    values = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for weight, direction in zip(weights, directions, strict=True):
                weight += step * direction
            values.append(float((encoder(clips) * towards).sum()))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-2, abs=5e-2)


@every
def test_clips_are_left_as_they_are_and_evaluation_repeats_itself(name):
    encoder = tiny.encoder(name, "openni-15", 2)
    clips = clips_of("openni-15", 2)
    before = clips.clone()
    encoder.train()(clips)
    assert torch.equal(clips, before)
    assert torch.equal(encoder.eval()(clips), encoder(clips))


@every
def test_features_of_a_clip_do_not_depend_on_the_batch_it_is_in(name):
    torch.manual_seed(0)
    encoder = tiny.encoder(name, "openni-15", 2).eval()
    clips = clips_of("openni-15", 2, batch=13)
    with torch.no_grad():
        together = encoder(clips)
        for size in (1, 4, 13):
            apart = torch.cat([encoder(some) for some in clips.split(size)])
            torch.testing.assert_close(apart, together, rtol=1e-5, atol=1e-6)


@every
def test_encoders_in_parallel_equal_each_alone(name):
    encoders = [tiny.encoder(name, "openni-15", 1) for _ in range(2)]
    clips = [clips_of("openni-15", 1) for _ in range(2)]
    together = type(encoders[0]).forward_parallel(encoders, clips)
    for found, encoder, x in zip(together, encoders, clips, strict=True):
        torch.testing.assert_close(found, encoder(x), rtol=1e-5, atol=1e-6)


@every
def test_autocast_gives_features_in_float32_within_rounding(name):
    torch.manual_seed(0)
    encoder = tiny.encoder(name, "openni-15", 2).eval()
    clips = clips_of("openni-15", 2)
    exact = encoder(clips)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(clips)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 2**-4 * exact.abs().max()


@every
def test_states_are_what_the_readout_reads(name):
    encoder = tiny.encoder(name, "openni-15", 1)
    assert isinstance(encoder.readout, Readout)
    assert encoder.head_width >= encoder.state_width


new = pytest.mark.parametrize("name", [name for name in tiny.ENCODERS if name != "gru"])


def pretrain(name: str, base: Path, run: Path, epochs: int) -> None:
    """A run by the command line."""
    chosen = ["--encoder.name", name, *tiny.words(tiny.ENCODERS[name]), "--method", "cmd", "--knn_every", "0"]
    words = [*tiny.SETTINGS, *chosen, "--epochs", str(epochs)]
    assert main(["pretrain", str(tiny.clips(base)), str(run), *words]) == 0


@new
def test_a_run_by_the_command_line(name, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    """It is pretrained, evaluated and embeds."""
    base = tmp_path_factory.getbasetemp()
    run, clips, said = tmp_path / "run", tiny.clips(base), tmp_path / "said.json"
    pretrain(name, base, run, epochs=1)
    words = ["evaluate", str(run), str(clips), "--protocol", "knn", "--baselines", "none", "--device", "cpu"]
    assert main([*words, "--json", str(said)]) == 0
    (result,) = json.loads(said.read_text())["results"]
    assert 0 <= result["ensemble"]["accuracy"] <= 1
    model = i2md.load(run, "cpu")
    features = model.embed(i2md.open_clips(clips))
    assert {values.shape for values in features.values()} == {(32, model.encoders["joint"].width)}
    assert all(np.isfinite(values).all() for values in features.values())


def test_a_run_that_goes_on_ends_with_the_weights_of_one_in_one_go(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    base = tmp_path_factory.getbasetemp()
    pretrain("tcn", base, tmp_path / "once", epochs=2)
    for epochs in (1, 2):
        pretrain("tcn", base, tmp_path / "twice", epochs)
    once, twice = (load_tensors(tmp_path / run / "model.safetensors") for run in ("once", "twice"))
    assert once.keys() == twice.keys()
    assert all(torch.equal(value, twice[key]) for key, value in once.items())


@pytest.mark.slow
@new
def test_the_graph_of_operations_can_be_exported(name):
    encoder = tiny.encoder(name, "openni-15", 2).eval()
    clips = clips_of("openni-15", 2)
    exported = torch.export.export(encoder, (clips,)).module()
    torch.testing.assert_close(exported(clips), encoder(clips), rtol=1e-5, atol=1e-6)
