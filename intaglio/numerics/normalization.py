"""Layer and root-mean-square normalization of quantized values in integers.

Of the `n` elements `c` of a row, zero point subtracted, sum and sum of squares are exact, and so is what follows:

    d = n * c - sum(c)                   v = n * sum(c^2) - sum(c)^2 + round(n^2 * epsilon / s^2)

`d / sqrt(v)` is the element's distance from the mean over the deviation, whatever the scale `s`. For the root mean
square, `d = n * c` and `v = n * sum(c^2) + round(...)`. One reciprocal square root a row gives a multiplier and a
shift; each element then costs two multiplications: by that, and by its scale, to which the offset is added.

```
t = d * multiplier >> shift              fixed point, NORMALIZED_BITS wide
acc = t * scale + offset                 scale 16 bits, offset 32 (48 for 16-bit results)
```

The mean is never rounded, so that nothing is lost where the deviation is a small part of it, as in tensors whose
range others stretch. Only the two sums, `v` and the root are per row.

Source: ours. TensorFlow Lite's integer layer normalization (`kernels/internal/reference/integer_ops`, of LSTM cells)
has the same sums, but rounds the mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intaglio.numerics.fixed_point import Int64Array, reciprocal_sqrt, rounding_shift

NORMALIZED_BITS = {8: 16, 16: 24}
"""Width of a normalized element, sign included, by the bits of the result."""

LONGEST_ROW = {8: 1 << 20, 16: 1 << 14}
"""Most elements of a row, by the bits of the input: `v` has at most 62 bits then."""

_LARGEST_EPSILON = 1 << 61


def normalized_fraction_bits(count: int, result_bits: int) -> int:
    """Bits after the point of a normalized element.

    A distance from the mean is below `sqrt(count)` deviations. Where that is more than 64, larger ones saturate: they
    belong to rows of which one element stands out and all others are alike.

    Args:
        count: elements of a row.
        result_bits: width of the result, 8 or 16.
    """
    whole = min(((count - 1).bit_length() + 1) // 2, 6)
    return NORMALIZED_BITS[result_bits] - 1 - whole


def stored_epsilon(epsilon: float, scale: float, count: int) -> int:
    """`epsilon` in the unit of `v`: `round(count^2 * epsilon / scale^2)`, at most `2^61`.

    Rounding it moves `v` by half a unit, where the smallest `v` of a row that is not constant is `count - 1`.
    """
    real = (count / scale) * (count / scale) * epsilon
    return round(real) if real < _LARGEST_EPSILON else _LARGEST_EPSILON


def row_statistics(centered: Int64Array, epsilon: int, *, around_mean: bool) -> tuple[Int64Array, Int64Array]:
    """Distances from the mean times the number of elements, and `v`, along the last dimension.

    Args:
        centered: elements less their zero point.
        epsilon: from `stored_epsilon`.
        around_mean: whether the mean is subtracted, as layer normalization does.

    Returns:
        `d` of the shape of the input and `v`, at least 1, with one element a row.
    """
    count = centered.shape[-1]
    total = centered.sum(axis=-1, keepdims=True) if around_mean else np.zeros((*centered.shape[:-1], 1), np.int64)
    squares = (centered * centered).sum(axis=-1, keepdims=True)
    return count * centered - total, np.maximum(count * squares - total * total + epsilon, 1)


def normalized(
    centered: npt.ArrayLike, scale: float, epsilon: float, *, result_bits: int, around_mean: bool
) -> Int64Array:
    """Elements over the deviation (or root mean square) of their row, in fixed point.

    The error is half a unit of the last bit, and besides `2^-28` of the value and what rounding `epsilon` makes.

    Args:
        centered: integers less their zero point, at most `LONGEST_ROW` along the last dimension.
        scale: of them.
        epsilon: added to the variance or mean square.
        result_bits: width of the result that this goes into, 8 or 16.
        around_mean: whether the mean is subtracted.

    Returns:
        int64 of `NORMALIZED_BITS` bits, of which `normalized_fraction_bits` are after the point.
    """
    values = np.asarray(centered, np.int64)
    stored = stored_epsilon(epsilon, scale, values.shape[-1])
    return normalized_by(values, stored, result_bits=result_bits, around_mean=around_mean)


def normalized_by(centered: Int64Array, epsilon: int, *, result_bits: int, around_mean: bool) -> Int64Array:
    """As `normalized`, with `epsilon` in the unit of `v`."""
    count = centered.shape[-1]
    distance, spread = row_statistics(centered, epsilon, around_mean=around_mean)
    multiplier, shift = reciprocal_sqrt(spread)
    limit = 1 << (NORMALIZED_BITS[result_bits] - 1)
    fixed = rounding_shift(distance * multiplier, shift - normalized_fraction_bits(count, result_bits))
    return np.clip(fixed, -limit, limit - 1)
