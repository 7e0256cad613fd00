"""The streams against plain loops, and the order in which a frame's numbers stand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from i2md.skeletons import get_layout, layout_names
from i2md.views.settings import STREAMS
from i2md.views.streams import stream


def number(clip, name, layout, t, v, c):
    """One number of a stream of one person's clip (frames, joints, channels), by its definition."""
    frame = [np.array(row) for row in clip[t]]
    if name == "joint":
        return frame[v][c]
    if name == "motion":
        return clip[t + 1][v][c] - frame[v][c] if t + 1 < len(clip) else 0.0
    if name == "bone":
        return frame[v][c] - frame[layout.parents[v]][c]
    if name == "acceleration":
        inside = 0 < t < len(clip) - 1
        return clip[t + 1][v][c] - 2 * frame[v][c] + clip[t - 1][v][c] if inside else 0.0
    if name == "distance":
        return math.dist(frame[v], frame[(layout.mirror[v], layout.spine[1], layout.spine[0])[c]])
    parent = layout.parents[v]
    lines = ((layout.parents[parent], parent), layout.spine, layout.across)
    first, second = frame[v] - frame[parent], frame[lines[c][1]] - frame[lines[c][0]]
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return first @ second / lengths if lengths else 0.0


def loops(x, name, layout):
    """Each number of a stream, in the order joints, channels, persons."""
    expected = np.zeros(x.shape)
    for b, t, v, c, m in np.ndindex(*x.shape):
        expected[b, t, v, c, m] = number(x[b, ..., m].tolist(), name, layout, t, v, c)
    return torch.tensor(expected, dtype=x.dtype)


@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("layout_name", [name for name in layout_names() if len(get_layout(name).joints) <= 30])
def test_streams_match_plain_loops(name, layout_name):
    channels, persons = (2, 2) if layout_name == "coco-17" else (3, 1)
    layout = get_layout(layout_name).with_channels(channels)
    x = torch.randn(1, 3, len(layout.joints), layout.channels, persons)
    torch.testing.assert_close(stream(x, name, layout), loops(x, name, layout))


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_stream_keeps_the_batch_last_in_memory(name):
    layout = get_layout("kinect-v2")
    x = torch.randn(6, 25, 3, 2, 5).permute(4, 0, 1, 2, 3)
    kept = stream(x, name, layout)
    assert kept.flatten(2).permute(1, 2, 0).is_contiguous()
    torch.testing.assert_close(kept, stream(x.contiguous(), name, layout))


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_stream_has_a_gradient(name):
    x = torch.randn(2, 3, 25, 3, 1, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: stream(y, name, get_layout("kinect-v2")), x, fast_mode=True)


def test_motion_of_a_single_frame_is_zero():
    layout = get_layout("kinect-v2")
    still = stream(torch.randn(3, 1, 25, 3, 2), "motion", layout)
    assert still.shape == (3, 1, 25, 3, 2) and (still == 0).all()


def test_flattened_frames_have_the_reference_order():
    """The reference (clips, xyz, frames, joints, persons), permuted as golden/README.md says."""
    reference = torch.randn(2, 3, 5, 25, 2)
    theirs = reference.permute(0, 2, 3, 1, 4).reshape(2, 5, 150)
    ours = stream(reference.permute(0, 2, 3, 1, 4), "joint", get_layout("kinect-v2"))
    assert torch.equal(ours.flatten(2), theirs)


def test_only_the_root_bone_is_zero():
    layout = get_layout("kinect-v2")
    bones = stream(torch.randn(1, 1, 25, 3, 1), "bone", layout).view(25, 3)
    assert [v for v in range(25) if (bones[v] == 0).all()] == [20]


@pytest.mark.parametrize("name", ["angle", "distance"])
@pytest.mark.parametrize("channels", [2, 3])
def test_angles_and_distances_are_of_the_body_alone(name, channels):
    layout = get_layout("kinect-v2").with_channels(channels)
    x = torch.randn(2, 5, len(layout.joints), layout.channels, 2)
    turn, _ = torch.linalg.qr(torch.randn(layout.channels, layout.channels))
    moved = torch.einsum("cd,ntvdm->ntvcm", turn, 3 * x) + torch.randn(2, 1, 1, layout.channels, 1)
    size = {"angle": 1, "distance": 3}[name]
    torch.testing.assert_close(stream(moved, name, layout), size * stream(x, name, layout), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(STREAMS))
def test_an_absent_person_is_zero(name):
    x = torch.randn(1, 4, 25, 3, 2)
    x[..., 1] = 0
    assert not stream(x, name, get_layout("kinect-v2"))[..., 1].any()
