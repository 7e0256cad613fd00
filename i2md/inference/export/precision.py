"""Smaller variants of an exported graph: weights in half precision, and 8-bit integers.

Preparation, which decides where a body stands and which way it faces, and the classifier stay as they are: what is
stored or computed otherwise are the encoders' weights and the products with them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

Precision = Literal["fp32", "fp16", "int8"]
# Weights of the encoders, and the training clips that a classifier compares with.
_LARGE = ("encoders.", "references_")
_LEAST = 256
_LEVELS = 127
# Operations that onnxruntime computes in 8-bit integers.
_INTEGER = ("MatMul", "Gemm", "Conv")


def in_precision(model: Any, precision: Precision) -> Any:
    """A graph in another precision.

    fp16: weights are stored in half precision and become float32 when the graph is loaded, so that it runs everywhere
    at the same speed. int8: onnxruntime's dynamic quantisation of products and convolutions; a GRU, which it does not
    quantise, has weights that are stored as integers with a scale for each row.

    Args:
        model: An onnx.ModelProto of float32.
        precision: The precision wanted.

    Returns:
        The model.
    """
    if precision == "fp16":
        return _stored(model, _as_half)
    if precision == "int8":
        return _stored(_quantised(model), _as_integers)
    return model


def _quantised(model: Any) -> Any:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weights = {each.name for each in model.graph.initializer if each.name.startswith("encoders.")}
    nodes = [n.name for n in model.graph.node if n.op_type in _INTEGER and weights & set(n.input)]
    if not nodes:
        return model
    with tempfile.TemporaryDirectory(prefix="i2md-") as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save(model, before)
        quantize_dynamic(
            before,
            after,
            nodes_to_quantize=nodes,
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return onnx.load(after)


def _as_half(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return weight.astype(np.float16), None


def _as_integers(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest / _LEVELS, 1).astype(np.float32)
    return np.round(weight / scale).astype(np.int8), scale


def _stored(model: Any, store: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]) -> Any:
    """The model with large weights stored in another type, from which they are made at the beginning of the graph."""
    from onnx import TensorProto, helper, numpy_helper

    kept, made = [], []
    for each in model.graph.initializer:
        weight = numpy_helper.to_array(each)
        if weight.dtype != np.float32 or weight.size < _LEAST or not each.name.startswith(_LARGE):
            kept.append(each)
            continue
        small, scale = store(weight)
        kept.append(numpy_helper.from_array(small, f"{each.name}.stored"))
        cast = each.name if scale is None else f"{each.name}.cast"
        made.append(helper.make_node("Cast", [f"{each.name}.stored"], [cast], to=TensorProto.FLOAT))
        if scale is not None:
            kept.append(numpy_helper.from_array(scale, f"{each.name}.scale"))
            made.append(helper.make_node("Mul", [cast, f"{each.name}.scale"], [each.name]))
    nodes = [*made, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    return model
