"""Rules of convolution, dense layers and matrix products: sums of products by the runtime's BLAS kernels.

Bias, fused activation and requantization follow in Relax, where they are fused into one loop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.interpreter.nn_linear import accumulator_bits, weight_scales
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.callbacks import CONVOLUTION, DYNAMIC_QUANTIZATION, MATRIX_PRODUCT
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr


def _zero_point(value: SSAValue) -> int:
    kind = quantization(value)
    return 0 if kind is None else kind.zero_point


def _products(
    emitter: Emitter,
    kernel: str,
    scalars: list[int],
    operands: list[Expr],
    result: tuple[tuple[int, ...], np.dtype[np.generic]],
) -> Expr:
    """Call a kernel on operands; floats of 16 bits, which BLAS has not, in float32."""
    shape, dtype = result
    if dtype.kind in "iu" or dtype.itemsize > 2:
        return emitter.builder.packed(kernel, scalars, operands, [result])[0]
    wide = [emitter.cast(operand, np.float32) for operand in operands]
    (product,) = emitter.builder.packed(kernel, scalars, wide, [(shape, np.dtype(np.float32))])
    return emitter.cast(product, dtype)


def _product_dtype(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp | nn.MatmulOp) -> np.dtype[np.generic]:
    """The element type of the kernel's result: that of a float operation, 64-bit sums of a quantized one."""
    in_floats = quantization(op.operands[0]) is None and not nn.is_dynamic(*op.operands[:2])
    return value_dtype(op.result) if in_floats else np.dtype(np.int64)


def _read(
    emitter: Emitter, op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, x: Expr
) -> tuple[Expr, np.dtype[np.generic], Expr | None]:
    """The input as the kernel takes it, its element type, and its scale where it is quantized by its own range."""
    if not nn.is_dynamic(op.input, op.weight):
        return x, value_dtype(op.input), None
    kinds = (value_shape(op.input), np.dtype(np.int16)), ((1,), np.dtype(np.float64))
    centered, scale = emitter.builder.packed(DYNAMIC_QUANTIZATION, [], [x], kinds)
    return centered, np.dtype(np.int16), scale


def _finished(
    emitter: Emitter,
    op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp,
    product: Expr,
    bias: list[Expr],
    scale: Expr | None = None,
) -> list[Expr]:
    """Add the bias, apply the clamp; quantized: requantize per output channel.

    Sums of an input with a scale of its own get their unit and the bias in double precision, and are rounded once.
    """
    kind = quantization(op.input)
    if scale is not None:
        unit = emitter.multiply(scale, emitter.constant(weight_scales(op.weight), np.float64))
        real = emitter.multiply(emitter.cast(product, np.float64), unit)
        real = emitter.add(real, emitter.cast(bias[0], np.float64)) if bias else real
        limited = real if op.clamp is None else emitter.limit(real, *op.clamp.bounds, np.float64)
        return [emitter.cast(limited, value_dtype(op.result))]
    if bias:
        product = emitter.add(product, emitter.cast(bias[0], _product_dtype(op)))
    if kind is None:
        return [emitter.clamped(product, op.result, op.clamp)]
    units = kind.scale * weight_scales(op.weight)
    if nn.is_accumulator(op.result):
        return [_accumulator(emitter, op, product, units)]
    return [requantized(emitter, product, units, op.result, op.clamp, wide=accumulator_bits(kind) > 32)]


def _accumulator(
    emitter: Emitter, op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, product: Expr, units: NDArray[np.float64]
) -> Expr:
    """A result that is the sum itself, limited to the bounds of the clamp in its units."""
    if op.clamp is not None:
        for bound, operator in zip(op.clamp.bounds, ("maximum", "minimum"), strict=True):
            if np.isfinite(bound):
                limit = np.clip(np.rint(bound / units), -(2**47), 2**47)
                product = emitter.apply(operator, emitter.constant(limit.astype(np.int64), np.int64), product)
    return emitter.cast(product, value_dtype(op.result))


@rule(nn.Conv2dOp)
def conv2d(emitter: Emitter, op: nn.Conv2dOp, operands: list[Expr]) -> list[Expr]:
    """Slide the window."""
    x, weight, *bias = operands
    x, _, scale = _read(emitter, op, x)
    scalars = [_zero_point(op.input), *op.strides.get_values(), *op.pads.get_values(), *op.dilations.get_values()]
    product = _products(
        emitter,
        CONVOLUTION,
        [*(int(scalar) for scalar in scalars), op.groups.value.data],
        [x, weight],
        (value_shape(op.result), _product_dtype(op)),
    )
    return _finished(emitter, op, product, bias, scale)


@rule(nn.ConvTranspose2dOp)
def conv_transpose2d(emitter: Emitter, op: nn.ConvTranspose2dOp, operands: list[Expr]) -> list[Expr]:
    """A convolution with the turned kernel, of the input with its elements set apart by zeros."""
    x, weight, *bias = operands
    topi, relax = emitter.builder.topi, emitter.builder
    strides, dilations = ([int(value) for value in values.get_values()] for values in (op.strides, op.dilations))
    kernel, zero = value_shape(op.weight)[1:3], _zero_point(op.input)
    x, dtype, scale = _read(emitter, op, x)
    if strides != [1, 1]:

        def apart(tensor: Expr) -> Expr:
            return topi.nn.dilate(tensor, [1, *strides, 1], zero)

        x = relax.compute("set_apart", apart, x)
    reach = [dilation * (extent - 1) for dilation, extent in zip(dilations, kernel, strict=True)] * 2
    margins = [extent - int(pad) for extent, pad in zip(reach, op.pads.get_values(), strict=True)]
    added, cut = [max(margin, 0) for margin in margins], [max(-margin, 0) for margin in margins]
    if any(cut):
        size = [(count - 1) * stride + 1 for count, stride in zip(value_shape(op.input)[1:3], strides, strict=True)]
        end = [size[0] - cut[2], size[1] - cut[3]]
        x = relax.operator("strided_slice", x, [1, 2], cut[:2], end)
    x = emitter.padded(x, (0, *added[:2], 0), (0, *added[2:], 0), zero, dtype)
    turned = relax.operator("flip", relax.operator("flip", weight, 1), 2)
    product = _products(
        emitter,
        CONVOLUTION,
        [zero, 1, 1, 0, 0, 0, 0, *dilations, op.groups.value.data],
        [x, turned],
        (value_shape(op.result), _product_dtype(op)),
    )
    return _finished(emitter, op, product, bias, scale)


@rule(nn.DenseOp)
def dense(emitter: Emitter, op: nn.DenseOp, operands: list[Expr]) -> list[Expr]:
    """Multiply by the transposed weight."""
    x, weight, *bias = operands
    x, _, scale = _read(emitter, op, x)
    product = _products(
        emitter,
        MATRIX_PRODUCT,
        [_zero_point(op.input), 0, 1],
        [x, weight],
        (value_shape(op.result), _product_dtype(op)),
    )
    return _finished(emitter, op, product, bias, scale)


@rule(nn.MatmulOp)
def matmul(emitter: Emitter, op: nn.MatmulOp, operands: list[Expr]) -> list[Expr]:
    """Multiply matrices batch by batch."""
    lhs_kind, rhs_kind = quantization(op.lhs), quantization(op.rhs)
    product = _products(
        emitter,
        MATRIX_PRODUCT,
        [_zero_point(op.lhs), _zero_point(op.rhs), 0],
        operands,
        (value_shape(op.result), _product_dtype(op)),
    )
    if lhs_kind is None or rhs_kind is None:
        return [emitter.clamped(product, op.result, op.clamp)]
    wide = accumulator_bits(lhs_kind, rhs_kind) > 32
    return [requantized(emitter, product, lhs_kind.scale * rhs_kind.scale, op.result, op.clamp, wide=wide)]
