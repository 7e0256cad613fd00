"""One frame of several GRUs side by side as one Triton kernel forward and one backward.

A frame waits for the frame before it, so the launches follow one another; captured in a CUDA graph they cost
little. What all frames read is the recurrent weight: 38 MB in bfloat16 for six GRUs of 1,024 units, more than the
shared memory of all multiprocessors together holds (30 MB on an H100), less than the level-two cache, where it stays
from frame to frame. The gates are computed where the product ends, in registers.

The batch is the last axis: W h is then a plain product of PyTorch's weight and the state. Importing this module
needs Triton, so it is imported where a GPU is used.
"""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl


@no_type_check
@triton.jit
def forward_frame(
    inputs,  # (grus, 3 units, batch): W_i x + b_i of this frame, gates in PyTorch's order r, z, n
    weight,  # (grus, 3 units, units): W_h in the type of the products
    bias,  # (grus, 3 units): b_h
    before,  # (grus, units, batch): the frame before's `hidden`; not read at the first frame
    state,  # (grus, units, batch): float32; the state before the frame, and on return after it
    hidden,  # (grus, units, batch): written: the state in the type of the products
    factors,  # (grus, 5 units, batch): written where SAVE: see below
    UNITS: tl.constexpr,
    BATCH: tl.constexpr,
    FIRST: tl.constexpr,
    SAVE: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    BLOCK_BATCH: tl.constexpr,
    BLOCK_INNER: tl.constexpr,
):
    """The state after a frame: h becomes (1 - z) n + z h, where r, z = sigmoid(inputs + W_h h + b_h) and
    n = tanh(inputs + r (W_h h + b_h)).

    `factors` are what a gradient of the new state is multiplied by to become that of: n's recurrent part, r, z, n
    (each before its function), and, the fifth block, the old state past the gates. They are stored as products
    because 1 - z of a z rounded to bfloat16 would be lost where z is close to 1.
    """
    units = tl.program_id(0) * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS)
    batch = tl.program_id(1) * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)
    gru = tl.program_id(2).to(tl.int64)
    of_units, of_batch = units[:, None] < UNITS, batch[None, :] < BATCH
    mine, here = of_units & of_batch, units[:, None] * BATCH + batch[None, :]

    reset = tl.zeros((BLOCK_UNITS, BLOCK_BATCH), dtype=tl.float32)
    update = tl.zeros((BLOCK_UNITS, BLOCK_BATCH), dtype=tl.float32)
    recurrent = tl.zeros((BLOCK_UNITS, BLOCK_BATCH), dtype=tl.float32)
    if not FIRST:
        inner = tl.arange(0, BLOCK_INNER)
        rows = weight + gru * 3 * UNITS * UNITS + units[:, None] * UNITS + inner[None, :]
        columns = before + gru * UNITS * BATCH + inner[:, None] * BATCH + batch[None, :]
        for done in range(0, UNITS, BLOCK_INNER):
            of_rows = of_units & (inner[None, :] < UNITS - done)
            h = tl.load(columns + done * BATCH, mask=(inner[:, None] < UNITS - done) & of_batch, other=0.0)
            w_reset = tl.load(rows + done, mask=of_rows, other=0.0)
            w_update = tl.load(rows + done + UNITS * UNITS, mask=of_rows, other=0.0)
            w_new = tl.load(rows + done + 2 * UNITS * UNITS, mask=of_rows, other=0.0)
            reset = tl.dot(w_reset, h, reset, input_precision=PRECISION)
            update = tl.dot(w_update, h, update, input_precision=PRECISION)
            recurrent = tl.dot(w_new, h, recurrent, input_precision=PRECISION)

    inputs += gru * 3 * UNITS * BATCH + here
    bias += gru * 3 * UNITS + units[:, None]
    reset += tl.load(bias, mask=of_units, other=0.0).to(tl.float32)
    update += tl.load(bias + UNITS, mask=of_units, other=0.0).to(tl.float32)
    recurrent += tl.load(bias + 2 * UNITS, mask=of_units, other=0.0).to(tl.float32)
    reset = tl.sigmoid(reset + tl.load(inputs, mask=mine, other=0.0).to(tl.float32))
    update = tl.sigmoid(update + tl.load(inputs + UNITS * BATCH, mask=mine, other=0.0).to(tl.float32))
    new = tl.load(inputs + 2 * UNITS * BATCH, mask=mine, other=0.0).to(tl.float32) + reset * recurrent
    new = 2 * tl.sigmoid(2 * new) - 1  # tanh, which Triton itself does not have

    state += gru * UNITS * BATCH + here
    old = tl.load(state, mask=mine, other=0.0)
    after = new + update * (old - new)
    tl.store(state, after, mask=mine)
    tl.store(hidden + gru * UNITS * BATCH + here, after.to(hidden.dtype.element_ty), mask=mine)

    if SAVE:
        to_new = (1 - update) * (1 - new * new)
        to_reset = to_new * recurrent * reset * (1 - reset)
        to_update = (old - new) * update * (1 - update)
        factors += gru * 5 * UNITS * BATCH + here
        kind = factors.dtype.element_ty
        tl.store(factors, (to_new * reset).to(kind), mask=mine)
        tl.store(factors + UNITS * BATCH, to_reset.to(kind), mask=mine)
        tl.store(factors + 2 * UNITS * BATCH, to_update.to(kind), mask=mine)
        tl.store(factors + 3 * UNITS * BATCH, to_new.to(kind), mask=mine)
        tl.store(factors + 4 * UNITS * BATCH, update.to(kind), mask=mine)


@no_type_check
@triton.jit
def backward_frame(
    grad_hidden,  # (grus, units, batch): gradient of this frame's `hidden`; not read where not GIVEN
    across,  # (grus, units, 3 units): W_h transposed, columns in the order n, r, z, in the type of the products
    later,  # (grus, 4 units, batch): the frame after's `grad_gates`; not read at the last frame
    factors,  # (grus, 5 units, batch): what `forward_frame` saved
    grad_state,  # (grus, units, batch): float32; gradient that reaches the state past the gates after it, then before
    grad_gates,  # (grus, 4 units, batch): written: gradients of n's recurrent part, r, z, n before their functions
    UNITS: tl.constexpr,
    BATCH: tl.constexpr,
    LAST: tl.constexpr,
    GIVEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    BLOCK_BATCH: tl.constexpr,
    BLOCK_INNER: tl.constexpr,
):
    """Gradients of a frame's gates, from those of its state and of the gates of the frame after.

    In `grad_gates` the first three blocks are the gradient of W_h h + b_h, the last three that of the inputs.
    """
    units = tl.program_id(0) * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS)
    batch = tl.program_id(1) * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)
    gru = tl.program_id(2).to(tl.int64)
    of_units, of_batch = units[:, None] < UNITS, batch[None, :] < BATCH
    mine, here = of_units & of_batch, units[:, None] * BATCH + batch[None, :]

    total = tl.zeros((BLOCK_UNITS, BLOCK_BATCH), dtype=tl.float32)
    if not LAST:
        inner = tl.arange(0, BLOCK_INNER)
        rows = across + gru * 3 * UNITS * UNITS + units[:, None] * (3 * UNITS) + inner[None, :]
        columns = later + gru * 4 * UNITS * BATCH + inner[:, None] * BATCH + batch[None, :]
        for done in range(0, 3 * UNITS, BLOCK_INNER):
            w = tl.load(rows + done, mask=of_units & (inner[None, :] < 3 * UNITS - done), other=0.0)
            at = tl.load(columns + done * BATCH, mask=(inner[:, None] < 3 * UNITS - done) & of_batch, other=0.0)
            total = tl.dot(w, at, total, input_precision=PRECISION)

    grad_state += gru * UNITS * BATCH + here
    total += tl.load(grad_state, mask=mine, other=0.0)
    if GIVEN:
        total += tl.load(grad_hidden + gru * UNITS * BATCH + here, mask=mine, other=0.0).to(tl.float32)

    factors += gru * 5 * UNITS * BATCH + here
    grad_gates += gru * 4 * UNITS * BATCH + here
    for gate in tl.static_range(4):
        factor = tl.load(factors + gate * UNITS * BATCH, mask=mine, other=0.0).to(tl.float32)
        tl.store(grad_gates + gate * UNITS * BATCH, (factor * total).to(grad_gates.dtype.element_ty), mask=mine)
    keep = tl.load(factors + 4 * UNITS * BATCH, mask=mine, other=0.0).to(tl.float32)
    tl.store(grad_state, keep * total, mask=mine)
