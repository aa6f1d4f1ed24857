"""What lanes of the accelerator's vector unit compute on bfloat16.

A lane holds a float32 (IEEE 754 binary32, round to nearest even, subnormals and infinities included). Operands are
bfloat16, whose 8 significant bits it holds exactly; a result is rounded to float32 and then to bfloat16. For the sum,
difference, product and quotient of two operands that is as good as rounding once, as 24 bits are more than twice 8 plus
two: results are those of the interpreter. Functions of one operand are rounded correctly, too: there are 65,536
operands, so that a unit can be tried on all of them.

Source: Figueroa, "When is double rounding innocuous?" (1995).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.bfloat16 import bits_of, floats_of, of_ordinal
from intaglio.numerics.tables import TABLE_FUNCTIONS

FloatArray = npt.NDArray[np.float32]
Int16Array = npt.NDArray[np.int16]

COMBINATIONS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "divide": np.divide,
}
"""Functions of two operands; their numbers in instructions are in this order."""

POOLINGS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "max": np.maximum,
    "min": np.minimum,
    "sum": np.add,
}
"""What becomes of the elements under the taps, one after another; likewise."""

FUNCTIONS = (
    "abs",
    "elu",
    "erf",
    "exp",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "leaky_relu",
    "log",
    "mish",
    "reciprocal",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "sqrt",
    "tanh",
)
"""Functions of one operand; likewise."""

_COEFFICIENTS = {"hard_sigmoid": ("alpha", "beta"), "elu": ("alpha",), "leaky_relu": ("alpha",)}


@lru_cache(maxsize=64)
def _results(function: str, alpha: float, beta: float) -> Int16Array:
    """The bits of the results for all bits of operands."""
    given = {"alpha": alpha, "beta": beta}
    coefficients = {name: given[name] for name in _COEFFICIENTS.get(function, ())}
    with np.errstate(all="ignore"):
        operands = floats_of(np.arange(1 << 16).astype(np.uint16).view(np.int16)).astype(np.float64)
        return bits_of(TABLE_FUNCTIONS[function](operands, **coefficients))


def mapped(function: str, bits: npt.NDArray[Any], alpha: float, beta: float) -> Int16Array:
    """The bits of a function's results.

    Args:
        function: one of `FUNCTIONS`.
        bits: of the operands.
        alpha: the first coefficient, of functions that have any.
        beta: the second.
    """
    return _results(function, alpha, beta)[bits.astype(np.uint16)]


def accumulated(sums: npt.NDArray[Any], values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> FloatArray:
    """Sums of products of bfloat16 added to the array's accumulators: those of a tap as one number, tap by tap.

    The products of a tap are exact, and so is their sum, as long as their exponents are less than about 30 apart; an
    accumulator is rounded to float32 once for each tap.

    Args:
        sums: `[..., positions, outer]`, float32.
        values: `[..., taps, positions, inner]`.
        weights: `[..., taps, inner, outer]`.
    """
    total = sums.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for tap in range(weights.shape[-3]):
            total += np.matmul(
                values[..., tap, :, :].astype(np.float64), weights[..., tap, :, :].astype(np.float64), dtype=np.float64
            )
            total = total.astype(np.float32).astype(np.float64)
    return total.astype(np.float32)


def _row_sum(rows: npt.NDArray[Any]) -> FloatArray:
    """The sum of each row as one number, rounded to float32."""
    return rows.astype(np.float64).sum(axis=-1, keepdims=True).astype(np.float32)


def softmax(rows: FloatArray) -> FloatArray:
    """Exponentials of the distances from the largest element of a row, over their sum."""
    with np.errstate(all="ignore"):
        distances = rows - rows.max(axis=-1, keepdims=True)
        exponentials = np.exp(distances.astype(np.float64)).astype(np.float32)
        return exponentials / _row_sum(exponentials)


def normalized(
    rows: FloatArray, factors: FloatArray, offsets: FloatArray, epsilon: float, *, around_mean: bool
) -> FloatArray:
    """Elements of a row, less their mean, over the root of their mean square, times factors plus offsets.

    Args:
        rows: `[..., channels]`.
        factors: of the channels.
        offsets: of the channels.
        epsilon: added to the mean square, as a float32.
        around_mean: whether the mean is subtracted first.
    """
    count = np.float32(rows.shape[-1])
    with np.errstate(all="ignore"):
        distances = rows - _row_sum(rows) / count if around_mean else rows
        mean_square = _row_sum(distances.astype(np.float64) ** 2) / count
        roots = np.sqrt(mean_square + np.float32(epsilon))
        return (distances / roots * factors + offsets).astype(np.float32, copy=False)


def clamped(values: npt.NDArray[Any], low: int, high: int) -> Int16Array:
    """The bits of values rounded to bfloat16, limited to the values of two ordinals; what is not a number stays so."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = bits_of(values)
        real = floats_of(rounded)
        smallest, largest = of_ordinal(low), of_ordinal(high)
        limited = np.where(real < smallest, bits_of(smallest), rounded)
        return np.where(real > largest, bits_of(largest), limited).astype(np.int16)


def single(bits: int) -> float:
    """The value of the bits of a float32."""
    return float(np.array(bits, np.uint32).view(np.float32))


def single_bits(value: float) -> int:
    """The bits of a value rounded to float32, as an unsigned number."""
    return int(np.array(value, np.float32).view(np.uint32))
