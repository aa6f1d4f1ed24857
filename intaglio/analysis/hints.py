"""What to try on a layer that quantization damages, from what its error looks like.

The causes are tried in the order in which they are cheap to mend: an offset costs nothing to correct, a range is a
number, equalization changes weights only, and more bits cost time on the accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass

HEALTHY_DB = 30.0
"""Local SQNR from which nothing need be done: the noise is a thousandth of the signal."""

LARGE_SHARE = 0.3
"""Share of the squared error that one cause must have to be named."""

UNEVEN = 8.0
"""How many times the strongest channel exceeds the median one where a scale for all of them loses 3 bits in that."""


@dataclass(frozen=True)
class Symptoms:
    """What is known of a layer's error in local feed.

    Attributes:
        sqnr_db: its signal-to-noise ratio.
        bias_share: the share of the squared error that one constant for each channel takes away.
        clipped_share: the share of the squared error on values outside the representable range.
        has_bias: whether the layer adds a bias, which can be corrected.
        weight_spread: for one scale for a whole weight, the strongest output channel against the median one, else 1.
        input_spread: the same of the channels of the input.
        result_spread: the same of the channels of the result.
        bits: of the stored result; 0 for floats.
    """

    sqnr_db: float
    bias_share: float = 0.0
    clipped_share: float = 0.0
    has_bias: bool = False
    weight_spread: float = 1.0
    input_spread: float = 1.0
    result_spread: float = 1.0
    bits: int = 8


def hint_of(symptoms: Symptoms) -> str | None:
    """What to try, or None when the layer is healthy or nothing is known to help.

    Args:
        symptoms: see there.
    """
    if symptoms.sqnr_db >= HEALTHY_DB or not symptoms.bits:
        return None
    if symptoms.has_bias and symptoms.bias_share > LARGE_SHARE:
        return f"bias correction: {symptoms.bias_share:.0%} of the error is an offset of channels"
    if symptoms.clipped_share > LARGE_SHARE:
        return f"wider range: {symptoms.clipped_share:.0%} of the error is on values cut off"
    if symptoms.weight_spread > UNEVEN:
        return f"equalize, or per-channel weights: channels of the weight differ {symptoms.weight_spread:.0f} times"
    spread = max(symptoms.input_spread, symptoms.result_spread)
    if spread > UNEVEN:
        where = "input" if symptoms.input_spread >= symptoms.result_spread else "result"
        return f"equalize: channels of the {where} differ {spread:.0f} times"
    return "int16" if symptoms.bits <= 8 else None
