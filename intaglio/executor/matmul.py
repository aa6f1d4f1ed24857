"""Products of two tensors of activations, compiled: the second one is packed while it runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.executor.convolution import chunks, multiply
from intaglio.executor.jit import compiled
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.executor.rescaling import TWICE, in_blocks, rescale_of
from intaglio.executor.tiles import COLUMNS
from intaglio.interpreter.nn_linear import accumulator_bits
from intaglio.interpreter.values import quantization, storage_bounds, value_dtype, value_shape

_COLUMNS = COLUMNS
_INT32_MAX = (1 << 31) - 1


@compiled
def _pack(matrix: Any, zero_point: int, packed: Any) -> None:
    """Pack the columns of a matrix, as `tiles.pack_parts` does.

    Args:
        matrix: `[K, N]` stored values.
        zero_point: of the matrix.
        packed: `[parts, blocks, pairs, 2 * COLUMNS]` zeros or an earlier matrix of the same shape, overwritten.
    """
    zero = np.int32(zero_point)
    for k in range(matrix.shape[0]):
        source = matrix[k]
        for block in range(packed.shape[1]):
            row = packed[0, block, k // 2, k % 2 :]
            for j in range(min(_COLUMNS, matrix.shape[1] - block * _COLUMNS)):
                row[2 * j] = np.int32(source[block * _COLUMNS + j]) - zero
    if packed.shape[0] == 2:
        lower, upper = packed[0].reshape(-1), packed[1].reshape(-1)
        for k in range(lower.size):
            high = (np.int32(lower[k]) + 128) >> 8
            upper[k] = high
            lower[k] = np.int32(lower[k]) - (high << 8)


@kernel(nn.MatmulOp)
def matmul(op: nn.MatmulOp, constants: Constants) -> Kernel | None:
    """Multiply batch by batch and requantize."""
    lhs_kind, rhs_kind, result_kind = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    shape = value_shape(op.result)
    if lhs_kind is None or rhs_kind is None or result_kind is None:
        return None
    largest: list[int] = []
    for operand, kind in ((op.lhs, lhs_kind), (op.rhs, rhs_kind)):
        limits = np.iinfo(value_dtype(operand))
        largest.append(max(abs(int(limits.min) - kind.zero_point), abs(int(limits.max) - kind.zero_point)))
    depth, outputs = value_shape(op.lhs)[-1], shape[-1]
    bits, worst = accumulator_bits(lhs_kind, rhs_kind), largest[0] * largest[1] * depth
    parts = 1 if largest[1] <= 255 else 2
    # Parts of wide operands are in -128 to 128.
    ends = chunks(np.full((1, depth), min(largest[1], 128) if parts == 2 else largest[1]), largest[0])
    if max(largest) > 1 << 15 or worst >= 1 << (bits - 1) or ends is None:
        return None
    rescale = rescale_of(
        lhs_kind.scale * rhs_kind.scale / result_kind.scale,
        requantization_mode(op),
        result_kind.zero_point,
        storage_bounds(result_kind, op.clamp),
        wide=bits > 32,
        channels=outputs,
    )
    if rescale.rounding == TWICE and worst << max(int(rescale.shift.max(initial=0)), 0) > _INT32_MAX:
        return None
    is_narrow = worst <= _INT32_MAX
    bias = in_blocks(np.zeros(outputs, np.int32 if is_narrow else np.int64), 1, COLUMNS)
    scaling, dtype = rescale.blocks(1, COLUMNS).arguments, value_dtype(op.result)
    packed_shape = (1, parts, bias.shape[1] // COLUMNS, max(1, -(-depth // 2)), 2 * COLUMNS)

    def compute(operands: list[Array]) -> list[Array]:
        count = next(len(operand) for index, operand in enumerate(operands) if index not in constants)
        matrices = [
            np.broadcast_to(operand, (count, *operand.shape)) if index in constants else operand
            for index, operand in enumerate(operands)
        ]
        lhs, rhs = (matrix.reshape(-1, *matrix.shape[-2:]) for matrix in matrices)
        result = np.empty((count, *shape), dtype)
        packed = np.zeros(packed_shape, np.int16)
        for rows, columns, product in zip(lhs, rhs, result.reshape(-1, *shape[-2:]), strict=True):
            _pack(columns, rhs_kind.zero_point, packed[0])
            multiply(rows, lhs_kind.zero_point, packed, ends, bias, scaling, product)
        return [result]

    return compute
