"""Ratios that round as float32 kernels do, by trying every accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.numerics.float_ratios import ratios_as_in_float32
from intaglio.numerics.requantization import quantize_multiplier, requantize

RATIOS = np.exp(np.random.default_rng(0).uniform(np.log(2e-3), np.log(0.5), 60)).astype(np.float32)


def float_kernel(accumulators: np.ndarray, ratio: np.float32, zero_point: int) -> np.ndarray:
    """Scale in float32, round half to even, as MLAS of onnxruntime does."""
    return np.clip(np.rint(accumulators.astype(np.float32) * ratio) + zero_point, -128, 127)


def differences(ratio: float, single: np.float32, zero_point: int) -> int:
    reach = int(260 / single)
    accumulators = np.arange(-reach, reach + 1)
    integers = requantize(accumulators, *quantize_multiplier(ratio), zero_point, -128, 127)
    return int(np.sum(integers != float_kernel(accumulators, single, zero_point)))


@pytest.mark.parametrize("zero_point", [-128, 3])
def test_every_accumulator_is_rounded_alike_with_nearly_all_ratios(zero_point: int):
    found = ratios_as_in_float32(RATIOS, zero_point, -128, 127)
    np.testing.assert_allclose(found, RATIOS, rtol=2e-7)
    plain = [differences(float(ratio), ratio, zero_point) for ratio in RATIOS]
    moved = [differences(float(new), ratio, zero_point) for new, ratio in zip(found, RATIOS, strict=True)]
    assert all(new <= old for new, old in zip(moved, plain, strict=True))
    assert sum(moved) * 3 < sum(plain)
    assert np.mean(np.array(moved) == 0) > 0.9


def test_a_ratio_is_what_a_multiplier_gives_back():
    found = ratios_as_in_float32(RATIOS, 0, -128, 127)
    multipliers, shifts = quantize_multiplier(found)
    np.testing.assert_array_equal(multipliers / np.exp2(shifts), found)


def test_the_shape_is_kept():
    assert ratios_as_in_float32(np.float32(0.25), 0, -128, 127).shape == ()
    assert ratios_as_in_float32(RATIOS.reshape(6, 10), 0, -128, 127).shape == (6, 10)


def test_a_ratio_out_of_range_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        ratios_as_in_float32([0.0], 0, -128, 127)
