"""The bank: first in first out, which clip each key came from, when it is full, and that all of it is saved."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.objectives.bank import Bank


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 30), st.integers(0, 2**31))
def test_it_keeps_the_newest_as_a_queue_does(batch, batches_held, batches, seed):
    torch.manual_seed(seed)
    size = batch * batches_held
    bank, newest = Bank(size, 3), deque(maxlen=size)
    for step in range(batches):
        keys, clips = torch.randn(batch, 3), torch.randint(0, 50, (batch,))
        bank.enqueue(keys, clips)
        newest.extend(zip(keys.tolist(), clips.tolist(), strict=True))
        assert bank.full == ((step + 1) * batch >= size)
        assert int(bank.filled) == len(newest)
    # The pointer stands at the oldest entry.
    order = [(int(bank.pointer) + i) % size for i in range(size)]
    real = [(bank.keys[j].tolist(), int(bank.clips[j])) for j in order if bank.clips[j] >= 0]
    assert real == list(newest)


def test_a_new_bank_is_random_unit_vectors_of_no_clip():
    torch.manual_seed(0)
    bank = Bank(64, 16)
    torch.testing.assert_close(bank.keys.norm(dim=1), torch.ones(64))
    assert len(torch.unique(bank.keys, dim=0)) == 64
    assert (bank.clips == -1).all() and not bank.full
    assert not bank.holds(torch.arange(10)).any()


def test_it_knows_the_older_keys_of_a_clip():
    bank = Bank(6, 2)
    bank.enqueue(torch.ones(4, 2), torch.tensor([7, 3, 7, 0]))
    assert bank.holds(torch.tensor([7, 0, 5])).tolist() == [
        [True, False, True, False, False, False],
        [False, False, False, True, False, False],
        [False] * 6,
    ]


def test_similarity_is_the_inner_product_with_each_entry():
    bank = Bank(5, 3)
    features = torch.randn(2, 3)
    for b in range(2):
        for j in range(5):
            torch.testing.assert_close(bank.similarity(features)[b, j], torch.dot(features[b], bank.keys[j]))


def test_keys_are_stored_without_their_gradients():
    bank = Bank(4, 3)
    bank.enqueue(torch.randn(2, 3, requires_grad=True) * 2, torch.tensor([0, 1]))
    assert not bank.keys.requires_grad


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_saved_bank_goes_on_as_if_never_interrupted(steps):
    torch.manual_seed(0)
    batches = [(torch.randn(2, 3), torch.randint(0, 9, (2,))) for _ in range(8)]
    whole, first, second = Bank(4, 3), Bank(4, 3), Bank(4, 3)
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
