"""Rules of ONNX's reductions, and of running sums and products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr

_EMPTY: dict[str, float] = {
    "ReduceSum": 0.0,
    "ReduceProd": 1.0,
    "ReduceMax": -math.inf,
    "ReduceMin": math.inf,
    "ReduceMean": math.nan,
    "ReduceL1": 0.0,
    "ReduceL2": 0.0,
    "ReduceSumSquare": 0.0,
    "ReduceLogSum": -math.inf,
    "ReduceLogSumExp": -math.inf,
}
"""What the reduction of no elements is."""


def _axes(node: HostNode) -> list[int]:
    rank = len(node.shape(0))
    axes = node.known_integers("axes")
    if not axes:
        return [] if node.integer("noop_with_empty_axes") else list(range(rank))
    return sorted({normal_axis(axis, rank) for axis in axes})


@onnx_rule(*_EMPTY)
def reduction(node: HostNode) -> list[Expr]:
    """Reduce over axes; no elements give the reduction's neutral value, which TVM leaves uninitialised."""
    emitter, kind = node.emitter, node.op.op_type
    dtype = node.dtype(0)
    shape, axes, keep = node.shape(0), _axes(node), bool(node.integer("keepdims", 1))
    if any(shape[axis] == 0 for axis in axes):
        return [emitter.constant(np.full(node.output_shape(), _neutral(kind, dtype)), dtype)]
    x = node.operands[0]
    if not axes and kind in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceMean"):
        return [x]
    work = dtype
    if dtype.kind == "b":
        work = np.dtype(np.uint8)
    elif dtype.kind not in "iu" and dtype.itemsize == 2:
        work = np.dtype(np.float32)
    if work != dtype:
        x = emitter.cast(x, work)

    def reduced(operator: str, tensor: Expr, *, keepdims: bool = keep) -> Expr:
        if operator in ("max", "min") and work.kind == "f" and axes:
            return emitter.extreme(tensor, axes, largest=operator == "max", keepdims=keepdims)
        return emitter.apply(operator, tensor, axis=axes, keepdims=keepdims) if axes else tensor

    match kind:
        case "ReduceSum" | "ReduceProd" | "ReduceMax" | "ReduceMin":
            result = reduced(kind.removeprefix("Reduce").lower(), x)
        case "ReduceMean":
            count = math.prod(shape[axis] for axis in axes)
            result = emitter.divide(reduced("sum", x), emitter.constant(count, work))
        case "ReduceL1":
            result = reduced("sum", emitter.apply("abs", x))
        case "ReduceL2":
            result = emitter.apply("sqrt", reduced("sum", emitter.multiply(x, x)))
        case "ReduceSumSquare":
            result = reduced("sum", emitter.multiply(x, x))
        case "ReduceLogSum":
            result = emitter.apply("log", reduced("sum", x))
        case _:
            # Relative to the largest element, so that nothing overflows.
            largest = reduced("max", x, keepdims=True)
            finite = emitter.apply("isfinite", largest)
            largest = emitter.select(finite, largest, emitter.constant(0, work))
            total = reduced("sum", emitter.apply("exp", emitter.subtract(x, largest)))
            result = emitter.add(emitter.apply("log", total), emitter.reshape(largest, node.output_shape()))
    return [emitter.cast(result, dtype) if work != dtype else result]


def _neutral(kind: str, dtype: np.dtype[Any]) -> float:
    value = _EMPTY[kind]
    if dtype.kind == "b":
        return value > 0
    if dtype.kind in "iu" and math.isinf(value):
        bounds = np.iinfo(dtype)
        return bounds.max if value > 0 else bounds.min
    return value


@onnx_rule("ArgMax", "ArgMin")
def index_of_extreme(node: HostNode) -> list[Expr]:
    """The index of the first or last largest or smallest element."""
    emitter, x = node.emitter, node.operands[0]
    shape = node.shape(0)
    axis = normal_axis(node.integer("axis"), len(shape))
    operator = node.op.op_type.lower()
    last = bool(node.integer("select_last_index"))
    if last:
        x = emitter.apply("flip", x, axis)
    index = emitter.apply(operator, x, axis=axis, keepdims=bool(node.integer("keepdims", 1)))
    index = emitter.cast(index, np.int64)
    return [emitter.subtract(emitter.constant(shape[axis] - 1, np.int64), index) if last else index]


@onnx_rule("CumSum", "CumProd")
def running_total(node: HostNode) -> list[Expr]:
    """The sum or product of the elements up to each one."""
    emitter, x = node.emitter, node.operands[0]
    shape, dtype = node.shape(0), node.dtype(0)
    values = node.known("axis")
    assert values is not None
    axis = normal_axis(int(values.reshape(-1)[0]), len(shape))
    reverse, exclusive = bool(node.integer("reverse")), bool(node.integer("exclusive"))
    product = node.op.op_type == "CumProd"
    topi = emitter.builder.topi
    if reverse:
        x = emitter.apply("flip", x, axis)
    if exclusive:
        # The neutral value comes first, and the last element is of no use.
        first = [extent if index != axis else 1 for index, extent in enumerate(shape)]
        neutral = emitter.constant(np.full(first, 1 if product else 0), dtype)
        kept = emitter.apply("strided_slice", x, axes=[axis], begin=[0], end=[shape[axis] - 1])
        x = emitter.apply("concat", [neutral, kept], axis=axis) if shape[axis] > 1 else neutral
    scan = topi.cumprod if product else topi.cumsum

    def computation(tensor: Expr) -> Expr:
        return scan(tensor, axis=axis, dtype=dtype.name)

    x = emitter.builder.compute("scan", computation, x)
    return [emitter.apply("flip", x, axis) if reverse else x]
