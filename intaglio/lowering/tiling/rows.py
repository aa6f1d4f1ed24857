"""Softmax and normalizations: layers whose results take all elements along one dimension, as channels.

Where that dimension is not the last one, a movement makes it the last, and another one brings it back.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import LocationAttr
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.dialects.npu import Bounds, Scale
from intaglio.lowering.tiling.emitter import UNIT, View
from intaglio.lowering.tiling.geometry import Block, Shape
from intaglio.lowering.tiling.layers import Array, Layer, MoveLayer, Source, Tensor
from intaglio.lowering.tiling.values import constant_of, element_bytes_of, quantization_of, scale_of, shape_of
from intaglio.lowering.tiling.vector import FAMILIES, KINDS, Constants, VectorTasks
from intaglio.numerics.normalization import normalized_fraction_bits, stored_epsilon
from intaglio.numerics.softmax import PROBABILITY_BITS, exponential_tables, fraction_bits
from intaglio.targets.boxes import in_bytes, permuted


@dataclass(eq=False)
class RowLayer(Layer, ABC):
    """A layer that needs all channels of a position for each of its results."""

    data: Array
    """The bytes of its constant."""

    scale: Scale
    bounds: Bounds

    def __post_init__(self) -> None:
        self.splits_channels = False

    @property
    def constant_bytes(self) -> int:
        """Bytes of the table or of factors and offsets."""
        return self.data.size

    def flattened(self, lanes: int) -> Layer:
        """The layer itself, whose positions are rows already."""
        return self


@dataclass(eq=False)
class SoftmaxLayer(RowLayer):
    """Exponentials over their sum."""

    fraction: int | None
    """Bits after the point of the tables' entries, where there are two."""


@dataclass(eq=False)
class NormalizeLayer(RowLayer):
    """Elements over their deviation, times a factor plus an offset."""

    input_zero_point: int
    epsilon: int
    around_mean: bool


def read_softmax(op: nn.SoftmaxOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> list[Layer]:
    """The layers of a softmax."""
    kind, result = quantization_of(op.input), quantization_of(op.result)
    count = shape_of(op.input)[op.axis.value.data]
    fraction, is_wide = fraction_bits(count), element_bytes_of(op.input) > 1
    upper, lower = exponential_tables(kind.scale, fraction)
    table = np.concatenate((lower, upper)) if is_wide else lower

    def make(location: LocationAttr, given: Source, made: Tensor, shape: Shape) -> Layer:
        return SoftmaxLayer(
            location,
            (given,),
            made,
            shape,
            data=table.astype("<i4").view(np.int8),
            scale=scale_of(2.0**-PROBABILITY_BITS / result.scale, result.zero_point),
            bounds=Bounds(result.storage_min, result.storage_max),
            fraction=fraction if is_wide else None,
        )

    return along_axis(op.location, op.input, op.axis.value.data, source, output, make)


def read_norm(op: nn.AxisNormOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> list[Layer]:
    """The layers of a layer normalization or one by the root mean square."""
    value, factor, *offset = op.operands
    kind, result, unit = quantization_of(value), quantization_of(op.result), quantization_of(factor)
    count, bits = shape_of(value)[op.axis.value.data], 8 * element_bytes_of(op.results[0])
    factors = constant_of(factor)
    offsets = constant_of(offset[0]) if offset else np.zeros(count, np.int64)
    ratio = unit.scale * 2.0 ** -normalized_fraction_bits(count, bits)

    def make(location: LocationAttr, given: Source, made: Tensor, shape: Shape) -> Layer:
        return NormalizeLayer(
            location,
            (given,),
            made,
            shape,
            data=_affine(factors, offsets, wide=bits > 8),
            scale=scale_of(ratio / result.scale, result.zero_point, wide=bits > 8),
            bounds=Bounds(result.storage_min, result.storage_max),
            input_zero_point=kind.zero_point,
            epsilon=stored_epsilon(op.epsilon.value.data, kind.scale, count),
            around_mean=isinstance(op, nn.LayerNormOp),
        )

    return along_axis(op.location, value, op.axis.value.data, source, output, make)


def _affine(factors: Array, offsets: Array, *, wide: bool) -> Array:
    """The bytes of factors and offsets, as `vector.normalize` reads them."""
    if not wide:
        return np.stack((factors.astype("<i4"), offsets.astype("<i4")), axis=1).reshape(-1).view(np.int8)
    records = np.zeros(len(factors), np.dtype([("offset", "<i8"), ("factor", "<i4"), ("rest", "<i4")]))
    records["offset"], records["factor"] = offsets, factors
    return records.view(np.int8)


def along_axis(
    location: LocationAttr,
    value: SSAValue,
    axis: int,
    source: Callable[..., Source],
    output: Callable[[], Tensor],
    make: Callable[[LocationAttr, Source, Tensor, Shape], Layer],
) -> list[Layer]:
    """A layer along a dimension, between movements that make it the last one."""
    sizes = shape_of(value)
    count, inner = sizes[axis], math.prod(sizes[axis + 1 :])
    outer = math.prod(sizes[:axis])
    shape = (1, outer * inner, 1, count)
    if inner == 1:
        return [make(location, source(value, shape), output(), shape)]
    before, after = (1, outer, count, inner), (1, outer, inner, count)
    given, result = source(value, before), output()
    turned, computed = (
        Tensor(math.prod(sizes) * width, element_bytes=width)
        for width in (given.tensor.element_bytes, result.element_bytes)
    )
    there = in_bytes(*permuted(before, (0, 1, 3, 2)), turned.element_bytes)
    back = in_bytes(*permuted(after, (0, 1, 3, 2)), result.element_bytes)
    return [
        MoveLayer(location, (given,), turned, after, dimensions=there[0], boxes=tuple(there[1])),
        make(location, Source(turned, shape), computed, shape),
        MoveLayer(location, (Source(computed, after),), result, before, dimensions=back[0], boxes=tuple(back[1])),
    ]


def _softmax(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, SoftmaxLayer) and loaded is not None
    tasks.emit(
        npu.SoftmaxOp,
        [loaded.buffer],
        sources[0],
        output,
        tile,
        table_offset=0,
        fraction=layer.fraction,
        result_scale=npu.ScaleAttr(layer.scale),
        bounds=npu.BoundsAttr(layer.bounds),
    )


def _normalize(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Constants | None) -> None:
    layer = tasks.layer
    assert isinstance(layer, NormalizeLayer) and loaded is not None
    tasks.emit(
        npu.NormalizeOp,
        [loaded.buffer],
        sources[0],
        output,
        tile,
        factors_offset=0,
        epsilon=layer.epsilon,
        around_mean=UNIT if layer.around_mean else None,
        result_scale=npu.ScaleAttr(layer.scale),
        input_zero_point=layer.input_zero_point,
        bounds=npu.BoundsAttr(layer.bounds),
    )


KINDS.update({SoftmaxLayer: "softmax", NormalizeLayer: "normalize"})
FAMILIES.update({SoftmaxLayer: _softmax, NormalizeLayer: _normalize})
