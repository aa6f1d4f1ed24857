"""Rules of the ONNX operators that move elements to places known at compile time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr, carried_dtype


def taken(emitter: Emitter, x: Expr, shape: Sequence[int], starts: Sequence[int], steps: Sequence[int]) -> Expr:
    """Every `step`-th element from `start` on in each dimension; steps may be negative."""
    te = emitter.builder.te

    def computation(tensor: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            return tensor(*(start + step * i for start, step, i in zip(starts, steps, index, strict=True)))

        return te.compute(tuple(shape), element, name="slice")

    return emitter.builder.compute("slice", computation, x)


@onnx_rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(node: HostNode) -> list[Expr]:
    """The same elements in row-major order."""
    return [node.emitter.reshape(node.operands[0], node.output_shape())]


@onnx_rule("Transpose")
def transpose(node: HostNode) -> list[Expr]:
    """Dimensions in another order; without `perm` reversed."""
    order = node.integers("perm") or list(reversed(range(len(node.shape(0)))))
    return [node.emitter.apply("permute_dims", node.operands[0], order)]


@onnx_rule("Concat")
def concat(node: HostNode) -> list[Expr]:
    """The inputs one after another; empty ones are left out."""
    axis = normal_axis(node.integer("axis", 1), len(node.output_shape()))
    filled = [x for index, x in enumerate(node.operands) if math.prod(node.shape(index))]
    return [node.emitter.apply("concat", filled, axis=axis)]


@onnx_rule("Slice")
def slice_of(node: HostNode) -> list[Expr]:
    """A part of each dimension; bounds are limited to the dimension as Python limits them."""
    shape = node.shape(0)
    starts, ends = node.known_integers("starts"), node.known_integers("ends")
    assert starts is not None and ends is not None
    axes = node.known_integers("axes") or list(range(len(starts)))
    steps = node.known_integers("steps") or [1] * len(starts)
    parts = [range(extent) for extent in shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        dimension = normal_axis(axis, len(shape))
        parts[dimension] = parts[dimension][slice(start, end, step)]
    result = [len(part) for part in parts]
    return [
        taken(node.emitter, node.operands[0], result, [part.start for part in parts], [part.step for part in parts])
    ]


@onnx_rule("Split")
def split(node: HostNode) -> list[Expr]:
    """Consecutive parts along an axis."""
    shape = node.shape(0)
    axis = normal_axis(node.integer("axis"), len(shape))
    outputs: list[Expr] = []
    first = 0
    for index in range(len(node.op.results)):
        extent = list(node.output_shape(index))
        starts = [first if dimension == axis else 0 for dimension in range(len(shape))]
        first += extent[axis]
        if 0 in extent:
            outputs.append(node.emitter.apply("zeros", extent, carried_dtype(node.output_dtype(index)).name))
        else:
            outputs.append(taken(node.emitter, node.operands[0], extent, starts, [1] * len(shape)))
    return outputs


@onnx_rule("Expand")
def expand(node: HostNode) -> list[Expr]:
    """Broadcast to the result's shape."""
    return [node.emitter.apply("broadcast_to", node.operands[0], node.output_shape())]


@onnx_rule("Tile")
def tile(node: HostNode) -> list[Expr]:
    """Repetition; not by Relax, whose `tile` is computed wrongly on processors with AVX-512."""
    shape, result = node.shape(0), node.output_shape()
    te = node.emitter.builder.te

    def computation(tensor: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            return tensor(*(i % extent for i, extent in zip(index, shape, strict=True)))

        return te.compute(result, element, name="tile")

    return [node.emitter.builder.compute("tile", computation, node.operands[0])]


@onnx_rule("DepthToSpace", "SpaceToDepth")
def exchange_depth_and_space(node: HostNode) -> list[Expr]:
    """Blocks of pixels as channels and back."""
    emitter, x = node.emitter, node.operands[0]
    batch, channels, height, width = node.shape(0)
    size = node.integer("blocksize")
    mode = node.text("mode", "DCR")
    if node.op.op_type == "SpaceToDepth":
        x = emitter.reshape(x, (batch, channels, height // size, size, width // size, size))
        order = (0, 1, 3, 5, 2, 4) if mode == "CRD" else (0, 3, 5, 1, 2, 4)
    elif mode == "DCR":
        x = emitter.reshape(x, (batch, size, size, channels // size**2, height, width))
        order = (0, 3, 4, 1, 5, 2)
    else:
        x = emitter.reshape(x, (batch, channels // size**2, size, size, height, width))
        order = (0, 1, 4, 2, 5, 3)
    return [emitter.reshape(emitter.apply("permute_dims", x, order), node.output_shape())]


def _pad_sources(extent: int, low: int, high: int, mode: str) -> NDArray[np.int64]:
    """For each place along a padded dimension the place that it is copied from, or -1 for the constant."""
    places = np.arange(-low, extent + high)
    match mode:
        case "edge":
            return np.clip(places, 0, extent - 1)
        case "wrap":
            return places % extent
        case "reflect":
            period = max(2 * (extent - 1), 1)
            places = np.abs(places) % period
            return np.minimum(places, period - places) if extent > 1 else places * 0
        case _:
            return np.where((places >= 0) & (places < extent), places, -1)


@onnx_rule("Pad")
def pad(node: HostNode) -> list[Expr]:
    """Elements around, or with negative amounts fewer."""
    emitter = node.emitter
    shape, result = node.shape(0), node.output_shape()
    amounts = node.known_integers("pads")
    assert amounts is not None
    axes = node.known_integers("axes")
    axes = [normal_axis(axis, len(shape)) for axis in (range(len(shape)) if axes is None else axes)]
    low, high = [0] * len(shape), [0] * len(shape)
    for index, axis in enumerate(axes):
        low[axis], high[axis] = amounts[index], amounts[index + len(axes)]
    mode = node.text("mode", "constant")
    dtype = carried_dtype(node.dtype(0))
    fill = node.expression("constant_value")
    if fill is None:
        fill = emitter.constant(node.real("value", 0.0), dtype)
    fill = emitter.reshape(fill, ())
    if math.prod(shape) == 0:
        return [emitter.apply("broadcast_to", fill, result)]
    x = node.operands[0]
    te, tirx = emitter.builder.te, emitter.builder.tirx
    if mode in ("constant", ""):

        def computation(tensor: Expr, value: Expr) -> Expr:
            def element(*index: Expr) -> Expr:
                sources = [i - first for i, first in zip(index, low, strict=True)]
                tests = [
                    test
                    for i, extent, first, last in zip(sources, shape, low, high, strict=True)
                    for test in ([i >= 0] * (first > 0) + [i < extent] * (last > 0))
                ]
                return tirx.if_then_else(tirx.all(*tests), tensor(*sources), value()) if tests else tensor(*sources)

            return te.compute(result, element, name="pad")

        return [emitter.builder.compute("pad", computation, x, fill)]
    for axis in range(len(shape)):
        if low[axis] or high[axis]:
            sources = _pad_sources(shape[axis], low[axis], high[axis], mode)
            x = emitter.apply("take", x, emitter.constant(sources, np.int64), axis=axis, mode="clip")
    return [x]


@onnx_rule("Trilu")
def triangle(node: HostNode) -> list[Expr]:
    """The upper or lower triangle, zero elsewhere; `k` moves the diagonal."""
    emitter = node.emitter
    shape = node.shape(0)
    rows, columns = (np.arange(extent, dtype=np.int64) for extent in shape[-2:])
    distance = emitter.constant(columns[None, :] - rows[:, None], np.int64)
    k = node.expression("k")
    k = emitter.constant(0, np.int64) if k is None else emitter.reshape(k, ())
    kept = emitter.apply("greater_equal" if node.integer("upper", 1) else "less_equal", distance, k)
    return [emitter.select(kept, node.operands[0], emitter.constant(0, carried_dtype(node.dtype(0))))]


@onnx_rule("EyeLike")
def eye_like(node: HostNode) -> list[Expr]:
    """Ones on a diagonal."""
    rows, columns = node.output_shape()
    return [node.emitter.constant(np.eye(rows, columns, node.integer("k")), node.output_dtype())]


@onnx_rule("ReverseSequence")
def reverse_sequence(node: HostNode) -> list[Expr]:
    """The first elements of each batch entry in reverse order."""
    emitter = node.emitter
    shape = node.shape(0)
    time, batch = node.integer("time_axis"), node.integer("batch_axis", 1)
    te, tirx = emitter.builder.te, emitter.builder.tirx

    def computation(tensor: Expr, lengths: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            places = list(index)
            length = lengths[index[batch]]
            step = tirx.Cast("int64", index[time])
            places[time] = tirx.Select(step < length, length - 1 - step, step)
            return tensor(*places)

        return te.compute(shape, element, name="reverse")

    return [emitter.builder.compute("reverse", computation, *node.operands)]


@onnx_rule("CenterCropPad")
def center_crop_pad(node: HostNode) -> list[Expr]:
    """The middle of dimensions that become smaller, zeros around those that become larger."""
    emitter = node.emitter
    shape, result = node.shape(0), node.output_shape()
    x: Any = node.operands[0]
    low = [(new - old) // 2 if new > old else 0 for new, old in zip(result, shape, strict=True)]
    starts = [(old - new) // 2 if old > new else 0 for new, old in zip(result, shape, strict=True)]
    middle = [min(pair) for pair in zip(result, shape, strict=True)]
    if middle != list(shape):
        x = taken(emitter, x, middle, starts, [1] * len(shape))
    high = [new - size - before for new, size, before in zip(result, middle, low, strict=True)]
    return [emitter.padded(x, low, high, 0, carried_dtype(node.dtype(0)))]
