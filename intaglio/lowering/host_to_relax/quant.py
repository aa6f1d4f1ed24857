"""Rules of the casts between real and stored values."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import quant
from intaglio.errors import UserError
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.ir.locations import describe
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr


def _integer_type(op: Operation, value: SSAValue) -> quant.UniformType:
    kind = quant.element_type_of(value.type)
    if not isinstance(kind, quant.UniformType) or quant.storage_dtype(kind).kind not in "iu":
        raise UserError(f"{describe(op)} cannot run on the host: it needs uniform integer storage, got {kind}")
    return kind


@rule(quant.QuantizeCastOp)
def qcast(emitter: Emitter, op: quant.QuantizeCastOp, operands: list[Expr]) -> list[Expr]:
    """`saturate(round_half_even(x / scale) + zero_point)`."""
    _integer_type(op, op.result)
    return [quantized(emitter, operands[0], op.result, value_dtype(op.input))]


def quantized(emitter: Emitter, x: Expr, result: SSAValue, dtype: DTypeLike = np.float32) -> Expr:
    """A real tensor of `dtype` as the result's type stores it: the division in its own type, NaN the zero point.

    TVM divides by a constant as written, and rounds half to even.
    """
    kind = quant.element_type_of(result.type)
    assert isinstance(kind, quant.UniformType)
    scales, zero_points = kind.broadcast_parameters(value_shape(result))
    numbers = emitter.builder.operator("where", emitter.builder.operator("isnan", x), emitter.constant(0.0, dtype), x)
    steps = emitter.builder.operator("round", emitter.divide(numbers, emitter.constant(scales, dtype)))
    # Limited before the conversion, whose result is undefined for what the integer type cannot hold. In double
    # precision, in which every bound of up to 53 bits is exact.
    widest = float(2**52)
    steps = emitter.limit(emitter.cast(steps, "float64"), -widest, widest, "float64")
    stored = emitter.add(emitter.cast(steps, "int64"), emitter.constant(zero_points, "int64"))
    return emitter.cast(emitter.limit(stored, kind.storage_min, kind.storage_max, "int64"), value_dtype(result))


@rule(quant.DequantizeCastOp)
def dcast(emitter: Emitter, op: quant.DequantizeCastOp, operands: list[Expr]) -> list[Expr]:
    """`scale * (stored - zero_point)`, the difference exact and the product in the result's type."""
    kind = _integer_type(op, op.input)
    dtype = value_dtype(op.result)
    scales, zero_points = kind.broadcast_parameters(value_shape(op.input))
    difference = emitter.subtract(emitter.cast(operands[0], "int64"), emitter.constant(zero_points, "int64"))
    return [emitter.multiply(emitter.cast(difference, dtype), emitter.constant(scales, dtype))]


@rule(quant.StorageCastOp)
def scast(emitter: Emitter, op: quant.StorageCastOp, operands: list[Expr]) -> list[Expr]:
    """The stored values as they are."""
    source, result = value_dtype(op.input), value_dtype(op.result)
    return operands if source == result else [emitter.cast(operands[0], result)]


@rule(quant.RequantizeOp)
def requantize(emitter: Emitter, op: quant.RequantizeOp, operands: list[Expr]) -> list[Expr]:
    """Bring stored values to another scale, zero point or width."""
    kind = quantization(op.input)
    assert kind is not None
    return [requantized(emitter, emitter.centered(operands[0], kind), kind.scale, op.result)]


@rule(quant.ObserveOp)
def observe(emitter: Emitter, op: quant.ObserveOp, operands: list[Expr]) -> list[Expr]:
    """The input; calibration is over."""
    return operands
