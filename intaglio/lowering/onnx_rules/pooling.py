"""Pooling: NHWC around `nn.max_pool2d` and `nn.avg_pool2d`, padding explicit, `ceil_mode` resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.lowering.onnx_node import (
    Builder,
    Node,
    Shape,
    is_float,
    lowers,
    resolve_pads,
    static_shape,
    two_dimensional,
)


@dataclass(frozen=True)
class _Window:
    """A sliding window over height and width; `extra` is padding at the end that only `ceil_mode` asks for."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    extra: tuple[int, ...]


@lowers("MaxPool")
def max_pool(node: Node, build: Builder) -> SSAValue | None:
    """Largest element of each window."""
    source, result = node.input("X"), node.result_shape
    window = _window(node, source, result)
    if source is None or result is None or window is None:
        return None
    made = nn.MaxPool2dOp(
        build.to_channels_last(source),
        build.typed(source, _channels_last(result)),
        kernel=window.kernel,
        strides=window.strides,
        pads=(*window.low, *_sum(window.high, window.extra)),
        dilations=window.dilations,
    )
    return build.from_channels_last(build.add(made), result)


@lowers("AveragePool")
def average_pool(node: Node, build: Builder) -> SSAValue | None:
    """Mean of each window.

    With `count_include_pad` the divisor counts declared padding, but never what `ceil_mode` adds at the end; where
    both occur the declared padding is made explicit as zeros.
    """
    source, result = node.input("X"), node.result_shape
    window = _window(node, source, result)
    if source is None or result is None or window is None or any(dilation != 1 for dilation in window.dilations):
        return None
    counted = bool(node.integer("count_include_pad"))
    value = build.to_channels_last(source)
    low, high = window.low, window.high
    if counted and any(window.extra):
        value = _zero_padded(build, value, low, high)
        low, high, counted = (0, 0), (0, 0), False
    made = nn.AvgPool2dOp(
        value,
        build.typed(source, _channels_last(result)),
        kernel=window.kernel,
        strides=window.strides,
        pads=(*low, *_sum(high, window.extra)),
        count_include_pad=counted,
    )
    return build.from_channels_last(build.add(made), result)


def _zero_padded(build: Builder, value: SSAValue, low: Sequence[int], high: Sequence[int]) -> SSAValue:
    if not any((*low, *high)):
        return value
    shape = static_shape(value)
    assert shape is not None
    before, after = (0, *low, 0), (0, *high, 0)
    padded = [a + b + c for a, b, c in zip(before, shape, after, strict=True)]
    return build.add(nn.PadOp(value, before, after, 0.0, build.typed(value, padded)))


@lowers("GlobalAveragePool")
def global_average_pool(node: Node, build: Builder) -> SSAValue | None:
    """The mean over a window as large as the input."""
    source = node.input("X")
    return None if source is None else _global_mean(node, build, source)


def _global_mean(node: Node, build: Builder, source: SSAValue) -> SSAValue | None:
    shape, result = static_shape(source), node.result_shape
    if shape is None or result is None or len(shape) not in (3, 4) or not is_float(source) or 0 in shape:
        return None
    made = nn.AvgPool2dOp(
        build.to_channels_last(source),
        build.typed(source, (shape[0], 1, 1, shape[1])),
        kernel=two_dimensional(shape[2:], 1),
    )
    return build.from_channels_last(build.add(made), result)


@lowers("GlobalMaxPool")
def global_max_pool(node: Node, build: Builder) -> SSAValue | None:
    """The maximum over a window as large as the input."""
    source = node.input("X")
    shape, result = static_shape(source), node.result_shape
    if source is None or shape is None or result is None:
        return None
    if len(shape) not in (3, 4) or not is_float(source) or 0 in shape:
        return None
    made = nn.MaxPool2dOp(
        build.to_channels_last(source),
        build.typed(source, (shape[0], 1, 1, shape[1])),
        kernel=two_dimensional(shape[2:], 1),
    )
    return build.from_channels_last(build.add(made), result)


def _window(node: Node, source: SSAValue | None, result: Shape | None) -> _Window | None:
    """The window of a pooling node; None when a guard fails."""
    shape, kernel = static_shape(source), node.integers("kernel_shape")
    if source is None or shape is None or result is None or kernel is None or not is_float(source):
        return None
    if len(shape) not in (3, 4) or len(kernel) != len(shape) - 2 or 0 in shape:
        return None
    spatial = shape[2:]
    strides = node.integers("strides") or [1] * len(spatial)
    dilations = node.integers("dilations") or [1] * len(spatial)
    pads = resolve_pads(node, spatial, kernel, strides, dilations)
    if pads is None:
        return None
    extra: list[int] = []
    rows = zip(spatial, kernel, strides, dilations, *pads, result[2:], strict=True)
    for size, extent, stride, dilation, low, high, count in rows:
        reach = (count - 1) * stride + dilation * (extent - 1) + 1 - (size + low + high)
        extra.append(max(reach, 0))
        if reach <= -stride or not _all_windows_touch(size, extent, stride, dilation, low, count):
            return None
    return _Window(
        two_dimensional(kernel, 1),
        two_dimensional(strides, 1),
        two_dimensional(dilations, 1),
        two_dimensional(pads[0], 0),
        two_dimensional(pads[1], 0),
        two_dimensional(extra, 0),
    )


def _all_windows_touch(size: int, extent: int, stride: int, dilation: int, low: int, count: int) -> bool:
    """Whether every window along one dimension holds at least one element of the input."""
    return all(
        any(0 <= start + tap * dilation < size for tap in range(extent))
        for start in range(-low, -low + count * stride, stride)
    )


def _channels_last(shape: Shape) -> Shape:
    return (shape[0], *two_dimensional(shape[2:], 1), shape[1])


def _sum(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))
