"""Operators that only move elements."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_float, is_number, lowers, normal_axis, static_shape


@lowers("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: Node, build: Builder) -> SSAValue | None:
    """Any change of shape alone: the result's static shape says it all."""
    source, result = node.inputs()[0], node.result_shape
    shape = static_shape(source)
    if not is_number(source) or shape is None or result is None or math.prod(shape) != math.prod(result):
        return None
    return build.reshape(source, result)


@lowers("Transpose")
def transpose(node: Node, build: Builder) -> SSAValue | None:
    """Dimensions in another order; without `perm` reversed."""
    source = node.input("data")
    shape = static_shape(source)
    if source is None or shape is None or not is_number(source):
        return None
    return build.transpose(source, node.integers("perm") or list(reversed(range(len(shape)))))


@lowers("Concat")
def concat(node: Node, build: Builder) -> SSAValue | None:
    """Inputs one after another along an axis."""
    inputs, result = node.inputs(), node.result_shape
    if result is None or not all(map(is_number, inputs)):
        return None
    return build.add(nn.ConcatOp(inputs, normal_axis(node.integer("axis", 1), len(result)), node.result.type))


@lowers("Pad")
def pad(node: Node, build: Builder) -> SSAValue | None:
    """Constant padding by known, non-negative amounts."""
    source, result = node.input("data"), node.result_shape
    shape, amounts = static_shape(source), node.integers("pads")
    if source is None or shape is None or result is None or amounts is None or not is_float(source):
        return None
    if node.text("mode", "constant") != "constant" or min(amounts, default=0) < 0:
        return None
    axes = node.integers("axes")
    if axes is None and node.has("axes"):
        return None
    axes = [normal_axis(axis, len(shape)) for axis in (range(len(shape)) if axes is None else axes)]
    if len(amounts) != 2 * len(axes):
        return None
    label = "constant_value" if node.input("constant_value") is not None else "value"
    value = node.scalar(label)
    if value is None:
        if node.has(label):
            return None
        value = 0.0
    low, high = [0] * len(shape), [0] * len(shape)
    for index, axis in enumerate(axes):
        low[axis], high[axis] = amounts[index], amounts[index + len(axes)]
    return build.add(nn.PadOp(source, low, high, value, node.result.type))
