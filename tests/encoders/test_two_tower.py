"""The two-tower transformer against attention token by token, and how it treats persons and frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from i2md.encoders.settings import TwoTowerSettings
from i2md.encoders.two_tower import TwoTowerEncoder, interpolation
from i2md.errors import InputError
from i2md.skeletons import get_layout

LAYOUT = get_layout("openni-15")


def two_tower(**settings):
    return TwoTowerEncoder(LAYOUT, 2, TwoTowerSettings(**{"hidden_size": 8, "num_positions": 6, **settings}))


def array(tensor):
    return tensor.detach().double().numpy()


def linear(x, layer):
    return array(layer.weight) @ x + array(layer.bias)


def layer_norm(x, norm):
    return (x - x.mean()) / np.sqrt(x.var() + norm.eps) * array(norm.weight) + array(norm.bias)


def gelu(x):
    return np.array([value * (1 + math.erf(value / 2**0.5)) / 2 for value in x])


def attention(tokens, layer):
    """Each token's mean of all tokens' values, head by head, weighted by exp(query . key / sqrt(width of a head))."""
    width = len(tokens[0])
    size = width // layer.heads
    projected = [linear(token, layer.query_key_value) for token in tokens]
    found = []
    for mine in projected:
        heads = []
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            scores = [
                math.exp(
                    sum(q * k for q, k in zip(mine[:width][part], other[width : 2 * width][part], strict=True))
                    / size**0.5
                )
                for other in projected
            ]
            values = [other[2 * width :][part] for other in projected]
            heads.append(sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores))
        found.append(linear(np.concatenate(heads), layer.merge))
    return found


def transformer(tokens, tower, positions):
    tokens = [linear(token, tower.embedding) + place for token, place in zip(tokens, positions, strict=True)]
    for layer in tower.layers:
        read = attention([layer_norm(token, layer.attention_norm) for token in tokens], layer)
        tokens = [token + other for token, other in zip(tokens, read, strict=True)]
        inner = [gelu(linear(layer_norm(token, layer.network_norm), layer.network[0])) for token in tokens]
        tokens = [token + linear(hidden, layer.network[2]) for token, hidden in zip(tokens, inner, strict=True)]
    return np.array([layer_norm(token, tower.norm) for token in tokens])


def resampled(values, number):
    """Each column of (values, ...) at so many equally spaced places."""
    given = np.arange(len(values))
    places = np.linspace(0, len(values) - 1, number)
    flat = values.reshape(len(values), -1)
    return np.stack([np.interp(places, given, column) for column in flat.T], axis=1).reshape(number, *values.shape[1:])


def slowly(clip, encoder, pooling):
    """Features of one clip (frames, joints, channels, persons) by the mean over time, in evaluation mode."""
    norm = encoder.input_norm
    of_persons = []
    for person in range(clip.shape[3]):
        if not clip[..., person].any():
            continue
        frames = clip[..., person].reshape(len(clip), -1)
        frames = (frames - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + norm.eps)
        times = resampled(array(encoder.time_tower.positions), len(clip))
        states = transformer(list(frames), encoder.time_tower, times)
        positions = resampled(frames.reshape(clip.shape[:3]), encoder.num_positions)
        tokens = [positions[:, joint].reshape(-1) for joint in range(clip.shape[1])]
        joints = transformer(tokens, encoder.joint_tower, array(encoder.joint_tower.positions))
        pooled = joints.max(axis=0) if pooling == "max" else joints.mean(axis=0)
        of_persons.append(np.concatenate([states.mean(axis=0), pooled]))
    return np.max(of_persons, axis=0) if pooling == "max" else np.mean(of_persons, axis=0)


@pytest.mark.parametrize(
    ("frames", "layers", "heads", "pooling"), [(6, 2, 2, "max"), (1, 1, 1, "mean"), (9, 1, 4, "mean")]
)
def test_features_match_a_slow_formulation(frames, layers, heads, pooling):
    torch.manual_seed(0)
    encoder = two_tower(readout="mean", num_layers=layers, num_heads=heads, pooling=pooling).eval()
    encoder.input_norm.running_mean.normal_()
    encoder.input_norm.running_var.uniform_(0.5, 2)
    clips = torch.randn(3, frames, 15, 3, 2)
    clips[1, ..., 1] = 0
    expected = np.stack([slowly(clip, encoder, pooling) for clip in array(clips)])
    np.testing.assert_allclose(encoder(clips).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_absent_persons_count_for_nothing_and_persons_have_no_order(pooling):
    torch.manual_seed(0)
    encoder = two_tower(pooling=pooling).eval()
    clips = torch.randn(3, 7, 15, 3, 2)
    alone = clips[..., :1]
    padded = torch.cat([alone, torch.zeros(3, 7, 15, 3, 2)], dim=4)
    torch.testing.assert_close(encoder(padded), encoder(alone), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder(clips.flip(4)), encoder(clips), rtol=1e-5, atol=1e-6)
    assert encoder(torch.zeros(2, 7, 15, 3, 2)).isfinite().all()


def test_frames_have_an_order():
    torch.manual_seed(0)
    encoder = two_tower().eval()
    clips = torch.randn(2, 7, 15, 3, 1)
    time, joints = (encoder(clips.flip(1)) - encoder(clips)).abs().amax(dim=0).split(8)
    assert time.max() > 1e-3 and joints.max() > 1e-3


@pytest.mark.parametrize(("to", "given"), [(6, 6), (1, 4), (4, 1), (9, 4), (3, 8)])
def test_interpolation_is_that_of_numpy(to, given):
    values = np.random.default_rng(0).normal(size=given)
    expected = np.interp(np.linspace(0, given - 1, to), np.arange(given), values)
    found = interpolation(to, given, torch.zeros(1, dtype=torch.float64)) @ torch.tensor(values)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"num_layers": 0}, "num_layers 0 must be at least 1"), ({"num_heads": 3}, "hidden_size 8 must be a multiple")],
)
def test_settings_that_contradict_one_another_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        two_tower(**wrong)
