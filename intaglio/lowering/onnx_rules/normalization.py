"""Normalizations and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import (
    Builder,
    Node,
    Shape,
    element_type,
    is_float,
    lowers,
    lowers_all,
    normal_axis,
    static_shape,
)
from intaglio.lowering.onnx_rules.reduction import log_sum_exp


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


@lowers("LogSoftmax")
def log_softmax(node: Node, build: Builder) -> SSAValue | None:
    """The input less the logarithm of the sum of its exponentials."""
    source = node.input("input")
    shape = static_shape(source)
    if source is None or not shape or not is_float(source):
        return None
    axis = normal_axis(node.integer("axis", -1), len(shape))
    if node.since < 13:
        flat = build.reshape(source, (math.prod(shape[:axis]), math.prod(shape[axis:])))
        return build.reshape(build.combine(nn.SubOp, flat, log_sum_exp(build, flat, [1])), shape)
    return build.combine(nn.SubOp, source, log_sum_exp(build, source, [axis]))


@lowers_all("LayerNormalization")
def layer_normalization(node: Node, build: Builder) -> Sequence[SSAValue] | None:
    """Over the dimensions from `axis` on, as one; mean and reciprocal deviation are computed again where asked for."""
    source, scale, offset = node.input("X"), node.input("Scale"), node.input("B")
    shape, flat = static_shape(source), _flattened(node, source, [scale, offset])
    if source is None or scale is None or shape is None or flat is None or node.integer("stash_type", 1) != 1:
        return None
    kind, epsilon = element_type(source), node.real("epsilon", 1e-5)
    assert kind is not None
    rows = build.reshape(source, flat)
    scale = build.reshape(scale, flat[1:])
    offset = build.constant(np.zeros(flat[1:]), kind) if offset is None else build.reshape(offset, flat[1:])
    results = [build.reshape(build.add(nn.LayerNormOp(rows, scale, offset, 1, epsilon)), shape)]
    statistics = node.op.node_outputs()[1:]
    if all(output is None or output.first_use is None for output in statistics):
        return results
    mean = build.reduce(nn.ReduceMeanOp, rows, [1])
    distance = build.combine(nn.SubOp, rows, mean)
    variance = build.reduce(nn.ReduceMeanOp, build.combine(nn.MulOp, distance, distance), [1])
    deviation = build.apply(nn.SqrtOp, build.combine(nn.AddOp, variance, build.number(source, epsilon)))
    axis = normal_axis(node.integer("axis", -1), len(shape))
    kept = (*shape[:axis], *[1] * (len(shape) - axis))
    return [*results, build.reshape(mean, kept), build.reshape(build.apply(nn.ReciprocalOp, deviation), kept)]


@lowers("RMSNormalization")
def rms_normalization(node: Node, build: Builder) -> SSAValue | None:
    """Over the dimensions from `axis` on, as one."""
    source, scale = node.input("X"), node.input("scale")
    flat = _flattened(node, source, [scale])
    if source is None or scale is None or flat is None:
        return None
    made = nn.RmsNormOp(build.reshape(source, flat), build.reshape(scale, flat[1:]), 1, node.real("epsilon", 1e-5))
    return build.reshape(build.add(made), static_shape(source) or ())


def _flattened(node: Node, source: SSAValue | None, parameters: Sequence[SSAValue | None]) -> Shape | None:
    """Elements before and from `axis` on; None when a guard fails, such as parameters that broadcast."""
    shape = static_shape(source)
    if source is None or not shape or not is_float(source):
        return None
    axis = normal_axis(node.integer("axis", -1), len(shape))
    count = math.prod(shape[axis:])
    for parameter in parameters:
        if parameter is not None and (
            math.prod(static_shape(parameter) or ()) != count or element_type(parameter) != element_type(source)
        ):
            return None
    return math.prod(shape[:axis]), count


@lowers("InstanceNormalization", "GroupNormalization")
def group_normalization(node: Node, build: Builder) -> SSAValue | None:
    """Layer normalization of each group of channels with all their positions, then scale and offset per channel.

    Instance normalization has as many groups as channels.
    """
    source, scale, offset = node.inputs()[:3]
    shape = static_shape(source)
    if shape is None or len(shape) < 3 or 0 in shape or not all(map(is_float, node.inputs())):
        return None
    groups = node.integer("num_groups") if node.op.op_type == "GroupNormalization" else shape[1]
    if any(static_shape(parameter) not in ((shape[1],), (groups,)) for parameter in (scale, offset)):
        return None
    kind = element_type(source)
    assert kind is not None
    count = math.prod(shape[1:]) // groups
    flat = build.reshape(source, (shape[0] * groups, count))
    ones, zeros = build.constant(np.ones(count), kind), build.constant(np.zeros(count), kind)
    normalized = build.add(nn.LayerNormOp(flat, ones, zeros, 1, node.real("epsilon", 1e-5)))
    parameters = groups if static_shape(scale) == (groups,) else shape[1]
    normalized = build.reshape(normalized, (shape[0], parameters, math.prod(shape[1:]) // parameters))
    scale, offset = (build.reshape(parameter, (parameters, 1)) for parameter in (scale, offset))
    scaled = build.combine(nn.MulOp, normalized, scale)
    return build.reshape(build.combine(nn.AddOp, scaled, offset), shape)


@lowers("LRN")
def local_response_normalization(node: Node, build: Builder) -> SSAValue | None:
    """Over neighbouring channels, which are last."""
    source, size = node.input("X"), node.integer("size")
    shape = static_shape(source)
    if source is None or shape is None or len(shape) < 2 or not is_float(source) or size < 1:
        return None
    rank = len(shape)
    last = build.transpose(source, [0, *range(2, rank), 1])
    made = nn.LocalResponseNormOp(last, size, node.real("alpha", 1e-4), node.real("beta", 0.75), node.real("bias", 1.0))
    return build.transpose(build.add(made), [0, rank - 1, *range(1, rank - 1)])
