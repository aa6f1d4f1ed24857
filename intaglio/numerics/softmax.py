"""Softmax of quantized values in integers: two tables, a sum, a reciprocal, two multiplications an element.

The largest element is subtracted, so that the differences `d` are from 0 to 255 for 8-bit and to 65535 for 16-bit
values, and `exp(-s * d)` is the product of two table entries, for the upper and the lower byte of `d`. For 8-bit
values it is one entry.

Source: ours, after the legalization of softmax in MLIR (`Tosa`, `legalize_common.cc`, `convertSoftmaxOp`), which also
sums 16-bit exponentials from tables and divides by a reciprocal found with count-leading-zeros and Newton's
iteration.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intaglio.numerics.fixed_point import Int64Array, reciprocal, rounding_shift

MOST_FRACTION_BITS = 20
"""Bits of an exponential after the point; fewer when many are summed."""

LONGEST_SUM = 1 << 20
"""Most elements along the axis, for which 10 bits are left to an exponential."""

PROBABILITY_BITS = 30
"""Bits after the point of the quotients before they are requantized."""


def fraction_bits(count: int) -> int:
    """Bits after the point of the exponentials of `count` elements, so that their sum is at most `2^30`.

    Raises:
        ValueError: there are no elements, or more than `LONGEST_SUM`.
    """
    if not 1 <= count <= LONGEST_SUM:
        raise ValueError(f"softmax is over 1 to {LONGEST_SUM} elements, not {count}")
    return min(MOST_FRACTION_BITS, 30 - (count - 1).bit_length())


def exponential_tables(scale: float, fraction: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The tables `exp(-256 * scale * i)` and `exp(-scale * i)` for `i` from 0 to 255.

    Args:
        scale: of the input.
        fraction: bits after the point of the entries, which are rounded half to even.

    Returns:
        Two int32 arrays of 256 entries from 0 to `2^fraction`.
    """
    steps = np.arange(256, dtype=np.float64)
    upper, lower = (np.rint(np.exp(-scale * steps * unit) * 2.0**fraction).astype(np.int32) for unit in (256, 1))
    return upper, lower


def softmax_probabilities(stored: npt.ArrayLike, scale: float) -> Int64Array:
    """Softmax along the last dimension, as integers with `PROBABILITY_BITS` bits after the point.

    With `f = fraction_bits(count)`, an exponential has an error of at most one unit of `2^-f` (half of one for 8-bit
    values), and so a probability one of at most `(count + 1) * 2^-f`, in practice far less, besides `2^-28` of itself.

    Args:
        stored: integers of 8 or 16 bits of one scale; the zero point does not matter.
        scale: of them.

    Returns:
        int64 from 0 to `2^30`.
    """
    values = np.asarray(stored, np.int64)
    fraction = fraction_bits(values.shape[-1])
    upper, lower = (table.astype(np.int64) for table in exponential_tables(scale, fraction))
    distance = values.max(axis=-1, keepdims=True) - values
    return probabilities(wide_exponentials(distance, lower, upper, fraction))


def wide_exponentials(distance: Int64Array, lower: Int64Array, upper: Int64Array, fraction: int) -> Int64Array:
    """Exponentials of differences of 16 bits, from tables for their two bytes.

    Args:
        distance: from 0 to 65535.
        lower: 256 entries, of differences.
        upper: likewise of 256 times the difference.
        fraction: bits after the point of entries and results, from 1.
    """
    return rounding_shift(upper[distance >> 8] * lower[distance & 255], fraction)


def probabilities(exponentials: Int64Array) -> Int64Array:
    """Integers over their sum along the last dimension, with `PROBABILITY_BITS` bits after the point.

    Args:
        exponentials: not negative, with sums of 1 to `2^31 - 1`.

    Returns:
        int64 from 0 to `2^30`.
    """
    multiplier, shift = reciprocal(exponentials.sum(axis=-1, keepdims=True))
    return rounding_shift(exponentials * multiplier, shift - PROBABILITY_BITS)
