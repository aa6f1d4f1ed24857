"""The requantization mode `tflite` against LiteRT's reference kernels, bit for bit, on random cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, i8, i32
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType, set_requantization_mode, uniform, uniform_per_axis
from intaglio.dialects.weights import array_of
from intaglio.frontend.exporter import main_function
from intaglio.interpreter import Interpreter
from intaglio.numerics.requantization import (
    tflite_apply_scale,
    tflite_apply_scale_once,
    tflite_quantize_multiplier,
)
from intaglio.numerics.rescaling import rescale, store
from intaglio.numerics.softmax import PROBABILITY_BITS, softmax_probabilities
from intaglio.numerics.tflite_softmax import tflite_softmax
from intaglio.params import RequantizationMode
from tests.oracles.litert_model import ACTIVATIONS, Model
from tests.oracles.quantized_cases import Array, Cases

SAMPLE, ALL = 30, 300
CODES = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}


class Pairs(Cases):
    """Operations of ours, each with the operator of LiteRT that it is compared with."""

    def __init__(self, *seed: int) -> None:
        super().__init__(*seed)
        self.model = Model()
        self._numbers: dict[SSAValue, int] = {}

    def kind(self, scale: float | None = None) -> UniformQuantizedType:
        """Parameters whose scale a float32 holds, as the format asks for."""
        kind = super().kind(scale)
        return uniform(8, float(np.float32(kind.scale)), kind.zero_point)

    def argument(self, *shape: int, kind: UniformQuantizedType | None = None) -> SSAValue:
        value = self.input(*shape, kind=kind)
        found = value.type.element_type
        self._numbers[value] = self.model.argument(self.inputs[-1], found.scale, found.zero_point)
        return value

    def activation(self) -> tuple[nn.ClampAttr | None, int]:
        bounds = self.choice(list(ACTIVATIONS))
        return (None if bounds is None else nn.ClampAttr.of(*bounds)), ACTIVATIONS[bounds]

    def result(self, shape: Sequence[int], kind: UniformQuantizedType) -> int:
        return self.model.tensor(shape, "int8", kind.scale, kind.zero_point)

    def layer(self, source: SSAValue, *shape: int, per_channel: bool) -> tuple[SSAValue, SSAValue, list[int], float]:
        """Weight and bias on both sides, and the deviation of the sums in real values."""
        scale = source.type.element_type.scale
        count = shape[0] if per_channel else 1
        scales = self.rng.uniform(0.001, 0.03, count).astype(np.float32).astype(np.float64)
        weight, bias_reach = self.values(shape, 8, -127), float(np.prod(shape[1:])) ** 0.5 * 6000
        bias = self.rng.uniform(-bias_reach, bias_reach, shape[0]).astype(np.int32)
        if per_channel:
            kinds = uniform_per_axis(8, 0, scales), uniform_per_axis(32, 0, scales * scale)
        else:
            kinds = uniform(8, float(scales[0])), uniform(32, float(scales[0]) * scale)
        values = self.constant(weight, kinds[0], i8), self.constant(bias, kinds[1], i32)
        numbers = [
            self.model.tensor(shape, "int8", scales, values=weight),
            self.model.tensor(bias.shape, "int32", scales * scale, values=bias),
        ]
        return *values, numbers, bias_reach * scale * float(np.mean(scales))

    def convolution(self, *, depthwise: bool = False) -> None:
        channels = self.number(1, 8)
        multiplier = self.number(1, 3)
        outputs = channels * multiplier if depthwise else self.number(1, 8)
        source = self.argument(self.number(1, 2), self.number(4, 11), self.number(4, 11), channels)
        n, *spatial, _ = source.type.get_shape()
        same, taps = bool(self.number(0, 1)), [self.number(1, 3) for _ in range(2)]
        strides = [self.number(1, 3) for _ in range(2)]
        dilations = [self.choice([1, 1, 2]) if taps[k] * 2 - 1 <= spatial[k] else 1 for k in range(2)]
        reaches = [(taps[k] - 1) * dilations[k] + 1 for k in range(2)]
        if same:
            sizes = [-(-spatial[k] // strides[k]) for k in range(2)]
            totals = [max((sizes[k] - 1) * strides[k] + reaches[k] - spatial[k], 0) for k in range(2)]
        else:
            sizes = [(spatial[k] - reaches[k]) // strides[k] + 1 for k in range(2)]
            totals = [0, 0]
        pads = [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]
        per_channel = bool(self.number(0, 1))
        weight, bias, numbers, span = self.layer(
            source, outputs, *taps, 1 if depthwise else channels, per_channel=per_channel
        )
        name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        if depthwise:
            # One filter of [1, rows, columns, outputs] there, outputs first here.
            stored = self.block_constant(weight).transpose(3, 1, 2, 0)
            scales = self.scales_of(weight)
            numbers[0] = self.model.tensor(stored.shape, "int8", scales, values=stored, axis=3)
        kind = self.kind(span / 60 * float(np.exp(self.rng.uniform(-1, 1))))
        clamp, code = self.activation()
        groups = channels if depthwise else 1
        window = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
        shape = [n, *sizes, outputs]
        self.add(nn.Conv2dOp(source, weight, bias, TensorType(kind, shape), **window, clamp=clamp))
        fields = {"depthMultiplier": multiplier} if depthwise else {}
        self.model.operator(
            name,
            [self._numbers[source], *numbers],
            self.result(shape, kind),
            CODES[name],
            padding=0 if same else 1,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilations[0],
            dilationWFactor=dilations[1],
            fusedActivationFunction=code,
            **fields,
        )

    @staticmethod
    def block_constant(value: SSAValue) -> Array:
        owner = value.owner
        assert isinstance(owner, nn.ConstantOp)
        return array_of(owner.value)

    @staticmethod
    def scales_of(value: SSAValue) -> Array:
        return np.atleast_1d(value.type.element_type.scales)

    def depthwise_convolution(self) -> None:
        self.convolution(depthwise=True)

    def fully_connected(self) -> None:
        source = self.argument(self.number(1, 4), self.number(1, 40))
        rows, inner = source.type.get_shape()
        outputs = self.number(1, 12)
        weight, bias, numbers, span = self.layer(source, outputs, inner, per_channel=bool(self.number(0, 1)))
        kind = self.kind(span / 60 * float(np.exp(self.rng.uniform(-1, 1))))
        clamp, code = self.activation()
        self.add(nn.DenseOp(source, weight, bias, TensorType(kind, [rows, outputs]), clamp=clamp))
        self.model.operator(
            "FULLY_CONNECTED",
            [self._numbers[source], *numbers],
            self.result([rows, outputs], kind),
            "FullyConnectedOptions",
            fusedActivationFunction=code,
        )

    def elementwise(self, op: type[nn.ElementwiseOp], name: str, options: str) -> None:
        shape = [self.number(1, 3), *(self.number(1, 6) for _ in range(3))]
        other = [self.choice([size, size, 1]) for size in shape]
        lhs, rhs = self.argument(*shape), self.argument(*other)
        scales = [value.type.element_type.scale for value in (lhs, rhs)]
        span = scales[0] * scales[1] * 90 if op is nn.MulOp else max(scales)
        kind = self.kind(span * float(np.exp(self.rng.uniform(-1, 1))))
        clamp, code = self.activation()
        self.add(op(lhs, rhs, TensorType(kind, shape), clamp=clamp))
        operands = [self._numbers[lhs], self._numbers[rhs]]
        self.model.operator(name, operands, self.result(shape, kind), options, fusedActivationFunction=code)

    def addition(self) -> None:
        self.elementwise(nn.AddOp, "ADD", "AddOptions")

    def subtraction(self) -> None:
        self.elementwise(nn.SubOp, "SUB", "SubOptions")

    def multiplication(self) -> None:
        self.elementwise(nn.MulOp, "MUL", "MulOptions")

    def average_pool(self) -> None:
        """Parameters do not change, as the kernel asks for; padding is not counted."""
        source = self.argument(self.number(1, 2), self.number(3, 9), self.number(3, 9), self.number(1, 5))
        n, *spatial, channels = source.type.get_shape()
        same, taps = bool(self.number(0, 1)), [self.number(1, 3) for _ in range(2)]
        strides = [self.number(1, 3) for _ in range(2)]
        if same:
            sizes = [-(-spatial[k] // strides[k]) for k in range(2)]
            totals = [max((sizes[k] - 1) * strides[k] + taps[k] - spatial[k], 0) for k in range(2)]
        else:
            sizes = [(spatial[k] - taps[k]) // strides[k] + 1 for k in range(2)]
            totals = [0, 0]
        pads = [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]
        kind, shape = source.type.element_type, [n, *sizes, channels]
        clamp, code = self.activation()
        self.add(nn.AvgPool2dOp(source, TensorType(kind, shape), kernel=taps, strides=strides, pads=pads, clamp=clamp))
        self.model.operator(
            "AVERAGE_POOL_2D",
            [self._numbers[source]],
            self.result(shape, kind),
            "Pool2DOptions",
            padding=0 if same else 1,
            filterHeight=taps[0],
            filterWidth=taps[1],
            strideH=strides[0],
            strideW=strides[1],
            fusedActivationFunction=code,
        )

    def softmax(self) -> None:
        """The result is stored in steps of 1/256 from -128 on, as the kernel asks for."""
        shape = [self.number(1, 4), self.choice([1, 2, 5, 10, 33, 200])]
        # From scales at which all elements are alike to such that the largest takes everything.
        source = self.argument(*shape, kind=self.kind(float(np.exp(self.rng.uniform(np.log(1e-4), np.log(2.0))))))
        kind = uniform(8, 1 / 256, -128)
        self.add(nn.SoftmaxOp(source, 1, TensorType(kind, shape)))
        self.model.operator("SOFTMAX", [self._numbers[source]], self.result(shape, kind), "SoftmaxOptions", beta=1.0)

    def module(self) -> ModuleOp:
        module = super().module()
        set_requantization_mode(main_function(module), RequantizationMode.TFLITE)
        return module


OPERATORS = {
    "convolution": Pairs.convolution,
    "depthwise convolution": Pairs.depthwise_convolution,
    "fully connected": Pairs.fully_connected,
    "add": Pairs.addition,
    "sub": Pairs.subtraction,
    "mul": Pairs.multiplication,
    "average pool": Pairs.average_pool,
    "softmax": Pairs.softmax,
}


def softmax_of_litert(stored: Array, scale: float) -> Array:
    model = Model()
    source = model.argument(stored, scale, 0)
    result = model.tensor(stored.shape, "int8", 1 / 256, -128)
    model.operator("SOFTMAX", [source], result, "SoftmaxOptions", beta=1.0)
    return model.run()[0]


@pytest.mark.parametrize("length", [3, 10, 50])
def test_softmax_is_that_of_gemmlowp_where_another_exact_one_differs(length: int):
    """Both are exact to a hundredth of a step, so that random rows tell them apart only now and then."""
    rng, scale = np.random.default_rng(length), float(np.float32(0.11))
    stored = rng.integers(-128, 128, (30_000, length)).astype(np.int8)
    ours = tflite_softmax(stored, scale)
    steps = rescale(softmax_probabilities(stored, scale), 256 * 2.0**-PROBABILITY_BITS, RequantizationMode.TFLITE)
    telling = np.any(ours != store(steps, -128, -128, 127), axis=1)
    assert telling.sum() >= 2
    np.testing.assert_array_equal(softmax_of_litert(stored[telling], scale), ours[telling])


def test_sums_at_which_litert_ends_the_process_are_defined_here():
    assert set(tflite_softmax(np.zeros((1, 1000), np.int8), 0.1).tolist()[0]) == {-128}
    assert tflite_softmax(np.array([[127] + [-128] * 999], np.int8), 1.0)[0, 0] == 127


def test_fully_connected_rounds_halves_away_from_zero():
    sums = np.arange(-200, 201, dtype=np.int32)
    model = Model()
    source = model.argument(np.ones((1, 1), np.int8), 0.5, 0)
    weight = model.tensor((len(sums), 1), "int8", 0.5, values=np.zeros((len(sums), 1), np.int8))
    bias = model.tensor(sums.shape, "int32", 0.25, values=sums)
    result = model.tensor((1, len(sums)), "int8", 1.0, 0)
    model.operator("FULLY_CONNECTED", [source, weight, bias], result, "FullyConnectedOptions")
    # A quarter of the sum: 2 / 4 is 1, -2 / 4 is -1.
    expected = np.sign(sums) * ((np.abs(sums) + 2) // 4)
    np.testing.assert_array_equal(model.run()[0][0], expected)
    np.testing.assert_array_equal(tflite_apply_scale_once(sums, *tflite_quantize_multiplier(0.25)), expected)


def test_two_roundings_differ_from_one():
    """6.49956 becomes 6.5 first, and 7 then."""
    assert int(tflite_apply_scale(-4083, 1_750_267_746, -9)) == -7
    assert int(tflite_apply_scale_once(-4083, 1_750_267_746, -9)) == -6


def compare(operator: str, count: int, seed: int) -> None:
    pairs = Pairs(seed)
    for _ in range(count):
        OPERATORS[operator](pairs)
    actual = pairs.model.run()
    expected = Interpreter(pairs.module()).run("main", pairs.inputs)
    assert len(actual) == count
    different = [index for index, (a, e) in enumerate(zip(actual, expected, strict=True)) if not np.array_equal(a, e)]
    assert different == []
    assert sum(len(np.unique(result)) > 2 for result in actual) > count / 3


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_sample_of_an_operator(operator: str):
    compare(operator, SAMPLE, 0)


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator(operator: str):
    compare(operator, ALL, 1)
