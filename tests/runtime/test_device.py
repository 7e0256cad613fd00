"""Where the work runs, and the way its products take."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch

from i2md.errors import InputError
from i2md.runtime.device import choose_device, fast_cpu_matmul, tf32_matmul, tf32_switches


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
    with fast_cpu_matmul():
        quick = left @ right
    assert (quick - exact).abs().max() < 2e-6 * inner


needs_the_switch = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "matmul"), reason="PyTorch has the switch from 2.9 on"
)


@needs_the_switch
def test_quick_products_leave_the_switch_as_they_found_it():
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with pytest.raises(KeyError), fast_cpu_matmul():
        raise KeyError
    assert settings.fp32_precision == before


@needs_the_switch
def test_quick_products_in_overlapping_threads_restore_the_switch():
    settings = torch.backends.mkldnn.matmul
    before, first_is_in, second_is_in = settings.fp32_precision, threading.Event(), threading.Event()

    def first():
        with fast_cpu_matmul():
            first_is_in.set()
            assert second_is_in.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_is_in.wait(60)
    with fast_cpu_matmul():
        within = settings.fp32_precision
        second_is_in.set()
        thread.join()
        assert settings.fp32_precision == within
    assert settings.fp32_precision == before


def where_tf32_stands():
    return [getattr(owner, name) for owner, name, _ in tf32_switches(torch.backends)]


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_allowed_or_not_inside_and_as_before_after(allowed):
    before = where_tf32_stands()
    with pytest.raises(KeyError), tf32_matmul(allowed):
        assert where_tf32_stands() == [values[allowed] for _, _, values in tf32_switches(torch.backends)]
        with tf32_matmul(not allowed):
            assert where_tf32_stands() == [values[not allowed] for _, _, values in tf32_switches(torch.backends)]
        raise KeyError
    assert where_tf32_stands() == before


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_before_pytorch_2_9(allowed, monkeypatch):
    older = SimpleNamespace(
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)), cudnn=SimpleNamespace(allow_tf32=True)
    )
    monkeypatch.setattr(torch, "backends", older)
    with tf32_matmul(allowed):
        assert older.cuda.matmul.allow_tf32 is older.cudnn.allow_tf32 is allowed
    assert (older.cuda.matmul.allow_tf32, older.cudnn.allow_tf32) == (False, True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_products_on_a_gpu_are_exact_unless_tf32_is_allowed():
    left, right = torch.randn(2, 256, 256, device="cuda")
    exact = (left.double() @ right.double()).float()
    with tf32_matmul(False):
        assert (left @ right - exact).abs().max() < 1e-3
    with tf32_matmul(True):
        assert (left @ right - exact).abs().max() < 0.2


def _among(count: int, local: int, gpus: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As the process `local` of `count` on a machine of so many GPUs; which of them it is to make its current one."""
    made_current: list[int] = []
    monkeypatch.setenv("RANK", str(local))
    monkeypatch.setenv("WORLD_SIZE", str(count))
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", made_current.append)
    return made_current


@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize(("gpus", "taken"), [(4, 2), (1, 0)])
def test_each_process_uses_the_gpu_of_its_local_rank_or_the_only_visible_one(name, gpus, taken, monkeypatch):
    made_current = _among(4, 2, gpus, monkeypatch)
    assert choose_device(name) == torch.device("cuda", taken)
    assert made_current == [taken]


def test_processes_without_gpus_use_the_cpu(monkeypatch):
    _among(4, 2, 0, monkeypatch)
    assert choose_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "match"), [("auto", "2 GPUs, none for local rank 2"), ("cuda:1", "the GPU of its local rank")]
)
def test_two_processes_on_one_gpu_are_an_input_error(name, match, monkeypatch):
    _among(4, 2, 2, monkeypatch)
    with pytest.raises(InputError, match=match):
        choose_device(name)
