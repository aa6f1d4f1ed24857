"""Quantized types of moved tensors: every element keeps its scale and zero point."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import f32, i8

from intaglio.dialects.quant import (
    UniformQuantizedSubChannelType,
    UniformType,
    reshaped,
    transposed,
    uniform,
    uniform_per_axis,
)

SHAPE = (2, 3, 4)
KINDS: list[UniformType] = [
    uniform(8, 0.5, 3),
    uniform_per_axis(8, 1, [0.5, 0.25, 2.0], [1, -2, 3]),
    UniformQuantizedSubChannelType(
        i8, f32, {0: 1, 1: 3, 2: 2}, np.array([[[0.5, 0.25]], [[1.0, 2.0]]]), np.array([[[1, 2]], [[3, 4]]])
    ),
]


def parameters(kind: UniformType, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    scales, zero_points = kind.broadcast_parameters(shape)
    return np.broadcast_to(scales, shape), np.broadcast_to(zero_points, shape)


@pytest.mark.parametrize("kind", KINDS, ids=["tensor", "axis", "block"])
@pytest.mark.parametrize("permutation", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_transposed(kind: UniformType, permutation: tuple[int, ...]):
    moved = transposed(kind, permutation)
    moved.verify()
    shape = tuple(SHAPE[axis] for axis in permutation)
    for before, after in zip(parameters(kind, SHAPE), parameters(moved, shape), strict=True):
        np.testing.assert_array_equal(after, before.transpose(permutation))


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 1, 4), (1, 2, 3, 4), (2, 3, 2, 2)])
def test_reshaped_where_the_axis_stays(shape: tuple[int, ...]):
    for kind in KINDS[:2]:
        moved = reshaped(kind, SHAPE, shape)
        assert moved is not None
        for before, after in zip(parameters(kind, SHAPE), parameters(moved, shape), strict=True):
            np.testing.assert_array_equal(after, before.reshape(shape))


def test_no_type_where_the_axis_does_not_stay():
    assert reshaped(KINDS[1], SHAPE, (6, 4)) is None
    assert reshaped(KINDS[1], SHAPE, (3, 2, 4)) is None
    assert reshaped(KINDS[2], SHAPE, (2, 12)) is None
