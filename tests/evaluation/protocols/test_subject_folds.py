"""Cross-validation folds: whole subjects, each clip held out once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.evaluation.protocols.linear import subject_folds


@given(st.lists(st.integers(-1, 8), min_size=2, max_size=40), st.integers(0, 5))
def test_each_clip_is_held_out_once_and_no_subject_is_on_both_sides(subjects, seed):
    subjects = torch.tensor(subjects)
    masks = subject_folds(subjects, seed)
    assert 2 <= len(masks) <= 5
    assert torch.stack(masks).sum(dim=0).eq(1).all()
    if len(subjects.unique()) > 1:
        for held_out in masks:
            assert not set(subjects[held_out].tolist()) & set(subjects[~held_out].tolist())


def test_folds_depend_on_the_seed_alone():
    subjects = torch.arange(20) % 7
    drawn = [torch.stack(subject_folds(subjects, seed)) for seed in (3, 3, 4)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
