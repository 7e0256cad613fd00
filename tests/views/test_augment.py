"""Shear and joint corruption: what they touch, and what they must leave as it was."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.views.augment import corrupt_joints, draw_corruption, draw_joints, draw_shear, transform


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_transform_multiplies_each_position_of_each_person():
    x, matrices = torch.randn(2, 3, 4, 3, 2, generator=seeded()), torch.randn(2, 3, 3, generator=seeded(1))
    moved = transform(x, matrices)
    for clip in range(2):
        for frame in range(3):
            for joint in range(4):
                for person in range(2):
                    expected = matrices[clip] @ x[clip, frame, joint, :, person]
                    torch.testing.assert_close(moved[clip, frame, joint, :, person], expected)


@pytest.mark.parametrize(("amplitude", "channels"), [(1.0, 3), (0.3, 3), (1.0, 2)])
def test_a_shear_keeps_the_diagonal_and_fills_the_rest(amplitude, channels):
    matrices = draw_shear(4000, channels, amplitude, seeded())
    diagonal = torch.eye(channels, dtype=torch.bool)
    assert (matrices[:, diagonal] == 1).all()
    rest = matrices[:, ~diagonal]
    assert rest.abs().max() <= amplitude
    # Uniform in [-a, a]: mean 0, variance a^2 / 3, for each entry.
    torch.testing.assert_close(rest.mean(0), torch.zeros(rest.shape[1]), atol=0.05 * amplitude, rtol=0)
    torch.testing.assert_close(rest.var(0), torch.full((rest.shape[1],), amplitude**2 / 3), atol=0, rtol=0.1)


def test_no_shear_is_the_identity():
    x = torch.randn(3, 5, 4, 3, 1, generator=seeded())
    assert torch.equal(transform(x, draw_shear(3, 3, 0.0, seeded())), x)


@given(st.integers(1, 8), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_exactly_the_share_of_joints_is_chosen(batch, joints, share, seed):
    chosen = draw_joints(batch, joints, share, seeded(seed))
    assert (chosen.sum(dim=1) == round(share * joints)).all()


def test_fifteen_of_25_joints_each_equally_often():
    chosen = draw_joints(5000, 25, 0.6, seeded()).float()
    assert (chosen.sum(dim=1) == 15).all()
    torch.testing.assert_close(chosen.mean(dim=0), torch.full((25,), 0.6), atol=0.03, rtol=0)


def test_corruption_touches_the_chosen_joints_alone():
    x = torch.randn(6, 5, 9, 3, 2, generator=seeded())
    chosen, matrices = draw_joints(6, 9, 0.6, seeded(1)), torch.randn(6, 3, 3, generator=seeded(2))
    corrupted = corrupt_joints(x, chosen, matrices)
    for clip in range(6):
        for joint in range(9):
            before, after = x[clip, :, joint], corrupted[clip, :, joint]
            if chosen[clip, joint]:
                torch.testing.assert_close(after, torch.einsum("dc,tcm->tdm", matrices[clip], before))
            else:
                assert torch.equal(after, before)


def test_half_of_the_corruptions_erase():
    matrices = draw_corruption(4000, 3, seeded())
    erased = (matrices == 0).flatten(1).all(dim=1)
    assert 0.46 < erased.float().mean() < 0.54
    kept = matrices[~erased]
    assert (kept != 0).all() and kept.abs().max() <= 1
    assert abs(kept.var().item() - 1 / 3) < 0.02
