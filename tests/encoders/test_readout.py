"""Every read-out against loops, what it is blind to, and other read-outs of trained encoders on the command line."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import i2md
from i2md.cli.main import main
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.readout import Readout
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings, GRUSettings
from i2md.errors import InputError
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.model import Branch
from i2md.skeletons import get_layout

NAMES = ("last", "mean", "max", "attention", "pyramid")
SHAPES = [(3, 4, 1), (2, 5, 2), (2, 3, 3), (1, 6, 5), (3, 2, 7), (2, 4, 8), (2, 3, 13)]


def slowly(name, states, query):
    """A clip's features from its states (width, frames), unit by unit."""
    width, frames = states.shape
    if name == "last":
        return [states[unit, frames - 1] for unit in range(width)]
    if name == "mean":
        return [sum(states[unit]) / frames for unit in range(width)]
    if name == "max":
        return [max(states[unit]) for unit in range(width)]
    if name == "attention":
        scores = [sum(query[unit] * states[unit, t] for unit in range(width)) / width**0.5 for t in range(frames)]
        weights = np.exp(scores) / np.exp(scores).sum()
        return [sum(weights[t] * states[unit, t] for t in range(frames)) for unit in range(width)]
    features = []
    for parts in (1, 2, 4):
        for part in range(parts):
            mine = [t for t in range(frames) if t < (part + 1) * frames / parts and t + 1 > part * frames / parts]
            features += [max(states[unit, t] for t in mine) for unit in range(width)]
    return features


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_features_match_a_slow_formulation(name, shape):
    torch.manual_seed(0)
    states = torch.randn(shape)
    readout = Readout(name, shape[1])
    query = np.random.default_rng(0).normal(size=shape[1])
    if readout.query is not None:
        readout.query.data.copy_(torch.tensor(query))
    expected = np.array([slowly(name, clip, query) for clip in states.double().numpy()])
    assert readout.width == expected.shape[1]
    for laid_out in (states, states.permute(1, 2, 0).contiguous().permute(2, 0, 1)):
        np.testing.assert_allclose(readout(laid_out).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name):
    torch.manual_seed(0)
    readout = Readout(name, 3)
    if readout.query is not None:
        torch.nn.init.normal_(readout.query)
    # Sums are float32, so the differences are coarse.
    states = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(2, readout.width)
    (gradient,) = torch.autograd.grad((readout(states) * towards).sum(), states)
    for place in np.ndindex(2, 3, 6):
        moved = [states.detach().clone() for _ in range(2)]
        for clip, step in zip(moved, (1e-2, -1e-2), strict=True):
            clip[place] += step
        with torch.no_grad():
            difference = ((readout(moved[0]) - readout(moved[1])) * towards).sum() / 2e-2
        assert gradient[place] == pytest.approx(float(difference), abs=2e-3)


@settings(deadline=None)
@given(st.permutations(range(11)), st.integers(1, 11), st.integers(0, 1000))
def test_mean_max_and_attention_ignore_the_order_of_frames_and_the_pyramid_begins_with_the_maximum(order, frames, seed):
    states = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(seed))
    order = [t for t in order if t < frames]
    for name in ("mean", "max", "attention"):
        readout = Readout(name, 3)
        torch.testing.assert_close(readout(states[:, :, order]), readout(states))
    maximum = Readout("max", 3)(states)
    pyramid = Readout("pyramid", 3)(states).view(2, 7, 3)
    assert torch.equal(pyramid[:, 0], maximum)
    assert torch.equal(pyramid[:, 1:3].amax(dim=1), maximum)
    assert torch.equal(pyramid[:, 3:].amax(dim=1), maximum)


def test_attention_starts_as_the_mean():
    states = torch.randn(4, 5, 9)
    torch.testing.assert_close(Readout("attention", 5)(states), states.mean(dim=2))


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_float32_under_autocast(name):
    torch.manual_seed(0)
    states = torch.randn(4, 8, 20).bfloat16()
    readout = Readout(name, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = readout(states)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, readout(states.float()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gru_reads_out_the_states_of_its_last_layer(name):
    torch.manual_seed(0)
    layout = get_layout("openni-15")
    last = GRUEncoder(layout, 1, GRUSettings(hidden_size=6, num_layers=2)).eval()
    encoder = GRUEncoder(layout, 1, GRUSettings(readout=name, hidden_size=6, num_layers=2)).eval()
    missing, unexpected = encoder.load_state_dict(last.state_dict(), strict=False)
    assert (missing, unexpected) == (["readout.query"] if name == "attention" else [], [])
    x = torch.randn(3, 9, 15, 3, 1)
    # The state after t frames is the last one of the first t frames.
    states = torch.stack([last(x[:, : t + 1]) for t in range(9)], dim=2)
    torch.testing.assert_close(encoder(x), encoder.readout(states), rtol=1e-5, atol=1e-6)
    assert encoder(x).shape == (3, encoder.width)
    assert encoder.head_width == 12


@pytest.mark.parametrize("name", NAMES)
def test_gru_gradients_match_those_through_torch_gru(name):
    torch.manual_seed(0)
    encoder = GRUEncoder(get_layout("openni-15"), 1, GRUSettings(readout=name, hidden_size=5, num_layers=1))
    if encoder.readout.query is not None:
        torch.nn.init.normal_(encoder.readout.query)
    reference = copy.deepcopy(encoder)
    x = torch.randn(4, 11, 15, 3, 1)
    towards = torch.randn(4, encoder.width)
    (encoder(x) * towards).sum().backward()

    (pair,) = reference.layers
    grus = []
    for direction in range(2):
        rows = slice(15 * direction, 15 * (direction + 1))
        weights = [pair.weight_ih[rows], pair.weight_hh[direction], pair.bias_ih[rows], pair.bias_hh[direction]]
        normed = reference.input_norm(x.flatten(2).transpose(1, 2)).transpose(1, 2)
        grus.append(torch.gru(normed, torch.zeros(1, 4, 5), weights, True, 1, 0.0, True, False, True)[0])
    states = torch.cat(grus, dim=2).transpose(1, 2)
    (reference.readout(states) * towards).sum().backward()
    for (parameter, mine), other in zip(encoder.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-5, msg=parameter)


def test_heads_are_as_wide_as_the_states():
    chosen = EncoderSettings(readout="pyramid", hidden_size=4, num_layers=1)
    branch = Branch(build_encoder(chosen, get_layout("openni-15"), 1), ObjectiveSettings(embedding_dim=6), "fp32")
    assert [tuple(weight.shape) for name, weight in branch.instance.named_parameters() if "weight" in name] == [
        (8, 56),
        (6, 8),
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Folder of clips, a run trained with the last state, and one trained with the pyramid."""
    base = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("readouts")
    shutil.copytree(tiny.run(base), folder / "last")
    words = ["pretrain", str(tiny.clips(base)), str(folder / "pyramid"), *tiny.SETTINGS]
    assert main([*words, "--epochs", "1", "--encoder.readout", "pyramid"]) == 0
    return tiny.clips(base), folder / "last", folder / "pyramid"


def test_evaluate_and_embed_by_another_readout(runs: tuple[Path, Path, Path], tmp_path: Path):
    clips, last, pyramid = map(str, runs)
    said = {}
    for run, readout in ((last, "pyramid"), (pyramid, "max")):
        out = str(tmp_path / "e.json")
        words = [
            "--protocol",
            "knn",
            "--readout",
            readout,
            "--baselines",
            "untrained",
            "--device",
            "cpu",
            "--json",
            out,
        ]
        assert main(["evaluate", run, clips, *words]) == 0
        said[run] = json.loads(Path(out).read_text())["results"]
    assert {result["readout"] for result in said[last]} == {"pyramid"}
    names = {path.name for path in (Path(last) / "evaluation").iterdir()}
    assert names == {f"knn-k=1-readout=pyramid-synthetic-xsub{baseline}.json" for baseline in ("", "-untrained")}

    widths = {}
    for run, readout in ((last, None), (last, "max"), (last, "pyramid"), (pyramid, None), (pyramid, "max")):
        out = tmp_path / "f.npz"
        chosen = ["--readout", readout] if readout else []
        assert main(["embed", run, clips, str(out), "--device", "cpu", *chosen]) == 0
        widths[run, readout] = np.load(out)["joint"]
    assert [values.shape[1] for values in widths.values()] == [16, 16, 112, 112, 16]
    assert np.array_equal(widths[last, "pyramid"][:, :16], widths[last, "max"])
    assert np.array_equal(widths[pyramid, None][:, :16], widths[pyramid, "max"])
    loaded = i2md.load(last, "cpu", "max").embed(i2md.open_clips(clips))
    assert np.array_equal(loaded["joint"], widths[last, "max"])


def test_untrained_encoders_by_another_readout_keep_the_weights_of_the_start(runs: tuple[Path, Path, Path]):
    from i2md.pretraining.checkpoint import new_encoders
    from i2md.pretraining.run import read_config

    config = read_config(runs[2])
    begun, by_max = new_encoders(config), new_encoders(config, "max")
    for name, encoder in begun.items():
        assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), by_max[name].parameters(), strict=True))
        assert (encoder.width, by_max[name].width) == (112, 16)


def test_a_folder_of_features_is_of_one_readout(
    runs: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["embed", str(runs[1]), str(runs[0]), str(tmp_path / "out"), "--device", "cpu"]
    assert main([*words, "--readout", "max"]) == 0
    assert main([*words, "--readout", "max"]) == 0
    assert main(words) == 2
    assert "holds something else" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["attention", "median"])
def test_readouts_with_weights_of_their_own_cannot_be_exchanged_for(
    runs: tuple[Path, Path, Path], refused: Callable[..., str], name: str
):
    assert "readout" in refused("evaluate", runs[1], runs[0], "--readout", name)


def test_an_encoder_without_a_readout_says_so():
    from i2md.encoders.base import Encoder
    from i2md.encoders.readout import read_out_by
    from i2md.encoders.registry import ENCODERS

    class Plain(Encoder):
        pass

    with pytest.raises(InputError, match="readout max: encoder Plain has no read-out to change"):
        read_out_by({"joint": Plain(get_layout("openni-15"), 1, None)}, "max")
    ENCODERS.register("plain-test", Plain)
    with pytest.raises(InputError, match=r"encoder\.readout: encoder plain-test has no setting `readout`"):
        build_encoder(EncoderSettings(name="plain-test", readout="max"), get_layout("openni-15"), 1)
