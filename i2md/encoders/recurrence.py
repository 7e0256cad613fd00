"""The recurrence of several GRUs side by side, with its gradient written out.

Autograd would take the weights' gradient frame by frame; written out, it is one product over all frames,
what depends on no earlier gradient is computed for all frames at once, and little is copied.
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
) -> Float[Tensor, "grus frames batch units"]:
    """Hidden states of GRUs that read forward in time from zero.

    `inputs` are the input projections W_i x + b_i of all frames, gates in PyTorch's order r, z, n; each tensor
    holds some of the GRUs, in the order of `weight` and `bias`, which are W_h and b_h. With
    r, z = sigmoid(inputs + W_h h + b_h) and n = tanh(inputs + r (W_h h + b_h)), h becomes (1 - z) n + z h.
    Under autocast the products are taken in its type, the state in float32.
    """
    device = weight.device.type
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):
        hidden: Tensor = _Recurrence.apply(products, weight, bias, *inputs)
    return hidden


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: torch.dtype, weight: Tensor, bias: Tensor, *inputs: Tensor) -> Tensor:
        grus, width, units = weight.shape
        frames, batch = inputs[0].shape[:2]
        # The pre-activations, overwritten frame by frame with the gates r, z, n.
        gates = weight.new_empty(grus, frames, batch, width)
        for part, some in zip(gates.split([x.shape[2] for x in inputs]), inputs, strict=True):
            part.copy_(some.permute(2, 0, 1, 3))
        candidate = weight.new_empty(grus, frames, batch, units)
        hidden = torch.empty_like(candidate)
        state = weight.new_zeros(grus, batch, units)
        across = weight.to(products).transpose(1, 2)
        for t in range(frames):
            recurrent = torch.bmm(state.to(products), across).float().add_(bias[:, None])
            reset_update = gates[:, t, :, : 2 * units].add_(recurrent[..., : 2 * units]).sigmoid_()
            candidate[:, t] = recurrent[..., 2 * units :]
            new = gates[:, t, :, 2 * units :].addcmul_(reset_update[..., :units], candidate[:, t]).tanh_()
            state = torch.lerp(new, state, reset_update[..., units:], out=hidden[:, t])
        ctx.save_for_backward(gates, candidate, hidden, weight)
        ctx.products, ctx.parts = products, [x.shape[2] for x in inputs]
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, candidate, hidden, weight = ctx.saved_tensors
        frames, units = hidden.shape[1], hidden.shape[3]
        back = weight.to(ctx.products)
        reset, update, new = gates.split(units, dim=-1)
        # Factors by which the state's gradient reaches the pre-activations of z, n and r.
        to_update = -new
        to_update[:, 1:] += hidden[:, :-1]
        to_update *= update * (1 - update)
        to_new = (1 - update) * (1 - new * new)
        to_reset = candidate * reset * (1 - reset)

        recurrent = torch.empty_like(gates)
        at_new_input = torch.empty_like(hidden)
        at_state = torch.zeros_like(hidden[:, 0])
        for t in range(frames - 1, -1, -1):
            at_state += gradients[0][:, t]
            at_reset, at_update, at_new = recurrent[:, t].split(units, dim=-1)
            torch.mul(at_state, to_update[:, t], out=at_update)
            torch.mul(at_state, to_new[:, t], out=at_new_input[:, t])
            torch.mul(at_new_input[:, t], to_reset[:, t], out=at_reset)
            torch.mul(at_new_input[:, t], reset[:, t], out=at_new)
            if t:
                at_state *= update[:, t]
                at_state += torch.bmm(recurrent[:, t].to(ctx.products), back)

        # The first frame's state was zero, so it adds nothing to the weights' gradient.
        later = recurrent[:, 1:].flatten(1, 2).to(ctx.products)
        states = hidden[:, :-1].flatten(1, 2).to(ctx.products)
        at_weight = torch.bmm(later.transpose(1, 2), states).float()
        at_inputs = _input_gradients(recurrent, at_new_input, ctx.parts)
        return None, at_weight, recurrent.sum(dim=(1, 2)), *at_inputs


def _input_gradients(recurrent: Tensor, at_new_input: Tensor, parts: list[int]) -> list[Tensor]:
    """As the recurrent gradient, but that of n is taken before the reset gate; in the inputs' order of axes."""
    frames, batch, width = recurrent.shape[1:]
    units = at_new_input.shape[-1]
    gradients = []
    for some, some_new in zip(recurrent.split(parts), at_new_input.split(parts), strict=True):
        gradient = recurrent.new_empty(frames, batch, len(some), width)
        gradient[..., : 2 * units] = some[..., : 2 * units].permute(1, 2, 0, 3)
        gradient[..., 2 * units :] = some_new.permute(1, 2, 0, 3)
        gradients.append(gradient)
    return gradients
