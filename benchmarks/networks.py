"""Two published networks with random int8 weights, as a module between the phases `partition` and `npu`.

ResNet50 is version 1.5 (the stride in the 3x3 convolution), MobileNetV2 has width 1.0; both take one image of
224x224. What the accelerator does for them depends on shapes alone, so weights and scales are random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType, i8, i32
from xdsl.ir import Block, Operation, Region, SSAValue

from intaglio.dialects import nn, npu
from intaglio.dialects.quant import uniform, uniform_per_axis
from intaglio.dialects.weights import constant_attr
from intaglio.ir.locations import named

_ACTIVATION = uniform(8, 0.05, -3)
_RELU = nn.ClampAttr.of(0.0, np.inf)
_RELU6 = nn.ClampAttr.of(0.0, 6.0)


@dataclass
class _Region:
    """Builds the region function of a network, NHWC."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    block: Block = field(default_factory=Block)

    def input(self, *shape: int) -> SSAValue:
        return self.block.insert_arg(TensorType(_ACTIVATION, shape), 0)

    def add(self, name: str, op: Operation) -> SSAValue:
        op.location = named(name)
        self.block.add_op(op)
        return op.results[0]

    def _parameters(self, name: str, *shape: int) -> tuple[SSAValue, SSAValue]:
        scales = self.rng.uniform(0.001, 0.01, shape[0])
        kinds = uniform_per_axis(8, 0, scales), uniform_per_axis(32, 0, scales * _ACTIVATION.scale)
        weight = self.rng.integers(-127, 128, shape).astype(np.int8)
        bias = self.rng.integers(-1000, 1000, shape[0]).astype(np.int32)
        constants = [(weight, kinds[0], i8, "weight"), (bias, kinds[1], i32, "bias")]
        values = [
            self.add(f"{name}.{key}", nn.ConstantOp(constant_attr(key, data, stored), TensorType(kind, data.shape)))
            for data, kind, stored, key in constants
        ]
        return values[0], values[1]

    def conv2d(
        self,
        name: str,
        source: SSAValue,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        clamp: nn.ClampAttr | None = None,
    ) -> SSAValue:
        n, height, width, channels = _shape(source)
        weight, bias = self._parameters(name, outputs, kernel, kernel, channels // groups)
        result = TensorType(_ACTIVATION, [n, -(-height // stride), -(-width // stride), outputs])
        pad = kernel // 2
        end = pad if stride == 1 else max(0, (-(-height // stride) - 1) * stride + kernel - height - pad)
        pads = (pad, pad, end, end)
        attributes: dict[str, Any] = {"strides": (stride, stride), "pads": pads, "groups": groups, "clamp": clamp}
        return self.add(name, nn.Conv2dOp(source, weight, bias, result, **attributes))

    def dense(self, name: str, source: SSAValue, outputs: int) -> SSAValue:
        weight, bias = self._parameters(name, outputs, _shape(source)[-1])
        return self.add(name, nn.DenseOp(source, weight, bias, TensorType(_ACTIVATION, [1, outputs])))

    def sum(self, name: str, lhs: SSAValue, rhs: SSAValue, clamp: nn.ClampAttr | None = None) -> SSAValue:
        return self.add(name, nn.AddOp(lhs, rhs, TensorType(_ACTIVATION, _shape(lhs)), clamp=clamp))

    def mean(self, name: str, source: SSAValue) -> SSAValue:
        n, height, width, channels = _shape(source)
        result = TensorType(_ACTIVATION, [n, 1, 1, channels])
        pooled = self.add(name, nn.AvgPool2dOp(source, result, kernel=(height, width)))
        return self.add(f"{name}.flat", nn.ReshapeOp(pooled, TensorType(_ACTIVATION, [1, channels])))

    def max_pool(self, name: str, source: SSAValue) -> SSAValue:
        n, height, width, channels = _shape(source)
        result = TensorType(_ACTIVATION, [n, height // 2, width // 2, channels])
        pads = (1, 1, 0, 0)
        return self.add(name, nn.MaxPool2dOp(source, result, kernel=(3, 3), strides=(2, 2), pads=pads))

    def channels(self, value: SSAValue) -> int:
        return _shape(value)[-1]

    def module(self, result: SSAValue, target: str) -> ModuleOp:
        self.block.add_op(func.ReturnOp(result))
        kinds: tuple[Sequence[Any], Sequence[Any]] = list(self.block.arg_types), [result.type]
        region = func.FuncOp("region_0", kinds, Region(self.block))
        region.attributes["intaglio.device"] = StringAttr("accelerator")
        body = Block(arg_types=kinds[0])
        launch = npu.LaunchOp("region_0", list(body.args), kinds[1])
        body.add_ops([launch, func.ReturnOp(*launch.results)])
        module = ModuleOp([func.FuncOp("main", kinds, Region(body)), region])
        module.attributes["intaglio.target"] = StringAttr(target)
        return module


def _shape(value: SSAValue) -> tuple[int, ...]:
    return tuple(nn.tensor_of(value).get_shape())


class Builder(Protocol):
    """What the networks are described to: images in and out, `clamp` being the activation behind a layer."""

    def input(self, *shape: int) -> Any:
        """The image, of shape `N, H, W, C`."""
        ...

    def conv2d(
        self,
        name: str,
        source: Any,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        clamp: nn.ClampAttr | None = None,
    ) -> Any:
        """A convolution that keeps the size of images but for its stride."""
        ...

    def sum(self, name: str, lhs: Any, rhs: Any, clamp: nn.ClampAttr | None = None) -> Any:
        """The sum of two images."""
        ...

    def max_pool(self, name: str, source: Any) -> Any:
        """The largest of 3x3 elements, at every second row and column."""
        ...

    def mean(self, name: str, source: Any) -> Any:
        """The mean of an image, without its rows and columns."""
        ...

    def dense(self, name: str, source: Any, outputs: int) -> Any:
        """A dense layer."""
        ...

    def channels(self, value: Any) -> int:
        """How many channels a value has."""
        ...


def build_resnet50(
    b: Builder, size: int = 224, classes: int = 1000, blocks_of_stages: Sequence[int] = (3, 4, 6, 3)
) -> Any:
    """Describe ResNet50, or one of other depth, for an image of `size` x `size`; returns its result."""
    value = b.conv2d("stem", b.input(1, size, size, 3), 64, 7, 2, clamp=_RELU)
    value = b.max_pool("pool", value)
    for stage, (blocks, width) in enumerate(zip(blocks_of_stages, (64, 128, 256, 512), strict=True)):
        for block in range(blocks):
            name = f"stage{stage + 1}.{block}"
            stride = 2 if stage and not block else 1
            short = value
            if not block:
                short = b.conv2d(f"{name}.short", value, 4 * width, 1, stride)
            inner = b.conv2d(f"{name}.reduce", value, width, clamp=_RELU)
            inner = b.conv2d(f"{name}.conv", inner, width, 3, stride, clamp=_RELU)
            inner = b.conv2d(f"{name}.expand", inner, 4 * width)
            value = b.sum(f"{name}.add", inner, short, _RELU)
    return b.dense("classifier", b.mean("mean", value), classes)


def build_mobilenet_v2(b: Builder, size: int = 224, classes: int = 1000) -> Any:
    """Describe MobileNetV2 for an image of `size` x `size`; returns its result."""
    value = b.conv2d("stem", b.input(1, size, size, 3), 32, 3, 2, clamp=_RELU6)
    number = 0
    for factor, channels, repeats, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for repeat in range(repeats):
            stride, source, name = (1 if repeat else first_stride), value, f"block{number}"
            wide = b.channels(source) * factor
            inner = b.conv2d(f"{name}.expand", source, wide, clamp=_RELU6) if factor > 1 else source
            inner = b.conv2d(f"{name}.depthwise", inner, wide, 3, stride, groups=wide, clamp=_RELU6)
            inner = b.conv2d(f"{name}.project", inner, channels)
            value = b.sum(f"{name}.add", inner, source) if repeat else inner
            number += 1
    value = b.conv2d("last", value, 1280, clamp=_RELU6)
    return b.dense("classifier", b.mean("mean", value), classes)


DESCRIPTIONS: dict[str, Callable[[Builder], Any]] = {"resnet50": build_resnet50, "mobilenet_v2": build_mobilenet_v2}
"""By name: describes the network to a builder and returns its result."""


def resnet50(target: str, size: int = 224, classes: int = 1000) -> ModuleOp:
    """ResNet50 for an image of `size` x `size`."""
    b = _Region()
    return b.module(build_resnet50(b, size, classes), target)


def mobilenet_v2(target: str, size: int = 224, classes: int = 1000) -> ModuleOp:
    """MobileNetV2 for an image of `size` x `size`."""
    b = _Region()
    return b.module(build_mobilenet_v2(b, size, classes), target)


NETWORKS: dict[str, Callable[[str], ModuleOp]] = {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2}
"""By name: for a target, the module."""
