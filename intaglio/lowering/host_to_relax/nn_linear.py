"""Rules of convolution, dense layers and matrix products: sums of products by the runtime's BLAS kernels.

Bias, fused activation and requantization follow in Relax, where they are fused into one loop.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.interpreter.nn_linear import weight_scales
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.callbacks import CONVOLUTION, MATRIX_PRODUCT
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.requantization import quantize_multiplier


def _zero_point(value: SSAValue) -> int:
    kind = quantization(value)
    return 0 if kind is None else kind.zero_point


def _product_dtype(op: nn.Conv2dOp | nn.DenseOp | nn.MatmulOp) -> np.dtype[np.generic]:
    """The element type of the kernel's result: that of a float operation, 64-bit sums of a quantized one."""
    return value_dtype(op.result) if quantization(op.result) is None else np.dtype(np.int64)


def _finished(emitter: Emitter, op: nn.Conv2dOp | nn.DenseOp, product: Expr, bias: list[Expr]) -> list[Expr]:
    """Add the bias, apply the clamp; quantized: requantize per output channel."""
    kind, result = quantization(op.input), quantization(op.result)
    if bias:
        product = emitter.add(product, emitter.cast(bias[0], _product_dtype(op)))
    if kind is None or result is None:
        return [emitter.clamped(product, op.result, op.clamp)]
    multiplier, shift = quantize_multiplier(kind.scale * weight_scales(op.weight) / result.scale)
    return [emitter.requantize(product, multiplier, shift, op.result, op.clamp)]


@rule(nn.Conv2dOp)
def conv2d(emitter: Emitter, op: nn.Conv2dOp, operands: list[Expr]) -> list[Expr]:
    """Slide the window."""
    x, weight, *bias = operands
    scalars = [_zero_point(op.input), *op.strides.get_values(), *op.pads.get_values(), *op.dilations.get_values()]
    product = emitter.builder.packed(
        CONVOLUTION,
        [*(int(scalar) for scalar in scalars), op.groups.value.data],
        [x, weight],
        [(value_shape(op.result), _product_dtype(op))],
    )
    return _finished(emitter, op, product[0], bias)


@rule(nn.DenseOp)
def dense(emitter: Emitter, op: nn.DenseOp, operands: list[Expr]) -> list[Expr]:
    """Multiply by the transposed weight."""
    x, weight, *bias = operands
    product = emitter.builder.packed(
        MATRIX_PRODUCT,
        [_zero_point(op.input), 0, 1],
        [x, weight],
        [(value_shape(op.result), _product_dtype(op))],
    )
    return _finished(emitter, op, product[0], bias)


@rule(nn.MatmulOp)
def matmul(emitter: Emitter, op: nn.MatmulOp, operands: list[Expr]) -> list[Expr]:
    """Multiply matrices batch by batch."""
    lhs_kind, rhs_kind, result = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    (product,) = emitter.builder.packed(
        MATRIX_PRODUCT,
        [_zero_point(op.lhs), _zero_point(op.rhs), 0],
        operands,
        [(value_shape(op.result), _product_dtype(op))],
    )
    if lhs_kind is None or rhs_kind is None or result is None:
        return [emitter.clamped(product, op.result, op.clamp)]
    multiplier, shift = quantize_multiplier(lhs_kind.scale * rhs_kind.scale / result.scale)
    return [emitter.requantize(product, multiplier, shift, op.result, op.clamp)]
