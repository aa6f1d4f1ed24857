"""Real bounds of a fused activation as stored bounds."""

from __future__ import annotations

from intaglio.numerics.quantization import quantize


def clamp_bounds(
    clamp_min: float | None, clamp_max: float | None, scale: float, zero_point: int, qmin: int, qmax: int
) -> tuple[int, int]:
    """Stored bounds for a clamp in real values: each bound quantized like a value.

    Because quantization is monotonic, clamping stored values to these bounds never moves a value that a clamp
    before quantization would have left alone.

    Args:
        clamp_min: lower real bound; None or minus infinity for none.
        clamp_max: upper real bound; None or infinity for none.
        scale: of the clamped tensor.
        zero_point: of the clamped tensor.
        qmin: smallest stored value.
        qmax: largest stored value.

    Returns:
        `(low, high)` within `[qmin, qmax]`.

    Source: TensorFlow Lite `kernels/kernel_util.cc`, `CalculateActivationRangeQuantized`.
    """
    low = qmin if clamp_min is None else int(quantize(clamp_min, scale, zero_point, qmin, qmax, "int64"))
    high = qmax if clamp_max is None else int(quantize(clamp_max, scale, zero_point, qmin, qmax, "int64"))
    return low, high
