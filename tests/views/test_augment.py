"""Shear and joint corruption: what they touch, and what they must leave as it was."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.views.augment import (
    ViewDraws,
    chosen_joints,
    corruption_matrices,
    joint_matrices,
    rotation_matrices,
    shear_matrices,
    transform,
)
from i2md.views.settings import ViewSettings


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed))


def transformed(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """(batch, frames, joints, channels, persons) by (batch, joints, channels, channels)."""
    bodies = x.permute(1, 2, 3, 4, 0).flatten(3)
    out = torch.full_like(bodies, torch.nan)
    transform(bodies, matrices.permute(1, 2, 3, 0).repeat(1, 1, 1, x.shape[4]), out)
    return out.unflatten(3, (x.shape[4], -1)).permute(4, 0, 1, 2, 3)


@pytest.mark.parametrize("channels", [2, 3])
def test_transform_multiplies_each_position_by_its_joints_matrix(channels):
    x = torch.randn(2, 3, 4, channels, 2, generator=seeded())
    matrices = torch.randn(2, 4, channels, channels, generator=seeded(1))
    moved = transformed(x, matrices)
    for clip in range(2):
        for frame in range(3):
            for joint in range(4):
                for person in range(2):
                    expected = matrices[clip, joint] @ x[clip, frame, joint, :, person]
                    torch.testing.assert_close(moved[clip, frame, joint, :, person], expected)


@pytest.mark.parametrize(("amplitude", "channels"), [(1.0, 3), (0.3, 3), (1.0, 2)])
def test_a_shear_keeps_the_diagonal_and_fills_the_rest(amplitude, channels):
    matrices = shear_matrices(uniform(4000, channels, channels), amplitude)
    diagonal = torch.eye(channels, dtype=torch.bool)
    assert (matrices[:, diagonal] == 1).all()
    rest = matrices[:, ~diagonal]
    assert rest.abs().max() <= amplitude
    # Uniform in [-a, a]: mean 0, variance a^2 / 3, for each entry.
    torch.testing.assert_close(rest.mean(0), torch.zeros(rest.shape[1]), atol=0.05 * amplitude, rtol=0)
    torch.testing.assert_close(rest.var(0), torch.full((rest.shape[1],), amplitude**2 / 3), atol=0, rtol=0.1)


def test_no_shear_is_the_identity():
    x = torch.randn(3, 5, 4, 3, 1, generator=seeded())
    draws = ViewDraws.draw(3, 4, 3, seeded())
    assert torch.equal(transformed(x, joint_matrices(draws, ViewSettings(shear=0.0, shear_probability=1.0))), x)


@given(st.integers(1, 8), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_exactly_the_fraction_of_joints_is_chosen(batch, joints, share, seed):
    chosen = chosen_joints(uniform(batch, joints, seed=seed), share)
    assert (chosen.sum(dim=1) == round(share * joints)).all()


def test_ties_choose_no_more_joints():
    assert (chosen_joints(torch.full((3, 25), 0.5), 0.6).sum(dim=1) == 15).all()


def test_fifteen_of_25_joints_each_equally_often():
    chosen = chosen_joints(uniform(5000, 25), 0.6).float()
    assert (chosen.sum(dim=1) == 15).all()
    torch.testing.assert_close(chosen.mean(dim=0), torch.full((25,), 0.6), atol=0.03, rtol=0)


def test_one_matrix_per_clip_on_all_or_on_the_chosen_joints():
    draws = ViewDraws.draw(60, 9, 3, seeded())
    matrices = joint_matrices(draws, ViewSettings())
    shears = shear_matrices(draws.shear, 1.0)
    corruptions, chosen = corruption_matrices(draws.corruption, draws.erase), chosen_joints(draws.joints, 0.6)
    for clip in range(60):
        for joint in range(9):
            if draws.choice[clip] < 0.5:
                expected = shears[clip]
            else:
                expected = corruptions[clip] if chosen[clip, joint] else torch.eye(3)
            assert torch.equal(matrices[clip, joint], expected)


def test_corruption_changes_only_the_chosen_joints():
    x = torch.randn(6, 5, 9, 3, 2, generator=seeded())
    draws = ViewDraws.draw(6, 9, 3, seeded(1))
    corrupted = transformed(x, joint_matrices(draws, ViewSettings(shear_probability=0.0)))
    chosen, matrices = chosen_joints(draws.joints, 0.6), corruption_matrices(draws.corruption, draws.erase)
    for clip in range(6):
        for joint in range(9):
            before, after = x[clip, :, joint], corrupted[clip, :, joint]
            if chosen[clip, joint]:
                torch.testing.assert_close(after, torch.einsum("dc,tcm->tdm", matrices[clip], before))
            else:
                assert torch.equal(after, before)


def test_half_of_the_corruptions_set_joints_to_zero():
    matrices = corruption_matrices(uniform(4000, 3, 3), uniform(4000, seed=1))
    erased = (matrices == 0).flatten(1).all(dim=1)
    assert 0.46 < erased.float().mean() < 0.54
    kept = matrices[~erased]
    assert (kept != 0).all() and kept.abs().max() <= 1
    assert abs(kept.var().item() - 1 / 3) < 0.02


@given(st.floats(0, 180), st.integers(0, 2**31))
def test_rotation_keeps_heights_and_distances_within_its_range(degrees, seed):
    x, numbers = torch.randn(5, 4, 3, generator=seeded(seed)), uniform(5, seed=seed)
    turned = torch.einsum("bdc,bvc->bvd", rotation_matrices(numbers, degrees), x)
    torch.testing.assert_close(turned[..., 1], x[..., 1])
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(x, x), atol=1e-4, rtol=1e-3)
    # The angle from before to after, about the y axis, is what the number says.
    before, after = (torch.complex(p[..., 2].double(), p[..., 0].double()) for p in (x, turned))
    expected = torch.deg2rad((numbers.double() * 2 - 1) * degrees)
    torch.testing.assert_close(
        after, before * torch.polar(torch.ones(5, 1).double(), expected[:, None]), atol=1e-5, rtol=0
    )


def test_rotation_comes_before_shear_or_corruption():
    draws = ViewDraws.draw(20, 4, 3, seeded())
    plain, turned = (joint_matrices(draws, ViewSettings(rotation=degrees)) for degrees in (0.0, 40.0))
    torch.testing.assert_close(turned, plain @ rotation_matrices(draws.turn, 40.0)[:, None])
