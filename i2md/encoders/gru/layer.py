"""A layer of GRU pairs side by side, with an explicit gradient.

Sequences are (pairs, channels, frames, batch): the rows of one frame are a matrix that enters a product as it is, and
all frames together the matrix of the weights' gradient, so nothing is transposed. Autograd would compute the weights'
gradient frame by frame; here it is one product over all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from i2md.encoders.gru.cell import Recurrent, backward_frame, forward_frame, pass_back

# Frames whose inputs are projected at a time: few enough to stay in a processor's cache until they are used.
CHUNK = 8


class PairWeights(NamedTuple):
    """The weights of two GRUs that read the same sequence, as `GRUPair` holds them."""

    weight_ih: Float[Tensor, "rows channels"]
    weight_hh: Float[Tensor, "2 gates units"]
    bias_ih: Float[Tensor, rows]
    bias_hh: Float[Tensor, "2 gates"]


def gru_layer(
    x: Float[Tensor, "pairs channels frames batch"], pairs: Sequence[PairWeights]
) -> tuple[Float[Tensor, "pairs width frames batch"], Float32[Tensor, "pairs width batch"]]:
    """Hidden states of all frames, in the type of `x`, and the last one in float32; all GRUs read forward from zero.

    With r, z = sigmoid(W_i x + b_i + W_h h + b_h) and n = tanh(W_i x + b_i + r (W_h h + b_h)), h becomes (1 - z) n +
    z h (PyTorch's GRU).

    Args:
        x: Sequences, one for each pair; products are computed in their type.
        pairs: Weights of the pairs.

    Returns:
        Hidden states of all frames, those of a pair's GRUs one above the other, and the last ones in float32.
    """
    hidden, last = _Layer.apply(len(pairs), x, *(tensor for pair in pairs for tensor in pair))
    return hidden, last


def gru_layer_of_few(
    x: Float[Tensor, "pairs channels frames batch"], pairs: Sequence[PairWeights]
) -> tuple[Float[Tensor, "pairs width frames batch"], Float32[Tensor, "pairs width batch"]]:
    """The same by PyTorch's own GRU: for export, which knows it as one operation, and for a few clips on a CPU.

    Products of a matrix and a few columns take several times as long as those of a few rows and the matrix, which
    PyTorch's GRU computes.

    Args:
        x: Sequences, one for each pair.
        pairs: Weights of the pairs.

    Returns:
        As `gru_layer`.
    """
    hidden = torch.stack([_pair_by_torch(of, pair) for of, pair in zip(x.permute(0, 2, 3, 1), pairs, strict=True)])
    hidden = hidden.permute(0, 3, 1, 2)
    return hidden, hidden[:, :, -1]


def _pair_by_torch(
    x: Float[Tensor, "frames batch channels"], pair: PairWeights
) -> Float[Tensor, "frames batch two_units"]:
    units = pair.weight_hh.shape[-1]
    start = x.new_zeros(1, x.shape[1], units)
    weights = zip(
        pair.weight_ih.split(3 * units), pair.weight_hh, pair.bias_ih.split(3 * units), pair.bias_hh, strict=True
    )
    return torch.cat([torch.gru(x, start, list(of), True, 1, 0.0, False, False, False)[0] for of in weights], dim=2)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, count: int, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        weights = _Weights.of([PairWeights(*parameters[i : i + 4]) for i in range(0, 4 * count, 4)], x.dtype)
        keep = any(ctx.needs_input_grad)
        hidden, last, blocks = _run(x, weights, keep)
        if keep:
            ctx.weights = weights
            ctx.save_for_backward(x, hidden, blocks)
            ctx.set_materialize_grads(False)
        return hidden.view(count, -1, *x.shape[2:]), last.view(count, -1, x.shape[3])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, hidden, blocks = ctx.saved_tensors
        grad_hidden, grad_last = (None if g is None else g.unflatten(1, (2, -1)).flatten(0, 1) for g in gradients)
        inputs, recurrent = ctx.weights.inputs, ctx.weights.recurrent
        grad_gates, grad_bias = _run_back(grad_hidden, grad_last, recurrent, hidden, blocks)
        grad_x = _input_gradient(grad_gates, inputs) if ctx.needs_input_grad[1] else None
        return None, grad_x, *_weight_gradients(grad_gates, grad_bias, x, hidden)


@dataclass(frozen=True)
class _Weights:
    """A layer's weights in the type of the products: of the inputs, and recurrent, with all biases."""

    inputs: Float[Tensor, "pairs rows channels"]
    recurrent: Recurrent

    @staticmethod
    def of(pairs: Sequence[PairWeights], products: torch.dtype) -> _Weights:
        units = pairs[0].weight_hh.shape[-1]
        bias_hh = torch.cat([pair.bias_hh for pair in pairs])
        bias = torch.cat([pair.bias_ih for pair in pairs]).view_as(bias_hh)
        bias = torch.cat([bias, bias_hh[:, 2 * units :]], dim=1)
        bias[:, : 2 * units] += bias_hh[:, : 2 * units]
        gates, new = (
            _stacked([part for pair in pairs for part in pair.weight_hh[:, rows]], products)
            for rows in (slice(2 * units), slice(2 * units, None))
        )
        inputs = _stacked([pair.weight_ih for pair in pairs], products)
        return _Weights(inputs, Recurrent(gates, new, bias[..., None].float()))


def _stacked(tensors: Sequence[Tensor], products: torch.dtype) -> Tensor:
    """torch.stack in another type, in one pass; a single tensor that has the type already is not copied."""
    if len(tensors) == 1:
        return tensors[0].detach().to(products)[None]
    stacked = tensors[0].new_empty(len(tensors), *tensors[0].shape, dtype=products)
    for part, tensor in zip(stacked, tensors, strict=True):
        part.copy_(tensor)
    return stacked


def _run(x: Tensor, weights: _Weights, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (grus, units, frames, batch), the last one, and each frame's block (scratch, where not kept)."""
    frames, batch = x.shape[2:]
    grus, units, _ = weights.recurrent.new.shape
    hidden = x.new_empty(grus, units, frames, batch)
    state = x.new_zeros(grus, units, batch, dtype=torch.float32)
    blocks = state.new_empty(frames if keep else 1, grus, 5 * units, batch)
    states = x.new_empty(CHUNK, *state.shape)
    product = torch.empty_like(states[0])
    projected = x.new_empty(len(x), 6 * units * CHUNK * batch)
    before = None
    for chunk in _chunks(frames):
        inputs_of = _project(x[:, :, chunk], weights.inputs, projected)
        for t, inputs, after in zip(range(frames)[chunk], inputs_of, states, strict=False):
            forward_frame(inputs, before, weights.recurrent, state, blocks[t if keep else 0], product, keep)
            before = after.copy_(state)
        _join(states, hidden[:, :, chunk])
    return hidden, state, blocks


def _chunks(frames: int) -> list[slice]:
    return [slice(first, min(first + CHUNK, frames)) for first in range(0, frames, CHUNK)]


def _join(by_frame: Float[Tensor, "some grus rows batch"], part: Float[Tensor, "grus rows frames batch"]) -> None:
    """Copy frames that were computed one by one to where rows continue through all frames."""
    # A chunk at a time, while it is in the cache: rows of a single frame lie far apart in memory.
    part.copy_(by_frame[: part.shape[2]].permute(1, 2, 0, 3))


def _project(
    x: Float[Tensor, "pairs channels some batch"],
    weights: Float[Tensor, "pairs rows channels"],
    out: Float[Tensor, "pairs _"],
) -> tuple[Float[Tensor, "grus gates batch"], ...]:
    """W_i x of some frames, computed in `out`."""
    pairs, _, frames, batch = x.shape
    rows = weights.shape[1]
    projected = out[:, : rows * frames * batch].view(pairs, rows, frames * batch)
    for weight, sequence, part in zip(weights, x, projected, strict=True):
        torch.mm(weight, sequence.flatten(1), out=part)
    return projected.unflatten(1, (2, -1)).flatten(0, 1).unflatten(2, (frames, batch)).unbind(2)


def _run_back(
    grad_hidden: Tensor | None,
    grad_last: Tensor | None,
    recurrent: Recurrent,
    hidden: Tensor,
    blocks: Tensor,
) -> tuple[Float[Tensor, "grus rows frames batch"], Float32[Tensor, "grus rows"]]:
    """Gradients before the gates of all frames, in the order of `backward_frame`; and their sums, exactly."""
    grus, units, frames, batch = hidden.shape
    transposed = recurrent.transposed()
    grad_gates = hidden.new_empty(grus, 4 * units, frames, batch)
    grad_frame = blocks.new_empty(grus, 4 * units, batch)
    grad_frames = hidden.new_empty(CHUNK, *grad_frame.shape)
    product = hidden.new_empty(grus, units, batch)
    direct = product.new_empty(CHUNK, *product.shape)
    total = torch.zeros_like(grad_frame)
    grad_state = blocks.new_zeros(grus, units, batch)
    if grad_last is not None:
        # Copied, not cloned: a product added in place to another memory layout takes a thousand times as long.
        grad_state.copy_(grad_last)
    for chunk in reversed(_chunks(frames)):
        if grad_hidden is not None:
            direct[: chunk.stop - chunk.start].copy_(grad_hidden[:, :, chunk].permute(2, 0, 1, 3))
        for t in reversed(range(frames)[chunk]):
            i = t - chunk.start
            if t < frames - 1:
                pass_back(grad_state, blocks[t + 1], grad_frames[(i + 1) % CHUNK][:, : 3 * units], transposed, product)
            if grad_hidden is not None:
                grad_state += direct[i]
            backward_frame(grad_state, blocks[t], grad_frame)
            grad_frames[i].copy_(grad_frame)
            total += grad_frame
        _join(grad_frames, grad_gates[:, :, chunk])
    return grad_gates, total.sum(dim=2)


def _input_gradient(grad_gates: Tensor, inputs: Tensor) -> Float[Tensor, "pairs channels frames batch"]:
    """Gradient of the layer's input: both GRUs of a pair add to it."""
    pairs, rows, channels = inputs.shape
    units, (frames, batch) = rows // 6, grad_gates.shape[2:]
    gradient = grad_gates.new_empty(pairs, channels, frames * batch)
    for pair in range(pairs):
        first, second = (gates[units:].flatten(1) for gates in grad_gates[2 * pair : 2 * pair + 2])
        torch.mm(inputs[pair, : 3 * units].T, first, out=gradient[pair])
        gradient[pair].addmm_(inputs[pair, 3 * units :].T, second)
    return gradient.unflatten(2, (frames, batch))


def _weight_gradients(grad_gates: Tensor, grad_bias: Tensor, x: Tensor, hidden: Tensor) -> list[Tensor]:
    """Gradients of all pairs' weights, in the order of `PairWeights`."""
    units = hidden.shape[1]
    gradients: list[Tensor] = []
    for pair in range(len(x)):
        both = slice(2 * pair, 2 * pair + 2)
        sequence = x[pair].flatten(1).T
        grad_ih = torch.cat([torch.mm(gates[units:].flatten(1), sequence) for gates in grad_gates[both]])
        grad_hh = torch.stack([_recurrent_gradient(*of) for of in zip(grad_gates[both], hidden[both], strict=True)])
        grad_bias_hh = grad_bias[both, : 3 * units].roll(-units, dims=1)
        gradients += [grad_ih.float(), grad_hh.float(), grad_bias[both, units:].flatten(), grad_bias_hh]
    return gradients


def _recurrent_gradient(
    grad_gates: Float[Tensor, "rows frames batch"], hidden: Float[Tensor, "units frames batch"]
) -> Float[Tensor, "gates units"]:
    """Each frame's gradients with the state before it; the first frame's state was zero, so it adds nothing."""
    units = len(hidden)
    after, before = grad_gates[: 3 * units, 1:].flatten(1), hidden[:, :-1].flatten(1).T
    return torch.mm(after, before).roll(-units, dims=0)
