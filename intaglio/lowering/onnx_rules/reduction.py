"""Reductions, those that ONNX makes of others included."""

from __future__ import annotations

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_float, lowers, normal_axis, static_shape

_PLAIN: dict[str, type[nn.ReduceOp]] = {
    "ReduceMean": nn.ReduceMeanOp,
    "ReduceSum": nn.ReduceSumOp,
    "ReduceMax": nn.ReduceMaxOp,
    "ReduceMin": nn.ReduceMinOp,
    "ReduceL2": nn.ReduceL2Op,
    "ReduceProd": nn.ReduceProdOp,
}
_MADE_OF_SUMS = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


def reduced_axes(node: Node, rank: int) -> list[int] | None:
    """The dimensions that a node reduces; None when they are not known at compile time."""
    axes = node.integers("axes")
    if axes is None and node.has("axes"):
        return None
    if not axes:
        return [] if node.integer("noop_with_empty_axes") else list(range(rank))
    return sorted({normal_axis(axis, rank) for axis in axes})


@lowers(*_PLAIN, *_MADE_OF_SUMS)
def reduce(node: Node, build: Builder) -> SSAValue | None:
    """A reduction that keeps its dimensions, and a reshape where they are dropped."""
    source, result = node.inputs()[0], node.result_shape
    shape = static_shape(source)
    if shape is None or result is None or not is_float(source):
        return None
    axes = reduced_axes(node, len(shape))
    if axes is None:
        return None
    kind = _PLAIN.get(node.op.op_type)
    made = build.reduce(kind, source, axes) if kind is not None else _made_of_sums(node.op.op_type, build, source, axes)
    return build.reshape(made, result)


def _made_of_sums(op_type: str, build: Builder, source: SSAValue, axes: list[int]) -> SSAValue:
    if op_type == "ReduceL1":
        return build.reduce(nn.ReduceSumOp, build.apply(nn.AbsOp, source), axes)
    if op_type == "ReduceLogSum":
        return build.apply(nn.LogOp, build.reduce(nn.ReduceSumOp, source, axes))
    if op_type == "ReduceLogSumExp":
        return log_sum_exp(build, source, axes)
    return build.reduce(nn.ReduceSumOp, build.combine(nn.MulOp, source, source), axes)


def log_sum_exp(build: Builder, source: SSAValue, axes: list[int]) -> SSAValue:
    """The logarithm of the sum of exponentials; the largest element is taken out, so that none overflows."""
    largest = build.reduce(nn.ReduceMaxOp, source, axes)
    exponentials = build.apply(nn.ExpOp, build.combine(nn.SubOp, source, largest))
    total = build.apply(nn.LogOp, build.reduce(nn.ReduceSumOp, exponentials, axes))
    return build.combine(nn.AddOp, total, largest)
