"""Products of two tensors of activations, compiled: the second one is packed while it runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.quant import requantization_mode
from intaglio.executor.convolution import chunks, store_tile
from intaglio.executor.jit import compiled
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.executor.rescaling import in_blocks, rescale_of
from intaglio.executor.tiles import COLUMNS, ROWS
from intaglio.interpreter.nn_linear import accumulator_bits
from intaglio.interpreter.values import quantization, storage_bounds, value_dtype, value_shape

_ROWS, _COLUMNS = ROWS, COLUMNS
_INT32_MAX = (1 << 31) - 1


@compiled
def _multiply_batches(
    lhs: Any,
    lhs_zero_point: int,
    rhs: Any,
    rhs_zero_point: int,
    parts: int,
    ends: Any,
    bias: Any,
    scaling: Any,
    result: Any,
) -> None:
    """Multiply matrices batch by batch.

    Args:
        lhs: `[B, M, K]` stored values.
        lhs_zero_point: of `lhs`.
        rhs: `[B, K, N]` stored values.
        rhs_zero_point: of `rhs`.
        parts: 2 to multiply the upper and lower 8 bits of `rhs` apart, else 1; see `tiles.pack_parts`.
        ends: from `chunks`.
        bias: `[N]` zeros, padded to whole blocks, int32 where sums fit, else int64.
        scaling: from `Rescale.arguments`.
        result: `[B, M, N]`, overwritten.
    """
    depth, outputs = rhs.shape[1], rhs.shape[2]
    blocks, pairs = (outputs + _COLUMNS - 1) // _COLUMNS, max(1, (depth + 1) // 2)
    packed = np.zeros((parts, blocks, pairs, 2 * _COLUMNS), np.int16)
    panel = np.zeros((_ROWS, 2 * pairs), np.int16)
    sums = np.empty((_ROWS, _COLUMNS), np.int32)
    wide_sums = np.empty((_ROWS, _COLUMNS), np.int64)
    spare = np.empty((_ROWS, _COLUMNS), result.dtype)
    lhs_zero, rhs_zero = np.int32(lhs_zero_point), np.int32(rhs_zero_point)
    for batch in range(lhs.shape[0]):
        for k in range(depth):
            source = rhs[batch, k]
            for block in range(blocks):
                row = packed[0, block, k // 2, k % 2 :]
                for j in range(min(_COLUMNS, outputs - block * _COLUMNS)):
                    row[2 * j] = np.int32(source[block * _COLUMNS + j]) - rhs_zero
        if parts == 2:
            lower, upper = packed[0].reshape(-1), packed[1].reshape(-1)
            for k in range(lower.size):
                high = (np.int32(lower[k]) + 128) >> 8
                upper[k] = high
                lower[k] = np.int32(lower[k]) - (high << 8)
        for start in range(0, lhs.shape[1], _ROWS):
            for i in range(min(_ROWS, lhs.shape[1] - start)):
                source = lhs[batch, start + i]
                for k in range(depth):
                    panel[i, k] = np.int32(source[k]) - lhs_zero
            store_tile(panel, packed, ends, bias, scaling, outputs, sums, wide_sums, spare, result[batch], start, 0)


@kernel(nn.MatmulOp)
def matmul(op: nn.MatmulOp, constants: Constants) -> Kernel | None:
    """Multiply batch by batch and requantize."""
    lhs_kind, rhs_kind, result_kind = quantization(op.lhs), quantization(op.rhs), quantization(op.result)
    lhs_shape, rhs_shape, shape = value_shape(op.lhs), value_shape(op.rhs), value_shape(op.result)
    if lhs_kind is None or rhs_kind is None or result_kind is None or min(len(lhs_shape), len(rhs_shape)) < 2:
        return None
    largest: list[int] = []
    for operand, kind in ((op.lhs, lhs_kind), (op.rhs, rhs_kind)):
        limits = np.iinfo(value_dtype(operand))
        largest.append(max(abs(int(limits.min) - kind.zero_point), abs(int(limits.max) - kind.zero_point)))
    depth, outputs = lhs_shape[-1], shape[-1]
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
    if rescale.two_roundings and worst << max(int(rescale.shift.max(initial=0)), 0) > _INT32_MAX:
        return None
    is_narrow = worst <= _INT32_MAX
    bias = in_blocks(np.zeros(outputs, np.int32 if is_narrow else np.int64), 1, COLUMNS)[0]
    multiplier, shift, *others = rescale.blocks(1, COLUMNS).arguments
    scaling, dtype = (multiplier[0], shift[0], *others), value_dtype(op.result)
    lhs_batch, rhs_batch = (batch_shape(s, len(shape)) for s in (lhs_shape, rhs_shape))

    def compute(operands: list[Array]) -> list[Array]:
        count = next(len(operand) for index, operand in enumerate(operands) if index not in constants)
        batch = (count, *shape[:-2])
        matrices: list[Array] = []
        for index, (operand, own) in enumerate(zip(operands, (lhs_batch, rhs_batch), strict=True)):
            rows = operand.shape[-2:]
            aligned = operand.reshape(1 if index in constants else count, *own, *rows)
            whole = np.ascontiguousarray(np.broadcast_to(aligned, (*batch, *rows)))
            matrices.append(whole.reshape(math.prod(batch), *rows))
        result = np.empty((*batch, *shape[-2:]), dtype)
        _multiply_batches(
            matrices[0],
            lhs_kind.zero_point,
            matrices[1],
            rhs_kind.zero_point,
            parts,
            ends,
            bias,
            scaling,
            result.reshape(-1, *shape[-2:]),
        )
        return [result]

    return compute


def batch_shape(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The dimensions before the matrices, as many as a result of `rank` has."""
    return (*[1] * (rank - len(shape)), *shape[:-2])
