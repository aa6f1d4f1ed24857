"""Resampling, choosing and looking up stored values: TOSA's integer formulas, and the elements themselves."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, i1, i64

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform

KIND = uniform(8, 0.25, 5)

RESIZES = [
    # input rows and columns, result rows and columns, step, offset, unit of each
    ((4, 4), (8, 8), (1, 1), (0, 0), (2, 2)),
    ((4, 3), (8, 9), (2, 2), (-1, -2), (4, 6)),
    ((5, 5), (3, 7), (10, 5), (2, -1), (6, 7)),
    ((1, 1), (4, 4), (1, 1), (0, 0), (4, 4)),
]


def bilinear(x: np.ndarray, row: tuple[int, int, int], column: tuple[int, int, int]) -> tuple[int, int]:
    """TOSA RESIZE at one position in Python integers: the accumulator, and what it is divided by."""
    total, units = 0, 1
    corners: list[list[tuple[int, int]]] = []
    for numerator, unit, size in (row, column):
        whole, rest = numerator // unit, numerator % unit
        corners.append([(min(max(whole, 0), size - 1), unit - rest), (min(max(whole + 1, 0), size - 1), rest)])
        units *= unit
    for y, weight_y in corners[0]:
        for z, weight_z in corners[1]:
            total += int(x[y, z]) * weight_y * weight_z
    return total, units


@pytest.mark.parametrize(("source", "target", "steps", "offsets", "units"), RESIZES)
def test_linear_resize_is_that_of_tosa(run_op, tosa, source, target, steps, offsets, units):
    x = np.random.default_rng(0).integers(-128, 128, (1, *source, 2)).astype(np.int8)
    result = TensorType(KIND, (1, *target, 2))
    actual = run_op(
        lambda v: nn.ResizeOp(v, result, mode="linear", steps=steps, offsets=offsets, units=units), (x, KIND)
    )
    for i, j, c in np.ndindex(*target, 2):
        row = i * steps[0] + offsets[0], units[0], source[0]
        column = j * steps[1] + offsets[1], units[1], source[1]
        total, divisor = bilinear(x[0, :, :, c], row, column)
        assert actual[0, i, j, c] == tosa.apply_scale_32(total, *tosa.multiplier(1 / divisor))


def test_linear_resize_of_16_bits_stays_within_one_step(run_op):
    kind = uniform(16, 0.01)
    x = np.random.default_rng(0).integers(-32768, 32768, (1, 6, 6, 1)).astype(np.int16)
    result = TensorType(kind, (1, 11, 11, 1))
    actual = run_op(
        lambda v: nn.ResizeOp(v, result, mode="linear", steps=(5, 5), offsets=(0, 0), units=(10, 10)), (x, kind)
    )
    position = np.arange(11) / 2
    low, high = np.floor(position).astype(int), np.minimum(np.floor(position).astype(int) + 1, 5)
    part = (position - low)[:, None]
    rows = x[0, low, :, 0] * (1 - part) + x[0, high, :, 0] * part
    exact = rows[:, low] * (1 - part.T) + rows[:, high] * part.T
    assert np.abs(actual[0, :, :, 0] - exact).max() <= 1.1


def test_select(run_op):
    condition = np.array([[True], [False]])
    a, b = np.array([[1, 2, 3]], np.int8), np.array([[-1, -2, -3]], np.int8)
    actual = run_op(
        lambda c, x, y: nn.SelectOp(c, x, y, TensorType(KIND, (2, 3))), (condition, i1), (a, KIND), (b, KIND)
    )
    assert actual.tolist() == [[1, 2, 3], [-1, -2, -3]]


def test_gather(run_op):
    table, indices = np.arange(12).reshape(4, 3).astype(np.int8), np.array([3, 0, -1])
    actual = run_op(lambda x, i: nn.GatherOp(x, i, 0), (table, KIND), (indices, i64))
    assert actual.tolist() == [[9, 10, 11], [0, 1, 2], [9, 10, 11]]
