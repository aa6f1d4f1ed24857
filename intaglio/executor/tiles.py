"""Products of small matrices of 16-bit integers, in the vector registers of the processor.

`multiply_tile` multiplies `ROWS` rows of one operand by `COLUMNS` columns of the other and keeps all sums in registers.
Its step is the product of two neighbouring elements of a row with two of a column, both added into one 32-bit sum:
one instruction of x86 processors (`pmaddwd`, or `vpdpwssd`, which adds to the accumulator as well), and exact for all
16-bit operands but the sum of two products of -32768 with -32768. Elsewhere the same is said with plain vectors.

The columns come packed by `pack_columns`, so that they are read in order.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import llvmlite.ir
import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_llvm: Any = llvmlite.ir
_binding: Any = llvmlite.binding
_numba: Any = numba
_types: Any = types
_cgutils: Any = cgutils
_intrinsic: Any = intrinsic
"""These packages have no types."""


def _pairwise_instruction() -> tuple[int, str | None]:
    """Number of 32-bit lanes in a vector, and LLVM's name of the multiplication of pairs, if the processor has one."""
    if _numba.config.CPU_NAME or _numba.config.CPU_FEATURES:
        return 4, None  # code is asked to run on other processors than this one
    features: dict[str, bool] = dict(_binding.get_host_cpu_features())
    for feature, lanes, name in (
        ("avx512bw", 16, "llvm.x86.avx512.pmaddw.d.512"),
        ("avx2", 8, "llvm.x86.avx2.pmadd.wd"),
        ("sse2", 4, "llvm.x86.sse2.pmadd.wd"),
    ):
        if features.get(feature):
            return lanes, name
    return 4, None


LANES, _INSTRUCTION = _pairwise_instruction()

ROWS = 8 if LANES == 16 else 4
"""Rows of a tile. Its sums fill half of the vector registers: 32 of 512 bits, 16 of narrower ones."""

_VECTORS = 2
_VECTOR_BYTES = 4 * LANES

COLUMNS = _VECTORS * LANES
"""Columns of a tile."""

_HALF, _WORD, _SIZE = _llvm.IntType(16), _llvm.IntType(32), _llvm.IntType(64)


def _constant(kind: Any, value: Any) -> Any:
    return _llvm.Constant(kind, value)


def _multiply_pairs(builder: Any, a: Any, b: Any, sums: Any) -> Any:
    """For each lane, the sum of the products of two neighbouring 16-bit elements."""
    if _INSTRUCTION is not None:
        kind = _llvm.FunctionType(sums, [a.type, b.type])
        return builder.call(_cgutils.get_or_insert_function(builder.module, kind, _INSTRUCTION), [a, b])
    products: list[Any] = []
    for first in (0, 1):
        lanes = _constant(_llvm.VectorType(_llvm.IntType(32), LANES), list(range(first, 2 * LANES, 2)))
        factors = [builder.sext(builder.shuffle_vector(v, v, lanes), sums) for v in (a, b)]
        products.append(builder.mul(*factors))
    return builder.add(*products)


def _load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
    loaded.align = align
    return loaded


def _broadcast(builder: Any, scalar: Any, kind: Any) -> Any:
    first = builder.insert_element(_constant(kind, _llvm.Undefined), scalar, _constant(_WORD, 0))
    lanes = _constant(_llvm.VectorType(_WORD, kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, first, lanes)


def _sums(builder: Any, rows_at: Any, row_bytes: Any, columns_at: Any, pairs: Any) -> list[list[Any]]:
    """The sums of a tile, one vector for each row and `LANES` columns: a loop over pairs with the sums as variables."""
    elements, sums = _llvm.VectorType(_HALF, 2 * LANES), _llvm.VectorType(_WORD, LANES)
    row_addresses = [builder.add(rows_at, builder.mul(row_bytes, _constant(_SIZE, row))) for row in range(ROWS)]
    before = builder.block
    loop, after = builder.append_basic_block("pairs"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    pair = builder.phi(_SIZE)
    pair.add_incoming(_constant(_SIZE, 0), before)
    totals = [[builder.phi(sums) for _ in range(_VECTORS)] for _ in range(ROWS)]
    column_address = builder.add(columns_at, builder.mul(pair, _constant(_SIZE, _VECTORS * _VECTOR_BYTES)))
    columns = [
        _load(builder, builder.add(column_address, _constant(_SIZE, vector * _VECTOR_BYTES)), elements, 2)
        for vector in range(_VECTORS)
    ]
    offset = builder.mul(pair, _constant(_SIZE, 4))
    results: list[list[Any]] = []
    for row in range(ROWS):
        scalar = _load(builder, builder.add(row_addresses[row], offset), _WORD, 2)
        broadcast = builder.bitcast(_broadcast(builder, scalar, sums), elements)
        products = [_multiply_pairs(builder, broadcast, column, sums) for column in columns]
        results.append([builder.add(*both) for both in zip(totals[row], products, strict=True)])
    following = builder.add(pair, _constant(_SIZE, 1))
    pair.add_incoming(following, loop)
    for row in range(ROWS):
        for vector in range(_VECTORS):
            totals[row][vector].add_incoming(_constant(sums, [0] * LANES), before)
            totals[row][vector].add_incoming(results[row][vector], loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, after)
    builder.position_at_end(after)
    return results


def _generate_sums(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The code of `multiply_tile`."""
    *factors, sums_at = arguments
    for row, vectors in enumerate(_sums(builder, *factors)):
        for vector, value in enumerate(vectors):
            place = _constant(_SIZE, (row * _VECTORS + vector) * _VECTOR_BYTES)
            address = builder.inttoptr(builder.add(sums_at, place), value.type.as_pointer())
            builder.store(value, address).align = 4
    return context.get_dummy_value()


def _generate_bytes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The code of `multiply_tile_to_bytes`: all constants of a column stay in registers while rows are stored."""
    *factors, bias_at, multiplier_at, shift_at, zero_point, low, high, result_at, result_bytes = arguments
    rows = _sums(builder, *factors)
    parameters = bias_at, multiplier_at, shift_at, zero_point, low, high
    _store_bytes(builder, rows, parameters, result_at, result_bytes)
    return context.get_dummy_value()


def _store_bytes(
    builder: Any, rows: list[list[Any]], parameters: tuple[Any, ...], result_at: Any, result_bytes: Any
) -> None:
    """Requantize rows of sums with one rounding, halves up, and store them."""
    *addresses, zero_point, low, high = parameters
    narrow, wide = _llvm.VectorType(_WORD, LANES), _llvm.VectorType(_SIZE, LANES)
    stored = _llvm.VectorType(_llvm.IntType(8), LANES)
    zeros, lows, highs = (_broadcast(builder, scalar, wide) for scalar in (zero_point, low, high))
    for vector in range(_VECTORS):
        place = _constant(_SIZE, vector * _VECTOR_BYTES)
        bias, multiplier, shift = (_load(builder, builder.add(address, place), narrow, 4) for address in addresses)
        multipliers, shifts = builder.sext(multiplier, wide), builder.zext(shift, wide)
        halves = builder.shl(_constant(wide, [1] * LANES), builder.sub(shifts, _constant(wide, [1] * LANES)))
        for row, sums in enumerate(rows):
            total = builder.sext(builder.add(sums[vector], bias), wide)
            scaled = builder.ashr(builder.add(builder.mul(total, multipliers), halves), shifts)
            scaled = builder.add(scaled, zeros)
            scaled = builder.select(builder.icmp_signed("<", scaled, lows), lows, scaled)
            scaled = builder.select(builder.icmp_signed(">", scaled, highs), highs, scaled)
            offset = builder.add(builder.mul(result_bytes, _constant(_SIZE, row)), _constant(_SIZE, vector * LANES))
            address = builder.inttoptr(builder.add(result_at, offset), stored.as_pointer())
            builder.store(builder.trunc(scaled, stored), address).align = 1


def _generate_channels(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The code of `filter_channels_to_bytes`: a loop over taps with the sums as variables."""
    x_at, offsets_at, taps, weights_at, weight_bytes, *parameters, result_at = arguments
    half, sums, elements = (
        _llvm.VectorType(_HALF, LANES),
        _llvm.VectorType(_WORD, LANES),
        _llvm.VectorType(_HALF, 2 * LANES),
    )
    before = builder.block
    loop, after = builder.append_basic_block("taps"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    tap = builder.phi(_SIZE)
    tap.add_incoming(_constant(_SIZE, 0), before)
    totals = [builder.phi(sums) for _ in range(_VECTORS)]
    offset = _load(builder, builder.add(offsets_at, builder.mul(tap, _constant(_SIZE, 8))), _SIZE, 8)
    source, weight = builder.add(x_at, offset), builder.add(weights_at, builder.mul(tap, weight_bytes))
    results: list[Any] = []
    for vector in range(_VECTORS):
        place = _constant(_SIZE, vector * 2 * LANES)
        # Each element is a pair with zero.
        x = builder.bitcast(builder.zext(_load(builder, builder.add(source, place), half, 2), sums), elements)
        place = _constant(_SIZE, vector * _VECTOR_BYTES)
        factors = _load(builder, builder.add(weight, place), elements, 4)
        results.append(builder.add(totals[vector], _multiply_pairs(builder, x, factors, sums)))
    following = builder.add(tap, _constant(_SIZE, 1))
    tap.add_incoming(following, loop)
    for total, result in zip(totals, results, strict=True):
        total.add_incoming(_constant(sums, [0] * LANES), before)
        total.add_incoming(result, loop)
    builder.cbranch(builder.icmp_signed("<", following, taps), loop, after)
    builder.position_at_end(after)
    _store_bytes(builder, [results], tuple(parameters), result_at, _constant(_SIZE, 0))
    return context.get_dummy_value()


@_intrinsic
def filter_channels_to_bytes(
    typing_context: Any,
    x: Any,
    offsets: Any,
    taps: Any,
    weights: Any,
    weight_bytes: Any,
    bias: Any,
    multiplier: Any,
    shift: Any,
    zero_point: Any,
    low: Any,
    high: Any,
    result: Any,
) -> Any:
    """Filter `COLUMNS` channels at one position, each by its own weights, and store them; inside compiled code.

    The arguments are integers of the size of a pointer, and sums with bias must fit 32 bits.

    Args:
        typing_context: Numba's; not given by the caller.
        x: address of the int16 element that the first tap meets in the first channel.
        offsets: address of the distance in bytes of each tap's element from that, int64.
        taps: number of taps, at least 1.
        weights: address of the weights `[taps, channels]`, int32 whose upper half is 0.
        weight_bytes: distance of the rows of weights.
        bias: see `multiply_tile_to_bytes`, and so on to `high`.
        multiplier: see there.
        shift: see there.
        zero_point: see there.
        low: see there.
        high: see there.
        result: address of the first byte of `COLUMNS` bytes.
    """
    return _types.void(*[_types.intp] * 12), _generate_channels


@_intrinsic
def multiply_tile(typing_context: Any, rows: Any, row_bytes: Any, columns: Any, pairs: Any, sums: Any) -> Any:
    """Multiply a tile, inside compiled code.

    All arguments are integers of the size of a pointer.

    Args:
        typing_context: Numba's; not given by the caller.
        rows: address of `ROWS` rows of int16 elements, two for each pair.
        row_bytes: distance of the rows.
        columns: address of columns packed by `pack_columns`.
        pairs: number of pairs to multiply, at least 1.
        sums: address of the int32 sums `[ROWS, COLUMNS]`, which are overwritten.
    """
    return _types.void(*[_types.intp] * 5), _generate_sums


@_intrinsic
def multiply_tile_to_bytes(
    typing_context: Any,
    rows: Any,
    row_bytes: Any,
    columns: Any,
    pairs: Any,
    bias: Any,
    multiplier: Any,
    shift: Any,
    zero_point: Any,
    low: Any,
    high: Any,
    result: Any,
    result_bytes: Any,
) -> Any:
    """Multiply a tile and store it requantized with one rounding, inside compiled code.

    The arguments are integers of the size of a pointer, and sums with bias must fit 32 bits.

    Args:
        typing_context: Numba's; not given by the caller.
        rows: see `multiply_tile`.
        row_bytes: see there.
        columns: see there.
        pairs: see there.
        bias: address of int32 `[COLUMNS]`.
        multiplier: likewise.
        shift: likewise, 1 to 62.
        zero_point: of the result.
        low: smallest stored value.
        high: largest stored value.
        result: address of the first byte of `ROWS` rows of `COLUMNS` bytes.
        result_bytes: distance of these rows.
    """
    return _types.void(*[_types.intp] * 12), _generate_bytes


def pack_columns(matrix: NDArray[Any]) -> NDArray[np.int16]:
    """Rearrange columns for `multiply_tile`.

    Args:
        matrix: int16 values of shape `(..., columns, depth)`: each column of the second operand stands in a row.

    Returns:
        Shape `(..., blocks, pairs, 2 * COLUMNS)`, where a block has `COLUMNS` columns and each pair of elements
        stands together; padded with zeros.
    """
    *outer, columns, depth = matrix.shape
    blocks, pairs = -(-columns // COLUMNS), max(1, -(-depth // 2))
    padded = np.zeros((*outer, blocks * COLUMNS, pairs * 2), np.int16)
    padded[..., :columns, :depth] = matrix
    split = padded.reshape(*outer, blocks, COLUMNS, pairs, 2)
    packed = np.ascontiguousarray(np.moveaxis(split, -3, -2)).reshape(*outer, blocks, pairs, 2 * COLUMNS)
    return packed


def pack_parts(matrix: NDArray[Any]) -> NDArray[np.int16]:
    """Pack integers of up to 16 bits; those of more than 9 in two parts, of which the second counts 256 times.

    Products with 9 bits fit pairs of 32 bits whatever the other operand is.

    Args:
        matrix: values of shape `(..., columns, depth)`.

    Returns:
        Shape `(..., parts, blocks, pairs, 2 * COLUMNS)`, see `pack_columns`.
    """
    if not matrix.size or -256 <= int(matrix.min()) <= int(matrix.max()) <= 255:
        return pack_columns(matrix)[..., None, :, :, :]
    wide = matrix.astype(np.int32)
    upper = (wide + 128) >> 8
    return np.stack([pack_columns(wide - (upper << 8)), pack_columns(upper)], axis=-4)
