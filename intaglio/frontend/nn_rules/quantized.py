"""Constants, and casts between floats and integers, which are QuantizeLinear and DequantizeLinear.

A cast of a value that is known in NCHW stays in that layout, so that no transpose comes between a convolution and
the casts around it, which runtimes fuse with it. Integers of more than 16 bits have no cast in ONNX: constants are
written as floats, and other values pass unrounded.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import IntegerType, f32
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element, tensor_of
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    UniformQuantizedPerAxisType,
    UniformType,
)
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.frontend.nn_writer import Writer, exports
from intaglio.ir.locations import describe

WIDEST = 16
"""Bits of the widest integers that ONNX casts to."""

WIDEST_CONSTANT = 32
"""Bits of the widest integers that it casts from."""


def uniform_type(op: QuantizeCastOp | DequantizeCastOp, value: SSAValue) -> UniformType:
    """The quantized type of a cast's operand or result.

    Raises:
        UserError: it is stored in floats, or has parameters for each block.
    """
    kind = element(value)
    if not (
        isinstance(kind, UniformType) and isinstance(kind.storage_type, IntegerType) and len(kind.parameter_shape) <= 1
    ):
        raise UserError(f"{describe(op)} is on {kind}, which ONNX export does not know")
    return kind


def width_of(kind: UniformType) -> int:
    """Bits of the stored integers."""
    assert isinstance(kind.storage_type, IntegerType)
    return kind.storage_type.width.data


@exports(nn.ConstantOp, quantized=True)
def _constant(writer: Writer, op: nn.ConstantOp) -> None:
    kind = element(op.result)
    if not (isinstance(kind, UniformType) and width_of(kind) > WIDEST_CONSTANT):
        writer.initializer(op)


@exports(QuantizeCastOp, quantized=True)
def _quantize(writer: Writer, op: QuantizeCastOp) -> None:
    kind = uniform_type(op, op.result)
    if width_of(kind) > WIDEST:
        writer.alias(op.input, op.result)
        return
    nchw = writer.is_in_nchw(op.input)
    source = writer.nchw(op.input) if nchw else writer.name(op.input)
    full = 1 << width_of(kind)
    if kind.storage_max - kind.storage_min + 1 < full and not kind.parameter_shape:
        bounds = (bound - int(kind.zero_points) for bound in (kind.storage_min, kind.storage_max))
        low, high = (steps * float(kind.scales) for steps in bounds)
        source = writer.clamped(source, nn.ClampAttr.of(low, high), op.input)
    made = writer.casted("QuantizeLinear", source, kind)
    if nchw:
        writer.finish_nchw(made, op.result)
    else:
        writer.finish(made, op.result)


@exports(DequantizeCastOp, quantized=True)
def _dequantize(writer: Writer, op: DequantizeCastOp) -> None:
    kind, owner = uniform_type(op, op.input), op.input.owner
    if width_of(kind) > WIDEST and not isinstance(owner, nn.ConstantOp):
        writer.alias(op.input, op.result)
        return
    if width_of(kind) > WIDEST_CONSTANT and isinstance(owner, nn.ConstantOp):
        scales, zero_points = kind.broadcast_parameters(tensor_of(op.input).get_shape())
        real = (array_of(owner.value).astype(np.float64) - zero_points) * scales
        writer.finish(writer.constant(real.astype(np.float32), f32), op.result)
        return
    axis = kind.axis if isinstance(kind, UniformQuantizedPerAxisType) else None
    if writer.is_in_nchw(op.input):
        writer.finish_nchw(writer.casted("DequantizeLinear", writer.nchw(op.input), kind), op.result)
        return
    writer.finish(writer.casted("DequantizeLinear", writer.name(op.input), kind, axis), op.result)
