"""The recurrent encoder against the GRU's equations, frame by frame, and the published program's features."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from i2md.encoders.gru.encoder import GRUEncoder, GRUPair, run_pairs
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings, GRUSettings
from i2md.errors import InputError
from i2md.pretraining.reference_checkpoint import rename_reference_state
from i2md.skeletons import Layout, get_layout
from i2md.views.streams import stream


def gru_cell(x, h, w_ih, w_hh, b_ih, b_hh):
    """One step of a gated recurrent unit, as its equations are printed."""
    i_r, i_z, i_n = (x @ w_ih.T + b_ih).chunk(3, dim=1)
    h_r, h_z, h_n = (h @ w_hh.T + b_hh).chunk(3, dim=1)
    reset, update = 1 / (1 + torch.exp(-i_r - h_r)), 1 / (1 + torch.exp(-i_z - h_z))
    return (1 - update) * torch.tanh(i_n + reset * h_n) + update * h


def weights_of(pair, direction):
    """Input and hidden weights and biases of one of a pair's two GRUs."""
    rows = slice(direction * 3 * pair.hidden_size, (direction + 1) * 3 * pair.hidden_size)
    return pair.weight_ih[rows], pair.weight_hh[direction], pair.bias_ih[rows], pair.bias_hh[direction]


def gru(channels, hidden_size, num_layers, **settings):
    """The encoder of a chain of joints with as many numbers a frame as `channels`."""
    count = channels // 3
    names, parents = tuple(f"joint{i}" for i in range(count)), (0, *range(count - 1))
    chain = Layout("chain", names, parents, mirror=tuple(range(count)), centre=0, across=(0, 1), spine=(0, 1))
    return GRUEncoder(chain, 1, GRUSettings(hidden_size=hidden_size, num_layers=num_layers, **settings))


def clips(x):
    """Sequences (batch, frames, channels) as clips of that chain."""
    return x.unflatten(2, (-1, 3, 1))


def frame_by_frame(x, encoder):
    """The published program's way: each frame goes up through all layers, both "directions" reading forward."""
    norm = encoder.input_norm
    if encoder.training:
        mean, variance = x.mean(dim=(0, 1)), x.var(dim=(0, 1), unbiased=False)
    else:
        mean, variance = norm.running_mean, norm.running_var
    x = (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
    states = [[x.new_zeros(len(x), pair.hidden_size) for _ in range(2)] for pair in encoder.layers]
    for frame in x.unbind(dim=1):
        below = frame
        for layer, pair in enumerate(encoder.layers):
            states[layer] = [gru_cell(below, states[layer][d], *weights_of(pair, d)) for d in range(2)]
            below = torch.cat(states[layer], dim=1)
    return below


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("channels", "units", "layers", "frames"), [(150, 24, 3, 20), (60, 5, 1, 7), (18, 3, 5, 1), (6, 16, 2, 33)]
)
def test_features_and_gradients_match_a_frame_by_frame_formulation(channels, units, layers, frames, training):
    torch.manual_seed(0)
    encoder = gru(channels, units, layers).train(training)
    torch.nn.init.normal_(encoder.input_norm.weight)
    encoder.input_norm.running_mean.normal_()
    x = torch.randn(4, frames, channels, requires_grad=True)
    reference, exact = copy.deepcopy(encoder).double(), x.detach().double().requires_grad_()
    ours, theirs = encoder(clips(x)), frame_by_frame(exact, reference)
    torch.testing.assert_close(ours, theirs.float(), atol=1e-6, rtol=0)

    towards = torch.randn_like(ours)
    (ours * towards).sum().backward()
    (theirs * towards).sum().backward()
    torch.testing.assert_close(x.grad, exact.grad.float(), atol=1e-5, rtol=1e-4)
    for (name, mine), other in zip(encoder.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad.float(), atol=1e-5, rtol=1e-4, msg=name)


def test_encoders_in_parallel_equal_each_alone():
    """Features, gradients and statistics, each of its own batch."""
    torch.manual_seed(0)
    together = [gru(9, 5, 2) for _ in range(3)]
    alone = copy.deepcopy(together)
    sequences = [clips(x) for x in torch.randn(3, 4, 7, 9)]
    side_by_side = GRUEncoder.forward_parallel(together, sequences)
    one_by_one = [encoder(x) for encoder, x in zip(alone, sequences, strict=True)]
    for number, (feature, expected) in enumerate(zip(side_by_side, one_by_one, strict=True)):
        torch.testing.assert_close(feature, expected, atol=1e-6, rtol=0)
        for loss in (feature, expected):
            (loss.square().sum() * (number + 1)).backward(retain_graph=True)
    for mine, other in zip(together, alone, strict=True):
        assert torch.equal(mine.input_norm.running_mean, other.input_norm.running_mean)
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-4)


# PyTorch 2.4 warns of its own way to recompute.
@pytest.mark.filterwarnings("ignore:.torch.cpu.amp.autocast:FutureWarning")
def test_activation_checkpointing_gives_the_same_gradients_in_less_memory():
    torch.manual_seed(0)
    stored = gru(9, 5, 3)
    recomputed = gru(9, 5, 3, activation_checkpointing=True)
    recomputed.load_state_dict(stored.state_dict())
    x = torch.randn(4, 13, 9)
    kept: dict[str, int] = {}
    gradients = {}
    for name, encoder in (("stored", stored), ("recomputed", recomputed)):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            feature = encoder(clips(x))
        kept[name] = sum(sizes)
        gradients[name] = torch.autograd.grad(feature.square().sum(), list(encoder.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*gradients.values(), strict=True))
    assert kept["recomputed"] < kept["stored"] / 3


@pytest.mark.parametrize("together", [1, 2, 3])
def test_pairs_in_turn_equal_pairs_in_parallel(together, monkeypatch):
    """A processor's cache decides how many run at a time, and nothing else."""
    torch.manual_seed(0)
    pairs = [GRUPair(6, 4) for _ in range(3)]
    x = torch.randn(3, 6, 11, 5)
    expected = [run_pairs(x[i : i + 1], pairs[i : i + 1]) for i in range(3)]
    size = pairs[0].weight_ih.numel() + pairs[0].weight_hh.numel()
    monkeypatch.setattr("i2md.encoders.gru.encoder.CACHE", 4 * size * together)
    hidden, last = run_pairs(x, pairs)
    torch.testing.assert_close(hidden, torch.cat([one for one, _ in expected]), atol=1e-6, rtol=0)
    torch.testing.assert_close(last, torch.cat([one for _, one in expected]), atol=1e-6, rtol=0)


def test_bf16_errors_are_within_rounding():
    torch.manual_seed(0)
    encoder = gru(12, 32, 3)
    x = torch.randn(8, 40, 12)
    exact = encoder(clips(x))
    exact_gradients = torch.autograd.grad(exact.square().sum(), list(encoder.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(clips(x))
    gradients = torch.autograd.grad(rounded.square().sum(), list(encoder.parameters()))
    assert rounded.dtype == torch.float32
    assert 1e-5 < (rounded - exact).abs().max() < 2**-6 * exact.abs().max()
    for (name, _), mine, other in zip(encoder.named_parameters(), gradients, exact_gradients, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - other).norm() < 2**-5 * other.norm(), name


def test_batch_norm_statistics_are_over_clips_and_frames():
    torch.manual_seed(0)
    encoder = gru(6, 2, 1)
    x = torch.randn(8, 6, 6) * 3 + 1
    encoder.train()(clips(x))
    torch.testing.assert_close(encoder.input_norm.running_mean, 0.1 * x.mean(dim=(0, 1)))
    torch.testing.assert_close(encoder.input_norm.running_var, 0.9 + 0.1 * x.var(dim=(0, 1)))


@pytest.mark.parametrize("name", ["joint", "motion"])
def test_features_of_the_reference_implementation(golden, name):
    numbers = np.load(golden / "cmd_step.npz")
    final = {key[6:]: torch.tensor(numbers[key]) for key in numbers.files if key.startswith("final/")}
    prefix = f"query.{name}.encoder."
    weights = {k.removeprefix(prefix): v for k, v in rename_reference_state(final).items() if k.startswith(prefix)}
    encoder = GRUEncoder(get_layout("kinect-v2"), 2, GRUSettings(hidden_size=24))
    encoder.load_state_dict(weights)
    view = torch.tensor(numbers["step2/query"]).permute(0, 2, 3, 1, 4)
    with torch.no_grad():
        features = encoder.eval()(stream(view, name, get_layout("kinect-v2")))
    np.testing.assert_allclose(features.numpy(), numbers[f"eval/features_{name}"], atol=1e-5)


def test_the_feature_depends_on_the_frames_and_their_order():
    torch.manual_seed(0)
    encoder = gru(6, 4, 2).eval()
    x = torch.randn(1, 9, 6)
    feature = encoder(clips(x))
    for frame in range(9):
        changed = x.clone()
        changed[:, frame] += 1
        assert not torch.equal(encoder(clips(changed)), feature)
    assert not torch.allclose(encoder(clips(x.flip(1))), feature, atol=1e-3)


def test_an_unknown_encoder_is_an_input_error_and_gru_states_its_width():
    assert build_encoder(EncoderSettings(hidden_size=6, num_layers=1), get_layout("coco-17"), 1).width == 12
    with pytest.raises(InputError, match=r"encoder 'grU' is unknown \(did you mean gru\?\); choose among gru"):
        build_encoder(EncoderSettings(name="grU"), get_layout("coco-17"), 1)


def test_retentive_initialisation_remembers_the_first_frames():
    def influence(initialisation: str) -> float:
        """How much the feature moves, on average, with the first of 32 frames."""
        torch.manual_seed(0)
        encoder = gru(6, 32, 2, initialisation=initialisation).eval()
        x = torch.randn(64, 32, 6, requires_grad=True)
        (gradient,) = torch.autograd.grad(encoder(clips(x)).square().sum(), x)
        return float(gradient[:, 0].norm() / gradient[:, -1].norm())

    assert influence("retentive") > 0.1
    assert influence("uniform") < 1e-3


@pytest.mark.parametrize("initialisation", ["orthogonal", "retentive"])
def test_recurrent_weights_are_orthogonal_in_each_gate(initialisation):
    pair = GRUPair(channels=5, units=12, initialisation=initialisation)
    blocks = pair.weight_hh.detach().view(-1, 12, 12)
    assert torch.allclose(blocks @ blocks.transpose(1, 2), torch.eye(12).expand(6, 12, 12), atol=1e-5)
