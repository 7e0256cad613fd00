"""Crops and their resizing, against the published program's numbers and PyTorch's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.packed import PackedClips, pack_arrays
from i2md.views.resize import centre_crop, crop_resize, random_crop
from i2md.views.view import evaluation_view

CROPS = [(0, 80), (5, 64), (10, 30), (3, 1), (0, 2), (76, 4), (2, 70)]


@pytest.fixture(scope="module")
def numbers(golden):
    return np.load(golden / "crop_resize.npz")


@pytest.fixture(scope="module")
def ragged(numbers, pack_arrays):
    """The golden clip in second place, between clips of other lengths and one person."""
    rng = np.random.default_rng(0)
    others = [rng.normal(size=(1, length, 25, 3)) for length in (7, 33)]
    return pack_arrays([others[0], numbers["clip"].transpose(3, 1, 2, 0), others[1]])


def reference(x):
    """(batch, frames, joints, channels, persons) to the reference order, without the batch of one."""
    return x[0].permute(2, 0, 1, 3).numpy()


def uniform(batch_size: int, seed: int) -> torch.Tensor:
    return torch.rand(2, batch_size, generator=torch.Generator().manual_seed(seed))


def still(lengths: list[int]) -> PackedClips:
    """Clips of one person and one joint, which never moves."""
    return pack_arrays([np.zeros((1, frames, 1, 3)) for frames in lengths])


@pytest.mark.parametrize(("begin", "length"), CROPS)
def test_crops_of_the_reference_implementation(numbers, ragged, begin, length):
    x = crop_resize(ragged, torch.tensor([1]), torch.tensor([begin]), torch.tensor([length]), 64, 2)
    np.testing.assert_allclose(reference(x), numbers[f"crop_{begin}_{length}"], atol=1e-5)


def test_evaluation_crop_of_the_reference_implementation(numbers, ragged):
    begin, length = centre_crop(ragged, torch.tensor([1]))
    assert (begin.item(), length.item()) == (2, 76)
    x = evaluation_view(ragged, torch.tensor([1]), 64, 2)
    np.testing.assert_allclose(reference(x), numbers["centre_0.95"], atol=1e-5)


def test_crops_of_a_batch_equal_those_of_single_clips(ragged):
    indices, begin, length = torch.tensor([2, 1, 0, 1]), torch.tensor([30, 0, 1, 79]), torch.tensor([3, 80, 5, 1])
    together = crop_resize(ragged, indices, begin, length, 16, 3)
    for row in range(4):
        one = slice(row, row + 1)
        alone = crop_resize(ragged, indices[one], begin[one], length[one], 16, 3)
        assert torch.equal(together[one], alone)


def test_only_missing_persons_are_zero(ragged):
    x = crop_resize(ragged, torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([7, 80]), 10, 3)
    present = [[True, False, False], [True, True, False]]
    assert (x != 0).flatten(1, 3).any(dim=1).tolist() == present
    alone = crop_resize(ragged, torch.tensor([1]), torch.tensor([0]), torch.tensor([80]), 10, 1)
    assert torch.equal(x[1:, ..., :1], alone)


def test_the_batch_is_last_in_memory(ragged):
    x = crop_resize(ragged, torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([7, 80]), 10, 2)
    assert x.shape == (2, 10, 25, 3, 2)
    assert x.permute(1, 2, 3, 4, 0).is_contiguous()


@pytest.mark.parametrize("cached", [1, 700, 2000, 10**6])
@pytest.mark.parametrize("with_matrices", [False, True])
def test_numbers_do_not_depend_on_the_chunk_size(ragged, monkeypatch, cached, with_matrices):
    crop = ragged, torch.tensor([0, 1]), torch.tensor([0, 3]), torch.tensor([7, 70]), 11, 2
    matrices = torch.randn(2, 25, 3, 3) if with_matrices else None
    together = crop_resize(*crop, matrices)
    monkeypatch.setattr("i2md.views.resize.CACHED_NUMBERS", cached)
    assert torch.equal(crop_resize(*crop, matrices), together)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 100), st.integers(0, 9), st.integers(0, 9), st.randoms())
def test_resizing_equals_bilinear_interpolation_of_pytorch(length, frames, before, after, random):
    values = torch.randn(before + length + after, 4, 3, generator=torch.Generator().manual_seed(random.getrandbits(32)))
    clips = pack_arrays([values.numpy()[None]])
    ours = crop_resize(clips, torch.tensor([0]), torch.tensor([before]), torch.tensor([length]), frames, 1)
    image = values[before : before + length].reshape(1, 1, length, 12)
    theirs = F.interpolate(image, size=(frames, 12), mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours.reshape(frames, 12), theirs[0, 0], atol=1e-4, rtol=0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    st.integers(0, 80),
    st.integers(0, 2**31),
)
def test_a_crop_lies_within_its_clip_and_is_not_too_short(lengths, fraction, floor, seed):
    clips = still(lengths)
    everything = torch.arange(len(lengths))
    begin, length = random_crop(clips, everything, tuple(fraction), floor, uniform(len(lengths), seed))
    for first, size, total in zip(begin.tolist(), length.tolist(), lengths, strict=True):
        assert first >= 0 and first + size <= total
        shortest = max(min(floor, total), int(fraction[0] * total * 0.999))
        assert shortest <= size <= max(fraction[1] * total + 1e-3, min(floor, total))


def test_crops_cover_all_lengths_and_positions():
    clips = still([100])
    indices = torch.zeros(20_000, dtype=torch.long)
    begin, length = random_crop(clips, indices, (0.1, 1.0), 0, uniform(len(indices), 0))
    assert abs(length.float().mean().item() - 54.5) < 1
    # The middle of a crop is the clip's middle on average, whatever its length.
    assert abs((begin + length / 2).mean().item() - 50) < 0.5
    short = length <= 11
    assert begin[short].min() == 0 and (begin + length)[short].max() == 100


@given(st.integers(1, 5000))
def test_the_evaluation_crop_removes_a_fortieth_at_each_end(total):
    begin, length = centre_crop(still([total]), torch.tensor([0]))
    assert begin.item() == total // 40
    assert length.item() == total - 2 * (total // 40)
