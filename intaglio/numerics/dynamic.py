"""Quantization by the range that values have when they are at hand: ONNX DynamicQuantizeLinear, in signed bytes.

The range of the values, with zero, is spread over the 256 stored values. Everything is float32, so that whoever
computes it gets the same bytes:

```text
scale      = (max(x, 0) - min(x, 0)) / 255
zero_point = clamp(round_half_even(-min(x, 0) / scale), 0, 255) - 128
stored     = clamp(round_half_even(x / scale) + zero_point, -128, 127)
```

ONNX stores unsigned bytes, which are larger by 128. What it leaves open is defined here: NaN and infinities do not
count in the range, NaN is stored as zero, infinities saturate. Values that are all zero have the scale 1, and no scale
is subnormal or infinite.

Source: ONNX DynamicQuantizeLinear, opset 11.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.quantization import quantize

STEPS = 255
"""Of the range: one less than there are stored values."""

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)


def dynamic_parameters(x: npt.ArrayLike) -> tuple[float, int]:
    """Scale and zero point for values at hand; see the module.

    Args:
        x: values, taken as float32.

    Returns:
        The scale, exactly a float32, and the zero point for signed bytes.
    """
    values = np.asarray(x, np.float32)
    finite = np.where(np.isfinite(values), values, np.float32(0))
    low, high = finite.min(initial=0), finite.max(initial=0)
    with np.errstate(over="ignore"):
        width = np.float32(high - low)
    steps = np.float32(STEPS)
    scale = width / steps if np.isfinite(width) else high / steps - low / steps
    if high == low:
        return 1.0, -128
    scale = max(np.float32(scale), np.float32(SMALLEST_SCALE))
    return float(scale), int(np.clip(np.rint(-low / scale), 0, STEPS)) - 128


def quantize_dynamically(x: npt.ArrayLike) -> tuple[npt.NDArray[np.int8], float, int]:
    """Quantize values by their own range.

    Args:
        x: values, taken as float32.

    Returns:
        The stored values, their scale and zero point.
    """
    scale, zero_point = dynamic_parameters(x)
    stored: npt.NDArray[Any] = quantize(x, scale, zero_point, -128, 127, np.int8)
    return stored, scale, zero_point
