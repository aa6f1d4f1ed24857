"""Softmax and normalizations in integers against the real functions in double precision, to within rounding.

The reference is computed from the real values that the stored ones stand for. The integer result is that, rounded
once, with at most a twenty-fifth of a step on top (1.5 of those of 16 bits, which are 256 times as fine).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f64, i64

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType, uniform
from intaglio.passes.quantization.normalization import quantize_norm

SLACK = {8: 0.04, 16: 1.5}


def random_stored(rng: np.random.Generator, kind: UniformQuantizedType, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.int8 if kind.storage_min == -128 else np.int16
    return rng.integers(kind.storage_min, kind.storage_max + 1, shape).astype(dtype)


def real(stored: np.ndarray, kind: UniformQuantizedType) -> np.ndarray:
    return kind.scale * (stored.astype(np.float64) - kind.zero_point)


def assert_rounded(actual: np.ndarray, exact: np.ndarray, kind: UniformQuantizedType, slack: float) -> None:
    """The stored result is the real one in steps, limited, to half a step and some slack."""
    steps = np.clip(exact / kind.scale + kind.zero_point, kind.storage_min, kind.storage_max)
    assert np.abs(actual - steps).max() <= 0.5 + slack


def result_type(bits: int, largest: float, zero_point: int = 0) -> UniformQuantizedType:
    return uniform(bits, float(np.float32(largest / (1 << (bits - 1)))), zero_point)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("scale", [0.002, 0.05, 0.4])
def test_softmax(run_op, bits, axis, scale):
    source = uniform(bits, scale * (1 if bits == 8 else 2**-8), 5 if bits == 8 else 0)
    # Probabilities up to 1, as TensorFlow Lite stores them.
    result = uniform(8, 1 / 256, -128) if bits == 8 else uniform(16, 1 / 32768)
    stored = random_stored(np.random.default_rng(0), source, (3, 50, 7))
    actual = run_op(lambda v: nn.SoftmaxOp(v, axis, TensorType(result, v.type.get_shape())), (stored, source))
    exponentials = np.exp(real(stored, source))
    # 16-bit exponentials are products of two rounded numbers.
    slack = 0.01 if bits == 8 else 2
    assert_rounded(actual, exponentials / exponentials.sum(axis, keepdims=True), result, slack)


def test_softmax_of_many(run_op):
    source, result = uniform(8, 0.1), uniform(8, 2.0**-16, -128)
    stored = random_stored(np.random.default_rng(1), source, (1, 20_000))
    actual = run_op(lambda v: nn.SoftmaxOp(v, 1, TensorType(result, (1, 20_000))), (stored, source))
    exponentials = np.exp(real(stored, source))
    assert_rounded(actual, exponentials / exponentials.sum(), result, 2)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ([[-128, -128, -128, -128]], [[-64, -64, -64, -64]]),
        ([[-128, 127]], [[-128, 127]]),
        ([[17]], [[127]]),
    ],
)
def test_softmax_of_extremes(run_op, stored, expected):
    """Equal elements share evenly, an element far below gets nothing, and 1 saturates at 127."""
    source, result = uniform(8, 0.25, 3), uniform(8, 1 / 256, -128)
    array = np.array(stored, np.int8)
    actual = run_op(lambda v: nn.SoftmaxOp(v, 1, TensorType(result, array.shape)), (array, source))
    assert actual.tolist() == expected


def normalize(run_op, stored, source, result, scale, offset, epsilon, axis):
    """Run a layer norm (or with no offset an RMS norm) and return its result and the real function's."""
    bits = 8 if result.storage_max == 127 else 16
    parameters = quantize_norm(scale, offset, bits)
    arguments = [(stored, source), (parameters.scale, parameters.scale_type)]
    x = np.moveaxis(real(stored, source), axis, -1)
    if parameters.offset is not None:
        arguments.append((parameters.offset, parameters.offset_type))
        x = x - x.mean(-1, keepdims=True)
    kind = nn.LayerNormOp if offset is not None else nn.RmsNormOp

    properties = {"axis": IntegerAttr(axis, i64), "epsilon": FloatAttr(epsilon, f64)}

    def build(*values):
        types = [TensorType(result, stored.shape)]
        return kind.create(operands=values, properties=dict(properties), result_types=types)

    exact = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * scale + (0 if offset is None else offset)
    return run_op(build, *arguments), np.moveaxis(exact, -1, axis)


@pytest.mark.parametrize("count", [2, 3, 16, 64, 100, 768])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("with_offset", [True, False])
def test_norms(run_op, count, bits, with_offset):
    rng = np.random.default_rng(count)
    source = uniform(bits, 0.03, -17 if bits == 8 else 0)
    stored = random_stored(rng, source, (5, count))
    scale = rng.normal(size=count).astype(np.float32)
    offset = rng.normal(size=count).astype(np.float32) if with_offset else None
    result = result_type(bits, 6.0, 9 if bits == 8 else 0)
    actual, exact = normalize(run_op, stored, source, result, scale, offset, 1e-5, 1)
    assert_rounded(actual, exact, result, SLACK[bits])


@pytest.mark.parametrize("axis", [0, 1])
def test_norm_axes(run_op, axis):
    rng = np.random.default_rng(3)
    source, result = uniform(8, 0.01, 4), result_type(8, 4.0)
    stored = random_stored(rng, source, (6, 8))
    scale, offset = rng.normal(size=(2, stored.shape[axis])).astype(np.float32)
    actual, exact = normalize(run_op, stored, source, result, scale, offset, 1e-5, axis)
    assert_rounded(actual, exact, result, SLACK[8])


def test_norm_of_a_small_deviation_around_a_large_mean(run_op):
    """One step of difference among elements far from zero: a rounded mean would lose it."""
    source, result = uniform(8, 1.0, -128), result_type(8, 16.0)
    stored = np.full((1, 200), 126, np.int8)
    stored[0, 7] = 127
    ones, zeros = np.ones(200, np.float32), np.zeros(200, np.float32)
    actual, exact = normalize(run_op, stored, source, result, ones, zeros, 1e-6, 1)
    assert exact.max() == pytest.approx(math.sqrt(199), rel=1e-3)
    assert_rounded(actual, exact, result, SLACK[8])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rows_without_variance(run_op, scale):
    """Nothing divides by zero: the result is the offset, whatever the scale of the input."""
    source, result = uniform(8, scale), result_type(8, 4.0)
    ones, offset = np.ones(4, np.float32), np.array([1.0, -1.0, 0.5, 0.0], np.float32)
    stored = np.full((2, 4), 100, np.int8)
    actual, _ = normalize(run_op, stored, source, result, ones, offset, 1e-5, 1)
    assert actual.tolist() == [[32, -32, 16, 0]] * 2


def test_large_epsilon(run_op):
    source, result = uniform(8, 1e-3), result_type(8, 1e-3)
    stored = random_stored(np.random.default_rng(0), source, (3, 16))
    ones, zeros = np.ones(16, np.float32), np.zeros(16, np.float32)
    actual, exact = normalize(run_op, stored, source, result, ones, zeros, 1e3, 1)
    assert np.abs(exact).max() < 0.01
    # A normalized element has 13 bits after the point, which are 16 of these steps.
    assert np.abs(actual - np.clip(exact / result.scale, -128, 127)).max() <= 9


@pytest.mark.parametrize(
    ("scale", "offset"),
    [([0.0, 0.0], [0.5, -2.0]), ([1e-6, 1e-7], [0.5, -2.0]), ([0.0, 0.0], [0.0, 0.0]), ([1e-38, 3e-39], [0.0, 0.0])],
)
def test_scales_much_smaller_than_offsets(run_op, scale, offset):
    source, result = uniform(8, 0.1), result_type(8, 2.0)
    scales, offsets = np.array(scale, np.float32), np.array(offset, np.float32)
    stored = np.array([[100, -3]], np.int8)
    actual, exact = normalize(run_op, stored, source, result, scales, offsets, 1e-5, 1)
    assert_rounded(actual, exact, result, SLACK[8])
