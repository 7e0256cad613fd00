"""Where the work runs, and the way its products take."""

from __future__ import annotations

import pytest
import torch

from i2md.errors import InputError
from i2md.pretraining.device import choose_device, quick_products


def test_auto_is_a_device_that_is_there():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match="choose auto"):
        choose_device(name)


@pytest.mark.parametrize("shape", [(32, 64, 64), (1024, 256, 384), (7, 1000, 3)])
def test_quick_products_are_as_exact_as_float32_can_be(shape):
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    exact = left.double() @ right.double()
    with quick_products():
        quick = left @ right
    assert (quick - exact).abs().max() < 2e-6 * inner


def test_quick_products_leave_the_switch_as_they_found_it():
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with pytest.raises(KeyError), quick_products():
        raise KeyError
    assert settings.fp32_precision == before
