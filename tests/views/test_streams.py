"""The three streams against plain loops, and the order in which a frame's numbers stand."""

from __future__ import annotations

import pytest
import torch

from i2md.skeletons import get_layout, layout_names
from i2md.views.settings import STREAMS
from i2md.views.streams import stream


def loops(x, name, layout):
    """Each number of a stream by its definition in docs/method.md section 1, in the order joints, channels, persons."""
    batch, frames, joints, channels, persons = x.shape
    rows = []
    for b in range(batch):
        for t in range(frames):
            row = []
            for v in range(joints):
                for c in range(channels):
                    for m in range(persons):
                        here = x[b, t, v, c, m].item()
                        parent = x[b, t, layout.parents[v], c, m].item()
                        following = x[b, t + 1, v, c, m].item() if t + 1 < frames else here
                        row.append({"joint": here, "motion": following - here, "bone": here - parent}[name])
            rows.append(row)
    return torch.tensor(rows).view(x.shape)


@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("layout_name", layout_names())
@pytest.mark.parametrize("persons", [1, 2])
def test_streams_match_plain_loops(name, layout_name, persons):
    layout = get_layout(layout_name)
    x = torch.randn(2, 4, len(layout.joints), layout.channels, persons)
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
