"""The recurrence of several GRUs side by side, with its gradient written out.

Autograd would take the weights' gradient frame by frame; written out, it is one product over all frames, and
what depends on no earlier gradient is computed for all frames at once. Each gate of a frame is one contiguous
block, because at small widths the element-wise work on slices took longer than the products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def gru_recurrence(
    inputs: Sequence[Float[Tensor, "frames batch some gates"]],
    weight: Float[Tensor, "grus gates units"],
    bias: Float[Tensor, "grus gates"],
) -> Float[Tensor, "frames grus batch units"]:
    """Hidden states of GRUs that read forward in time from zero.

    `inputs` are the input projections W_i x + b_i of all frames, gates in PyTorch's order r, z, n; each tensor
    holds some of the GRUs, in the order of `weight` and `bias`, which are W_h and b_h. With
    r, z = sigmoid(inputs + W_h h + b_h) and n = tanh(inputs + r (W_h h + b_h)), h becomes (1 - z) n + z h.
    Under autocast the products are taken in its type, the state in float32.
    """
    device = weight.device.type
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        hidden: Tensor = _Recurrence.apply(products, weight, bias, *inputs)
    return hidden


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: torch.dtype, weight: Tensor, bias: Tensor, *inputs: Tensor) -> Tensor:
        by_gate = _by_gate(weight)
        across = by_gate.transpose(-1, -2).to(products, memory_format=torch.contiguous_format).flatten(0, 1)
        gates, new = _before_the_state(inputs, _by_gate(bias))
        hidden = torch.empty_like(new)
        # The state, once for each gate's product.
        states = torch.zeros_like(gates[0], dtype=products)
        state = torch.zeros_like(new[0])
        for gate, candidate, after in zip(gates, new, hidden, strict=True):
            _add_product(gate.flatten(0, 1), states.flatten(0, 1), across)
            reset, update, recurrent = gate
            gate[:2].sigmoid_()
            _tanh_(candidate.addcmul_(reset, recurrent))
            state = torch.lerp(candidate, state, update, out=after)
            states.copy_(state)
        ctx.save_for_backward(gates, new, hidden, by_gate)
        ctx.products, ctx.parts = products, [x.shape[2] for x in inputs]
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, new, hidden, by_gate = ctx.saved_tensors
        back = by_gate.to(ctx.products)
        update = gates[:, 1]
        to_gates, to_new = _factors(gates, new, hidden)

        at_state = torch.zeros_like(hidden[0])
        for t in range(len(hidden) - 1, -1, -1):
            at_state += gradients[0][t]
            at_new = to_new[t].mul_(at_state)
            at_reset, at_update, at_recurrent = to_gates[t]
            at_reset *= at_new
            at_update *= at_state
            at_recurrent *= at_new
            if t:
                at_state *= update[t]
                for at_gate, weight in zip(to_gates[t].to(ctx.products), back, strict=True):
                    _add_product(at_state, at_gate, weight)

        # The first frame's state was zero, so it adds nothing to the weights' gradient.
        later = _frames_together(to_gates[1:]).to(ctx.products)
        states = _frames_together(hidden[:-1]).to(ctx.products)
        at_weight = torch.stack([torch.bmm(at_gate.transpose(1, 2), states) for at_gate in later], dim=1)
        # One sum over both axes would take fifteen times as long on a CPU.
        at_bias = to_gates.sum(dim=3).sum(dim=0).transpose(0, 1)
        at_inputs = _input_gradients(to_gates, to_new, ctx.parts)
        return None, at_weight.flatten(1, 2).to(hidden.dtype), at_bias.flatten(1), *at_inputs


def _by_gate(parameter: Float[Tensor, "grus gates ..."]) -> Float[Tensor, "3 grus units ..."]:
    return parameter.unflatten(1, (3, -1)).transpose(0, 1)


def _frames_together(x: Float[Tensor, "frames *gate grus batch units"]) -> Float[Tensor, "*gate grus rows units"]:
    return x.movedim(0, -3).flatten(-3, -2)


def _before_the_state(
    inputs: Sequence[Tensor], bias: Tensor
) -> tuple[Float[Tensor, "frames 3 grus batch units"], Float[Tensor, "frames grus batch units"]]:
    """What reaches the gates r and z and the recurrent part of n before the state does, and n's input."""
    frames, batch = inputs[0].shape[:2]
    gates = bias.new_empty(frames, *bias.shape[:2], batch, bias.shape[2])
    new = torch.empty_like(gates[:, 0])
    first = 0
    for some in inputs:
        part = slice(first, first := first + some.shape[2])
        by_gate = some.unflatten(-1, (3, -1)).permute(0, 3, 2, 1, 4)
        torch.add(by_gate[:, :2], bias[:2, part, None], out=gates[:, :2, part])
        new[:, part] = by_gate[:, 2]
    gates[:, 2] = bias[2, :, None]
    return gates, new


def _factors(gates: Tensor, new: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Factors from a state's gradient to those of r (through n), z and n's recurrent part (through n); and to n."""
    reset, update, recurrent = gates.unbind(1)
    to_gates = torch.empty_like(gates)
    to_reset, to_update, to_recurrent = to_gates.unbind(1)
    torch.mul(recurrent, reset, out=to_reset).mul_(1 - reset)
    torch.neg(new, out=to_update)[1:] += hidden[:-1]
    stays = 1 - update
    to_update *= update
    to_update *= stays
    to_recurrent.copy_(reset)
    return to_gates, torch.addcmul(torch.ones_like(new), new, new, value=-1).mul_(stays)


def _add_product(
    total: Float[Tensor, "grus batch units"],
    left: Float[Tensor, "grus batch inner"],
    right: Float[Tensor, "grus inner units"],
) -> None:
    """Add left @ right to `total` in place, the product taken in the type of its factors."""
    if left.dtype == total.dtype:
        total.baddbmm_(left, right)
    else:
        total.add_(torch.bmm(left, right))


def _tanh_(x: Tensor) -> Tensor:
    """tanh in place as 2 sigmoid(2x) - 1: on a CPU PyTorch's own takes several times as long as its sigmoid."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _input_gradients(at_gates: Tensor, at_new: Tensor, parts: list[int]) -> list[Tensor]:
    """As those of the gates, but that of n is taken before the reset gate; in the inputs' order of axes."""
    frames, _, batch, units = at_new.shape
    gradients = []
    first = 0
    for size in parts:
        part = slice(first, first := first + size)
        gradient = at_new.new_empty(frames, batch, size, 3, units)
        gradient[..., :2, :] = at_gates[:, :2, part].permute(0, 3, 2, 1, 4)
        gradient[..., 2, :] = at_new[:, part].permute(0, 2, 1, 3)
        gradients.append(gradient.flatten(3))
    return gradients
