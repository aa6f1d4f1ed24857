"""Transposed convolution, element by element: floats in double precision, integers by TOSA's formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform, uniform_per_axis

CASES = [
    # channels, outputs, groups, kernel, strides, pads, dilations
    (3, 2, 1, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
    (4, 6, 2, (3, 2), (2, 1), (1, 0, -1, 1), (1, 2)),
    (2, 2, 2, (1, 3), (1, 3), (-1, 2, 0, 0), (1, 1)),
]


def spread(x: np.ndarray, w: np.ndarray, case: tuple) -> np.ndarray:
    """Each product added to the place it reaches, if that is part of the result."""
    channels, outputs, groups, kernel, strides, pads, dilations = case
    batch, rows, columns, _ = x.shape
    size = [
        (x.shape[1 + k] - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1 - pads[k] - pads[k + 2] for k in (0, 1)
    ]
    result = np.zeros((batch, *size, outputs), np.result_type(x, w))
    depth, per_group = channels // groups, outputs // groups
    for n, y, z, o in itertools.product(range(batch), range(rows), range(columns), range(outputs)):
        first = o // per_group * depth
        for i, j in itertools.product(*map(range, kernel)):
            place = y * strides[0] + i * dilations[0] - pads[0], z * strides[1] + j * dilations[1] - pads[1]
            if all(0 <= at < limit for at, limit in zip(place, size, strict=True)):
                result[n, *place, o] += x[n, y, z, first : first + depth] @ w[o, i, j]
    return result


def build(case: tuple, kind: TensorType):
    _, _, groups, _, strides, pads, dilations = case
    return lambda *values: nn.ConvTranspose2dOp(
        *values, kind, strides=strides, pads=pads, dilations=dilations, groups=groups
    )


@pytest.mark.parametrize("case", CASES)
def test_floats(run_op, case):
    rng = np.random.default_rng(0)
    channels, outputs, groups, kernel = case[:4]
    x = rng.normal(size=(2, 3, 4, channels)).astype(np.float32)
    w = rng.normal(size=(outputs, *kernel, channels // groups)).astype(np.float32)
    b = rng.normal(size=outputs).astype(np.float32)
    expected = spread(x.astype(np.float64), w.astype(np.float64), case) + b
    actual = run_op(build(case, TensorType(f32, expected.shape)), x, w, b)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_integers(run_op, tosa, case):
    rng = np.random.default_rng(1)
    channels, outputs, groups, kernel = case[:4]
    scales = rng.uniform(0.002, 0.02, outputs)
    x_kind, y_kind = uniform(8, 0.05, -7), uniform(8, 0.03, 11)
    w_kind = uniform_per_axis(8, 0, scales, storage_min=-127)
    b_kind = uniform_per_axis(32, 0, 0.05 * scales)
    x = rng.integers(-128, 128, (1, 3, 4, channels)).astype(np.int8)
    w = rng.integers(-127, 128, (outputs, *kernel, channels // groups)).astype(np.int8)
    b = rng.integers(-3000, 3000, outputs).astype(np.int32)
    total = spread(x.astype(np.int64) - x_kind.zero_point, w.astype(np.int64), case) + b
    actual = run_op(build(case, TensorType(y_kind, total.shape)), (x, x_kind), (w, w_kind), (b, b_kind))
    for index in np.ndindex(*total.shape):
        ratio = x_kind.scale * scales[index[-1]] / y_kind.scale
        assert actual[index] == tosa.rescale(int(total[index]), ratio, y_kind)
