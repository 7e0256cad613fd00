"""Augmentations made for bodies, each against loops over its clips and joints or by what it must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.errors import InputError
from i2md.skeletons import get_layout
from i2md.views.body import DropJoints, LimbLengths, Mirror, Noise, TimeWarp
from i2md.views.settings import AUGMENTATIONS

LAYOUT = get_layout("kinect-v1")
SHAPE = torch.Size((5, 8, 20, 3, 2))
EVERY = [LimbLengths(), TimeWarp(), Mirror(), Noise(), DropJoints()]


def clips(seed: int = 0, shape: torch.Size = SHAPE) -> torch.Tensor:
    """Views as `make_view` gives them: the batch is the last axis in memory."""
    drawn = torch.randn(*shape[1:], shape[0], generator=torch.Generator().manual_seed(seed))
    return drawn.permute(4, 0, 1, 2, 3)


def draws(augmentation, seed: int = 1, shape: torch.Size = SHAPE) -> torch.Tensor:
    return augmentation.draw(shape, torch.Generator().manual_seed(seed))


def test_limb_lengths_scale_each_bone_and_keep_its_direction():
    x, augmentation = clips(), LimbLengths(0.3)
    numbers = draws(augmentation)
    out = augmentation.apply(x, numbers, LAYOUT)
    for clip in range(len(x)):
        factors = [1 + 0.3 * (2 * float(u) - 1) for u in numbers[clip]]
        expected = torch.zeros_like(x[clip])
        # Parents stand before their children in this layout.
        for joint, parent in enumerate(LAYOUT.parents):
            if joint == parent:
                expected[:, joint] = x[clip, :, joint]
            else:
                side = min(joint, LAYOUT.mirror[joint])
                bone = x[clip, :, joint] - x[clip, :, parent]
                expected[:, joint] = expected[:, parent] + factors[side] * factors[-1] * bone
        torch.testing.assert_close(out[clip], expected, atol=1e-5, rtol=1e-5)


@given(amount=st.floats(0, 0.24), seed=st.integers(0, 100))
def test_time_warp_runs_forwards_from_the_first_to_the_last_frame(amount, seed):
    frames = torch.arange(9.0).view(1, 9, 1, 1, 1).expand(5, 9, 1, 1, 1)
    augmentation = TimeWarp(amount)
    numbers = draws(augmentation, seed)
    out = augmentation.apply(frames, numbers, LAYOUT)[..., 0, 0, 0]
    assert (out.diff(dim=1) > 0).all()
    torch.testing.assert_close(out[:, [0, 8]], torch.tensor([[0.0, 8.0]]).expand(5, 2))
    torch.testing.assert_close(out[:, 4], 4 + 8 * amount * (2 * numbers - 1), atol=1e-5, rtol=1e-5)


def test_time_warp_interpolates_between_frames():
    x, augmentation = clips(), TimeWarp(0.2)
    numbers = draws(augmentation)
    out = augmentation.apply(x, numbers, LAYOUT).numpy()
    t = np.linspace(0, 1, 8)
    for clip in range(len(x)):
        position = (t + 4 * 0.2 * (2 * float(numbers[clip]) - 1) * t * (1 - t)) * 7
        for joint in (0, 7):
            for person in range(2):
                expected = np.interp(position, np.arange(8), x[clip, :, joint, 1, person].numpy())
                np.testing.assert_allclose(out[clip, :, joint, 1, person], expected, atol=1e-4)


def test_mirror_swaps_sides_and_twice_changes_nothing():
    x, augmentation = clips(), Mirror(1.0)
    numbers = draws(augmentation)
    once = augmentation.apply(x, numbers, LAYOUT)
    left, right = LAYOUT.joints.index("left hand"), LAYOUT.joints.index("right hand")
    torch.testing.assert_close(once[:, :, left], x[:, :, right] * torch.tensor([-1.0, 1.0, 1.0])[:, None])
    torch.testing.assert_close(augmentation.apply(once, numbers, LAYOUT), x)
    assert (Mirror(0.0).apply(x, numbers, LAYOUT) == x).all()


def test_noise_has_its_amplitude_and_leaves_absent_persons_alone():
    x = clips(shape=torch.Size((50, 8, 20, 3, 2))).contiguous()
    x[..., 1] = 0.0
    augmentation = Noise(0.02)
    added = augmentation.apply(x, draws(augmentation, shape=x.shape), LAYOUT) - x
    assert added[..., 0].std() == pytest.approx(0.02, rel=0.05)
    assert (added[..., 1] == 0).all()


def test_drop_joints_drops_up_to_its_fraction_and_whole_joints():
    shape = torch.Size((2000, 2, 20, 3, 1))
    augmentation = DropJoints(0.5)
    kept = augmentation.apply(torch.ones(shape), draws(augmentation, shape=shape), LAYOUT)
    by_joint = kept.flatten(3).permute(0, 2, 1, 3).flatten(2)
    assert ((by_joint == 0).all(dim=2) | (by_joint == 1).all(dim=2)).all()
    # The fraction is uniform in [0, 0.5], its mean a quarter.
    assert 1 - by_joint.mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda each: type(each).__name__)
def test_rows_of_a_batch_do_not_depend_on_the_others(augmentation):
    x, numbers = clips(), draws(augmentation)
    whole = augmentation.apply(x, numbers, LAYOUT)
    assert whole.shape == x.shape
    assert len(numbers) == len(x)
    part = augmentation.apply(x[2:4], numbers[2:4], LAYOUT)
    torch.testing.assert_close(part, whole[2:4])


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda each: type(each).__name__)
def test_absent_persons_stay_zero(augmentation):
    x = clips().clone()
    x[..., 1] = 0.0
    assert (augmentation.apply(x, draws(augmentation), LAYOUT)[..., 1] == 0).all()


def test_every_built_in_augmentation_is_tested():
    assert {AUGMENTATIONS[name] for name in AUGMENTATIONS._builtin} == {type(each) for each in EVERY}


@pytest.mark.parametrize("kind", [LimbLengths, TimeWarp, Mirror, Noise, DropJoints])
def test_settings_out_of_range_are_refused(kind):
    with pytest.raises(InputError, match="must be"):
        kind(-0.1)
