"""`quantize`: closeness to the float network, parameters worked out by hand, and what must hold of any result."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32
from xdsl.ir import Block, Region, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformQuantizedType, is_quantized
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.locations import name_of, named
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize

Step = Callable[["Network", SSAValue], SSAValue]


class Network:
    """Builds a random float network on NHWC maps of 8 channels."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.block = Block(arg_types=[tensor(1, 8, 8, 8)])
        self.count = 0

    def add(self, op):
        op.location = named(f"node/{self.count}")
        self.count += 1
        self.block.add_op(op)
        return op.results[0]

    def constant(self, *shape: int, scale: float = 1.0) -> SSAValue:
        values = self.rng.normal(scale=scale, size=shape).astype(np.float32)
        return self.add(nn.ConstantOp(constant_attr("c", values)))

    def module(self, steps: int) -> ModuleOp:
        value: SSAValue = self.block.args[0]
        for _ in range(steps):
            step = STEPS[self.rng.integers(len(STEPS))]
            value = step(self, value)
        self.block.add_op(func.ReturnOp(value))
        kind = FunctionType.from_lists([argument.type for argument in self.block.args], [value.type])
        return ModuleOp([func.FuncOp("main", kind, Region(self.block))])


def tensor(*shape: int) -> TensorType:
    return TensorType(f32, shape)


def shape_of(value: SSAValue) -> tuple[int, ...]:
    return tuple(nn.tensor_of(value).get_shape())


def convolution(net: Network, x: SSAValue) -> SSAValue:
    n, h, w, c = shape_of(x)
    weight, bias = net.constant(c, 3, 3, c, scale=(9 * c) ** -0.5), net.constant(c)
    clamp = nn.ClampAttr.of(0.0, float("inf"))
    return net.add(nn.Conv2dOp(x, weight, bias, tensor(n, h, w, c), pads=(1, 1, 1, 1), clamp=clamp))


def depthwise(net: Network, x: SSAValue) -> SSAValue:
    n, h, w, c = shape_of(x)
    return net.add(nn.Conv2dOp(x, net.constant(c, 1, 1, 1), None, tensor(n, h, w, c), groups=c))


def residual(net: Network, x: SSAValue) -> SSAValue:
    return net.add(nn.AddOp(convolution(net, x), x, x.type))


def offset(net: Network, x: SSAValue) -> SSAValue:
    return net.add(nn.SubOp(x, net.constant(shape_of(x)[3]), x.type))


def hard_swish(net: Network, x: SSAValue) -> SSAValue:
    return net.add(nn.HardSwishOp(x, x.type))


def squeeze_and_excite(net: Network, x: SSAValue) -> SSAValue:
    n, h, w, c = shape_of(x)
    pooled = net.add(nn.AvgPool2dOp(x, tensor(n, 1, 1, c), kernel=(h, w)))
    gate = net.add(nn.HardSigmoidOp(pooled, pooled.type, 0.2, 0.5))
    return net.add(nn.MulOp(x, gate, x.type))


def pool(net: Network, x: SSAValue) -> SSAValue:
    n, h, w, c = shape_of(x)
    return net.add(nn.MaxPool2dOp(x, tensor(n, h, w, c), kernel=(3, 3), pads=(1, 1, 1, 1)))


def split_and_join(net: Network, x: SSAValue) -> SSAValue:
    n, h, w, c = shape_of(x)
    joined = net.add(nn.ConcatOp([x, convolution(net, x)], 3, tensor(n, h, w, 2 * c)))
    weight = net.constant(c, 1, 1, 2 * c, scale=(2 * c) ** -0.5)
    return net.add(nn.Conv2dOp(joined, weight, None, tensor(n, h, w, c)))


def back_and_forth(net: Network, x: SSAValue) -> SSAValue:
    turned = net.add(nn.TransposeOp(x, [0, 2, 1, 3]))
    return net.add(nn.TanhOp(turned, turned.type))


def to_floats_and_back(net: Network, x: SSAValue) -> SSAValue:
    softmax = net.add(nn.SoftmaxOp(x, 3, x.type))
    return net.add(nn.AddOp(softmax, x, x.type))


STEPS: list[Step] = [
    convolution,
    depthwise,
    residual,
    offset,
    hard_swish,
    squeeze_and_excite,
    pool,
    split_and_join,
    back_and_forth,
    to_floats_and_back,
]


def data(seed: int, count: int = 8) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, 8, 8, 8)).astype(np.float32) for _ in range(count))


def calibrated(module: ModuleOp, samples: list[np.ndarray]) -> ModuleOp:
    copy = module.clone()
    InsertObservers().apply(make_context(), copy)
    record_ranges(copy, ({"input0": sample} for sample in samples))
    return copy


def quantized(module: ModuleOp, samples: list[np.ndarray], **options: bool) -> ModuleOp:
    copy = calibrated(module, samples)
    Quantize(**options).apply(make_context(), copy)
    verify_module(copy)
    return copy


def signal_to_noise(module: ModuleOp, other: ModuleOp, samples: list[np.ndarray]) -> float:
    """In decibels, over all samples."""
    exact, rounded = Interpreter(module), Interpreter(other)
    pairs = [(exact.run("main", [x])[0], rounded.run("main", [x])[0]) for x in samples]
    signal = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
    noise = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
    return 10 * np.log10(signal / noise)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_stay_close_to_floats(seed: int):
    module, samples = Network(seed).module(steps=6), list(data(seed))
    # 8 bits give some 45 dB; each of up to a dozen operations adds its rounding.
    assert signal_to_noise(module, quantized(module, samples), samples) > 22
    symmetric = quantized(module, samples, activation_symmetric=True, weight_per_tensor=True)
    assert signal_to_noise(module, symmetric, samples) > 17


@pytest.mark.parametrize("seed", range(12, 20))
def test_what_holds_of_every_result(seed: int):
    module, samples = Network(seed).module(steps=8), list(data(seed, count=2))
    after = quantized(module, samples)
    ops = list(after.walk())
    assert not any(isinstance(op, ObserveOp) for op in ops)
    # Every operation still has the name it had; casts and constants have that of their origin.
    names = {name_of(op) for op in module.walk() if name_of(op)}
    assert names == {name_of(op) for op in ops if name_of(op)}
    for op in ops:
        for result in op.results:
            assert isinstance(result.type, TensorType)
            kind = result.type.get_element_type()
            if isinstance(kind, UniformQuantizedType):
                assert kind.storage_min <= kind.zero_point <= kind.storage_max
    # What is quantized stays as it is.
    text = print_module(after)
    Quantize().apply(make_context(), after)
    assert print_module(after) == text


def test_symmetric_activations_have_zero_points_of_zero():
    module, samples = Network(3).module(steps=6), list(data(3, count=2))
    after = quantized(module, samples, activation_symmetric=True)
    kinds = [
        nn.tensor_of(result).get_element_type()
        for op in after.walk()
        for result in op.results
        if isinstance(result.type, TensorType) and is_quantized(result.type)
    ]
    assert kinds
    assert all(kind.zero_point == 0 for kind in kinds if isinstance(kind, UniformQuantizedType))


def test_a_dense_layer_by_hand():
    """Scales and zero points: 0.01 and -28 for the input, 0.02 and 0.01 for the weight, 0.02 and 0 for the result."""
    module = parse_module("""
        func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
          %0 = quant.observe %x {method = "min_max", range = array<f64: -1.0, 1.55>} : tensor<1x2xf32>
          %w = nn.constant dense<[[2.54, 1.0], [-1.27, 0.5]]> : tensor<2x2xf32>
          %b = nn.constant dense<[0.3, -0.1]> : tensor<2xf32>
          %1 = nn.dense %0, %w bias %b : (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
          %2 = quant.observe %1 {method = "min_max", range = array<f64: -2.56, 2.54>} : tensor<1x2xf32>
          func.return %2 : tensor<1x2xf32>
        }
    """)
    Quantize().apply(make_context(), module)
    constants = [array_of(op.value).tolist() for op in module.walk() if isinstance(op, nn.ConstantOp)]
    assert constants == [[[127, 50], [-127, 50]], [1500, -1000]]
    # Stored x - z is 51 and -24: sums 127*51 - 50*24 + 1500 = 6777 and -127*51 - 50*24 - 1000 = -8677, in units of
    # 0.0002 and 0.0001; in steps of 0.02 they are 67.77 and -43.385, rounded 68 and -43.
    (result,) = Interpreter(module).run("main", [np.array([[0.51, -0.24]], np.float32)])
    np.testing.assert_allclose(result, [[68 * 0.02, -43 * 0.02]], rtol=1e-6)


def test_an_accumulator_in_a_dead_network_can_be_rescaled():
    """Results that calibration saw as all but zero keep their ratios within what the hardware expresses."""
    module = parse_module("""
        func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>) {
          %0 = quant.observe %x {method = "min_max", range = array<f64: -1000.0, 1000.0>} : tensor<1x2xf32>
          %w = nn.constant dense<[[100.0, 0.0], [0.0, 0.0]]> : tensor<2x2xf32>
          %1 = nn.dense %0, %w clamp <0.0, inf> : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
          %2 = quant.observe %1 {method = "min_max", range = array<f64: 0.0, 1.0e-30>} : tensor<1x2xf32>
          %3 = nn.mul %0, %0 clamp <0.0, 1.0> : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
          %4 = quant.observe %3 {method = "min_max", range = array<f64: 0.0, 1.0e-38>} : tensor<1x2xf32>
          %5 = nn.sub %0, %0 : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
          %6 = quant.observe %5 {method = "min_max", range = array<f64: 0.0, 0.0>} : tensor<1x2xf32>
          func.return %2, %4, %6 : tensor<1x2xf32>, tensor<1x2xf32>, tensor<1x2xf32>
        }
    """)
    Quantize().apply(make_context(), module)
    verify_module(module)
    results = Interpreter(module).run("main", [np.zeros((1, 2), np.float32)])
    assert [result.tolist() for result in results] == [[[0.0, 0.0]]] * 3
