"""Transposed convolutions as convolutions of step 1, one for each place of a result element between two input elements.

Element `o = q * stride + i` of the result meets input `r = q + u` through tap `t` of the kernel where
`t * dilation = i + before - u * stride`. For each of the `stride` phases `i` that is a convolution with the few taps
that fit; all phases have one window over the input, in which taps that do not occur are zero, and are the output
channels of one layer: row phase, then column phase, then channel. Their results lie in rows `q * stride + i` of the
tensor, which is where the requantization writes them (`MatrixLayer.phases`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from intaglio.dialects import nn
from intaglio.lowering.tiling.geometry import Axis, Window, divide_up
from intaglio.lowering.tiling.layers import Array, Layer, MatrixLayer, MoveLayer, Source, Tensor, as_image
from intaglio.lowering.tiling.values import (
    bounds_of,
    constant_of,
    element_bytes_of,
    linear_parameters,
    shape_of,
    zero_point_of,
)
from intaglio.targets.boxes import in_bytes, sliced

Taps = dict[tuple[int, int], int]
"""For each phase and place in the window the tap of the kernel; pairs without one are left out."""


def phase_taps(kernel: int, stride: int, dilation: int, before: int) -> tuple[Axis, Taps]:
    """The window of a transposed convolution along one dimension, and the tap at each phase and place in it."""
    found = {
        (phase, (phase + before - tap * dilation) // stride): tap
        for phase in range(stride)
        for tap in range(kernel)
        if (phase + before - tap * dilation) % stride == 0
    }
    places = [place for _, place in found]
    first, last = min(places), max(places)
    taps = {(phase, place - first): tap for (phase, place), tap in found.items()}
    return Axis(last - first + 1, 1, 1, -first), taps


def phase_weights(weight: Array, groups: int, rows: tuple[int, int, Taps], columns: tuple[int, int, Taps]) -> Array:
    """Weights `O, KH, KW, C / groups` of a transposed convolution as those of its phases, without groups.

    Args:
        weight: int8 or int16.
        groups: of the convolution.
        rows: phases, places in the window, and taps, along rows.
        columns: along columns.

    Returns:
        `phases * O, places, places, C`.
    """
    outputs, _, _, per_group = weight.shape
    (stride_y, places_y, taps_y), (stride_x, places_x, taps_x) = rows, columns
    result = np.zeros((stride_y, stride_x, outputs, places_y, places_x, groups, per_group), weight.dtype)
    output = np.arange(outputs, dtype=np.int64)
    for (phase_y, place_y), tap_y in taps_y.items():
        for (phase_x, place_x), tap_x in taps_x.items():
            group = output // (outputs // groups)
            result[phase_y, phase_x, output, place_y, place_x, group] = weight[:, tap_y, tap_x]
    return result.reshape(stride_y * stride_x * outputs, places_y, places_x, groups * per_group)


def read_conv_transpose(
    op: nn.ConvTranspose2dOp, source: Callable[..., Source], output: Callable[[], Tensor]
) -> list[Layer]:
    """The layer of a transposed convolution, and one that cuts off what the last phases have too much."""
    weight = constant_of(op.weight)
    images, height, width, channels = shape_of(op.result)
    strides, dilations, pads = (values.get_values() for values in (op.strides, op.dilations, op.pads))
    (y, taps_y), (x, taps_x) = (phase_taps(weight.shape[1 + k], strides[k], dilations[k], pads[k]) for k in range(2))
    rows, columns = divide_up(height, strides[0]), divide_up(width, strides[1])
    full = (images, rows * strides[0], columns * strides[1], channels)
    whole = full == (images, height, width, channels)
    phases, size = strides[0] * strides[1], element_bytes_of(op.result)
    phased = phase_weights(weight, op.groups.value.data, (strides[0], y.kernel, taps_y), (strides[1], x.kernel, taps_x))
    result = output()
    computed = result if whole else Tensor(math.prod(full) * size, element_bytes=size)
    layer = MatrixLayer(
        op.location,
        (source(op.input, as_image(shape_of(op.input))),),
        computed,
        (images, rows, columns, phases * channels),
        window=Window(y, x),
        weight=phased,
        parameters=linear_parameters(op, phased, phases),
        input_zero_point=zero_point_of(op.input),
        zero_point=zero_point_of(op.result),
        bounds=bounds_of(op.result, op.clamp),
        groups=1,
        phases=(strides[0], strides[1]),
    )
    if whole:
        return [layer]
    moved = sliced(full, (0, 0, 0, 0), (1, 1, 1, 1), (images, height, width, channels))
    dimensions, boxes = in_bytes(*moved, size)
    cut = MoveLayer(
        op.location,
        (Source(computed, full),),
        result,
        (images, height, width, channels),
        dimensions=dimensions,
        boxes=tuple(boxes),
    )
    return [layer, cut]
