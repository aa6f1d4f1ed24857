"""Batch normalization and softmax."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import Builder, Node, is_float, lowers, normal_axis, static_shape


@lowers("BatchNormalization")
def batch_normalization(node: Node, build: Builder) -> SSAValue | None:
    """Inference normalization per channel, with the channels last."""
    source, *parameters = node.inputs()
    shape = static_shape(source)
    if shape is None or len(shape) < 2 or not all(map(is_float, node.inputs())):
        return None
    trains = node.integer("training_mode") or (node.since < 7 and not node.integer("is_test"))
    if trains or not node.integer("spatial", 1):
        return None
    if len(parameters) != 4 or any(static_shape(parameter) != (shape[1],) for parameter in parameters):
        return None
    scale, offset, mean, variance = parameters
    rank = len(shape)
    last = build.transpose(source, [0, *range(2, rank), 1])
    normalized = build.add(nn.BatchNormOp(last, scale, offset, mean, variance, node.real("epsilon", 1e-5)))
    return build.transpose(normalized, [0, rank - 1, *range(1, rank - 1)])


@lowers("Softmax")
def softmax(node: Node, build: Builder) -> SSAValue | None:
    """Along one axis since opset 13; before, over all dimensions from `axis` on as if they were one."""
    source = node.input("input")
    shape = static_shape(source)
    if source is None or not shape or not is_float(source):
        return None
    axis = normal_axis(node.integer("axis", -1), len(shape))
    if node.since >= 13 or math.prod(shape[axis + 1 :]) == 1:
        return build.add(nn.SoftmaxOp(source, axis, source.type))
    flat = build.reshape(source, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return build.reshape(build.add(nn.SoftmaxOp(flat, 1, flat.type)), shape)
