"""The temporal convolutional encoder against loops over frames and taps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.input_scale import InputScale
from i2md.encoders.settings import TCNSettings
from i2md.encoders.tcn import DILATIONS, TCNEncoder
from i2md.errors import InputError
from i2md.skeletons import get_layout


def convolve(x, conv):
    """A convolution of (clips, channels, frames), frame by frame and tap by tap; frames outside are zeros."""
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    _, channels, taps = weight.shape
    out = np.zeros((len(x), len(weight), x.shape[2]))
    for t in range(x.shape[2]):
        out[:, :, t] = bias
        for tap in range(taps):
            source = t + (tap - taps // 2) * conv.dilation[0]
            if 0 <= source < x.shape[2]:
                for channel in range(channels):
                    out[:, :, t] += x[:, channel, source, None] * weight[:, channel, tap]
    return out


def normalise(x, norm):
    """Batch norm of (clips, channels, frames)."""
    if norm.training:
        mean, variance = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
    else:
        mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    scale = norm.weight.detach().numpy() / np.sqrt(variance + norm.eps)
    return (x - mean[:, None]) * scale[:, None] + norm.bias.detach().numpy()[:, None]


def scale_of(x, norm):
    """The root mean square of the first training batch."""
    return np.sqrt((x**2).mean()) if norm.training else norm.scale.item()


def slowly(clips, encoder):
    x = clips.double().numpy()
    x = np.stack([[frame.reshape(-1) for frame in clip] for clip in x]).transpose(0, 2, 1)
    batch_norm = isinstance(encoder.input_norm, SyncBatchNorm1d)
    scaled = normalise(x, encoder.input_norm) if batch_norm else x / scale_of(x, encoder.input_norm)
    normalise_within = normalise if batch_norm else lambda states, norm: states
    x = convolve(scaled, encoder.entry)
    for block in encoder.blocks:
        inner = convolve(np.maximum(normalise_within(x, block.norm_in), 0), block.over_time)
        x = x + convolve(np.maximum(normalise_within(inner, block.norm), 0), block.pointwise)
    return x.max(axis=2)


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("frames", "blocks"), [(1, 1), (7, 2), (20, 5)])
def test_features_match_a_slow_formulation(frames, blocks, training, norm):
    torch.manual_seed(0)
    settings = TCNSettings(readout="max", hidden_size=5, num_blocks=blocks, norm=norm)
    encoder = TCNEncoder(get_layout("openni-15"), 2, settings).train(training)
    for name, value in encoder.state_dict().items():
        if ("norm" in name or "bias" in name) and value.dtype == torch.float32:
            value.copy_(torch.rand_like(value) + 0.5)
    clips = torch.randn(3, frames, 15, 3, 2)
    expected = slowly(clips, encoder)
    np.testing.assert_allclose(encoder(clips).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_a_state_has_read_so_many_frames_around_its_own():
    torch.manual_seed(0)
    encoder = TCNEncoder(get_layout("openni-15"), 1, TCNSettings(hidden_size=32)).eval()
    frames = torch.randn(1, 81, 15, 3, 1, requires_grad=True)
    x = encoder.blocks(encoder.entry(frames.flatten(2).transpose(1, 2)))
    (gradient,) = torch.autograd.grad(x[0, :, 40].sum(), frames)
    read = gradient.abs().amax(dim=(0, 2, 3, 4)).nonzero()
    assert (int(read.min()), int(read.max())) == (40 - 2 - sum(DILATIONS), 40 + 2 + sum(DILATIONS))


def test_a_randomly_initialised_encoder_does_not_depend_on_the_unit():
    torch.manual_seed(0)
    encoder = TCNEncoder(get_layout("openni-15"), 1, TCNSettings(hidden_size=8)).eval()
    metres = torch.randn(2, 12, 15, 3, 1)
    torch.testing.assert_close(encoder(1000 * metres), 1000 * encoder(metres), rtol=1e-4, atol=1e-2)


def test_the_first_training_batch_decides_the_scale():
    norm, first = InputScale(), 3 * torch.randn(4, 6, 10)
    assert norm.eval()(first) is not first and torch.equal(norm(first), first)
    rms = first.square().mean().sqrt()
    torch.testing.assert_close(norm.train()(first), first / rms)
    norm(100 * first)
    torch.testing.assert_close(norm.eval()(first), first / rms)
    again = InputScale()
    again.load_state_dict(norm.state_dict())
    torch.testing.assert_close(again.train()(first), first / rms)


@pytest.mark.parametrize("wrong", [{"hidden_size": 0}, {"num_blocks": -1}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(InputError, match=f"{next(iter(wrong))} .* must be at least 1"):
        TCNSettings(**wrong)
