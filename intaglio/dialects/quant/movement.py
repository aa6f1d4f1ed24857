"""The quantized type of a tensor whose elements were moved: scales along a dimension or per block move with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from intaglio.dialects.quant.types import (
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    UniformType,
)


def transposed(kind: UniformType, permutation: Sequence[int]) -> UniformType:
    """The type after a transposition, where dimension `k` of the result is dimension `permutation[k]`."""
    order = list(permutation)
    if isinstance(kind, UniformQuantizedPerAxisType):
        return along(kind, order.index(kind.axis))
    if isinstance(kind, UniformQuantizedSubChannelType):
        return UniformQuantizedSubChannelType(
            kind.storage_type,
            kind.expressed_type,
            {order.index(axis): size for axis, size in kind.block_sizes.items()},
            kind.scales.transpose(order),
            kind.zero_points.transpose(order),
            kind.storage_min,
            kind.storage_max,
        )
    return kind


def reshaped(kind: UniformType, shape: Sequence[int], result: Sequence[int]) -> UniformType | None:
    """The type after a change of shape from `shape` to `result`, None when there is no such type.

    The dimension with scales of its own must stay one dimension.
    """
    if isinstance(kind, UniformQuantizedType) or list(shape) == list(result):
        return kind
    if not isinstance(kind, UniformQuantizedPerAxisType):
        return None
    before, channels = math.prod(shape[: kind.axis]), shape[kind.axis]
    for axis, size in enumerate(result):
        if size == channels and math.prod(result[:axis]) == before:
            return along(kind, axis)
    return None


def along(kind: UniformQuantizedPerAxisType, axis: int) -> UniformQuantizedPerAxisType:
    """The same parameters along another axis."""
    return UniformQuantizedPerAxisType(
        kind.storage_type,
        kind.expressed_type,
        axis,
        kind.scales,
        kind.zero_points,
        kind.storage_min,
        kind.storage_max,
    )
