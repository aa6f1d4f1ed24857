"""Random layers that are large in some dimension: most fit a small scratchpad only in parts, some not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn

Builder = Any
"""`RegionBuilder` of tests/conftest.py."""

LARGEST_WEIGHT = 3_000_000
"""Elements."""


def extent(b: Builder, most: int) -> int:
    return b.choice([1, b.number(1, 8), b.number(1, 64), b.number(1, most)])


def shape(b: Builder, elements: int) -> tuple[int, int, int, int]:
    """An image of at most some elements, large in one dimension or two."""
    while True:
        found = (b.choice([1, 1, 2]), extent(b, 3_000), extent(b, 70_000), extent(b, 40_000))
        if math.prod(found) <= elements:
            return found


def convolution(b: Builder, elements: int, *, depthwise: bool = False) -> SSAValue:
    source = b.input(*shape(b, elements))
    depth = source.type.get_shape()[3]
    window = {
        "kernel": (b.choice([1, 1, 3, b.number(1, 40)]), b.choice([1, 1, 3, b.number(1, 300)])),
        "strides": (b.choice([1, 1, 2, b.number(1, 300)]), b.choice([1, 1, 2, b.number(1, 300)])),
        "dilations": (b.choice([1, 1, 2, b.number(1, 100)]), b.choice([1, 1, 2, b.number(1, 300)])),
        "pads": tuple(b.choice([0, 1, b.number(0, 40)]) for _ in range(4)),
    }
    if depthwise:
        return b.depthwise(source, **window)
    most = max(1, LARGEST_WEIGHT // (math.prod(window["kernel"]) * depth))
    return b.conv2d(source, min(extent(b, 3_000), most), **window)


def dense(b: Builder, elements: int) -> SSAValue:
    source = b.input(*shape(b, elements)[b.number(0, 3) :])
    rows, depth = math.prod(source.type.get_shape()[:-1]), source.type.get_shape()[-1]
    most = max(1, min(LARGEST_WEIGHT // depth, elements // rows))
    return b.dense(source, min(extent(b, 5_000), most))


def binary(b: Builder, elements: int) -> SSAValue:
    full = shape(b, elements)[b.number(0, 3) :]
    full = (1, *full) if b.number(0, 5) == 0 else full
    other = [1 if b.number(0, 1) else size for size in full]
    return b.binary(b.choice([nn.AddOp, nn.SubOp, nn.MulOp]), b.input(*full), b.input(*other))


def unary(b: Builder, elements: int) -> SSAValue:
    return b.unary(b.input(*shape(b, elements)[b.number(0, 3) :]))


def pool(b: Builder, elements: int) -> SSAValue:
    source = b.input(*shape(b, elements))
    n, height, width, depth = source.type.get_shape()
    kernel = [min(b.choice([1, 2, 3, b.number(1, 300)]), size) for size in (height, width)]
    strides = [b.choice([1, 2, b.number(1, 300)]) for _ in range(2)]
    sizes = [(size - taps) // stride + 1 for size, taps, stride in zip((height, width), kernel, strides, strict=True)]
    if b.number(0, 1):
        kind = TensorType(source.type.element_type, [n, *sizes, depth])
        return b.add(nn.MaxPool2dOp(source, kind, kernel=kernel, strides=strides))
    kind = TensorType(b.activation(), [n, *sizes, depth])
    return b.add(nn.AvgPool2dOp(source, kind, kernel=kernel, strides=strides))


LARGE: dict[str, Callable[[Builder, int], SSAValue]] = {
    "conv2d": convolution,
    "depthwise": lambda b, elements: convolution(b, elements, depthwise=True),
    "dense": dense,
    "binary": binary,
    "unary": unary,
    "pool": pool,
}
