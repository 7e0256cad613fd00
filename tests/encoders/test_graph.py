"""The graph encoder against loops over joints and frames, and what it does not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from i2md.encoders.graph import BatchNormMaps, GraphEncoder, spatial_partition
from i2md.encoders.settings import GraphSettings
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout
from i2md.skeletons.files import layout_names

# A centre with two arms, one of two bones: joints 1 and 3 beside the centre 2, joint 0 beyond 1.
LAYOUT = Layout("arms", ("hand", "elbow", "chest", "other"), (1, 2, 2, 2), (0, 1, 2, 3), 2, (1, 3), (1, 2))
REFINEMENTS = ("none", "channel-wise")


def graph(layout=LAYOUT, persons=2, **settings):
    encoder = GraphEncoder(layout, persons, GraphSettings(**{"widths": (4, 5), **settings}))
    for name, value in encoder.state_dict().items():
        if name.endswith("strength"):
            value.fill_(0.7)
        elif any(word in name for word in ("importance", "norm", "shortcut.1")) and value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.5)
    return encoder


def array(tensor):
    return tensor.detach().double().numpy()


def normalise(maps, norm):
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return (maps - array(norm.running_mean)[:, None, None]) * scale[:, None, None] + array(norm.bias)[:, None, None]


def neighbours(joint):
    """The sets of neighbours of a joint of LAYOUT: itself, nearer to the centre, farther from it."""
    return {0: ([0], [1], []), 1: ([1], [2], [0]), 2: ([2], [], [1, 3]), 3: ([3], [2], [])}[joint]


def convolve_graph(maps, layer):
    """A graph convolution of one person's maps (channels, frames, joints), joint by joint."""
    channels, frames, joints = maps.shape
    weight, bias = array(layer.pointwise.weight)[:, :, 0, 0], array(layer.pointwise.bias)
    after = len(bias) // (3 if hasattr(layer, "refine") else 1)
    out = np.zeros((after, frames, joints))
    for joint in range(joints):
        degree = sum(len(some) for some in neighbours(joint))
        for number, some in enumerate(neighbours(joint)):
            shared = np.zeros(joints)
            for other in some:
                shared[other] = array(layer.importance)[number, other, joint] / degree
            for other in range(joints):
                if hasattr(layer, "refine"):
                    mine, part = slice(number * after, (number + 1) * after), slice(number * 8, (number + 1) * 8)
                    mean = maps.mean(axis=1)
                    query = array(layer.query.weight)[part, :, 0] @ mean[:, joint] + array(layer.query.bias)[part]
                    key = array(layer.key.weight)[part, :, 0] @ mean[:, other] + array(layer.key.bias)[part]
                    refined = array(layer.refine.weight)[mine, :, 0, 0] @ np.tanh(query - key)
                    refined = shared[other] + 0.7 * (refined + array(layer.refine.bias)[mine])
                    for t in range(frames):
                        out[:, t, joint] += refined * (weight[mine] @ maps[:, t, other] + bias[mine])
                else:
                    own = weight[:, number * channels : (number + 1) * channels]
                    for t in range(frames):
                        out[:, t, joint] += shared[other] * (own @ maps[:, t, other])
        if not hasattr(layer, "refine"):
            out[:, :, joint] += bias[:, None]
    return out


def convolve_time(maps, conv):
    """A convolution over time, state by state; frames outside are zeros."""
    weight, stride, kernel = array(conv.weight)[..., 0], conv.stride[0], conv.kernel_size[0]
    states = -(-maps.shape[1] // stride)
    out = np.zeros((len(weight), states, maps.shape[2])) + array(conv.bias)[:, None, None]
    for state in range(states):
        for tap in range(kernel):
            source = state * stride + tap - kernel // 2
            if 0 <= source < maps.shape[1]:
                out[:, state] += weight[:, :, tap] @ maps[:, source]
    return out


def slowly(clip, encoder):
    """Features of one clip (frames, joints, channels, persons) by the mean over time, in evaluation mode."""
    of_persons = []
    norm = encoder.input_norm
    for person in range(clip.shape[3]):
        if not clip[..., person].any():
            continue
        scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
        flat = (clip[..., person].reshape(len(clip), -1) - array(norm.running_mean)) * scale + array(norm.bias)
        maps = flat.reshape(clip.shape[:3]).transpose(2, 0, 1)
        for block in encoder.blocks:
            inner = np.maximum(normalise(convolve_graph(maps, block.spatial), block.spatial_norm), 0)
            inner = normalise(convolve_time(inner, block.over_time), block.time_norm)
            if block.residual:
                conv, shortcut_norm = block.shortcut if len(list(block.shortcut.children())) else (None, None)
                inner = inner + (maps if conv is None else normalise(convolve_time(maps, conv), shortcut_norm))
            maps = np.maximum(inner, 0)
        of_persons.append(maps.mean(axis=(1, 2)))
    return np.mean(of_persons, axis=0)


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize(("frames", "widths"), [(1, (4,)), (8, (4, 5, 5)), (11, (3, 4, 6))])
def test_features_match_a_slow_formulation(frames, widths, refinement):
    torch.manual_seed(0)
    encoder = graph(widths=widths, refinement=refinement).eval()
    clips = torch.randn(3, frames, 4, 3, 2)
    clips[1, ..., 1] = 0
    expected = np.stack([slowly(clip, encoder) for clip in array(clips)])
    np.testing.assert_allclose(encoder(clips).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", layout_names())
def test_neighbours_of_every_layout(name):
    layout = get_layout(name)
    itself, nearer, farther = spatial_partition(layout)
    torch.testing.assert_close((itself + nearer + farther).sum(dim=0), torch.ones(len(layout.joints)))
    assert torch.equal(itself > 0, torch.eye(len(layout.joints)) > 0)
    assert torch.equal(nearer > 0, (farther > 0).T)
    # Every joint but the centre has one neighbour on the way to it.
    assert (nearer > 0).sum(dim=0).tolist() == [int(joint != layout.centre) for joint in range(len(layout.joints))]
    edges = {(int(a), int(b)) for a, b in (nearer + farther).nonzero()}
    assert edges == {pair for bone in layout.bones for pair in (bone, bone[::-1])}


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("training", [True, False])
def test_the_order_of_joints_does_not_matter(refinement, training):
    """Joints renumbered in the layout and in the clips: the same features by the same weights."""
    torch.manual_seed(0)
    layout = get_layout("kinect-v1")
    order = torch.randperm(20).tolist()
    place = {joint: new for new, joint in enumerate(order)}
    renumbered = replace(
        layout,
        joints=tuple(layout.joints[joint] for joint in order),
        parents=tuple(place[layout.parents[joint]] for joint in order),
        mirror=tuple(place[layout.mirror[joint]] for joint in order),
        centre=place[layout.centre],
        across=tuple(place[joint] for joint in layout.across),
        spine=tuple(place[joint] for joint in layout.spine),
    )
    settings = GraphSettings(widths=(4, 6), refinement=refinement)
    one, other = GraphEncoder(layout, 1, settings), GraphEncoder(renumbered, 1, settings)
    other.load_state_dict(one.state_dict())
    clips = torch.randn(3, 8, 20, 3, 1)
    torch.testing.assert_close(
        other.train(training)(clips[:, :, order]), one.train(training)(clips), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_absent_persons_count_for_nothing_and_persons_have_no_order(refinement):
    torch.manual_seed(0)
    encoder = graph(refinement=refinement).eval()
    clips = torch.randn(3, 7, 4, 3, 2)
    alone = clips[..., :1]
    padded = torch.cat([alone, torch.zeros(3, 7, 4, 3, 2)], dim=4)
    torch.testing.assert_close(encoder(padded), encoder(alone), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder(clips.flip(4)), encoder(clips), rtol=1e-5, atol=1e-6)


def test_the_refinement_starts_at_none():
    torch.manual_seed(0)
    encoder = GraphEncoder(LAYOUT, 1, GraphSettings(widths=(4,), refinement="channel-wise")).eval()
    layer = encoder.blocks[0].spatial
    before = encoder(torch.randn(2, 5, 4, 3, 1, generator=torch.Generator().manual_seed(0)))
    torch.nn.init.normal_(layer.refine.weight)
    assert torch.equal(encoder(torch.randn(2, 5, 4, 3, 1, generator=torch.Generator().manual_seed(0))), before)
    layer.strength.data.fill_(1.0)
    assert not torch.equal(encoder(torch.randn(2, 5, 4, 3, 1, generator=torch.Generator().manual_seed(0))), before)


def test_batch_norm_of_maps_is_that_of_pytorch():
    torch.manual_seed(0)
    ours, theirs = BatchNormMaps(4), torch.nn.BatchNorm2d(4)
    for mode in (True, False):
        x = torch.randn(3, 4, 5, 6) * 3 + 1
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


def test_the_published_size_has_the_published_numbers_of_frames_and_channels():
    widths = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
    encoder = GraphEncoder(get_layout("openni-15"), 1, GraphSettings(widths=widths))
    strides = [block.over_time.stride[0] for block in encoder.blocks]
    assert strides == [1, 1, 1, 1, 2, 1, 1, 2, 1, 1]
    assert encoder.width == 256


@pytest.mark.parametrize("widths", [(), (4, 0)])
def test_blocks_without_channels_are_refused(widths):
    with pytest.raises(InputError, match=r"widths .* must be numbers of channels of at least 1"):
        GraphSettings(widths=widths)
