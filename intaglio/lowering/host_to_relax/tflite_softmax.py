"""Softmax of the mode `tflite` on Relax tensors, equal to `intaglio.numerics.tflite_softmax` in every bit.

Exponentials come from a table of the 256 differences there are, so that only the reciprocal of each row's sum is
computed in gemmlowp's fixed-point numbers.
"""

from __future__ import annotations

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import FixedPoint
from intaglio.lowering.tvm import Expr
from intaglio.numerics.tflite_softmax import RESULT_ZERO_POINT, exponential_table

_ONE = (1 << 31) - 1
_SUM_BITS = 12


def softmax_of_litert(emitter: Emitter, stored: Expr, scale: float, axis: int) -> Expr:
    """Softmax along an axis, stored in steps of 1/256 from -128 on.

    Args:
        emitter: emits the operations.
        stored: integers of 8 bits.
        scale: of them.
        axis: of the sum.
    """
    fixed = FixedPoint(emitter)
    values = emitter.cast(stored, "int64")
    distance = fixed("subtract", emitter.apply("max", values, axis=axis, keepdims=True), values)
    exponentials = fixed.lookup(exponential_table(scale), distance)
    total = emitter.apply("sum", fixed.rounding_shift(exponentials, _SUM_BITS), axis=axis, keepdims=True)
    headroom = fixed("subtract", fixed.constant(32), fixed.bit_length(total))
    fraction = fixed("subtract", fixed("left_shift", total, headroom), 1 << 31)
    reciprocal = _reciprocal_of_one_and(fixed, fraction)
    shift = fixed("subtract", fixed.constant(_SUM_BITS + 31 - 8), headroom)
    shares = fixed.rounding_shift(_high_multiply(fixed, reciprocal, exponentials), shift)
    limited = fixed("minimum", fixed("add", shares, RESULT_ZERO_POINT), 127)
    return emitter.cast(limited, "int8")


def _reciprocal_of_one_and(fixed: FixedPoint, value: Expr) -> Expr:
    """`1 / (1 + x)` for `x` in `[0, 1)`, by three steps of Newton's iteration on half the denominator."""
    half = fixed("right_shift", fixed("add", value, 1 << 31), 1)
    x = fixed("add", _high_multiply(fixed, half, fixed.constant(-1010580540)), 1515870810)
    for _ in range(3):
        product = _high_multiply(fixed, half, x)
        error = fixed("subtract", fixed.constant(1 << 29), product)
        step = fixed("multiply", _high_multiply(fixed, x, error), 4)
        x = fixed("add", x, _saturated(fixed, step))
    return _saturated(fixed, fixed("multiply", x, 2))


def _high_multiply(fixed: FixedPoint, a: Expr, b: Expr) -> Expr:
    """`numerics.requantization.tflite_high_multiply`, of factors of which not both are `-2^31`.

    Its nudge and its division towards zero together are one rounding upwards. Written so, the product occurs once;
    TVM computes what occurs twice twice, and each step would double that again.
    """
    return fixed.rounding_shift(fixed("multiply", a, b), 31)


def _saturated(fixed: FixedPoint, value: Expr) -> Expr:
    return fixed("maximum", fixed("minimum", value, _ONE), -(1 << 31))
