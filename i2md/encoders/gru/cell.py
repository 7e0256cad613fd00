"""One frame of several GRUs side by side: forward, and backward through the factors that forward stores.

The batch comes last, so that W h is a plain product of PyTorch's weight (gates, units) with the state
(units, batch). Products are computed in the type of the weights; state, gates and their gradients are float32.
Nothing is allocated: the system would clear memory that is freed and allocated again at every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor


@dataclass(frozen=True)
class Recurrent:
    """The recurrent weights of some GRUs, in the type of the products, apart for the gates r and z and for n.

    `bias` holds, one above the other, all that is added to r, z, the inputs of n and its recurrent part.
    """

    gates: Float[Tensor, "grus two_units units"]
    new: Float[Tensor, "grus units units"]
    bias: Float32[Tensor, "grus four_units 1"]

    def transposed(self) -> Float[Tensor, "grus units three_units"]:
        """The weights as gradients pass through them: n, r, z side by side."""
        return torch.cat([self.new, self.gates], dim=1).transpose(1, 2).contiguous()


def forward_frame(
    inputs: Float[Tensor, "grus three_units batch"],
    before: Float[Tensor, "grus units batch"] | None,
    weights: Recurrent,
    state: Float32[Tensor, "grus units batch"],
    block: Float32[Tensor, "grus five_units batch"],
    product: Float[Tensor, "grus units batch"],
    keep_factors: bool,
) -> None:
    """Bring `state` forward by one frame, in place; `before` is its copy in the type of the products (None: zero).

    `inputs` are W_i x, and are used up; `product` is scratch. With r, z = sigmoid(W_i x + W_h h + b), a = W_h h + b and
    n = tanh(W_i x + b + r a), the state h becomes (1 - z) n + z h. `block` is scratch, or holds for
    `backward_frame`, one above the other: r, z and the factors (1 - z)(1 - n^2) to n, a r (1 - r) from there to r,
    (h - n) z (1 - z) to z.
    """
    units = state.shape[1]
    reset, update, new, recurrent, difference = block.split(units, dim=1)
    if before is None:
        recurrent.zero_()
    else:
        inputs[:, : 2 * units].baddbmm_(weights.gates, before)
        recurrent.copy_(torch.bmm(weights.new, before, out=product))
    block[:, : 3 * units].copy_(inputs)
    block[:, : 4 * units] += weights.bias
    block[:, : 2 * units].sigmoid_()
    _tanh_(new.addcmul_(reset, recurrent))
    if not keep_factors:
        torch.lerp(new, state, update, out=state)
        return
    torch.sub(state, new, out=difference).mul_(update)
    torch.add(new, difference, out=state)
    difference.addcmul_(difference, update, value=-1)
    recurrent.mul_(reset)
    recurrent.addcmul_(recurrent, reset, value=-1)
    new.square_().neg_().add_(1)
    new.addcmul_(new, update, value=-1)


def backward_frame(
    grad_state: Float32[Tensor, "grus units batch"],
    block: Float32[Tensor, "grus five_units batch"],
    grad_gates: Float32[Tensor, "grus four_units batch"],
) -> None:
    """From the gradient at a frame's state to those before its gates, one above the other: n's recurrent part, r, z, n.

    The first three belong to the recurrent product, the last three to the inputs.
    """
    reset, _, to_new, to_reset, to_update = block.split(grad_state.shape[1], dim=1)
    grad_recurrent, grad_reset, grad_update, grad_new = grad_gates.split(grad_state.shape[1], dim=1)
    torch.mul(to_new, grad_state, out=grad_new)
    torch.mul(to_update, grad_state, out=grad_update)
    torch.mul(to_reset, grad_new, out=grad_reset)
    torch.mul(reset, grad_new, out=grad_recurrent)


def pass_back(
    grad_state: Float32[Tensor, "grus units batch"],
    block: Float32[Tensor, "grus five_units batch"],
    grad_gates: Float[Tensor, "grus three_units batch"],
    transposed: Float[Tensor, "grus units three_units"],
    product: Float[Tensor, "grus units batch"],
) -> None:
    """From the gradient at a frame's state to that at the state before, in place.

    `grad_gates` are those before n's recurrent part, r and z; `product` is scratch.
    """
    units = grad_state.shape[1]
    grad_state.mul_(block[:, units : 2 * units])
    if grad_gates.dtype == grad_state.dtype:
        grad_state.baddbmm_(transposed, grad_gates)
    else:
        grad_state.add_(torch.bmm(transposed, grad_gates, out=product))


def _tanh_(x: Tensor) -> Tensor:
    """tanh in place as 2 sigmoid(2x) - 1: on a CPU PyTorch's own takes several times as long as its sigmoid."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
