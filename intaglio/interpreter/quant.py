"""Rules of the `quant` dialect: casts by `intaglio.numerics.quantization`, rescaling by `numerics.rescaling`."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects.quant import (
    DequantizeCastOp,
    ObserveOp,
    QuantizeCastOp,
    RequantizeOp,
    StorageCastOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    requantization_mode,
)
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import (
    Array,
    centered,
    quantization,
    storage_bounds,
    tensor_type,
    value_dtype,
    value_shape,
)
from intaglio.numerics.quantization import dequantize, quantize
from intaglio.numerics.rescaling import rescale, store

Uniform = UniformQuantizedType | UniformQuantizedPerAxisType | UniformQuantizedSubChannelType


def uniform_type(value: SSAValue) -> Uniform:
    """The uniform quantized element type of a value.

    Raises:
        UserError: its elements are quantized in a way that says no parameters (`!quant.any`).
    """
    kind = tensor_type(value).get_element_type()
    if not isinstance(kind, Uniform):
        raise UserError(f"values of type {value.type} have no scale to compute with")
    return kind


def parameters(kind: Uniform, shape: tuple[int, ...]) -> tuple[Array, Array, int | None]:
    """Scales, zero points, and the axis they run along (None where they broadcast as they are).

    Scales per block are repeated, so that there is one for each element of `shape`.
    """
    if isinstance(kind, UniformQuantizedType):
        return np.asarray(kind.scale), np.asarray(kind.zero_point), None
    scales, zero_points = np.asarray(kind.scales), np.asarray(kind.zero_points)
    if isinstance(kind, UniformQuantizedPerAxisType):
        return scales, zero_points, kind.axis
    for axis, size in enumerate(shape):
        repeats = size // scales.shape[axis]
        scales, zero_points = np.repeat(scales, repeats, axis), np.repeat(zero_points, repeats, axis)
    return scales, zero_points, None


@rule(QuantizeCastOp)
def qcast(op: QuantizeCastOp, operands: list[Array]) -> list[Array]:
    """Divide by the scale, round half to even, add the zero point, saturate."""
    kind = uniform_type(op.result)
    scale, zero_point, axis = parameters(kind, value_shape(op.result))
    dtype = value_dtype(op.result)
    return [quantize(operands[0], scale, zero_point, kind.storage_min, kind.storage_max, dtype, axis=axis)]


@rule(DequantizeCastOp)
def dcast(op: DequantizeCastOp, operands: list[Array]) -> list[Array]:
    """Subtract the zero point and multiply by the scale."""
    scale, zero_point, axis = parameters(uniform_type(op.input), value_shape(op.input))
    return [dequantize(operands[0], scale, zero_point, axis=axis).astype(value_dtype(op.result))]


@rule(StorageCastOp)
def scast(op: StorageCastOp, operands: list[Array]) -> list[Array]:
    """The same bits; values are held in their storage type anyway."""
    dtype = value_dtype(op.result)
    return [operands[0] if operands[0].dtype == dtype else operands[0].view(dtype)]


@rule(RequantizeOp)
def requantize(op: RequantizeOp, operands: list[Array]) -> list[Array]:
    """Subtract the zero point, multiply by the ratio of the scales, add the other zero point, saturate."""
    kind, result = quantization(op.input), quantization(op.result)
    assert kind is not None and result is not None
    scaled = rescale(centered(operands[0], kind), kind.scale / result.scale, requantization_mode(op))
    return [store(scaled, result.zero_point, *storage_bounds(result, None)).astype(value_dtype(op.result))]


@rule(ObserveOp)
def observe(op: ObserveOp, operands: list[Array]) -> list[Array]:
    """The value as it is; calibration listens to it."""
    return operands
