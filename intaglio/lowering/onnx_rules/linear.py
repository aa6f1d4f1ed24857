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
    """`nn.dense` when the right side is a constant matrix, else `nn.matmul` where batches agree."""
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
    rows = left if len(left) > 1 else (1, *left)
    columns = right if len(right) > 1 else (*right, 1)
    if len(columns) == 2 and len(rows) > 2:
        rows = (math.prod(rows[:-1]), rows[-1])
    rank = max(len(rows), len(columns))
    rows, columns = _ranked(rows, rank), _ranked(columns, rank)
    if rows[:-2] != columns[:-2]:
        return None
    made = nn.MatmulOp(
        build.reshape(lhs, rows), build.reshape(rhs, columns), build.typed(lhs, (*rows[:-1], columns[-1]))
    )
    return build.reshape(build.add(made), result)


def _ranked(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape
