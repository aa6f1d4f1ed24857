"""Exact products by BLAS: types, chunks and blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.targets.simulator.arithmetic import WIDE_BITS_ABOVE
from intaglio.targets.simulator.steps import Multiply

Array = npt.NDArray[Any]
FloatType = type[np.float32] | type[np.float64]

EXACT_TERMS = 1024
"""Products of two bytes whose sum is exact in float32."""

SERIAL_PRODUCTS = 1 << 18
"""OpenBLAS computes a matrix product of at most this many scalar products in the calling thread. Tiles are so small
that handing parts to other threads costs more than it saves, a hundred times more when those have to wait for a
processor; so larger products are cut into blocks of this size."""


def float_type(work: Multiply) -> FloatType:
    """The type in which sums of at most `EXACT_TERMS` products are exact."""
    return np.float64 if work.is_wide or any(work.zero_points) else np.float32


def wrapping(kind: np.dtype[Any], *, is_wide: bool) -> Callable[[Array], None] | None:
    """What keeps sums that were added to rows of some type in their bits; None where the type does."""
    if kind == np.int32:
        return None

    def wrap_wide(rows: Array) -> None:
        rows <<= WIDE_BITS_ABOVE
        rows >>= WIDE_BITS_ABOVE

    def wrap_narrow(rows: Array) -> None:
        rows[...] = rows.astype(np.int32)

    return wrap_wide if is_wide else wrap_narrow


def patch_elements(work: Multiply) -> int:
    """Most elements of the matrix of patches that is multiplied at once, for one sample."""
    terms = max(
        (bottom - top) * (right - left) * work.inner
        for top, bottom, left, right in tap_chunks(work.read.taps.rows, work.read.taps.columns, work.inner)
    )
    return work.positions * terms


def tap_chunks(rows: int, columns: int, inner: int) -> Iterator[tuple[int, int, int, int]]:
    """Rectangles of taps (top, bottom, left, right), consecutive in tap order, short enough for exact sums."""
    at_once = max(EXACT_TERMS // inner, 1)
    if columns <= at_once:
        height = at_once // columns
        for top in range(0, rows, height):
            yield top, min(top + height, rows), 0, columns
    else:
        for row in range(rows):
            for left in range(0, columns, at_once):
                yield row, row + 1, left, min(left + at_once, columns)


def cut_into_blocks(values: Array, products: Array) -> list[tuple[Array, Array]]:
    """Cut a product of `(samples, positions, terms)` by weights into blocks of positions.

    Returns:
        Views of operand and result `(samples, blocks, positions, terms or columns)`, for all but the last positions
        and for those.
    """
    samples, positions, terms = values.shape
    columns = products.shape[2]
    height = min(positions, max(1, SERIAL_PRODUCTS // (terms * columns)))
    whole = positions // height * height
    pairs = [
        (
            values[:, :whole].reshape(samples, -1, height, terms),
            products[:, :whole].reshape(samples, -1, height, columns),
        )
    ]
    if whole < positions:
        pairs.append((values[:, None, whole:], products[:, None, whole:]))
    return pairs
