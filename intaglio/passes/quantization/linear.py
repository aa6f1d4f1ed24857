"""Integer weights and biases of convolutions and dense layers.

Weights are symmetric in the narrow range (-127 to 127 in 8 bits, -7 to 7 in 4), the bias has the scale
`s_input * s_weight` and the width of the accumulator: 32 bits, or 48 for 16-bit inputs. The scale of a channel follows
from its largest weight, with two exceptions:

- A bias too large for the integers at that scale would saturate, and a large one leaves the accumulator no room.
  The channel's scale is enlarged until its bias is at most 2^30 (2^40) in magnitude. Weights lose precision that did
  not matter: one step of the bias is then `2^-30` of it. A warning names the layer.
  Nor is a bias finer than the smallest normal float32, nor a scale larger than the largest; a bias beyond even that
  saturates.
- A channel whose weights are all zero has no scale of its own. It gets one at which the bias (or a step of the
  result, if larger) is 2^20, so that the result is the bias, exactly rounded. What of the bias is beyond the result's
  range is cut off first: the result would saturate, and a multiplier has its limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import IntegerType

from intaglio.dialects.nn import accumulator_type
from intaglio.dialects.quant import (
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    UniformType,
    uniform,
    uniform_per_axis,
)
from intaglio.numerics.quantization import choose_weight_scales

BIAS_LIMITS = {32: 1 << 30, 48: 1 << 40}
"""Largest magnitude of a stored bias by the accumulator's width; at least as much is left for the products."""

_EMPTY_CHANNEL_STEPS = 1 << 20
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
_LARGEST_SCALE = 2.0**126


@dataclass(frozen=True)
class LinearParameters:
    """Types of a quantized weight and its bias, and the stored bias (int32 or int64) if there is one.

    Attributes:
        enlarged: how many scales are larger than the weights ask for, because of the bias.
    """

    weight_type: UniformType
    bias_type: UniformType
    bias: npt.NDArray[np.signedinteger[Any]] | None
    enlarged: int


def quantize_linear(
    weight: np.ndarray,
    bias: np.ndarray | None,
    source: UniformQuantizedType,
    result: UniformQuantizedType | None,
    *,
    per_channel: bool,
    weight_bits: int = 8,
) -> LinearParameters:
    """Choose the scales of a weight and quantize its bias.

    Args:
        weight: f32, output channels first.
        bias: f32, one element per output channel.
        source: parameters of the layer's input.
        result: parameters of its result; None if that is the accumulator.
        per_channel: whether each output channel has its own scale.
        weight_bits: width of stored weights: 4, 8 or 16.
    """
    bias_bits = accumulator_type(source).width.data
    scales = choose_weight_scales(weight, 0 if per_channel else None, weight_bits)
    rows = np.any(weight, axis=tuple(range(1, weight.ndim)))
    empty = ~rows if per_channel else not rows.any()
    if bias is not None and result is not None:
        lowest, highest = (result.scale * (end - result.zero_point) for end in (result.storage_min, result.storage_max))
        bias = np.where(empty, np.clip(bias.astype(np.float64), lowest, highest), bias)
    magnitudes = np.abs(np.zeros(len(weight)) if bias is None else bias.astype(np.float64))
    largest = magnitudes if per_channel else magnitudes.max(initial=0.0)
    step = source.scale if result is None else result.scale
    scales = np.where(empty, np.maximum(largest, step) / (source.scale * _EMPTY_CHANNEL_STEPS), scales)
    needed = largest / BIAS_LIMITS[bias_bits] / source.scale
    enlarged = int(np.count_nonzero(needed > scales))
    scales = np.maximum(scales, np.maximum(needed, _SMALLEST_SCALE / source.scale))
    scales = _storable(np.minimum(scales, _LARGEST_SCALE))
    bias_scales = source.scale * scales
    dtype = np.int32 if bias_bits == 32 else np.int64
    limits = float(1 - (1 << (bias_bits - 1))), float((1 << (bias_bits - 1)) - 1)
    stored = None if bias is None else np.clip(np.rint(bias.astype(np.float64) / bias_scales), *limits).astype(dtype)
    smallest = 1 - (1 << (weight_bits - 1))
    if per_channel:
        weight_type: UniformType = uniform_per_axis(weight_bits, 0, scales, storage_min=smallest)
        return LinearParameters(weight_type, uniform_per_axis(bias_bits, 0, bias_scales), stored, enlarged)
    weight_type = uniform(weight_bits, float(scales), storage_min=smallest)
    return LinearParameters(weight_type, uniform(bias_bits, float(bias_scales)), stored, enlarged)


def accumulator_result_type(bias_type: UniformType, rank: int) -> UniformType:
    """The type of a result that is the accumulator: the bias's, with its scales along the last of `rank` dimensions."""
    if not isinstance(bias_type, UniformQuantizedPerAxisType):
        return bias_type
    assert isinstance(bias_type.storage_type, IntegerType)
    return uniform_per_axis(bias_type.storage_type.width.data, rank - 1, bias_type.scales)


def _storable(scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scales as float32 values, rounded up so that what fitted still fits."""
    narrow = scales.astype(np.float32)
    return np.where(narrow < scales, np.nextafter(narrow, np.float32(np.inf)), narrow).astype(np.float64)
