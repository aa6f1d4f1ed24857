"""Scales of weights and biases: ordinary channels, large biases, and channels of zeros."""

import numpy as np
import pytest

from intaglio.dialects.quant import uniform
from intaglio.passes.quantization.linear import BIAS_LIMITS, quantize_linear

SOURCE, RESULT = uniform(8, 0.5), uniform(8, 0.25)


def test_scale_and_bias_of_ordinary_channels():
    weight = np.array([[127.0, -1.0], [-2.0, 63.5]], np.float32)
    found = quantize_linear(weight, np.array([1.0, -2.0], np.float32), SOURCE, RESULT, per_channel=True)
    assert found.weight_type.scales.tolist() == [1.0, 0.5]
    assert (found.weight_type.storage_min, found.weight_type.storage_max) == (-127, 127)
    assert found.bias_type.scales.tolist() == [0.5, 0.25]
    assert found.bias is not None and found.bias.tolist() == [2, -8] and found.bias.dtype == np.int32
    whole = quantize_linear(weight, None, SOURCE, RESULT, per_channel=False)
    assert whole.bias is None and float(whole.weight_type.scales) == 1.0 and float(whole.bias_type.scales) == 0.5


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_bias_too_large_for_its_integers_enlarges_the_scale(per_channel: bool):
    weight = np.array([[1e-6], [1.0]], np.float32)
    bias = np.array([1e6, 1.0], np.float32)
    found = quantize_linear(weight, bias, SOURCE, RESULT, per_channel=per_channel)
    scales = np.broadcast_to(found.bias_type.scales, 2)
    assert found.bias is not None and np.abs(found.bias).max() <= BIAS_LIMITS[32]
    np.testing.assert_allclose(found.bias * scales, bias, rtol=1e-6, atol=float(scales.max()))
    if per_channel:
        assert found.weight_type.scales[1] == np.float32(1 / 127)


def test_a_channel_of_zeros_gives_its_bias_exactly_rounded():
    weight = np.zeros((3, 4), np.float32)
    bias = np.array([0.3, -7.0, 0.0], np.float32)
    found = quantize_linear(weight, bias, SOURCE, RESULT, per_channel=True)
    assert found.bias is not None
    # Far below a step of the result, which is 0.25.
    np.testing.assert_allclose(found.bias * found.bias_type.scales, bias, atol=1e-5)
    ratios = found.bias_type.scales / RESULT.scale
    assert np.all((ratios > 2.0**-32) & (ratios < 2.0**29))


def test_tiny_weights_have_scales_that_types_can_hold():
    weight = np.full((1, 1), 1e-38, np.float32)
    found = quantize_linear(weight, np.zeros(1, np.float32), uniform(8, 1e-6), RESULT, per_channel=True)
    assert found.bias_type.scales[0] >= np.finfo(np.float32).tiny
