"""Activation functions as lookup tables: 256 entries for 8-bit inputs, 513 with interpolation for 16-bit.

Entries are computed in float64 and rounded once, half to even.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.error_function import erf

Float64Array = npt.NDArray[np.float64]
TableFunction = Callable[[Float64Array], Float64Array]


def relu(x: Float64Array) -> Float64Array:
    """`max(x, 0)`."""
    return np.maximum(x, 0.0)


def sigmoid(x: Float64Array) -> Float64Array:
    """`1 / (1 + exp(-x))`, written so that no argument overflows."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def tanh(x: Float64Array) -> Float64Array:
    """Hyperbolic tangent."""
    return np.tanh(x)


def hard_sigmoid(x: Float64Array, alpha: float = 0.2, beta: float = 0.5) -> Float64Array:
    """`clip(alpha * x + beta, 0, 1)`. Source: ONNX HardSigmoid."""
    return np.clip(alpha * x + beta, 0.0, 1.0)


def hard_swish(x: Float64Array) -> Float64Array:
    """`x * clip(x / 6 + 1/2, 0, 1)`. Source: ONNX HardSwish."""
    return x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def reciprocal(x: Float64Array) -> Float64Array:
    """`1 / x`; infinite at zero."""
    with np.errstate(divide="ignore"):
        return np.divide(1.0, x)


def log(x: Float64Array) -> Float64Array:
    """Natural logarithm; minus infinity at zero, NaN below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def sqrt(x: Float64Array) -> Float64Array:
    """Square root; NaN below zero."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def exp(x: Float64Array) -> Float64Array:
    """Exponential function; infinite where float64 overflows."""
    with np.errstate(over="ignore"):
        return np.exp(x)


def silu(x: Float64Array) -> Float64Array:
    """`x * sigmoid(x)`."""
    return x * sigmoid(x)


def softplus(x: Float64Array) -> Float64Array:
    """`log(1 + exp(x))`, written so that no argument overflows."""
    return np.logaddexp(0.0, x)


def mish(x: Float64Array) -> Float64Array:
    """`x * tanh(log(1 + exp(x)))`. Source: ONNX Mish."""
    return x * np.tanh(softplus(x))


def elu(x: Float64Array, alpha: float = 1.0) -> Float64Array:
    """`x` above zero, `alpha * (exp(x) - 1)` below. Source: ONNX Elu."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def leaky_relu(x: Float64Array, alpha: float = 0.01) -> Float64Array:
    """`x` above zero, `alpha * x` below. Source: ONNX LeakyRelu."""
    return np.where(x >= 0, x, alpha * x)


def gelu(x: Float64Array) -> Float64Array:
    """`x / 2 * (1 + erf(x / sqrt(2)))`. Source: ONNX Gelu."""
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


def gelu_tanh(x: Float64Array) -> Float64Array:
    """The approximation of `gelu` by a hyperbolic tangent. Source: ONNX Gelu with `approximate` "tanh"."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


TABLE_FUNCTIONS: dict[str, Callable[..., Float64Array]] = {
    "abs": np.abs,
    "elu": elu,
    "erf": erf,
    "exp": exp,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "leaky_relu": leaky_relu,
    "log": log,
    "mish": mish,
    "reciprocal": reciprocal,
    "relu": relu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softplus": softplus,
    "sqrt": sqrt,
    "tanh": tanh,
}
"""By name; `hard_sigmoid` also takes `alpha` and `beta`, `elu` and `leaky_relu` take `alpha`."""


def _quantized(y: Float64Array, scale: float, zero_point: int, qmin: int, qmax: int) -> Float64Array:
    stored = np.rint(y / scale) + zero_point
    return np.clip(np.where(np.isnan(stored), zero_point, stored), qmin, qmax)


def table_int8(
    fn: TableFunction,
    in_scale: float,
    in_zp: int,
    out_scale: float,
    out_zp: int,
    qmin: int = -128,
    qmax: int = 127,
    dtype: npt.DTypeLike = np.int8,
) -> npt.NDArray[Any]:
    """The table of `fn` for quantized 8-bit inputs: entry `q + 128` is the result for stored `q`.

    Args:
        fn: function of real values, float64 arrays.
        in_scale: scale of the input.
        in_zp: zero point of the input.
        out_scale: scale of the result.
        out_zp: zero point of the result.
        qmin: smallest result.
        qmax: largest result.
        dtype: of the entries: int8, or int16 for a result of 16 bits.

    Returns:
        256 entries. A NaN of `fn` becomes the zero point.

    Source: TOSA 1.0, TABLE for int8; entries of 16 bits are ours.
    """
    x = in_scale * (np.arange(-128, 128, dtype=np.float64) - in_zp)
    return _quantized(fn(x), out_scale, out_zp, qmin, qmax).astype(dtype)


def lookup_int8(table: npt.NDArray[np.int8], values: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """The table entries for stored int8 values."""
    return table[np.asarray(values).astype(np.int64) + 128]


def table_int16(fn: TableFunction, in_scale: float, out_scale: float) -> npt.NDArray[np.int16]:
    """The interpolated table of `fn` between symmetric 16-bit tensors (zero points 0).

    Entry `i` is the result for the stored input `128 * i - 32768`; the last one is for 32768, which no input
    reaches and interpolation needs.

    Args:
        fn: function of real values, float64 arrays.
        in_scale: scale of the input.
        out_scale: scale of the entries.

    Returns:
        int16 of shape `(513,)`.

    Raises:
        ValueError: when neighbouring entries differ by more than int16 holds, which TOSA forbids.

    Source: TOSA 1.0, TABLE for int16.
    """
    x = in_scale * np.arange(-32768, 32769, 128, dtype=np.float64)
    table = _quantized(fn(x), out_scale, 0, -32768, 32767)
    slopes = np.diff(table)
    if slopes.min() < -32768 or slopes.max() > 32767:
        raise ValueError("the function is too steep for a 16-bit table at these scales")
    return table.astype(np.int16)


def table_int16_scale(out_scale: float, out_bits: int) -> float:
    """The scale of a 16-bit table's entries: that of a 16-bit result, and 1/128 of that of an 8-bit one.

    An 8-bit result less its zero point is at most 255 steps, so that the entries fit.

    Args:
        out_scale: of the result.
        out_bits: of the result, 8 or 16.
    """
    return out_scale if out_bits > 8 else out_scale / 128


def lookup_int16(table: npt.NDArray[np.int16], values: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Interpolate linearly between table entries.

    Args:
        table: int16 of shape `(513,)`.
        values: integers; clipped to int16.

    Returns:
        int32 of the shape of `values`, of 23 bits: the scale of the table divided by 128.

    Source: TOSA 1.0, section "Table lookup", `apply_lookup_s`.
    """
    clipped: npt.NDArray[Any] = np.clip(np.asarray(values).astype(np.int64), -32768, 32767)
    index = (clipped + 32768) >> 7
    base = table[index].astype(np.int32)
    slope = table[index + 1].astype(np.int32) - base
    return (base << 7) + slope * (clipped & 127).astype(np.int32)
