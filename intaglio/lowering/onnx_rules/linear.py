"""Convolutions and matrix products."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import window_output_shape
from intaglio.lowering.onnx_node import (
    Builder,
    Node,
    constant_of,
    dequantized_constant,
    element_type,
    is_float,
    lowers,
    resolve_pads,
    static_shape,
    two_dimensional,
)


@lowers("Conv")
def conv(node: Node, build: Builder) -> SSAValue | None:
    """One- and two-dimensional convolution: NHWC around `nn.conv2d`, the weight as OHWI."""
    source, weight, bias = node.input("X"), node.input("W"), node.input("B")
    shape, kernel, result = static_shape(source), static_shape(weight), node.result_shape
    if source is None or weight is None or shape is None or kernel is None or result is None:
        return None
    if len(shape) not in (3, 4) or len(kernel) != len(shape) or not is_float(source):
        return None
    spatial, window = shape[2:], kernel[2:]
    strides = node.integers("strides") or [1] * len(spatial)
    dilations = node.integers("dilations") or [1] * len(spatial)
    pads = resolve_pads(node, spatial, window, strides, dilations)
    if pads is None:
        return None
    low, high = two_dimensional(pads[0], 0), two_dimensional(pads[1], 0)
    strides, dilations = two_dimensional(strides, 1), two_dimensional(dilations, 1)
    extents = window_output_shape(
        two_dimensional(spatial, 1), two_dimensional(window, 1), strides, (*low, *high), dilations
    )
    if extents != two_dimensional(result[2:], 1):
        return None
    made = nn.Conv2dOp(
        build.to_channels_last(source),
        build.to_channels_last(weight),
        bias,
        build.typed(source, (result[0], *extents, result[1])),
        strides=strides,
        pads=(*low, *high),
        dilations=dilations,
        groups=node.integer("group", 1),
    )
    return build.from_channels_last(build.add(made), result)


@lowers("ConvTranspose")
def conv_transpose(node: Node, build: Builder) -> SSAValue | None:
    """One- and two-dimensional transposed convolution: NHWC around `nn.conv_transpose2d`, the weight as OHWI."""
    source, weight, bias = node.input("X"), node.input("W"), node.input("B")
    shape, kernel, result = static_shape(source), static_shape(weight), node.result_shape
    if source is None or weight is None or shape is None or kernel is None or result is None:
        return None
    if len(shape) not in (3, 4) or len(kernel) != len(shape) or not is_float(source) or 0 in (*shape, *kernel):
        return None
    rank, groups = len(shape) - 2, node.integer("group", 1)
    strides = two_dimensional(node.integers("strides") or [1] * rank, 1)
    dilations = two_dimensional(node.integers("dilations") or [1] * rank, 1)
    spatial, window, extents = (two_dimensional(sizes[2:], 1) for sizes in (shape, kernel, result))
    full = [
        (size - 1) * stride + (extent - 1) * dilation + 1
        for size, stride, extent, dilation in zip(spatial, strides, window, dilations, strict=True)
    ]
    cut = [before - after for before, after in zip(full, extents, strict=True)]
    given = node.integers("pads") or [0] * (2 * rank)
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "") or node.has("output_shape"):
        # What is cut is split evenly; an odd row goes to the end, or to the start but for SAME_UPPER.
        upper = node.text("auto_pad", "NOTSET") == "SAME_UPPER"
        low = [amount // 2 if upper else amount - amount // 2 for amount in cut]
    else:
        low = list(two_dimensional(given[:rank], 0))
    high = [amount - first for amount, first in zip(cut, low, strict=True)]
    made = nn.ConvTranspose2dOp(
        build.to_channels_last(source),
        _transposed_weight(build, weight, groups),
        bias,
        build.typed(source, (result[0], *extents, result[1])),
        strides=strides,
        pads=(*low, *high),
        dilations=dilations,
        groups=groups,
    )
    return build.from_channels_last(build.add(made), result)


def _transposed_weight(build: Builder, weight: SSAValue, groups: int) -> SSAValue:
    """`[C, O / groups, ...]` as `[O, KH, KW, C / groups]`."""
    shape = static_shape(weight)
    assert shape is not None
    height, width = two_dimensional(shape[2:], 1)
    depth, outputs = shape[0] // groups, shape[1]
    apart = build.reshape(weight, (groups, depth, outputs, height, width))
    return build.reshape(build.transpose(apart, (0, 2, 3, 4, 1)), (groups * outputs, height, width, depth))


@lowers("Gemm")
def gemm(node: Node, build: Builder) -> SSAValue | None:
    """`alpha * A' * B' + beta * C`: `nn.dense` when B is constant, `nn.matmul` otherwise."""
    lhs, rhs, addend = node.input("A"), node.input("B"), node.input("C")
    if lhs is None or rhs is None or not is_float(lhs) or not is_float(rhs) or node.result_shape is None:
        return None
    if addend is not None and static_shape(addend) is None:
        return None
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    if node.integer("transA"):
        lhs = build.transpose(lhs, (1, 0))
    weight = constant_of(rhs)
    if weight is None and alpha == beta == 1 and dequantized_constant(rhs) is not None:
        known = constant_of(addend) is not None or dequantized_constant(addend) is not None
        if addend is None or (known and static_shape(addend) == node.result_shape[1:]):
            matrix = rhs if node.integer("transB") else build.transpose(rhs, (1, 0))
            return build.add(nn.DenseOp(lhs, matrix, addend, node.result.type))
    if weight is None:
        product = _matrix_product(node, build, lhs, rhs)
        return _plus(build, _times(build, product, alpha), addend, beta)
    if not node.integer("transB"):
        weight = weight.transpose()
    if alpha != 1:
        weight = (weight * np.asarray(alpha, weight.dtype)).astype(weight.dtype)
    bias = _bias(build, addend, beta, weight.shape[0])
    made = nn.DenseOp(lhs, build.remade(rhs, weight), bias, node.result.type)
    dense = build.add(made)
    return dense if bias is not None or addend is None else _plus(build, dense, addend, beta)


def _matrix_product(node: Node, build: Builder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    if node.integer("transB"):
        rhs = build.transpose(rhs, (1, 0))
    return build.add(nn.MatmulOp(lhs, rhs, node.result.type))


def _bias(build: Builder, addend: SSAValue | None, beta: float, channels: int) -> SSAValue | None:
    """The bias vector that a constant addend stands for; None when it varies from row to row."""
    constant = constant_of(addend)
    if addend is None or constant is None or math.prod(constant.shape[:-1]) != 1:
        return None
    scaled = (constant * np.asarray(beta, constant.dtype)).astype(constant.dtype)
    return build.remade(addend, np.broadcast_to(scaled.reshape(-1), (channels,)))


def _times(build: Builder, value: SSAValue, factor: float) -> SSAValue:
    if factor == 1:
        return value
    kind = element_type(value)
    assert kind is not None
    return build.add(nn.MulOp(value, build.constant(np.asarray(factor), kind), value.type))


def _plus(build: Builder, value: SSAValue, addend: SSAValue | None, factor: float) -> SSAValue:
    if addend is None:
        return value
    return build.add(nn.AddOp(value, _times(build, addend, factor), value.type))


@lowers("MatMul")
def matmul(node: Node, build: Builder) -> SSAValue | None:
    """`nn.dense` when the right side is a constant matrix, else `nn.matmul`, its operands repeated to equal batches."""
    lhs, rhs = node.input("A"), node.input("B")
    left, right, result = static_shape(lhs), static_shape(rhs), node.result_shape
    if lhs is None or rhs is None or left is None or right is None or result is None:
        return None
    if not is_float(lhs) or not left or not right:
        return None
    weight = constant_of(rhs)
    if weight is not None and weight.ndim <= 2:
        matrix = weight.reshape(right[0], -1).transpose()
        made = nn.DenseOp(lhs, build.remade(rhs, matrix), None, build.typed(lhs, (*left[:-1], matrix.shape[0])))
        return build.reshape(build.add(made), result)
    if dequantized_constant(rhs) is not None and len(right) == 2:
        made = nn.DenseOp(lhs, build.transpose(rhs, (1, 0)), None, build.typed(lhs, (*left[:-1], right[1])))
        return build.reshape(build.add(made), result)
    rows = left if len(left) > 1 else (1, *left)
    columns = right if len(right) > 1 else (*right, 1)
    if len(columns) == 2 and len(rows) > 2:
        rows = (math.prod(rows[:-1]), rows[-1])
    rank = max(len(rows), len(columns))
    rows, columns = _ranked(rows, rank), _ranked(columns, rank)
    batches = np.broadcast_shapes(rows[:-2], columns[:-2])
    made = nn.MatmulOp(
        build.broadcast(build.reshape(lhs, rows), (*batches, *rows[-2:])),
        build.broadcast(build.reshape(rhs, columns), (*batches, *columns[-2:])),
        build.typed(lhs, (*batches, rows[-2], columns[-1])),
    )
    return build.reshape(build.add(made), result)


def _ranked(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape
