"""Integer weights and biases of convolutions and dense layers.

Weights are symmetric in the narrow range -127 to 127, the bias is a 32-bit integer with the scale
`s_input * s_weight`. The scale of a channel follows from its largest weight, with two exceptions:

- A bias too large for the integers at that scale would saturate, and a large one leaves the accumulator no room.
  The channel's scale is enlarged until its bias is at most 2^30 in magnitude. Weights lose precision that did
  not matter: one step of the bias is then `2^-30` of it.
  Nor is a bias finer than the smallest normal float32.
- A channel whose weights are all zero has no scale of its own. It gets one at which the bias (or a step of the
  result, if larger) is 2^20, so that the result is the bias, exactly rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from intaglio.dialects.quant import UniformQuantizedType, UniformType, uniform, uniform_per_axis
from intaglio.numerics.quantization import choose_weight_scales

BIAS_LIMIT = 1 << 30
"""Largest magnitude of a stored bias; the accumulator keeps as much for the products."""

_EMPTY_CHANNEL_STEPS = 1 << 20
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class LinearParameters:
    """Types of a quantized weight and its bias, and the stored bias (int32) if there is one."""

    weight_type: UniformType
    bias_type: UniformType
    bias: npt.NDArray[np.int32] | None


def quantize_linear(
    weight: np.ndarray,
    bias: np.ndarray | None,
    source: UniformQuantizedType,
    result: UniformQuantizedType,
    *,
    per_channel: bool,
) -> LinearParameters:
    """Choose the scales of a weight and quantize its bias.

    Args:
        weight: f32, output channels first.
        bias: f32, one element per output channel.
        source: parameters of the layer's input.
        result: parameters of its result.
        per_channel: whether each output channel has its own scale.
    """
    scales = choose_weight_scales(weight, 0 if per_channel else None)
    magnitudes = np.abs(np.zeros(len(weight)) if bias is None else bias.astype(np.float64))
    largest = magnitudes if per_channel else magnitudes.max(initial=0.0)
    rows = np.any(weight, axis=tuple(range(1, weight.ndim)))
    empty = ~rows if per_channel else not rows.any()
    scales = np.where(empty, np.maximum(largest, result.scale) / (source.scale * _EMPTY_CHANNEL_STEPS), scales)
    scales = np.maximum(scales, np.maximum(largest / BIAS_LIMIT, _SMALLEST_SCALE) / source.scale)
    scales = _storable(scales)
    bias_scales = source.scale * scales
    stored = None if bias is None else np.rint(bias.astype(np.float64) / bias_scales).astype(np.int32)
    if per_channel:
        return LinearParameters(
            uniform_per_axis(8, 0, scales, storage_min=-127), uniform_per_axis(32, 0, bias_scales), stored
        )
    return LinearParameters(uniform(8, float(scales), storage_min=-127), uniform(32, float(bias_scales)), stored)


def _storable(scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scales as float32 values, rounded up so that what fitted still fits."""
    narrow = scales.astype(np.float32)
    return np.where(narrow < scales, np.nextafter(narrow, np.float32(np.inf)), narrow).astype(np.float64)
