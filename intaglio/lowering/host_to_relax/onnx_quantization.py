"""Rules of ONNX's conversions: casts, reinterpretation, quantization and dequantization."""

from __future__ import annotations

from typing import Any

import numpy as np
from xdsl.dialects.builtin import IntegerType, Signedness, f32
from xdsl.ir import Attribute
from xdsl.utils.hints import isa

from intaglio.dialects.weights import dtype_of
from intaglio.frontend.types import ELEMENT_TYPES
from intaglio.lowering.host_to_relax.casts import convert
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import element_type, normal_axis
from intaglio.lowering.tvm import Expr, carried_dtype, is_small_float


def element(node: HostNode, name: str | int) -> Attribute:
    """The element type of an input, or of the first output for `""`."""
    value = node.result if name == "" else (node.op.operands[name] if isinstance(name, int) else node.input(name))
    assert value is not None
    kind = element_type(value)
    assert kind is not None
    return kind


@onnx_rule("Cast", "CastLike")
def cast(node: HostNode) -> list[Expr]:
    """Conversion of the elements; what an integer type cannot hold is undefined."""
    converted = convert(
        node.emitter,
        node.operands[0],
        element(node, 0),
        element(node, ""),
        saturate=bool(node.integer("saturate", 1)),
        rounding=node.text("round_mode", "up"),
    )
    return [converted]


@onnx_rule("BitCast")
def bit_cast(node: HostNode) -> list[Expr]:
    """The same bits as another type of the same width."""
    emitter = node.emitter
    source, target = carried_dtype(node.dtype(0)), carried_dtype(node.output_dtype())
    if source == target:
        return node.operands
    x = node.operands[0]
    if "bool" in (source.name, target.name):
        return [emitter.cast(x, target)]
    return [emitter.bits(x, target)]


def _aligned(node: HostNode, name: str) -> Expr:
    """A scale or zero point, shaped to broadcast against the input: per tensor, along an axis, or by blocks."""
    emitter, x = node.emitter, node.operand(name)
    shape, own = node.shape(0), node.shape(name)
    if not own or own == (1,):
        return emitter.reshape(x, ()) if own else x
    axis = normal_axis(node.integer("axis", 1), len(shape))
    if len(own) == 1 and len(shape) != 1:
        return emitter.reshape(x, [own[0] if index == axis else 1 for index in range(len(shape))])
    block = node.integer("block_size")
    if not block or own == shape:
        return (
            emitter.reshape(x, [own[0] if index == axis else 1 for index in range(len(shape))]) if len(own) == 1 else x
        )
    repeated = emitter.apply("repeat", x, block, axis=axis)
    if own[axis] * block == shape[axis]:
        return repeated
    return emitter.apply("strided_slice", repeated, axes=[axis], begin=[0], end=[shape[axis]])


def bounds_of(kind: Attribute) -> tuple[int, int]:
    """The smallest and largest value of an integer element type."""
    assert isa(kind, IntegerType)
    width = kind.bitwidth
    if kind.signedness.data == Signedness.UNSIGNED:
        return 0, (1 << width) - 1
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


@onnx_rule("QuantizeLinear")
def quantize_linear(node: HostNode) -> list[Expr]:
    """`saturate(round(x / scale) + zero_point)`, half to even; to a small float `x / scale` converted."""
    emitter = node.emitter
    precision = node.integer("precision")
    kind = element(node, 0)
    work = np.dtype(np.float64) if dtype_of(kind) == np.float64 else np.dtype(np.float32)
    if precision and ELEMENT_TYPES[precision] != f32:
        work = dtype_of(ELEMENT_TYPES[precision])
    x = emitter.cast(node.operands[0], work)
    scale = emitter.cast(convert(emitter, _aligned(node, "y_scale"), element(node, "y_scale"), f32), work)
    quotient = emitter.divide(x, scale)
    target = element(node, "")
    zero_point = _aligned(node, "y_zero_point") if node.input("y_zero_point") is not None else None
    if is_small_float(dtype_of(target)):
        return [
            convert(
                emitter, emitter.cast(quotient, np.float32), f32, target, saturate=bool(node.integer("saturate", 1))
            )
        ]
    steps = emitter.apply("round", emitter.cast(quotient, np.float32) if work.itemsize == 2 else quotient)
    work = np.dtype(np.float32) if work.itemsize == 2 else work
    limit = float(2**30)
    steps = emitter.cast(emitter.limit(steps, -limit, limit, work), np.int32)
    if zero_point is not None:
        steps = emitter.add(steps, emitter.cast(zero_point, np.int32))
    low, high = bounds_of(target)
    return [emitter.cast(emitter.limit(steps, low, high, "int32"), node.output_dtype())]


@onnx_rule("DequantizeLinear")
def dequantize_linear(node: HostNode) -> list[Expr]:
    """`(x - zero_point) * scale`, the difference exact."""
    emitter = node.emitter
    source = element(node, 0)
    target = node.output_dtype()
    scale = convert(emitter, _aligned(node, "x_scale"), element(node, "x_scale"), f32)
    x = node.operands[0]
    has_zero_point = node.input("x_zero_point") is not None
    if is_small_float(dtype_of(source)):
        x = convert(emitter, x, source, f32)
        if has_zero_point:
            x = emitter.subtract(x, convert(emitter, _aligned(node, "x_zero_point"), source, f32))
    else:
        wide: np.dtype[Any] = np.dtype(np.int64 if dtype_of(source).itemsize >= 4 else np.int32)
        x = emitter.cast(x, wide)
        if has_zero_point:
            x = emitter.subtract(x, emitter.cast(_aligned(node, "x_zero_point"), wide))
        x = emitter.cast(x, np.float32)
    return [emitter.cast(emitter.multiply(x, scale), target)]
