"""Rules of ONNX's normalizations that have no definition in simpler operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr


def _per_channel(node: HostNode, name: str, work: np.dtype[Any]) -> Expr:
    shape = (1, -1, *([1] * (len(node.shape(0)) - 2)))
    extents = [node.shape(name)[0] if extent == -1 else extent for extent in shape]
    return node.emitter.reshape(node.emitter.cast(node.operand(name), work), extents)


def _work(node: HostNode) -> np.dtype[Any]:
    return np.dtype(np.float64 if node.dtype(0).itemsize == 8 else np.float32)


def _moments(node: HostNode, x: Expr, axes: list[int], work: np.dtype[Any]) -> tuple[Expr, Expr]:
    """Mean and variance over axes, which stay with one element."""
    emitter = node.emitter
    count = emitter.constant(math.prod(node.shape(0)[axis] for axis in axes), work)
    mean = emitter.divide(emitter.apply("sum", x, axis=axes, keepdims=True), count)
    distance = emitter.subtract(x, mean)
    squares = emitter.apply("sum", emitter.multiply(distance, distance), axis=axes, keepdims=True)
    return mean, emitter.divide(squares, count)


def _normalized(node: HostNode, x: Expr, mean: Expr, variance: Expr, work: np.dtype[Any]) -> Expr:
    emitter = node.emitter
    epsilon = emitter.constant(node.real("epsilon", 1e-5), work)
    deviation = emitter.apply("sqrt", emitter.add(variance, epsilon))
    scaled = emitter.multiply(emitter.divide(emitter.subtract(x, mean), deviation), _per_channel(node, "scale", work))
    return emitter.cast(emitter.add(scaled, _per_channel(node, "B", work)), node.output_dtype())


@onnx_rule("BatchNormalization")
def batch_normalization(node: HostNode) -> list[Expr]:
    """Normalization of each channel by given moments, or in training mode its own, which are then averaged in."""
    emitter, work = node.emitter, _work(node)
    x = emitter.cast(node.operands[0], work)
    names = ("input_mean", "input_var") if node.input("input_mean") is not None else ("mean", "var")
    given = _per_channel(node, names[0], work), _per_channel(node, names[1], work)
    if not node.integer("training_mode"):
        return [_normalized(node, x, *given, work)]
    axes = [axis for axis in range(len(node.shape(0))) if axis != 1]
    own = _moments(node, x, axes, work)
    momentum = node.real("momentum", 0.9)
    outputs = [_normalized(node, x, *own, work)]
    for position, (before, now) in enumerate(zip(given, own, strict=True), 1):
        if node.has_output(position):
            kept = emitter.multiply(before, emitter.constant(momentum, work))
            added = emitter.multiply(now, emitter.constant(1 - momentum, work))
            mixed = emitter.reshape(emitter.add(kept, added), node.output_shape(position))
            outputs.append(emitter.cast(mixed, node.output_dtype(position)))
    return outputs


@onnx_rule("InstanceNormalization")
def instance_normalization(node: HostNode) -> list[Expr]:
    """Normalization of each channel of each batch entry by its own moments."""
    work = _work(node)
    x = node.emitter.cast(node.operands[0], work)
    axes = list(range(2, len(node.shape(0))))
    return [_normalized(node, x, *_moments(node, x, axes, work), work)]


@onnx_rule("LpNormalization")
def lp_normalization(node: HostNode) -> list[Expr]:
    """Division by the 1- or 2-norm along an axis; zero stays zero."""
    emitter, dtype, x = node.emitter, node.dtype(0), node.operands[0]
    axis = normal_axis(node.integer("axis", -1), len(node.shape(0)))
    if node.integer("p", 2) == 1:
        norm = emitter.apply("sum", emitter.apply("abs", x), axis=[axis], keepdims=True)
    else:
        norm = emitter.apply("sqrt", emitter.apply("sum", emitter.multiply(x, x), axis=[axis], keepdims=True))
    zero = emitter.apply("equal", norm, emitter.constant(0, dtype))
    divisor = emitter.select(zero, emitter.constant(1, dtype), norm)
    return [emitter.select(zero, emitter.constant(0, dtype), emitter.divide(x, divisor))]


@onnx_rule("LRN")
def local_response_normalization(node: HostNode) -> list[Expr]:
    """Division by a power of the sum of squares over neighbouring channels."""
    emitter, dtype = node.emitter, node.dtype(0)
    shape, size = node.shape(0), node.integer("size")
    te, tirx = emitter.builder.te, emitter.builder.tirx
    before = (size - 1) // 2

    def computation(tensor: Expr) -> Expr:
        k = te.reduce_axis((0, size), name="k")

        def element(*index: Expr) -> Expr:
            channel = index[1] + k - before
            inside = tirx.all(channel >= 0, channel < shape[1])
            value = tirx.if_then_else(inside, tensor(index[0], channel, *index[2:]), tirx.const(0, dtype.name))
            return te.sum(value * value, axis=[k])

        return te.compute(shape, element, name="squares")

    x = node.operands[0]
    squares = emitter.builder.compute("squares", computation, x)
    scaled = emitter.multiply(squares, emitter.constant(node.real("alpha", 1e-4) / size, dtype))
    base = emitter.add(scaled, emitter.constant(node.real("bias", 1.0), dtype))
    return [emitter.divide(x, emitter.power(base, emitter.constant(node.real("beta", 0.75), dtype)))]
