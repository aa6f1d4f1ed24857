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

COLUMNS = _VECTORS * LANES
"""Columns of a tile."""


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


def _generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The code of `multiply_tile`: one loop over pairs, with the sums as its variables."""
    rows_at, row_bytes, columns_at, pairs, sums_at = arguments
    word, half, size = _llvm.IntType(32), _llvm.IntType(16), _llvm.IntType(64)
    elements, sums = _llvm.VectorType(half, 2 * LANES), _llvm.VectorType(word, LANES)
    zeros = _constant(sums, [0] * LANES)
    vector_bytes = 4 * LANES
    row_addresses = [builder.add(rows_at, builder.mul(row_bytes, _constant(size, row))) for row in range(ROWS)]

    def load(address: Any, kind: Any) -> Any:
        loaded = builder.load(builder.inttoptr(address, kind.as_pointer()))
        loaded.align = 2
        return loaded

    before = builder.block
    loop, after = builder.append_basic_block("pairs"), builder.append_basic_block("store")
    builder.branch(loop)
    builder.position_at_end(loop)
    pair = builder.phi(size)
    pair.add_incoming(_constant(size, 0), before)
    totals = [[builder.phi(sums) for _ in range(_VECTORS)] for _ in range(ROWS)]
    column_address = builder.add(columns_at, builder.mul(pair, _constant(size, _VECTORS * vector_bytes)))
    columns = [
        load(builder.add(column_address, _constant(size, vector * vector_bytes)), elements)
        for vector in range(_VECTORS)
    ]
    offset = builder.mul(pair, _constant(size, 4))
    results: list[list[Any]] = []
    for row in range(ROWS):
        scalar = load(builder.add(row_addresses[row], offset), word)
        first = builder.insert_element(_constant(sums, _llvm.Undefined), scalar, _constant(word, 0))
        broadcast = builder.bitcast(builder.shuffle_vector(first, first, zeros), elements)
        products = [_multiply_pairs(builder, broadcast, column, sums) for column in columns]
        results.append([builder.add(*both) for both in zip(totals[row], products, strict=True)])
    following = builder.add(pair, _constant(size, 1))
    pair.add_incoming(following, loop)
    for row in range(ROWS):
        for vector in range(_VECTORS):
            totals[row][vector].add_incoming(zeros, before)
            totals[row][vector].add_incoming(results[row][vector], loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, after)
    builder.position_at_end(after)
    for row in range(ROWS):
        for vector in range(_VECTORS):
            place = _constant(size, (row * _VECTORS + vector) * vector_bytes)
            address = builder.inttoptr(builder.add(sums_at, place), sums.as_pointer())
            builder.store(results[row][vector], address).align = 4
    return context.get_dummy_value()


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
    return _types.void(_types.intp, _types.intp, _types.intp, _types.intp, _types.intp), _generate


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
