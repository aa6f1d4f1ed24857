"""Rules of ONNX's pooling in any number of dimensions, with the places of the largest elements, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.host_to_relax.windows import Window, inside, reduced_windows, window_counts, window_of
from intaglio.lowering.tvm import Expr


def _window(node: HostNode) -> Window:
    spatial = node.shape(0)[2:]
    kernel = node.integers("kernel_shape")
    assert kernel is not None
    return window_of(node, spatial, kernel)


def _sums(node: HostNode, x: Expr, window: Window, dtype: np.dtype[Any]) -> Expr:
    te = node.emitter.builder.te

    def combine(taps: list[Expr], value: Expr) -> Expr:
        return te.sum(value, axis=taps)

    return reduced_windows(node, x, node.shape(0), window, 0.0, combine, dtype.name)


@onnx_rule("AveragePool")
def average_pool(node: HostNode) -> list[Expr]:
    """The sum over each window divided by the number of its elements, in the padding or not."""
    emitter, dtype, window = node.emitter, node.dtype(0), _window(node)
    padded = bool(node.integer("count_include_pad"))
    counts = window_counts(window, node.shape(0)[2:], node.output_shape()[2:], padded=padded)
    work = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    total = _sums(node, emitter.cast(node.operands[0], work), window, work)
    return [emitter.cast(emitter.divide(total, emitter.constant(counts, work)), dtype)]


@onnx_rule("LpPool")
def lp_pool(node: HostNode) -> list[Expr]:
    """The `p`-norm of each window."""
    emitter, dtype = node.emitter, node.dtype(0)
    order = float(node.integer("p", 2))
    powers = emitter.power(emitter.apply("abs", node.operands[0]), emitter.constant(order, dtype))
    total = _sums(node, powers, _window(node), dtype)
    return [emitter.power(total, emitter.constant(1.0 / order, dtype))]


@onnx_rule("GlobalLpPool")
def global_lp_pool(node: HostNode) -> list[Expr]:
    """The `p`-norm of each channel."""
    emitter, dtype = node.emitter, node.dtype(0)
    order = float(node.integer("p", 2))
    powers = emitter.power(emitter.apply("abs", node.operands[0]), emitter.constant(order, dtype))
    total = emitter.apply("sum", powers, axis=list(range(2, len(node.shape(0)))), keepdims=True)
    return [emitter.power(total, emitter.constant(1.0 / order, dtype))]


@onnx_rule("MaxPool")
def max_pool(node: HostNode) -> list[Expr]:
    """The largest element of each window, and its place in the flattened input; of equal ones the first."""
    emitter, dtype, window = node.emitter, node.dtype(0), _window(node)
    shape, result = node.shape(0), node.output_shape()
    te, tirx = emitter.builder.te, emitter.builder.tirx
    smallest = float(np.iinfo(dtype).min) if dtype.kind in "iu" else -math.inf

    def largest(taps: list[Expr], value: Expr) -> Expr:
        return te.max(value, axis=taps)

    values = reduced_windows(node, node.operands[0], shape, window, smallest, largest, dtype.name)
    if not node.has_output(1):
        return [values]
    spatial = shape[2:]
    sizes = spatial if not node.integer("storage_order") else spatial[::-1]
    total = math.prod(shape)

    def place_of(tensor: Expr, maxima: Expr) -> Expr:
        taps = [te.reduce_axis((0, extent), name=f"k{axis}") for axis, extent in enumerate(window.kernel)]

        def element(*index: Expr) -> Expr:
            places = window.places(index[2:], taps)
            tests = inside(places, spatial, window, result[2:])
            flat = index[0] * shape[1] + index[1]
            for place, size in zip(places if not node.integer("storage_order") else places[::-1], sizes, strict=True):
                flat = flat * size + place
            equal = tirx.if_then_else(
                tirx.all(*tests) if tests else tirx.const(True, "bool"),
                tensor(*index[:2], *places) == maxima(*index),
                tirx.const(False, "bool"),
            )
            found = tirx.Select(equal, tirx.Cast("int64", flat), tirx.const(total, "int64"))
            return te.min(found, axis=taps)

        return te.compute(result, element, name="place")

    return [values, emitter.builder.compute("place", place_of, node.operands[0], values)]


@onnx_rule("MaxUnpool")
def max_unpool(node: HostNode) -> list[Expr]:
    """Elements put at their places, zeros elsewhere."""
    emitter, dtype = node.emitter, node.dtype(0)
    shape, result = node.shape(0), node.output_shape()
    count, size = math.prod(shape), math.prod(result)
    kernel = node.integers("kernel_shape")
    assert kernel is not None
    indices = emitter.reshape(node.operands[1], [count])
    if node.input("output_shape") is not None:
        # Places are counted in the tensor that was pooled, of the size that follows from the window.
        strides = node.integers("strides") or [1] * len(kernel)
        pads = node.integers("pads") or [0] * (2 * len(kernel))
        pooled = [
            (extent - 1) * stride + size - low - high
            for extent, stride, size, low, high in zip(
                shape[2:], strides, kernel, pads[: len(kernel)], pads[len(kernel) :], strict=True
            )
        ]
        places = _unravelled(node, indices, (*shape[:2], *pooled))
        indices = places[0]
        for place, extent in zip(places[1:], result[1:], strict=True):
            indices = emitter.add(emitter.multiply(indices, emitter.constant(extent, np.int64)), place)
    zeros = emitter.apply("zeros", (size,), dtype.name)
    values = emitter.reshape(node.operands[0], [count])
    return [emitter.reshape(emitter.apply("scatter_elements", zeros, indices, values, 0, "update"), result)]


def _unravelled(node: HostNode, indices: Expr, shape: tuple[int, ...]) -> list[Expr]:
    emitter = node.emitter
    places: list[Expr] = []
    for extent in reversed(shape):
        size = emitter.constant(extent, np.int64)
        places.append(emitter.apply("floor_mod", indices, size))
        indices = emitter.apply("floor_divide", indices, size)
    return places[::-1]
