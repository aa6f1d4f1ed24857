"""Rules of ONNX's convolutions and matrix products that `nn` does not express: other ranks, integers, deformable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.onnx_quantization import bounds_of, element
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.host_to_relax.windows import Window, inside, window_of
from intaglio.lowering.tvm import Expr

_WIDE = np.dtype(np.int32)


def _convolved(node: HostNode, x: Expr, weight: Expr, shape: tuple[int, ...], kernel: tuple[int, ...]) -> Expr:
    """The sums of a convolution of `[N, C, ...]` by `[O, C / groups, ...]`; the padding is zero."""
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    window = window_of(node, shape[2:], kernel[2:])
    groups = node.integer("group", 1)
    result = node.output_shape()
    per_group = result[1] // groups

    def computation(tensor: Expr, filters: Expr) -> Expr:
        channel = te.reduce_axis((0, kernel[1]), name="c")
        taps = [te.reduce_axis((0, extent), name=f"k{axis}") for axis, extent in enumerate(window.kernel)]

        def total(*index: Expr) -> Expr:
            places = window.places(index[2:], taps)
            source = channel if groups == 1 else tirx.floordiv(index[1], per_group) * kernel[1] + channel
            value = tensor(index[0], source, *places)
            tests = inside(places, shape[2:], window, result[2:])
            if tests:
                value = tirx.if_then_else(tirx.all(*tests), value, tirx.const(0, tensor.dtype))
            return te.sum(value * filters(index[1], channel, *taps), axis=[channel, *taps])

        return te.compute(result, total, name="convolution")

    return emitter.builder.compute("convolution", computation, x, weight)


def _plus_bias(node: HostNode, total: Expr, bias: Expr | None) -> Expr:
    if bias is None:
        return total
    result = node.output_shape()
    return node.emitter.add(total, node.emitter.reshape(bias, (1, result[1], *([1] * (len(result) - 2)))))


@onnx_rule("Conv")
def conv(node: HostNode) -> list[Expr]:
    """Convolution in any number of dimensions."""
    x, weight = node.operands[:2]
    total = _convolved(node, x, weight, node.shape("X"), node.shape("W"))
    return [_plus_bias(node, total, node.expression("B"))]


@onnx_rule("ConvTranspose")
def conv_transpose(node: HostNode) -> list[Expr]:
    """Transposed convolution: every input element adds the kernel, scaled, to a window of the result."""
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    shape, kernel, result = node.shape("X"), node.shape("W"), node.output_shape()
    rank = len(shape) - 2
    strides = node.integers("strides") or [1] * rank
    dilations = node.integers("dilations") or [1] * rank
    groups = node.integer("group", 1)
    extra = node.integers("output_padding") or [0] * rank
    full = [
        (extent - 1) * stride + (size - 1) * dilation + 1 + more
        for extent, stride, size, dilation, more in zip(shape[2:], strides, kernel[2:], dilations, extra, strict=True)
    ]
    low = _cut_before(node, [whole - kept for whole, kept in zip(full, result[2:], strict=True)])
    per_group = kernel[1]
    inputs = shape[1] // groups

    def computation(tensor: Expr, filters: Expr) -> Expr:
        channel = te.reduce_axis((0, inputs), name="c")
        taps = [te.reduce_axis((0, extent), name=f"k{axis}") for axis, extent in enumerate(kernel[2:])]

        def total(*index: Expr) -> Expr:
            tests: list[Expr] = []
            places: list[Expr] = []
            for axis, tap in enumerate(taps):
                reached = index[2 + axis] + low[axis] - tap * dilations[axis]
                place = tirx.floordiv(reached, strides[axis])
                tests += [tirx.floormod(reached, strides[axis]) == 0, place >= 0, place < shape[2 + axis]]
                places.append(place)
            source = tirx.floordiv(index[1], per_group) * inputs + channel
            value = tirx.if_then_else(tirx.all(*tests), tensor(index[0], source, *places), tirx.const(0, tensor.dtype))
            weight = filters(source, tirx.floormod(index[1], per_group), *taps)
            return te.sum(value * weight, axis=[channel, *taps])

        return te.compute(result, total, name="convolution_transposed")

    total = emitter.builder.compute("convolution_transposed", computation, *node.operands[:2])
    return [_plus_bias(node, total, node.expression("B"))]


def _cut_before(node: HostNode, cuts: list[int]) -> list[int]:
    """How much of the full result is cut off before each dimension, given how much altogether."""
    pads = node.integers("pads")
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET" and pads is not None and node.integers("output_shape") is None:
        return pads[: len(cuts)]
    if mode == "VALID":
        return [0] * len(cuts)
    return [cut // 2 if mode == "SAME_UPPER" else cut - cut // 2 for cut in cuts]


def _centered(node: HostNode, name: str, zero_name: str, axis: int | None = None) -> Expr:
    """An integer input minus its zero point, which may be one for each index along an axis."""
    emitter = node.emitter
    wide = emitter.cast(node.operand(name), _WIDE)
    zero = node.expression(zero_name)
    if zero is None:
        return wide
    shape, own = node.shape(name), node.shape(zero_name)
    zero = emitter.cast(zero, _WIDE)
    if len(own) == 1 and axis is not None and own[0] == shape[axis]:
        zero = emitter.reshape(zero, [own[0] if index == axis else 1 for index in range(len(shape))])
    elif len(own) <= 1:
        zero = emitter.reshape(zero, ())
    return emitter.subtract(wide, zero)


@onnx_rule("ConvInteger")
def conv_integer(node: HostNode) -> list[Expr]:
    """Convolution of integers, exact in 32 bits."""
    x, weight = _centered(node, "x", "x_zero_point"), _centered(node, "w", "w_zero_point", 0)
    return [_convolved(node, x, weight, node.shape("x"), node.shape("w"))]


@onnx_rule("MatMulInteger")
def matmul_integer(node: HostNode) -> list[Expr]:
    """Matrix product of integers, exact in 32 bits."""
    lhs = _centered(node, "A", "a_zero_point", len(node.shape("A")) - 2)
    rhs = _centered(node, "B", "b_zero_point", len(node.shape("B")) - 1)
    return [node.emitter.apply("matmul", lhs, rhs, out_dtype="int32")]


def _scale(node: HostNode, name: str, axis: int | None, rank: int) -> Expr:
    """A scale in single precision, one for each index along an axis or one alone."""
    emitter = node.emitter
    scale, own = emitter.cast(node.operand(name), np.float32), node.shape(name)
    if len(own) == 1 and own[0] > 1 and axis is not None:
        return emitter.reshape(scale, [own[0] if index == axis else 1 for index in range(rank)])
    return emitter.reshape(scale, ()) if math.prod(own) == 1 else scale


def _requantized(node: HostNode, total: Expr, factor: Expr, zero_name: str) -> Expr:
    emitter: Emitter = node.emitter
    steps = emitter.apply("round", emitter.multiply(emitter.cast(total, np.float32), factor))
    steps = emitter.limit(steps, -float(2**30), float(2**30), np.float32)
    zero = emitter.reshape(emitter.cast(node.operand(zero_name), _WIDE), ())
    low, high = bounds_of(element(node, ""))
    return emitter.cast(
        emitter.limit(emitter.add(emitter.cast(steps, _WIDE), zero), low, high, _WIDE), node.output_dtype()
    )


@onnx_rule("QLinearConv")
def quantized_conv(node: HostNode) -> list[Expr]:
    """Convolution of quantized tensors: exact sums, requantized in single precision."""
    emitter = node.emitter
    rank = len(node.shape("x"))
    x, weight = _centered(node, "x", "x_zero_point"), _centered(node, "w", "w_zero_point", 0)
    total = _plus_bias(node, _convolved(node, x, weight, node.shape("x"), node.shape("w")), node.expression("B"))
    product = emitter.multiply(_scale(node, "x_scale", None, rank), _scale(node, "w_scale", 1, rank))
    factor = emitter.divide(product, _scale(node, "y_scale", None, rank))
    return [_requantized(node, total, factor, "y_zero_point")]


@onnx_rule("QLinearMatMul")
def quantized_matmul(node: HostNode) -> list[Expr]:
    """Matrix product of quantized tensors: exact sums, requantized in single precision."""
    emitter = node.emitter
    rank = len(node.output_shape())
    lhs = _centered(node, "a", "a_zero_point", len(node.shape("a")) - 2)
    rhs = _centered(node, "b", "b_zero_point", len(node.shape("b")) - 1)
    total = emitter.apply("matmul", lhs, rhs, out_dtype="int32")
    product = emitter.multiply(_scale(node, "a_scale", rank - 2, rank), _scale(node, "b_scale", rank - 1, rank))
    factor = emitter.divide(product, _scale(node, "y_scale", None, rank))
    return [_requantized(node, total, factor, "y_zero_point")]


@onnx_rule("MatMul")
def matmul(node: HostNode) -> list[Expr]:
    """Matrix product with NumPy's rules for vectors and batches."""
    return [node.emitter.apply("matmul", *node.operands)]


@onnx_rule("Col2Im")
def columns_to_image(node: HostNode) -> list[Expr]:
    """Sums of overlapping blocks: each place gathers the elements of the blocks that cover it."""
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    result = node.output_shape()
    block = node.known_integers("block_shape")
    assert block is not None
    window = window_of(node, result[2:], block)
    counts = [
        (extent + low + high - (size - 1) * dilation - 1) // stride + 1
        for extent, low, high, size, dilation, stride in zip(
            result[2:], window.low, window.high, block, window.dilations, window.strides, strict=True
        )
    ]
    elements = math.prod(block)

    def computation(tensor: Expr) -> Expr:
        taps = [te.reduce_axis((0, extent), name=f"k{axis}") for axis, extent in enumerate(block)]

        def total(*index: Expr) -> Expr:
            tests: list[Expr] = []
            tap_index: Any = 0
            block_index: Any = 0
            for axis, tap in enumerate(taps):
                reached = index[2 + axis] + window.low[axis] - tap * window.dilations[axis]
                place = tirx.floordiv(reached, window.strides[axis])
                tests += [tirx.floormod(reached, window.strides[axis]) == 0, place >= 0, place < counts[axis]]
                tap_index = tap_index * block[axis] + tap
                block_index = block_index * counts[axis] + place
            value = tensor(index[0], index[1] * elements + tap_index, block_index)
            return te.sum(tirx.if_then_else(tirx.all(*tests), value, tirx.const(0, tensor.dtype)), axis=taps)

        return te.compute(result, total, name="columns_to_image")

    return [emitter.builder.compute("columns_to_image", computation, node.operands[0])]


@onnx_rule("DeformConv")
def deformable_conv(node: HostNode) -> list[Expr]:
    """Convolution whose taps are moved by offsets, read by bilinear interpolation, zero outside, and masked."""
    emitter = node.emitter
    te, tirx = emitter.builder.te, emitter.builder.tirx
    shape, kernel, result = node.shape("X"), node.shape("W"), node.output_shape()
    if len(shape) != 4:
        raise node.refuse("deformable convolution is for two dimensions")
    window: Window = window_of(node, shape[2:], kernel[2:])
    groups, offset_groups = node.integer("group", 1), node.integer("offset_group", 1)
    size = math.prod(kernel[2:])
    height, width = shape[2:]
    mask = node.expression("mask")
    if mask is None:
        mask = emitter.constant(np.ones((shape[0], offset_groups * size, *result[2:])), node.dtype("X"))
    per_offset = shape[1] // offset_groups

    def sampled(x: Expr, offset: Expr, masks: Expr) -> Expr:
        def element(n: Expr, c: Expr, k: Expr, i: Expr, j: Expr) -> Expr:
            group = tirx.floordiv(c, per_offset)
            base = group * (2 * size) + k * 2
            row, column = tirx.floordiv(k, kernel[3]), tirx.floormod(k, kernel[3])
            y = tirx.Cast(x.dtype, i * window.strides[0] + row * window.dilations[0] - window.low[0]) + offset(
                n, base, i, j
            )
            z = tirx.Cast(x.dtype, j * window.strides[1] + column * window.dilations[1] - window.low[1]) + offset(
                n, base + 1, i, j
            )
            top, left = tirx.floor(y), tirx.floor(z)
            total: Any = tirx.const(0, x.dtype)
            for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight_y = y - top if dy else 1 - (y - top)
                weight_x = z - left if dx else 1 - (z - left)
                at_y, at_x = tirx.Cast("int32", top) + dy, tirx.Cast("int32", left) + dx
                within = tirx.all(at_y >= 0, at_y < height, at_x >= 0, at_x < width)
                value = tirx.if_then_else(within, x(n, c, at_y, at_x), tirx.const(0, x.dtype))
                total = total + value * weight_y * weight_x
            return total * masks(n, group * size + k, i, j)

        return te.compute((shape[0], shape[1], size, *result[2:]), element, name="sampled")

    samples = emitter.builder.compute("sampled", sampled, node.operand("X"), node.operand("offset"), mask)
    per_group = result[1] // groups

    def product(values: Expr, weight: Expr) -> Expr:
        channel = te.reduce_axis((0, kernel[1]), name="c")
        tap = te.reduce_axis((0, size), name="k")

        def element(n: Expr, o: Expr, i: Expr, j: Expr) -> Expr:
            source = tirx.floordiv(o, per_group) * kernel[1] + channel
            factor = weight(o, channel, tirx.floordiv(tap, kernel[3]), tirx.floormod(tap, kernel[3]))
            return te.sum(values(n, source, tap, i, j) * factor, axis=[channel, tap])

        return te.compute(result, element, name="deformed")

    total = emitter.builder.compute("deformed", product, samples, node.operand("W"))
    return [_plus_bias(node, total, node.expression("B"))]


@onnx_rule("Det")
def determinant(node: HostNode) -> list[Expr]:
    """The determinant by Laplace expansion of small matrices.

    Raises:
        UserError: the matrices are larger than 5 x 5.
    """
    emitter = node.emitter
    shape = node.shape(0)
    size = shape[-1]
    if size > 5:
        raise node.refuse(f"determinants are for matrices of up to 5 rows, got {size}")
    te = emitter.builder.te

    def computation(tensor: Expr) -> Expr:
        def minor(index: tuple[Expr, ...], rows: list[int], columns: list[int]) -> Expr:
            if len(rows) == 1:
                return tensor(*index, rows[0], columns[0])
            total: Any = None
            for place, column in enumerate(columns):
                rest = minor(index, rows[1:], [other for other in columns if other != column])
                term = tensor(*index, rows[0], column) * rest
                total = term if total is None else (total - term if place % 2 else total + term)
            return total

        def element(*index: Expr) -> Expr:
            places = index if len(shape) > 2 else ()
            return minor(places, list(range(size)), list(range(size)))

        return te.compute(shape[:-2] or (1,), element, name="determinant")

    return [emitter.reshape(emitter.builder.compute("determinant", computation, node.operands[0]), node.output_shape())]


@onnx_rule("Einsum")
def einsum(node: HostNode) -> list[Expr]:
    """A sum of products over labelled dimensions; a label that occurs twice in one operand takes its diagonal."""
    emitter = node.emitter
    te = emitter.builder.te
    equation = node.text("equation").replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    ranks = [len(node.shape(index)) for index in range(len(terms))]
    hidden = max(
        rank - len(term.replace("...", "")) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)
    )
    letters = [chr(0x100 + index) for index in range(hidden)]

    def labels_of(term: str, rank: int | None) -> list[str]:
        before, dots, after = term.partition("...")
        count = hidden if rank is None else rank - len(before) - len(after)
        return [*before, *(letters[hidden - count :] if dots else []), *after]

    labelled = [labels_of(term, rank) for term, rank in zip(terms, ranks, strict=True)]
    extents: dict[str, int] = {}
    for index, labels in enumerate(labelled):
        for label, extent in zip(labels, node.shape(index), strict=True):
            extents[label] = max(extent, extents.get(label, 1))
    if arrow:
        kept = labels_of(output, None)
    else:
        flat = [label for labels in labelled for label in labels]
        kept = letters + sorted(label for label in set(flat) if flat.count(label) == 1 and label not in letters)
    summed = [label for label in extents if label not in kept]

    def computation(*tensors: Expr) -> Expr:
        axes = {label: te.reduce_axis((0, extents[label]), name=f"k{place}") for place, label in enumerate(summed)}

        def element(*index: Expr) -> Expr:
            places = dict(zip(kept, index, strict=False)) | axes
            product: Any = None
            for tensor, labels in zip(tensors, labelled, strict=True):
                at = [places[label] if int(size) > 1 else 0 for label, size in zip(labels, tensor.shape, strict=True)]
                value = tensor(*at)
                product = value if product is None else product * value
            return te.sum(product, axis=list(axes.values())) if axes else product

        return te.compute([extents[label] for label in kept] or (1,), element, name="einsum")

    total = emitter.builder.compute("einsum", computation, *node.operands)
    return [emitter.reshape(total, node.output_shape())]


@onnx_rule("Gemm")
def gemm(node: HostNode) -> list[Expr]:
    """`alpha * A' * B' + beta * C`."""
    emitter, dtype = node.emitter, node.output_dtype()
    lhs, rhs = node.operand("A"), node.operand("B")
    if node.integer("transA"):
        lhs = emitter.apply("permute_dims", lhs, [1, 0])
    if node.integer("transB"):
        rhs = emitter.apply("permute_dims", rhs, [1, 0])
    total = emitter.apply("matmul", lhs, rhs)
    if dtype.kind not in "iu":
        total = emitter.multiply(total, emitter.constant(node.real("alpha", 1.0), dtype))
    addend = node.expression("C")
    if addend is None:
        return [total]
    if dtype.kind not in "iu":
        addend = emitter.multiply(addend, emitter.constant(node.real("beta", 1.0), dtype))
    return [emitter.add(total, addend)]
