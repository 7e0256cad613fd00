"""The queue: first in first out, which clip each key came from, when it is full, and that all of it is saved."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.objectives.queue import KeyQueue


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 30), st.integers(0, 2**31))
def test_it_keeps_the_newest_keys_first_in_first_out(batch, batches_held, batches, seed):
    torch.manual_seed(seed)
    size = batch * batches_held
    queue, newest = KeyQueue(size, 3), deque(maxlen=size)
    for step in range(batches):
        keys, clips = torch.randn(batch, 3), torch.randint(0, 50, (batch,))
        queue.enqueue(keys, clips)
        newest.extend(zip(keys.tolist(), clips.tolist(), strict=True))
        assert queue.full == ((step + 1) * batch >= size)
        assert int(queue.filled) == len(newest)
    # The pointer stands at the oldest entry.
    order = [(int(queue.pointer) + i) % size for i in range(size)]
    real = [(queue.keys[j].tolist(), int(queue.clips[j])) for j in order if queue.clips[j] >= 0]
    assert real == list(newest)


def test_a_new_queue_holds_random_unit_vectors_of_no_clip():
    torch.manual_seed(0)
    queue = KeyQueue(64, 16)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(64))
    assert len(torch.unique(queue.keys, dim=0)) == 64
    assert (queue.clips == -1).all() and not queue.full
    assert not queue.holds(torch.arange(10)).any()


def test_holds_finds_older_keys_of_the_same_clip():
    queue = KeyQueue(6, 2)
    queue.enqueue(torch.ones(4, 2), torch.tensor([7, 3, 7, 0]))
    assert queue.holds(torch.tensor([7, 0, 5])).tolist() == [
        [True, False, True, False, False, False],
        [False, False, False, True, False, False],
        [False] * 6,
    ]


def test_similarity_is_the_inner_product_with_each_entry():
    queue = KeyQueue(5, 3)
    features = torch.randn(2, 3)
    for b in range(2):
        for j in range(5):
            torch.testing.assert_close(queue.similarity(features)[b, j], torch.dot(features[b], queue.keys[j]))


def test_keys_are_stored_without_gradients():
    queue = KeyQueue(4, 3)
    queue.enqueue(torch.randn(2, 3, requires_grad=True) * 2, torch.tensor([0, 1]))
    assert not queue.keys.requires_grad


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_restored_queue_continues_with_the_same_keys(steps):
    torch.manual_seed(0)
    batches = [(torch.randn(2, 3), torch.randint(0, 9, (2,))) for _ in range(8)]
    whole, first, second = KeyQueue(4, 3), KeyQueue(4, 3), KeyQueue(4, 3)
    first.load_state_dict(whole.state_dict())
    for batch in batches:
        whole.enqueue(*batch)
    for batch in batches[:steps]:
        first.enqueue(*batch)
    second.load_state_dict(first.state_dict())
    assert second.full == first.full
    for batch in batches[steps:]:
        second.enqueue(*batch)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
