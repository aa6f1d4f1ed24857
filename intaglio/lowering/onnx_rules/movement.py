"""Operators that only move elements."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_number, lowers, normal_axis, static_shape


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
