"""A whole view: the two augmentations, drawn from a seed and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.skeletons import get_layout
from i2md.views.augment import ViewDraws
from i2md.views.settings import ViewSettings
from i2md.views.view import cropped_view, draw_view, make_view

LAYOUT = get_layout("kinect-v2")
SETTINGS = ViewSettings(frames=12)
PLAIN = replace(SETTINGS, shear_probability=0.0, corrupt_fraction=0.0)
EVERY = torch.arange(40)


@pytest.fixture(scope="module")
def clips(pack_arrays):
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 60, size=40)
    return pack_arrays([rng.normal(size=(1 + i % 2, t, 25, 3)) for i, t in enumerate(lengths)])


def draw(clips, settings, seed=0):
    return draw_view(clips, EVERY, settings, LAYOUT, 2, torch.Generator().manual_seed(seed))


def matrix_between(before, after):
    """The 3x3 matrix that takes positions (..., 3, persons) from `before` to `after`, and what it leaves over."""
    a, b = (v.movedim(-2, -1).reshape(-1, 3).double() for v in (before, after))
    solution = torch.linalg.lstsq(a, b).solution
    return solution.T, (a @ solution - b).abs().max()


def test_shear_is_one_matrix_with_unit_diagonal_per_clip(clips):
    plain, sheared = draw(clips, PLAIN), draw(clips, replace(SETTINGS, shear_probability=1.0))
    matrices = []
    for before, after in zip(plain, sheared, strict=True):
        matrix, left_over = matrix_between(before, after)
        assert left_over < 1e-4
        torch.testing.assert_close(matrix.diagonal(), torch.ones(3).double(), atol=1e-4, rtol=0)
        assert matrix.abs().max() < 1 + 1e-4
        matrices.append(matrix)
    assert torch.stack(matrices).std(dim=0)[0, 1] > 0.3


def test_corruption_is_one_matrix_on_fifteen_joints_per_clip(clips):
    plain, corrupted = draw(clips, PLAIN), draw(clips, replace(SETTINGS, shear_probability=0.0))
    erased, sets = 0, set()
    for before, after in zip(plain, corrupted, strict=True):
        changed = (before != after)[..., 0].any(dim=-1)  # frames, joints of the person always there
        assert (changed == changed[0]).all()
        assert changed[0].sum() == 15
        assert torch.equal(before[:, ~changed[0]], after[:, ~changed[0]])
        matrix, left_over = matrix_between(before[:, changed[0]], after[:, changed[0]])
        assert left_over < 1e-4 and matrix.abs().max() < 1 + 1e-4
        erased += bool((after[:, changed[0]] == 0).all())
        sets.add(tuple(changed[0].tolist()))
    assert 10 <= erased <= 30
    assert len(sets) == 40


def test_a_view_is_sheared_or_corrupted_never_both(clips):
    sheared = draw(clips, replace(SETTINGS, shear_probability=1.0))
    corrupted = draw(clips, replace(SETTINGS, shear_probability=0.0))
    mixed = draw(clips, SETTINGS)
    is_sheared = [torch.equal(m, s) for m, s in zip(mixed, sheared, strict=True)]
    is_corrupted = [torch.equal(m, c) for m, c in zip(mixed, corrupted, strict=True)]
    assert all(a != b for a, b in zip(is_sheared, is_corrupted, strict=True))
    assert 8 <= sum(is_sheared) <= 32


def test_a_seed_determines_the_view(clips):
    torch.manual_seed(1)
    first = draw(clips, SETTINGS, seed=5)
    torch.manual_seed(2)
    assert torch.equal(first, draw(clips, SETTINGS, seed=5))
    assert not torch.equal(first, draw(clips, SETTINGS, seed=6))


def test_two_views_of_one_generator_differ(clips):
    generator = torch.Generator().manual_seed(0)
    first, second = (draw_view(clips, EVERY, SETTINGS, LAYOUT, 2, generator) for _ in range(2))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@given(st.integers(1, 6), st.integers(0, 2**31))
def test_views_do_not_depend_on_the_number_of_processes(clips, processes, seed):
    """Each draws for the whole batch and applies its own rows."""
    alone = draw(clips, SETTINGS, seed)
    shares = []
    for part in np.array_split(np.arange(len(EVERY)), processes):
        draws = ViewDraws.draw(len(EVERY), 25, 3, torch.Generator().manual_seed(seed))
        own = slice(int(part[0]), int(part[-1]) + 1)
        shares.append(make_view(clips, EVERY[own], SETTINGS, LAYOUT, 2, draws.rows(own)))
    assert torch.equal(torch.cat(shares), alone)


def test_numbers_drawn_at_once_equal_those_drawn_in_turn():
    """So that a seed gives the views that it always gave."""
    draws, generator = ViewDraws.draw(7, 5, 3, torch.Generator().manual_seed(4)), torch.Generator().manual_seed(4)
    for name in ("crop", "shear", "joints", "erase", "corruption", "choice", "turn"):
        numbers = getattr(draws, name)
        assert torch.equal(numbers, torch.rand(numbers.shape, generator=generator))


def test_a_missing_person_is_zero_in_every_view(clips):
    x = draw(clips, SETTINGS)
    assert (x[0::2, ..., 1] == 0).all()
    assert (x[1::2, ..., 1] != 0).flatten(1).any(dim=1).all()


def test_min_crop_frames_allows_crops_shorter_than_a_view(pack_arrays):
    """Joint 0 is the number of the frame, so a view shows how much of the clip it spans."""
    clips = pack_arrays([np.broadcast_to(np.arange(60.0)[None, :, None, None], (1, 60, 25, 3))])
    indices = torch.zeros(200, dtype=torch.long)
    spans = {}
    for floor in (None, 4):
        settings = replace(PLAIN, frames=30, min_crop_frames=floor)
        x = draw_view(clips, indices, settings, LAYOUT, 1, torch.Generator().manual_seed(0))[:, :, 0, 0, 0]
        spans[floor] = (x[:, -1] - x[:, 0]).min().item()
    assert spans[None] >= 28 and 3 <= spans[4] < 9


def test_cropped_view_is_not_augmented(clips):
    fraction = (0.1, 1.0)
    same = cropped_view(clips, EVERY, 12, 2, fraction, torch.Generator().manual_seed(0))
    assert torch.equal(same, draw(clips, PLAIN))
