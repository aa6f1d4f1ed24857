"""Operators that choose, repeat or rearrange elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerType, i64
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import (
    Builder,
    Node,
    constant_of,
    element_type,
    is_float,
    is_number,
    lowers,
    lowers_all,
    normal_axis,
    static_shape,
)


@lowers("Slice")
def slice_elements(node: Node, build: Builder) -> SSAValue | None:
    """Known starts, ends and steps, limited to the input as ONNX says."""
    source, result = node.input("data"), node.result_shape
    shape, starts, ends = static_shape(source), node.integers("starts"), node.integers("ends")
    if source is None or shape is None or result is None or starts is None or ends is None or not is_number(source):
        return None
    axes, steps = node.integers("axes"), node.integers("steps")
    if (axes is None and node.has("axes")) or (steps is None and node.has("steps")):
        return None
    axes = list(range(len(starts))) if axes is None else [normal_axis(axis, len(shape)) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    first, step_of = [0] * len(shape), [1] * len(shape)
    for axis, start, step in zip(axes, starts, steps, strict=True):
        # Python's slices limit and count from the end as ONNX does; the end shows in the result's shape.
        first[axis], _, step_of[axis] = slice(start, None, step).indices(shape[axis])
    return build.slice(source, first, result, step_of)


@lowers_all("Split")
def split(node: Node, build: Builder) -> Sequence[SSAValue] | None:
    """One slice for each output, whose sizes are those of the outputs' types."""
    source = node.input("input")
    shape = static_shape(source)
    if source is None or shape is None or not is_number(source):
        return None
    axis = normal_axis(node.integer("axis"), len(shape))
    outputs = node.op.node_outputs()
    sizes = [None if (one := static_shape(output)) is None else one[axis] for output in outputs]
    if any(size is None for size in sizes):
        return None
    parts: list[SSAValue] = []
    start = 0
    for size in sizes:
        assert size is not None
        parts.append(build.part(source, axis, start, size))
        start += size
    return parts


@lowers("Gather")
def gather(node: Node, build: Builder) -> SSAValue | None:
    """A slice where the indices are known and evenly spaced, else `nn.gather`."""
    source, indices, result = node.input("data"), node.input("indices"), node.result_shape
    shape = static_shape(source)
    if source is None or indices is None or shape is None or result is None or not is_number(source):
        return None
    axis = normal_axis(node.integer("axis"), len(shape))
    known = constant_of(indices)
    if known is None:
        kind = element_type(indices)
        return None if kind not in (IntegerType(32), i64) else build.add(nn.GatherOp(source, indices, axis))
    numbers = np.where(known < 0, known + shape[axis], known).astype(np.int64)
    if np.any((numbers < 0) | (numbers >= shape[axis])):
        return None
    steps = np.unique(np.diff(numbers.reshape(-1)))
    if numbers.size and len(steps) <= 1 and 0 not in steps:
        step = int(steps[0]) if len(steps) else 1
        return build.reshape(build.part(source, axis, int(numbers.flat[0]), numbers.size, step), result)
    return build.add(nn.GatherOp(source, build.constant(numbers, i64), axis))


@lowers("Expand")
def expand(node: Node, build: Builder) -> SSAValue | None:
    """Broadcasting to the result's shape."""
    source, result = node.input("input"), node.result_shape
    return None if source is None or result is None or not is_number(source) else build.broadcast(source, result)


@lowers("Tile")
def tile(node: Node, build: Builder) -> SSAValue | None:
    """Each dimension repeated as a whole: broadcasting of a dimension of 1 in front of it."""
    source, result = node.input("input"), node.result_shape
    shape = static_shape(source)
    if source is None or shape is None or result is None or not is_number(source) or 0 in shape:
        return None
    repeats = [after // before for before, after in zip(shape, result, strict=True)]
    apart = [size for before in shape for size in (1, before)]
    repeated = [size for count, before in zip(repeats, shape, strict=True) for size in (count, before)]
    return build.reshape(build.broadcast(build.reshape(source, apart), repeated), result)


@lowers("DepthToSpace")
def depth_to_space(node: Node, build: Builder) -> SSAValue | None:
    """Channels to blocks of rows and columns, with the channels last."""
    source, result = node.input("input"), node.result_shape
    shape, block = static_shape(source), node.integer("blocksize")
    if source is None or shape is None or result is None or len(shape) != 4 or not is_number(source):
        return None
    batch, channels, height, width = shape
    depth = channels // (block * block)
    last = build.to_channels_last(source)
    if node.text("mode", "DCR") == "DCR":
        apart = build.reshape(last, (batch, height, width, block, block, depth))
        moved = build.transpose(apart, (0, 1, 3, 2, 4, 5))
    else:
        apart = build.reshape(last, (batch, height, width, depth, block, block))
        moved = build.transpose(apart, (0, 1, 4, 2, 5, 3))
    return build.from_channels_last(build.reshape(moved, (batch, height * block, width * block, depth)), result)


@lowers("SpaceToDepth")
def space_to_depth(node: Node, build: Builder) -> SSAValue | None:
    """Blocks of rows and columns to channels, with the channels last."""
    source, result = node.input("input"), node.result_shape
    shape, block = static_shape(source), node.integer("blocksize")
    if source is None or shape is None or result is None or len(shape) != 4 or not is_number(source):
        return None
    batch, channels, height, width = shape
    rows, columns = height // block, width // block
    apart = build.reshape(build.to_channels_last(source), (batch, rows, block, columns, block, channels))
    if node.text("mode", "DCR") == "DCR":
        moved = build.transpose(apart, (0, 1, 3, 2, 4, 5))
    else:
        moved = build.transpose(apart, (0, 1, 3, 5, 2, 4))
    return build.from_channels_last(build.reshape(moved, (batch, rows, columns, channels * block * block)), result)


@lowers("Pad")
def pad(node: Node, build: Builder) -> SSAValue | None:
    """Known amounts: `nn.pad`, or slices beside the input where its elements are repeated; negative ones cut."""
    source, result = node.input("data"), node.result_shape
    shape, amounts = static_shape(source), node.integers("pads")
    if source is None or shape is None or result is None or amounts is None or not is_number(source):
        return None
    axes = node.integers("axes")
    if axes is None and node.has("axes"):
        return None
    axes = [normal_axis(axis, len(shape)) for axis in (range(len(shape)) if axes is None else axes)]
    if len(amounts) != 2 * len(axes):
        return None
    low, high = [0] * len(shape), [0] * len(shape)
    for index, axis in enumerate(axes):
        low[axis], high[axis] = amounts[index], amounts[index + len(axes)]
    mode = node.text("mode", "constant")
    if mode != "constant":
        return _pad_with_elements(build, source, mode, low, high)
    label = "constant_value" if node.input("constant_value") is not None else "value"
    value = node.scalar(label)
    if value is None:
        if node.has(label):
            return None
        value = 0.0
    if not is_float(source):
        return None
    kept = [size + min(one, 0) + min(other, 0) for size, one, other in zip(shape, low, high, strict=True)]
    if min(kept, default=0) < 0:
        return None
    source = build.slice(source, [max(-one, 0) for one in low], kept)
    low, high = ([max(amount, 0) for amount in side] for side in (low, high))
    return build.add(nn.PadOp(source, low, high, value, node.result.type)) if any((*low, *high)) else source


def _pad_with_elements(
    build: Builder, source: SSAValue, mode: str, low: Sequence[int], high: Sequence[int]
) -> SSAValue | None:
    """Padding made of the input's elements; None when one round of them is not enough."""
    shape = static_shape(source)
    assert shape is not None
    limit = {"reflect": -1, "wrap": 0, "edge": math.inf}.get(mode)
    if limit is None or min(*low, *high, 0) < 0:
        return None
    if any(max(one, other) > size + limit for one, other, size in zip(low, high, shape, strict=True)) or 0 in shape:
        return None
    for axis, size in enumerate(shape):
        before, after = low[axis], high[axis]
        parts: list[SSAValue] = []
        if before:
            parts.append(_border(build, source, mode, axis, before, {"reflect": before, "wrap": size - before}))
        parts.append(source)
        if after:
            last = {"reflect": size - 2, "edge": size - 1}
            parts.append(_border(build, source, mode, axis, after, last))
        source = build.concat(parts, axis)
    return source


def _border(build: Builder, source: SSAValue, mode: str, axis: int, count: int, starts: Mapping[str, int]) -> SSAValue:
    """`count` elements beside the input, the first of which is the input's at `starts[mode]`, by default at 0."""
    start = starts.get(mode, 0)
    if mode != "edge":
        return build.part(source, axis, start, count, -1 if mode == "reflect" else 1)
    value = build.part(source, axis, start, 1)
    shape = static_shape(value)
    assert shape is not None
    return build.broadcast(value, (*shape[:axis], count, *shape[axis + 1 :]))
