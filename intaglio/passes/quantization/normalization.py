"""Integer scales and offsets of normalizations.

The scale has 16 bits, the offset the unit in which the product of a normalized element and its scale is. An offset too
large for that unit makes it coarser, and the scales with it, until the offset is at most `2^30` (`2^46` for 16-bit
results) and leaves the accumulator as much again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intaglio.dialects.quant import UniformQuantizedType, uniform
from intaglio.numerics.normalization import normalized_fraction_bits
from intaglio.passes.quantization.units import norm_scale_unit

_OFFSET_LIMIT = {8: 1 << 30, 16: 1 << 46}

_ALONE_BITS = 20
"""Of the largest offset when all scales are zero."""

_LARGEST_UNIT = 2.0**120


@dataclass(frozen=True)
class NormParameters:
    """Types and stored values of a normalization's scale and, if it has one, offset."""

    scale_type: UniformQuantizedType
    scale: np.ndarray
    offset_type: UniformQuantizedType
    offset: np.ndarray | None


def quantize_norm(scale: np.ndarray, offset: np.ndarray | None, result_bits: int) -> NormParameters:
    """Quantize the parameters of a normalization.

    Args:
        scale: f32, one for each element along the axis.
        offset: likewise, or None.
        result_bits: width of the result, 8 or 16.
    """
    fraction = normalized_fraction_bits(len(scale), result_bits)
    largest = 0.0 if offset is None else float(np.abs(offset.astype(np.float64)).max(initial=0.0))
    unit = norm_scale_unit(scale) if np.any(scale) or not largest else largest * 2.0 ** (fraction - _ALONE_BITS)
    needed = largest / _OFFSET_LIMIT[result_bits] * 2.0**fraction
    unit = float(np.nextafter(np.float32(min(max(unit, needed), _LARGEST_UNIT)), np.float32(np.inf)))
    offset_unit = unit * 2.0**-fraction
    return NormParameters(
        uniform(16, unit),
        np.clip(np.rint(scale.astype(np.float64) / unit), -32767, 32767).astype(np.int16),
        uniform(32 if result_bits == 8 else 48, offset_unit),
        None
        if offset is None
        else np.rint(offset.astype(np.float64) / offset_unit).astype(np.int32 if result_bits == 8 else np.int64),
    )
