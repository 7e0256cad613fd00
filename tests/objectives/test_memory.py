"""The memory of clips: running means, neighbours, and what of a queue belongs to them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.objectives.memory import ClipMemory, NearClips, nearest_clips
from i2md.objectives.queue import KeyQueue


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 4), max_size=12), st.floats(0, 0.9))
def test_a_mean_is_that_of_its_own_keys_in_order(order, momentum):
    torch.manual_seed(0)
    memory, means = ClipMemory(5, 3, momentum), {}
    for clip in order:
        key = unit(1, 3)
        memory.update(key, torch.tensor([clip]))
        means[clip] = F.normalize(momentum * means[clip] + (1 - momentum) * key[0], dim=0) if clip in means else key[0]
    assert memory.seen.tolist() == [clip in means for clip in range(5)]
    for clip in range(5):
        torch.testing.assert_close(memory.means[clip], means.get(clip, torch.zeros(3)), atol=1e-5, rtol=0)


def test_neighbours_are_other_clips_that_have_a_mean():
    torch.manual_seed(0)
    memory = ClipMemory(6, 4, 0.7)
    memory.update(unit(3, 4), torch.tensor([1, 3, 4]))
    near = nearest_clips({"joint": memory}, {"joint": unit(2, 4)}, torch.tensor([3, 5]), count=3, together=False)[
        "joint"
    ]
    found = [set(row[valid].tolist()) for row, valid in zip(near.clips, near.valid, strict=True)]
    assert found == [{1, 4}, {1, 3, 4}]


def test_entries_of_a_clip_and_of_its_valid_neighbours_are_held():
    queue = KeyQueue(6, 2)
    queue.enqueue(unit(6, 2), torch.tensor([0, 1, 2, 3, 0, 4]))
    near = NearClips(torch.tensor([[1, 4], [3, 2]]), torch.tensor([[True, False], [True, True]]))
    assert near.held(torch.tensor([0, 5]), queue).tolist() == [
        [True, True, False, False, True, False],
        [False, False, True, True, False, False],
    ]
