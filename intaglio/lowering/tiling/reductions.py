"""Reductions as pooling, or as dense layers where the last dimension goes.

Dimensions that are kept or reduced together are one. What is then reduced in the middle is a window over rows; sums
along the last dimension are products with ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import LocationAttr

from intaglio.dialects import nn
from intaglio.dialects.npu import Bounds, Scale
from intaglio.lowering.tiling.geometry import Axis, Shape, Window
from intaglio.lowering.tiling.layers import (
    AveragePoolLayer,
    InterpolatedLayer,
    Layer,
    MatrixLayer,
    MaxPoolLayer,
    Parameters,
    RootLayer,
    Source,
    TableLayer,
    Tensor,
)
from intaglio.lowering.tiling.values import element_bytes_of, quantization_of, scale_of, shape_of
from intaglio.lowering.tiling.vector import full_bounds
from intaglio.numerics.fixed_point import ROOT_FRACTION_BITS
from intaglio.numerics.requantization import average_multiplier
from intaglio.targets.instructions import INTERPOLATED_ENTRIES

Sources = Callable[..., Source]
Output = Callable[[], Tensor]

FULL = Bounds(-128, 127)
_COMPLEMENT = np.arange(127, -129, -1).astype(np.int8)
"""The table of `-1 - x`, which turns the order around."""

_WIDE_COMPLEMENT = (16_384 - 64 * np.arange(INTERPOLATED_ENTRIES)).astype(np.int16)
_WIDE_COMPLEMENT_SCALE = Scale(1 << 30, 36, -1)
"""The same for two bytes: half of `-x` at the entries, of which interpolation makes `-64 * x`; a 64th of it, less 1, is
exact."""


def reduced_image(op: nn.ReduceOp) -> tuple[Shape, Window, Shape]:
    """The input as `N, H, W, C`, the window over it that is reduced, and the result.

    Constraints see to it that the reduced dimensions are neighbours.
    """
    shape, axes = shape_of(op.input), set(op.axes.get_values())
    reduced = [axis for axis in sorted(axes) if shape[axis] > 1]
    before = math.prod(shape[: reduced[0]]) if reduced else math.prod(shape)
    count = math.prod(shape[axis] for axis in reduced)
    after = math.prod(shape) // (before * count)
    if after == 1:
        return (1, before, count, 1), Window(x=Axis(count)), (1, before, 1, 1)
    return (before, count, 1, after), Window(y=Axis(count)), (before, 1, 1, after)


def read_sum(op: nn.ReduceSumOp | nn.ReduceMeanOp, source: Sources, output: Output) -> Layer:
    """A sum, or a sum over the number of its elements."""
    kind, result = quantization_of(op.input), quantization_of(op.result)
    image, window, shape = reduced_image(op)
    count = window.y.kernel * window.x.kernel
    if isinstance(op, nn.ReduceMeanOp):
        scale = Scale(*average_multiplier(count, kind.scale, result.scale), result.zero_point)
    else:
        scale = scale_of(kind.scale / result.scale, result.zero_point)
    bounds = Bounds(result.storage_min, result.storage_max)
    if window.x.kernel > 1:
        rows = image[1]
        return MatrixLayer(
            op.location,
            (source(op.input, (1, rows, 1, count)),),
            output(),
            (1, rows, 1, 1),
            weight=np.ones((1, 1, 1, count), np.int8),
            parameters=Parameters(
                *(np.array([number], np.int32) for number in (-kind.zero_point * count, scale.multiplier, scale.shift))
            ),
            input_zero_point=kind.zero_point,
            zero_point=result.zero_point,
            bounds=bounds,
            groups=1,
        )
    return AveragePoolLayer(
        op.location,
        (source(op.input, image),),
        output(),
        shape,
        window=window,
        scale=scale,
        input_zero_point=kind.zero_point,
        bounds=bounds,
    )


def read_root(op: nn.ReduceL2Op, source: Sources, output: Output) -> Layer:
    """The root of a sum of squares."""
    kind, result = quantization_of(op.input), quantization_of(op.result)
    fraction = ROOT_FRACTION_BITS[8 * element_bytes_of(op.input)]
    image, window, shape = reduced_image(op)
    return RootLayer(
        op.location,
        (source(op.input, image),),
        output(),
        shape,
        window=window,
        scale=scale_of(kind.scale * 2.0**-fraction / result.scale, result.zero_point),
        input_zero_point=kind.zero_point,
        bounds=Bounds(result.storage_min, result.storage_max),
    )


def read_extreme(op: nn.ReduceMaxOp | nn.ReduceMinOp, source: Sources, output: Output) -> list[Layer]:
    """The largest element; the smallest is the complement of the largest complement."""
    image, window, shape = reduced_image(op)
    given, result = source(op.input, image), output()
    if isinstance(op, nn.ReduceMaxOp):
        return [MaxPoolLayer(op.location, (given,), result, shape, window=window)]
    width = given.tensor.element_bytes
    turned, largest = (Tensor(math.prod(size) * width, element_bytes=width) for size in (image, shape))
    return [
        _complement(op.location, given, turned, image),
        MaxPoolLayer(op.location, (Source(turned, image),), largest, shape, window=window),
        _complement(op.location, Source(largest, shape), result, shape),
    ]


def _complement(location: LocationAttr, given: Source, made: Tensor, shape: Shape) -> Layer:
    """The layer of `-1 - x`."""
    if given.tensor.element_bytes == 1:
        return TableLayer(location, (given,), made, shape, table=_COMPLEMENT)
    return InterpolatedLayer(
        location, (given,), made, shape, table=_WIDE_COMPLEMENT, scale=_WIDE_COMPLEMENT_SCALE, bounds=full_bounds(2)
    )
