"""The recurrence of several GRUs over all frames by the kernels of `triton_cell`: one launch a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import triton
from jaxtyping import Float
from torch import Tensor

from i2md.encoders.gru.layer import PairWeights
from i2md.encoders.gru.triton_cell import backward_frame, forward_frame

# How products of float32 are computed; those of bfloat16 are always exact, and all sums are float32.
Precision = Literal["ieee", "tf32"]


def gru_layer(
    x: Float[Tensor, "pairs channels frames batch"], pairs: Sequence[PairWeights]
) -> tuple[Float[Tensor, "pairs width frames batch"], Float[Tensor, "pairs width batch"]]:
    """As `layer.gru_layer`: one product projects the inputs of all frames, one kernel a frame does the rest."""
    weight_ih = torch.stack([pair.weight_ih for pair in pairs]).to(x.dtype)
    bias_ih = torch.stack([pair.bias_ih for pair in pairs]).to(x.dtype)
    projected = torch.baddbmm(bias_ih[..., None], weight_ih, x.flatten(2))
    inputs = projected.unflatten(1, (2, -1)).flatten(0, 1).unflatten(2, x.shape[2:]).permute(2, 0, 1, 3)
    weight_hh, bias_hh = torch.cat([pair.weight_hh for pair in pairs]), torch.cat([pair.bias_hh for pair in pairs])
    hidden, last = recur(inputs, weight_hh, bias_hh, x.dtype, "tf32" if _tf32_is_allowed() else "ieee")
    hidden = hidden.permute(1, 2, 0, 3).unflatten(0, (-1, 2)).flatten(1, 2)
    return hidden.contiguous(), last.unflatten(0, (-1, 2)).flatten(1, 2)


def _tf32_is_allowed() -> bool:
    matmul = torch.backends.cuda.matmul
    return bool(matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32)


def recur(
    inputs: Float[Tensor, "frames grus gates batch"],
    weight: Float[Tensor, "grus gates units"],
    bias: Float[Tensor, "grus gates"],
    products: torch.dtype,
    precision: Precision = "ieee",
) -> tuple[Float[Tensor, "frames grus units batch"], Float[Tensor, "grus units batch"]]:
    """Hidden states of GRUs that read forward in time from zero, and the last one in float32, with their gradients.

    `inputs` are W_i x + b_i, `weight` and `bias` W_h and b_h, gates in PyTorch's order r, z, n. Products are
    computed in the type `products` (bfloat16 or float32), that of the hidden states; state and sums are float32.
    """
    save = torch.is_grad_enabled() and any(x.requires_grad for x in (inputs, weight, bias))
    hidden, last = _Recurrence.apply(inputs, weight, bias, products, precision, save)
    return hidden, last


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, *how: Any) -> tuple[Tensor, Tensor]:
        products, ctx.precision, save = how
        weight = weight.to(products)
        hidden, last, factors = recur_forward(inputs, weight, bias, save, ctx.precision)
        ctx.save_for_backward(weight, hidden, factors)
        ctx.set_materialize_grads(False)
        return hidden, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_last = gradients
        weight, hidden, factors = ctx.saved_tensors
        grad_gates = recur_backward(grad_hidden, grad_last, weight, factors, ctx.precision)
        grad_weight, grad_bias = recurrent_gradients(grad_gates, hidden)
        return grad_gates[:, :, weight.shape[2] :], grad_weight, grad_bias, None, None, None


def recur_forward(
    inputs: Float[Tensor, "frames grus gates batch"],
    weight: Float[Tensor, "grus gates units"],
    bias: Float[Tensor, "grus gates"],
    save: bool,
    precision: Precision = "ieee",
) -> tuple[
    Float[Tensor, "frames grus units batch"],
    Float[Tensor, "grus units batch"],
    Float[Tensor, "frames grus factors batch"] | None,
]:
    """What `recur` gives, and the factors that its backward pass needs, where it is to `save` them.

    The weight's type is that of the products, of the hidden states and of the factors.
    """
    frames, grus, _, batch = inputs.shape
    units = weight.shape[2]
    hidden = weight.new_empty(frames, grus, units, batch)
    factors = weight.new_empty(frames, grus, 5 * units, batch) if save else None
    state = torch.zeros(grus, units, batch, dtype=torch.float32, device=weight.device)
    inputs, weight, bias = inputs.contiguous(), weight.contiguous(), bias.contiguous()
    grid, sizes = _launch(grus, units, batch, weight, precision)
    # Triton launches on the current device, not on that of its tensors.
    with torch.cuda.device_of(weight):
        for t in range(frames):
            forward_frame[grid](
                inputs[t],
                weight,
                bias,
                hidden[max(t - 1, 0)],
                state,
                hidden[t],
                hidden[t] if factors is None else factors[t],
                FIRST=t == 0,
                SAVE=save,
                **sizes,
            )
    return hidden, state, factors


def recur_backward(
    grad_hidden: Float[Tensor, "frames grus units batch"] | None,
    grad_last: Float[Tensor, "grus units batch"] | None,
    weight: Float[Tensor, "grus gates units"],
    factors: Float[Tensor, "frames grus factors batch"],
    precision: Precision = "ieee",
) -> Float[Tensor, "frames grus 4*units batch"]:
    """Gradients of all gates, given those of the hidden states and of the last state in float32; None is zero.

    Rows are n's recurrent part, r, z, n. With `grad_gates` for the result, grad_gates[:, :, units:] is the gradient of
    the inputs; grad_gates[:, :, :3 units] that of W_h h + b_h with its gates in the order n, r, z, from which
    `recurrent_gradients` takes the parameters'.
    """
    frames, grus, five, batch = factors.shape
    units = five // 5
    across = weight.roll(units, dims=1).transpose(1, 2).contiguous()
    grad_gates = factors.new_empty(frames, grus, 4 * units, batch)
    grad_state = torch.zeros(grus, units, batch, dtype=torch.float32, device=weight.device)
    if grad_last is not None:
        grad_state.copy_(grad_last)
    if grad_hidden is not None:
        grad_hidden = grad_hidden.contiguous()
    grid, sizes = _launch(grus, units, batch, weight, precision)
    with torch.cuda.device_of(weight):
        for t in reversed(range(frames)):
            backward_frame[grid](
                grad_state if grad_hidden is None else grad_hidden[t],
                across,
                grad_gates[min(t + 1, frames - 1)],
                factors[t],
                grad_state,
                grad_gates[t],
                LAST=t == frames - 1,
                GIVEN=grad_hidden is not None,
                **sizes,
            )
    return grad_gates


def recurrent_gradients(
    grad_gates: Float[Tensor, "frames grus rows batch"], hidden: Float[Tensor, "frames grus units batch"]
) -> tuple[Float[Tensor, "grus gates units"], Float[Tensor, "grus gates"]]:
    """Gradients of W_h and b_h in float32, gates in PyTorch's order: one product over all frames and clips."""
    units = hidden.shape[2]
    recurrent = grad_gates[:, :, : 3 * units]
    # The first frame's state was zero, so it adds nothing to the weight's gradient.
    later, states = (x.permute(1, 2, 0, 3).flatten(2) for x in (recurrent[1:], hidden[:-1]))
    grad_weight = torch.bmm(later, states.transpose(1, 2)).float()
    grad_bias = recurrent.sum(dim=(0, 3), dtype=torch.float32)
    return grad_weight.roll(-units, dims=1), grad_bias.roll(-units, dims=1)


def blocks(grus: int, units: int, batch: int, kind: torch.dtype) -> tuple[tuple[int, int, int], dict[str, Any]]:
    """The grid, and the kernels' sizes: fixed for a shape, so that the same run gives the same numbers twice.

    A row of a block is 128 bytes. In bfloat16 64 by 64 states suit a Hopper tensor core, and six GRUs of 1,024 units
    make 96 programs, one a multiprocessor, that read the least; in float32 blocks as tall would spill registers.
    """
    row = 128 // kind.itemsize
    rows, columns = _fitting(units, row), _fitting(batch, 64)
    grid = (triton.cdiv(units, rows), triton.cdiv(batch, columns), grus)
    sizes = {"UNITS": units, "BATCH": batch, "BLOCK_UNITS": rows, "BLOCK_BATCH": columns}
    return grid, {**sizes, "BLOCK_INNER": _fitting(units, row), "num_warps": 8 if rows == 64 else 4}


def _launch(
    grus: int, units: int, batch: int, weight: Tensor, precision: Precision
) -> tuple[tuple[int, int, int], dict[str, Any]]:
    grid, sizes = blocks(grus, units, batch, weight.dtype)
    # Explicit, since Triton warns that the default will change.
    return grid, {**sizes, "PRECISION": precision, "num_stages": _stages(weight.device), "enable_fp_fusion": True}


def _stages(device: torch.device) -> int:
    """Pipeline stages of the product: as many blocks as the shared memory holds, 32 KB each."""
    if device.type != "cuda":
        return 3
    memory: int = getattr(torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", 0)
    return 4 if memory >= 4 * 2**15 else 3


def _fitting(size: int, most: int) -> int:
    # A tensor core's product is at least 16 long on each side.
    return min(max(triton.next_power_of_2(size), 16), most)
