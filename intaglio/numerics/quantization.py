"""Between real values and stored integers, and how ranges become scales and zero points.

A stored value `q` stands for `scale * (q - zero_point)`. Scales chosen here are always exactly representable in
float32, so that a kernel which holds them as float32 and a compiler which holds them as double agree.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

SCALE_OF_EMPTY_RANGE = 1.0
"""The scale for data that is zero everywhere: any positive number does, this one is easy to recognise."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST_SCALE = float(np.finfo(np.float32).max)


def _along(values: npt.ArrayLike, axis: int | None, rank: int) -> npt.NDArray[Any]:
    """Shape one-dimensional parameters so that they broadcast along `axis` of an array of `rank` dimensions."""
    array = np.asarray(values)
    if axis is None or array.ndim == 0:
        return array
    return array.reshape([-1 if index == axis % rank else 1 for index in range(rank)])


def _float32_scale(scale: npt.ArrayLike, axis: int | None, rank: int) -> Float32Array:
    narrow = _along(scale, axis, rank).astype(np.float32)
    if not bool(np.all(np.isfinite(narrow) & (narrow > 0))):
        raise ValueError("scales must be positive and finite as float32")
    return narrow


def quantize(
    x: npt.ArrayLike,
    scale: npt.ArrayLike,
    zero_point: npt.ArrayLike,
    qmin: int,
    qmax: int,
    dtype: npt.DTypeLike,
    axis: int | None = None,
) -> npt.NDArray[Any]:
    """Quantize float values: `saturate(round_half_even(x / scale) + zero_point)`.

    The division is float32 by float32, the addition exact. NaN becomes the zero point; infinities saturate. A
    float storage type (bfloat16, float8) is not rounded to integers: `x / scale + zero_point` in float32 is
    clipped to the range and rounded to the storage type, to nearest, ties to even.

    Args:
        x: values, taken as float32.
        scale: positive; one number, an array along `axis`, or any array that broadcasts against `x`.
        zero_point: stored value of real zero; shaped like `scale`.
        qmin: smallest stored value.
        qmax: largest stored value.
        dtype: NumPy type of the result.
        axis: the axis along which one-dimensional `scale` and `zero_point` run.

    Raises:
        ValueError: when a scale is not positive and finite as float32.

    Source: ONNX QuantizeLinear, opset 21.
    """
    values = np.asarray(x, np.float32)
    scales = _float32_scale(scale, axis, values.ndim)
    zeros = _along(zero_point, axis, values.ndim)
    target = np.dtype(dtype)
    with np.errstate(over="ignore"):
        steps = values / scales
    if target.kind not in "iu":
        shifted = np.clip(steps + zeros.astype(np.float32), np.float32(qmin), np.float32(qmax))
        return np.where(np.isnan(steps), zeros.astype(np.float32), shifted).astype(target)
    stored = np.rint(steps).astype(np.float64) + zeros
    stored = np.where(np.isnan(stored), zeros, stored)
    return np.clip(stored, qmin, _double_at_most(qmax)).astype(target)


def _double_at_most(value: int) -> float:
    # 2^63 - 1 rounds up to 2^63 as a double, which int64 does not hold.
    double = float(value)
    return double if int(double) <= value else math.nextafter(double, -math.inf)


def dequantize(
    stored: npt.ArrayLike, scale: npt.ArrayLike, zero_point: npt.ArrayLike, axis: int | None = None
) -> Float32Array:
    """Turn stored values into floats: `float32(scale) * float32(stored - zero_point)`.

    The difference of integers is exact (int64), then rounded once to float32; the product is rounded once.

    Args:
        stored: integers, or floats of a float storage type.
        scale: one number, an array along `axis`, or any array that broadcasts against `stored`.
        zero_point: shaped like `scale`.
        axis: the axis along which one-dimensional `scale` and `zero_point` run.

    Source: ONNX DequantizeLinear, opset 21.
    """
    values = np.asarray(stored)
    scales = _float32_scale(scale, axis, values.ndim)
    zeros = _along(zero_point, axis, values.ndim)
    if values.dtype.kind not in "iu":
        difference = values.astype(np.float32) - zeros.astype(np.float32)
    else:
        difference = (values.astype(np.int64) - zeros.astype(np.int64)).astype(np.float32)
    return np.multiply(scales, difference, dtype=np.float32)


def integer_range(bits: int, signed: bool = True, narrow: bool = False) -> tuple[int, int]:
    """Smallest and largest integer of `bits` bits; `narrow` leaves out the most negative one."""
    if not signed:
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1


def choose_parameters(
    lo: float, hi: float, bits: int = 8, symmetric: bool = False, signed: bool = True
) -> tuple[float, int]:
    """Scale and zero point for real values between `lo` and `hi`.

    The range is widened to include zero, which then has an exact stored value. Asymmetric: `hi - lo` is spread
    over all stored values. Symmetric: the larger magnitude gets the largest positive distance from the zero
    point, which is 0 for signed and the middle of the range for unsigned storage.

    Args:
        lo: smallest real value.
        hi: largest real value.
        bits: width of stored values.
        symmetric: whether the zero point is fixed.
        signed: whether stored values are signed.

    Returns:
        The scale, positive and exactly a float32 (1.0 for the empty range), and the zero point.

    Raises:
        ValueError: when the range is not finite or not ordered.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3; TensorFlow Lite quantization specification.
    """
    if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
        raise ValueError(f"expected a finite ordered range, got {lo} to {hi}")
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    qmin, qmax = integer_range(bits, signed)
    middle = 0 if signed else 1 << (bits - 1)
    if lo == hi:
        return SCALE_OF_EMPTY_RANGE, middle if symmetric else min(max(0, qmin), qmax)
    if symmetric:
        return _storable_scale(max(-lo, hi) / (qmax - middle)), middle
    scale = _storable_scale(hi / (qmax - qmin) - lo / (qmax - qmin))
    return scale, min(max(round(qmin - lo / scale), qmin), qmax)


def _storable_scale(scale: float) -> float:
    return float(np.float32(min(max(scale, _SMALLEST_SCALE), _LARGEST_SCALE)))


def choose_weight_scales(w: npt.ArrayLike, axis: int | None, bits: int = 8) -> Float64Array:
    """Symmetric scales for weights, so that the largest magnitude is stored as `2^(bits-1) - 1`.

    Stored weights are in the narrow range (-127 to 127 for 8 bits), zero points 0.

    Args:
        w: weights, float.
        axis: the output channel axis for one scale per channel, None for one scale.
        bits: width of stored weights.

    Returns:
        Scales of shape `(channels,)`, or `()` when axis is None; each exactly a float32. A channel of zeros
        gets 1.0.

    Raises:
        ValueError: when a weight is NaN or infinite.

    Source: TensorFlow Lite quantization specification (int8 weights, symmetric, restricted range).
    """
    magnitudes = np.abs(np.asarray(w, np.float64))
    others = None if axis is None else tuple(i for i in range(magnitudes.ndim) if i != axis % magnitudes.ndim)
    largest = np.asarray(magnitudes.max(axis=others, initial=0.0))
    if not bool(np.all(np.isfinite(largest))):
        raise ValueError("weights must be finite")
    _, qmax = integer_range(bits)
    scales = np.clip(largest / qmax, _SMALLEST_SCALE, _LARGEST_SCALE).astype(np.float32).astype(np.float64)
    return np.where(largest > 0, scales, SCALE_OF_EMPTY_RANGE)
