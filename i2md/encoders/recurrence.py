"""The recurrence of several GRUs side by side, with its gradient written out.

Autograd would take the weights' gradient frame by frame; written out, it is one product over all frames,
and what depends on no earlier gradient is computed for all frames at once.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

Gates = Float[Tensor, "frames grus batch gates"]
Hidden = Float[Tensor, "frames grus batch units"]


def gru_recurrence(
    inputs: Gates, weight: Float[Tensor, "grus gates units"], bias: Float[Tensor, "grus gates"]
) -> Hidden:
    """Hidden states of GRUs that read forward in time from zero.

    `inputs` are the input projections W_i x + b_i of all frames, gates in PyTorch's order r, z, n; `weight` and
    `bias` are W_h and b_h. With r, z = sigmoid(inputs + W_h h + b_h) and n = tanh(inputs + r (W_h h + b_h)),
    h becomes (1 - z) n + z h. Under autocast the products are taken in its type, the state in float32.
    """
    device = inputs.device.type
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    with torch.autocast(device, enabled=False):
        hidden: Tensor = _Recurrence.apply(inputs.float(), weight, bias, products)
    return hidden


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, products: torch.dtype) -> Tensor:
        frames, grus, batch, width = inputs.shape
        units = width // 3
        across = weight.to(products).transpose(1, 2)
        # The pre-activations, overwritten frame by frame with the gates r, z, n.
        gates = inputs.clone(memory_format=torch.contiguous_format)
        candidate = inputs.new_empty(frames, grus, batch, units)
        hidden = inputs.new_empty(frames, grus, batch, units)
        state = inputs.new_zeros(grus, batch, units)
        for t in range(frames):
            recurrent = torch.bmm(state.to(products), across).float().add_(bias[:, None])
            reset_update = gates[t, ..., : 2 * units].add_(recurrent[..., : 2 * units]).sigmoid_()
            candidate[t] = recurrent[..., 2 * units :]
            new = gates[t, ..., 2 * units :].addcmul_(reset_update[..., :units], candidate[t]).tanh_()
            state = torch.lerp(new, state, reset_update[..., units:], out=hidden[t])
        ctx.save_for_backward(gates, candidate, hidden, weight)
        ctx.products = products
        return hidden

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        gates, candidate, hidden, weight = ctx.saved_tensors
        frames, grus, batch, units = hidden.shape
        back = weight.to(ctx.products)
        reset, update, new = gates.split(units, dim=-1)
        before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
        # Factors by which the state's gradient reaches the pre-activations of z, n and r.
        to_update = (before - new) * update * (1 - update)
        to_new = (1 - update) * (1 - new * new)
        to_reset = candidate * reset * (1 - reset)

        recurrent_gradient = torch.empty_like(gates)
        new_gradient = torch.empty_like(hidden)
        state_gradient = torch.zeros_like(hidden[0])
        for t in range(frames - 1, -1, -1):
            state_gradient = state_gradient + gradients[0][t]
            at_reset, at_update, at_new = recurrent_gradient[t].split(units, dim=-1)
            torch.mul(state_gradient, to_update[t], out=at_update)
            torch.mul(state_gradient, to_new[t], out=new_gradient[t])
            torch.mul(new_gradient[t], to_reset[t], out=at_reset)
            torch.mul(new_gradient[t], reset[t], out=at_new)
            if t:
                state_gradient *= update[t]
                state_gradient += torch.bmm(recurrent_gradient[t].to(ctx.products), back)

        flat = recurrent_gradient.transpose(0, 1).reshape(grus, frames * batch, 3 * units)
        states = before.transpose(0, 1).reshape(grus, frames * batch, units)
        weight_gradient = torch.bmm(flat.to(ctx.products).transpose(1, 2), states.to(ctx.products)).float()
        input_gradient = torch.cat([recurrent_gradient[..., : 2 * units], new_gradient], dim=-1)
        return input_gradient, weight_gradient, flat.sum(dim=1), None
