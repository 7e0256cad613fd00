"""The Triton kernels of a frame against PyTorch's GRU and autograd in float64.

They run in Triton's interpreter (set by conftest.py), or on a GPU where there is one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.encoders.gru.encoder import triton_is_recent

ON_GPU = torch.cuda.is_available()
triton = pytest.importorskip("triton", reason="Triton is not installed")
if not triton_is_recent():
    pytest.skip("the kernels are used from Triton 3.2 on", allow_module_level=True)

from i2md.encoders.gru import layer as torch_layer  # noqa: E402
from i2md.encoders.gru import triton_layer  # noqa: E402
from i2md.encoders.gru.encoder import GRUPair  # noqa: E402
from i2md.encoders.gru.triton_layer import (  # noqa: E402
    recur,
    recur_backward,
    recur_forward,
    recurrent_gradients,
)

DEVICE = torch.device("cuda" if ON_GPU else "cpu")
gpu = pytest.mark.skipif(not ON_GPU, reason="no GPU")
slow = pytest.mark.slow


def random_tensors(frames, grus, hidden_size, batch_size, seed=0):
    """Inputs, weight and bias; and gradients of the hidden states and of the last one once more."""
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(frames, grus, 3 * hidden_size, batch_size, generator=draws)
    weight = torch.randn(grus, 3 * hidden_size, hidden_size, generator=draws) * hidden_size**-0.5
    bias = torch.randn(grus, 3 * hidden_size, generator=draws)
    grad_hidden = torch.randn(frames, grus, hidden_size, batch_size, generator=draws)
    grad_last = torch.randn(grus, hidden_size, batch_size, generator=draws)
    return [x.to(DEVICE) for x in (inputs, weight, bias, grad_hidden, grad_last)]


def reference(inputs, weight, bias, grad_hidden, grad_last):
    """Hidden states by torch.nn.GRU in float64, one GRU at a time, and gradients of inputs, weight and bias."""
    _, grus, gates, _ = inputs.shape
    hidden, gradients = [], []
    for g in range(grus):
        gru = torch.nn.GRU(gates, gates // 3).double()
        with torch.no_grad():
            # The projections are given: the GRU's own leaves them as they are.
            gru.weight_ih_l0.copy_(torch.eye(gates))
            gru.bias_ih_l0.zero_()
            gru.weight_hh_l0.copy_(weight[g])
            gru.bias_hh_l0.copy_(bias[g])
        x = inputs[:, g].transpose(1, 2).double().cpu().requires_grad_()
        states, _ = gru(x)
        hidden.append(states.detach().transpose(1, 2))
        grad_outputs = grad_hidden[:, g].double().cpu().clone()
        grad_outputs[-1] += grad_last[g].cpu()
        (states * grad_outputs.transpose(1, 2)).sum().backward()
        gradients.append((x.grad.transpose(1, 2), gru.weight_hh_l0.grad, gru.bias_hh_l0.grad))
    grad_inputs, grad_weight, grad_bias = zip(*gradients, strict=True)
    return torch.stack(hidden, 1), torch.stack(grad_inputs, 1), torch.stack(grad_weight), torch.stack(grad_bias)


def by_kernels(inputs, weight, bias, grad_hidden, grad_last, precision="ieee"):
    """Hidden states and gradients by the kernels, products in the weight's type; and the last state."""
    hidden_size = weight.shape[2]
    hidden, last, factors = recur_forward(inputs, weight, bias, True, precision)
    grad_gates = recur_backward(grad_hidden, grad_last, weight, factors, precision)
    grad_weight, grad_bias = recurrent_gradients(grad_gates, hidden)
    return last, (hidden, grad_gates[:, :, hidden_size:], grad_weight, grad_bias)


def relative_error(ours, exact):
    """The largest relative error, in norm, of tensors that belong together."""
    pairs = zip(ours, exact, strict=True)
    return max(float((a.double().cpu() - b).norm() / b.norm().clamp_min(1e-12)) for a, b in pairs)


@pytest.mark.parametrize(
    ("frames", "grus", "hidden_size", "batch_size"),
    [(5, 1, 32, 16), (3, 2, 70, 5), (4, 6, 16, 17), (2, 3, 33, 66), (1, 2, 9, 3), (6, 1, 1, 1)],
)
def test_states_and_gradients_equal_torch_gru(frames, grus, hidden_size, batch_size):
    tensors = random_tensors(frames, grus, hidden_size, batch_size)
    last, ours = by_kernels(*tensors)
    for actual, exact in zip(ours, reference(*tensors), strict=True):
        torch.testing.assert_close(actual.double().cpu(), exact, atol=1e-5, rtol=1e-5)
    assert torch.equal(last, ours[0][-1])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**31))
def test_random_sizes_equal_torch_gru(frames, grus, hidden_size, batch_size, seed):
    tensors = random_tensors(frames, grus, hidden_size, batch_size, seed)
    _, ours = by_kernels(*tensors)
    for actual, exact in zip(ours, reference(*tensors), strict=True):
        torch.testing.assert_close(actual.double().cpu(), exact, atol=1e-5, rtol=1e-5)


def test_missing_output_gradient_is_zero():
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(4, 2, 20, 6)
    _, _, factors = recur_forward(inputs, weight, bias, True)
    nowhere = torch.zeros_like(grad_hidden)
    at_the_end = nowhere.clone()
    at_the_end[-1] = grad_last
    expected = recur_backward(at_the_end, None, weight, factors)
    torch.testing.assert_close(recur_backward(None, grad_last, weight, factors), expected)
    assert not recur_backward(None, None, weight, factors).any()


def test_nan_in_one_gru_does_not_spread_to_others():
    """Blocks reach past the end of a GRU's hidden states and clips, into those of the next one."""
    tensors = random_tensors(3, 3, 20, 5)
    _, expected = by_kernels(*tensors)
    for x in tensors:
        x.select(1 if x.dim() == 4 else 0, 1).fill_(torch.nan)
    _, lost = by_kernels(*tensors)
    for actual, other in zip(lost, expected, strict=True):
        axis = 1 if actual.dim() == 4 else 0
        for gru in (0, 2):
            assert torch.equal(actual.select(axis, gru), other.select(axis, gru))


def test_without_gradients_nothing_is_saved():
    inputs, weight, bias, _, _ = random_tensors(4, 2, 20, 6)
    hidden, last, factors = recur_forward(inputs, weight, bias, False)
    again, last_again, _ = recur_forward(inputs, weight, bias, True)
    assert factors is None
    assert torch.equal(hidden, again) and torch.equal(last, last_again)


@pytest.mark.parametrize("only_last", [True, False])
def test_autograd_through_all_frames(only_last):
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(4, 2, 20, 6)
    leaves = [x.requires_grad_() for x in (inputs, weight, bias)]
    hidden, last = recur(*leaves, torch.float32)
    grad_outputs = torch.zeros_like(grad_hidden) if only_last else grad_hidden
    ((last * grad_last).sum() + (0 if only_last else (hidden * grad_hidden).sum())).backward()
    exact = reference(*(x.detach() for x in leaves), grad_outputs, grad_last)
    assert relative_error([hidden.detach(), *(x.grad for x in leaves)], exact) < 1e-5


def test_without_autograd_the_states_are_the_same():
    inputs, weight, bias, _, _ = random_tensors(4, 2, 20, 6)
    with torch.no_grad():
        hidden, _ = recur(inputs, weight.requires_grad_(), bias, torch.float32)
    assert hidden.grad_fn is None
    assert torch.equal(hidden, recur_forward(inputs, weight.detach(), bias, False)[0])


def test_inputs_may_be_views():
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(3, 2, 18, 4)
    turned = [
        x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in (inputs, weight, bias, grad_hidden, grad_last)
    ]
    expected = by_kernels(inputs, weight, bias, grad_hidden, grad_last)[1]
    for actual, other in zip(by_kernels(*turned)[1], expected, strict=True):
        assert torch.equal(actual, other)


@pytest.fixture
def bfloat16_products(monkeypatch):
    """Corrects Triton's interpreter, which multiplies the bits of bfloat16 as if they were integers."""
    if ON_GPU:
        return
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    product = InterpreterBuilder.create_dot

    def widened(x):
        if x.dtype.scalar != triton.language.bfloat16:
            return x
        return TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), triton.language.float32)

    monkeypatch.setattr(
        InterpreterBuilder, "create_dot", lambda self, a, b, *rest: product(self, widened(a), widened(b), *rest)
    )


@pytest.mark.usefixtures("bfloat16_products")
@pytest.mark.parametrize(("frames", "grus", "hidden_size", "batch_size"), [(6, 2, 40, 8), (3, 1, 70, 66)])
def test_bfloat16_errors_are_within_rounding(frames, grus, hidden_size, batch_size):
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(frames, grus, hidden_size, batch_size)
    rounded = weight.bfloat16()
    last, ours = by_kernels(inputs, rounded, bias, grad_hidden, grad_last)
    exact = reference(inputs, rounded.float(), bias, grad_hidden, grad_last)
    assert ours[0].dtype == ours[1].dtype == torch.bfloat16
    assert last.dtype == ours[2].dtype == torch.float32
    # The interpreter cuts bits off where a GPU rounds: twice the error of 2^-9.
    assert relative_error([last], [exact[0][-1]]) < 2**-8
    assert relative_error(ours, exact) < 2**-6


@pytest.mark.usefixtures("bfloat16_products")
def test_gradients_survive_a_saturated_update_gate_in_bfloat16():
    """Update gates near 1, where 1 - z would be gone in bfloat16."""
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(3, 1, 16, 4)
    bias[:, 16:32] += 8
    inputs[:, :, 16:32] = 0
    _, ours = by_kernels(inputs, weight.bfloat16(), bias, grad_hidden, grad_last)
    exact = reference(inputs, weight.bfloat16().float(), bias, grad_hidden, grad_last)
    grad_new, exactly = (x[:, :, 32:] for x in (ours[1], exact[1]))
    assert 0 < exactly.abs().max() < 0.01
    assert relative_error([grad_new], [exactly]) < 2**-6


@slow
@pytest.mark.parametrize("products", ["bf16", "fp32", "tf32"])
def test_kernels_compile_for_a_gpu_without_spilling_registers(products, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, Path(__file__).with_name("compiled_frames.py"), products]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    kernels = json.loads(done.stdout)
    assert kernels.keys() == {"forward", "backward"}
    for name, kernel in kernels.items():
        assert kernel["spilled"] == 0, name
        assert kernel["registers"] <= 168, name
        # Shared memory that one program may use on an H100.
        assert kernel["shared"] <= 227 * 1024, name
        assert bool(kernel["tensor_cores"]) == (products != "fp32"), name


@gpu
@pytest.mark.parametrize(
    ("kind", "precision", "bound"),
    [(torch.float32, "ieee", 1e-5), (torch.float32, "tf32", 2e-3), (torch.bfloat16, "ieee", 1e-2)],
)
def test_published_hidden_size_on_a_gpu(kind, precision, bound):
    inputs, weight, bias, grad_hidden, grad_last = random_tensors(8, 6, 1024, 64)
    weight = weight.to(kind)
    _, ours = by_kernels(inputs, weight, bias, grad_hidden, grad_last, precision)
    assert relative_error(ours, reference(inputs, weight.float(), bias, grad_hidden, grad_last)) < bound


@gpu
def test_cuda_graph_replay_gives_the_same_results():
    tensors = random_tensors(8, 6, 256, 32)
    _, expected = by_kernels(*tensors)  # compiles, too: a capture may not
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        _, captured = by_kernels(*tensors)
    graph.replay()
    for actual, other in zip(captured, expected, strict=True):
        assert torch.equal(actual, other)


@pytest.mark.usefixtures("bfloat16_products")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_triton_layer_equals_the_plain_layer(kind):
    torch.manual_seed(0)
    pairs = [GRUPair(6, 5) for _ in range(3)]
    below = torch.randn(3, 6, 7, 4)
    grad_outputs = torch.randn(3, 10, 7, 4)
    answers = []
    for layer in (triton_layer.gru_layer, torch_layer.gru_layer):
        x = below.clone().requires_grad_()
        hidden, last = layer(x.to(kind), [pair.weights() for pair in pairs])
        assert (hidden.dtype, last.dtype) == (kind, torch.float32)
        loss = (hidden.float() * grad_outputs).sum() + last.square().sum()
        parameters = [parameter for pair in pairs for parameter in pair.parameters()]
        answers.append([hidden.float(), last, *torch.autograd.grad(loss, [x, *parameters])])
    for ours, plain in zip(*answers, strict=True):
        exact = kind == torch.float32
        assert (ours - plain).norm() < (1e-5 if exact else 2**-5) * plain.norm()
