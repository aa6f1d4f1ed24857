"""Rules of the ONNX operators that read or write places given by indices, and of selections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.onnx_node import normal_axis
from intaglio.lowering.tvm import Expr


def counted_from_front(
    emitter: Emitter, indices: Expr, extent: int | Sequence[int], dtype: np.dtype[np.generic]
) -> Expr:
    """Indices of which negative ones count from the end, as non-negative ones."""
    if dtype.kind == "u":
        return indices
    negative = emitter.apply("less", indices, emitter.constant(0, dtype))
    return emitter.select(negative, emitter.add(indices, emitter.constant(extent, dtype)), indices)


@onnx_rule("Gather")
def gather(node: HostNode) -> list[Expr]:
    """Slices along an axis."""
    emitter = node.emitter
    x, indices = node.operands
    shape = node.shape(0)
    axis = normal_axis(node.integer("axis"), len(shape))
    indices = counted_from_front(emitter, indices, shape[axis], node.dtype(1))
    return [emitter.apply("take", x, indices, axis=axis, mode="clip")]


@onnx_rule("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(node: HostNode) -> list[Expr]:
    """Elements of the last dimension."""
    emitter = node.emitter
    indices = emitter.reshape(node.operands[1], [math.prod(node.shape(1))])
    picked = emitter.apply("take", node.operands[0], indices, axis=len(node.shape(0)) - 1, mode="clip")
    return [emitter.reshape(picked, node.output_shape())]


@onnx_rule("GatherElements")
def gather_elements(node: HostNode) -> list[Expr]:
    """Each element from a place along an axis given for it."""
    emitter = node.emitter
    shape, result = node.shape(0), node.output_shape()
    axis = normal_axis(node.integer("axis"), len(shape))
    indices = counted_from_front(emitter, node.operands[1], shape[axis], node.dtype(1))
    te = emitter.builder.te

    def computation(tensor: Expr, places: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            return tensor(*(places(*index) if i == axis else place for i, place in enumerate(index)))

        return te.compute(result, element, name="gather_elements")

    return [emitter.builder.compute("gather_elements", computation, node.operands[0], indices)]


@onnx_rule("GatherND")
def gather_nd(node: HostNode) -> list[Expr]:
    """Slices at places given by tuples of indices."""
    emitter = node.emitter
    shape, places_shape = node.shape(0), node.shape(1)
    batch, depth = node.integer("batch_dims"), places_shape[-1]
    indices = counted_from_front(emitter, node.operands[1], shape[batch : batch + depth], node.dtype(1))
    outer = len(places_shape) - 1
    te = emitter.builder.te

    def computation(tensor: Expr, places: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            found = [places(*index[:outer], k) for k in range(depth)]
            return tensor(*index[:batch], *found, *index[outer:])

        return te.compute(node.output_shape(), element, name="gather_nd")

    return [emitter.builder.compute("gather_nd", computation, node.operands[0], indices)]


_REDUCTIONS = {"none": "update", "add": "add", "mul": "mul", "max": "max", "min": "min"}


@onnx_rule("ScatterElements", "Scatter")
def scatter_elements(node: HostNode) -> list[Expr]:
    """The input with elements written, or combined, at places along an axis."""
    emitter = node.emitter
    x, indices, updates = node.operands
    shape = node.shape(0)
    axis = normal_axis(node.integer("axis"), len(shape))
    indices = counted_from_front(emitter, indices, shape[axis], node.dtype(1))
    reduction = _REDUCTIONS[node.text("reduction", "none")]
    return [emitter.apply("scatter_elements", x, indices, updates, axis, reduction)]


@onnx_rule("ScatterND")
def scatter_nd(node: HostNode) -> list[Expr]:
    """The input with slices written, or combined, at places given by tuples of indices."""
    emitter = node.emitter
    x, indices, updates = node.operands
    shape, depth = node.shape(0), node.shape(1)[-1]
    indices = counted_from_front(emitter, indices, shape[:depth], node.dtype(1))
    reduction = _REDUCTIONS[node.text("reduction", "none")]
    return [emitter.apply("scatter_nd", x, indices, updates, reduction)]


@onnx_rule("TensorScatter")
def tensor_scatter(node: HostNode) -> list[Expr]:
    """A cache with an update written from a place given for each batch entry on, perhaps around its end."""
    emitter = node.emitter
    shape, update = node.shape(0), node.shape(1)
    axis = normal_axis(node.integer("axis", -2), len(shape))
    circular = node.text("mode", "linear") == "circular"
    te, tirx = emitter.builder.te, emitter.builder.tirx
    first = node.expression("write_indices")
    if first is None:
        first = emitter.constant(np.zeros(shape[0]), np.int64)

    def computation(cache: Expr, values: Expr, starts: Expr) -> Expr:
        def element(*index: Expr) -> Expr:
            distance = index[axis] - starts[index[0]]
            if circular:
                distance = tirx.floormod(distance, tirx.const(shape[axis], "int64"))
            inside = tirx.all(distance >= 0, distance < update[axis])
            places = [distance if i == axis else place for i, place in enumerate(index)]
            return tirx.if_then_else(inside, values(*places), cache(*index))

        return te.compute(shape, element, name="tensor_scatter")

    return [emitter.builder.compute("tensor_scatter", computation, node.operands[0], node.operands[1], first)]


@onnx_rule("OneHot")
def one_hot(node: HostNode) -> list[Expr]:
    """One value at the place given by each index, another elsewhere; indices out of range mark no place."""
    emitter = node.emitter
    shape, result = node.shape("indices"), node.output_shape()
    axis = normal_axis(node.integer("axis", -1), len(result))
    depth = result[axis]
    indices = emitter.cast(node.operand("indices"), np.int64)
    indices = counted_from_front(emitter, indices, depth, np.dtype(np.int64))
    indices = emitter.reshape(indices, (*shape[:axis], 1, *shape[axis:]))
    places = np.arange(depth).reshape([depth if index == axis else 1 for index in range(len(result))])
    hit = emitter.apply("equal", indices, emitter.constant(places, np.int64))
    values = node.operand("values")
    off, on = (
        emitter.apply("take", values, emitter.constant(index, np.int64), axis=0, mode="clip") for index in (0, 1)
    )
    return [emitter.select(hit, on, off)]


@onnx_rule("Compress")
def compress(node: HostNode) -> list[Expr]:
    """The slices along an axis that a constant condition chooses."""
    emitter = node.emitter
    condition = node.known("condition")
    assert condition is not None
    x, shape = node.operands[0], node.shape(0)
    axis = node.integer("axis") if node.has("axis") else None
    if axis is None:
        x, shape, axis = emitter.reshape(x, [math.prod(shape)]), (math.prod(shape),), 0
    chosen = np.flatnonzero(condition[: shape[normal_axis(axis, len(shape))]])
    return [emitter.apply("take", x, emitter.constant(chosen, np.int64), axis=axis, mode="clip")]


@onnx_rule("TopK")
def top_k(node: HostNode) -> list[Expr]:
    """The largest or smallest elements in order, and their indices; of equal ones the first comes first."""
    emitter = node.emitter
    shape, dtype = node.shape(0), node.dtype(0)
    axis = normal_axis(node.integer("axis", -1), len(shape))
    largest = bool(node.integer("largest", 1))
    count = node.output_shape()[axis]
    builder = emitter.builder
    te, tirx = builder.te, builder.tirx
    extent = shape[axis]

    def rank(tensor: Expr) -> Expr:
        k = te.reduce_axis((0, extent), name="k")

        def element(*index: Expr) -> Expr:
            other = tensor(*(k if i == axis else place for i, place in enumerate(index)))
            own = tensor(*index)
            ahead = other > own if largest else other < own
            before = tirx.any(ahead, tirx.all(other == own, k < index[axis]))
            return te.sum(tirx.Select(before, tirx.const(1, "int64"), tirx.const(0, "int64")), axis=[k])

        return te.compute(shape, element, name="rank")

    def at_rank(ranks: Expr) -> Expr:
        k = te.reduce_axis((0, extent), name="k")
        result = [count if index == axis else size for index, size in enumerate(shape)]

        def element(*index: Expr) -> Expr:
            found = ranks(*(k if i == axis else place for i, place in enumerate(index)))
            hit = found == tirx.Cast("int64", index[axis])
            return te.sum(tirx.Select(hit, tirx.Cast("int64", k), tirx.const(0, "int64")), axis=[k])

        return te.compute(result, element, name="at_rank")

    x = node.operands[0]
    if dtype == np.float16:
        x = emitter.cast(x, np.float32)
    indices = builder.compute("at_rank", at_rank, builder.compute("rank", rank, x))
    values = emitter.apply("gather_elements", node.operands[0], indices, axis)
    return [values, indices]


@onnx_rule("Hardmax")
def hardmax(node: HostNode) -> list[Expr]:
    """One at the first of the largest elements along an axis, zero elsewhere."""
    emitter = node.emitter
    shape, dtype = node.shape(0), node.dtype(0)
    since13 = node.since >= 13
    axis = normal_axis(node.integer("axis", -1 if since13 else 1), len(shape))
    x = node.operands[0]
    flat = shape if since13 else (math.prod(shape[:axis]), math.prod(shape[axis:]))
    axis = axis if since13 else 1
    index = emitter.apply("argmax", emitter.reshape(x, flat), axis=axis, keepdims=True)
    places = np.arange(flat[axis]).reshape([flat[axis] if i == axis else 1 for i in range(len(flat))])
    hit = emitter.apply("equal", emitter.cast(index, np.int64), emitter.constant(places, np.int64))
    return [emitter.reshape(emitter.cast(hit, dtype), shape)]
