"""`quantize`: closeness to the float network, parameters worked out by hand, and what must hold of any result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, IntegerType, ModuleOp, StringAttr, TensorType, UnitAttr, bf16, f32
from xdsl.ir import Attribute, Block, Region, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    ObserveOp,
    RequantizeOp,
    UniformQuantizedType,
    is_quantized,
    requantization_mode,
    storage_tensor_type,
)
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.interpreter.nn_normalization import computes_as_litert
from intaglio.ir.context import make_context
from intaglio.ir.locations import name_of, named
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import collecting

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


def quantized(module: ModuleOp, samples: list[np.ndarray], **options: Any) -> ModuleOp:
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


# Other precisions than a8w8, and several at once.


@pytest.mark.parametrize("seed", range(4))
def test_wider_precisions_come_closer(seed: int):
    module, samples = Network(seed).module(steps=6), list(data(seed))
    found = {name: signal_to_noise(module, quantized(module, samples, precision=name), samples) for name in LEAST_NOISE}
    assert all(found[name] > least for name, least in LEAST_NOISE.items()), found
    assert found["a8w4"] < found["a8w8"] < found["a16w16"]


LEAST_NOISE = {"a8w4": 6, "a8w8": 22, "a16w8": 25, "bf16": 35, "a16w16": 65}
"""In decibels: each bit of what is stored is worth six, less what a dozen operations add to it."""


def test_float_leaves_a_network_as_it_was():
    module, samples = Network(1).module(steps=6), list(data(1, count=2))
    assert print_module(quantized(module, samples, precision="float")) == print_module(module)


MIXTURE = ("a8w8", "a16w8", "a16w16", "a8w4", "bf16", "float")


def mixed(seed: int) -> tuple[ModuleOp, list[np.ndarray], ModuleOp]:
    """A random network, samples, and the network quantized with a random precision for each operation."""
    module, samples = Network(seed).module(steps=10), list(data(seed, count=3))
    after = calibrated(module, samples)
    rng = np.random.default_rng(seed)
    for op in after.walk():
        if op.dialect_name() == "nn" and not isinstance(op, nn.ConstantOp) and rng.random() < 0.7:
            op.attributes["quant.precision"] = StringAttr(MIXTURE[rng.integers(len(MIXTURE))])
    Quantize().apply(make_context(), after)
    verify_module(after)
    return module, samples, after


@pytest.mark.parametrize("seed", range(20))
def test_random_mixtures_of_precisions_compute(seed: int):
    module, samples, after = mixed(seed)
    assert signal_to_noise(module, after, samples) > 6


SHARING = (nn.MaxPool2dOp, nn.ConcatOp, nn.TransposeOp)


def width_of(value: SSAValue) -> int:
    kind = nn.tensor_of(value).get_element_type()
    assert isinstance(kind, UniformQuantizedType) and isinstance(kind.storage_type, IntegerType)
    return kind.storage_type.width.data


@pytest.mark.parametrize("seed", range(20))
def test_operands_have_the_precision_asked_for_and_results_that_of_their_readers(seed: int):
    _, _, after = mixed(seed)
    computing = [op for op in after.walk() if op.dialect_name() == "nn" and not isinstance(op, (*SHARING, nn.CastOp))]
    computing = [op for op in computing if op.operands and is_quantized(op.results[0].type)]
    for op in computing:
        asked = op.attributes.get("quant.precision")
        precision = asked.data if isinstance(asked, StringAttr) else "a8w8"
        activation_bits, weight_bits = (int(bits) for bits in precision.removeprefix("a").split("w"))
        assert width_of(op.operands[0]) == activation_bits
        if isinstance(op, nn.Conv2dOp):
            weight = nn.tensor_of(op.weight).get_element_type()
            assert storage_tensor_type(TensorType(weight, [1])).element_type == IntegerType(weight_bits)
        (result,) = op.results
        readers = {use.operation for use in result.uses}
        read_in = [width_of(result) for reader in readers if reader in computing]
        read_in += [width_of(reader.results[0]) for reader in readers if isinstance(reader, RequantizeOp)]
        if not any(isinstance(reader, (*SHARING, DequantizeCastOp)) for reader in readers):
            assert width_of(result) == max(read_in)
    # One requantize for a value and width.
    pairs = [(op.input, op.result.type) for op in after.walk() if isinstance(op, RequantizeOp)]
    assert len(set(pairs)) == len(pairs)
    assert all(width_of(value) != width_of_type(kind) for value, kind in pairs)


def width_of_type(kind: Attribute) -> int:
    assert isinstance(kind, TensorType)
    storage = storage_tensor_type(kind).element_type
    assert isinstance(storage, IntegerType)
    return storage.width.data


def test_mixtures_have_all_that_there_is_to_test():
    ops = [op for seed in range(20) for op in mixed(seed)[2].walk()]
    assert sum(isinstance(op, RequantizeOp) for op in ops) > 5
    assert any(isinstance(op, nn.Conv2dOp) and nn.tensor_of(op.result).get_element_type() == bf16 for op in ops)
    assert any(isinstance(op, nn.Conv2dOp) and nn.tensor_of(op.result).get_element_type() == f32 for op in ops)


def test_wide_activations_are_symmetric_and_a_remark_says_so():
    module, samples = Network(3).module(steps=6), list(data(3, count=2))
    with collecting() as remarks:
        after = quantized(module, samples, precision="a16w8")
    assert [found.message[:32] for found in remarks] == ["16-bit activations are symmetric"]
    kinds = [nn.tensor_of(result).get_element_type() for op in after.walk() for result in op.results]
    zero_points = [kind.zero_point for kind in kinds if isinstance(kind, UniformQuantizedType)]
    assert zero_points and not any(zero_points)
    with collecting() as remarks:
        quantized(module, samples, precision="a16w8", activation_symmetric=True)
    assert remarks == []


@pytest.mark.parametrize("precision", ["a8w8", "a16w8"])
def test_tflite_mode(precision: str):
    module, samples = Network(5).module(steps=8), list(data(5))
    shift, tflite = (
        quantized(module, samples, precision=precision, requantization=mode) for mode in ("shift", "tflite")
    )
    (function,) = tflite.ops
    assert requantization_mode(function) == "tflite"
    noise = [signal_to_noise(module, after, samples) for after in (shift, tflite)]
    assert abs(noise[0] - noise[1]) < 2.5


def test_average_pools_share_parameters_in_tflite_mode():
    net = Network(0)
    gated = squeeze_and_excite(net, net.block.args[0])
    net.block.add_op(func.ReturnOp(gated))
    module = ModuleOp([func.FuncOp("main", ([tensor(1, 8, 8, 8)], [gated.type]), Region(net.block))])
    samples = list(data(0))
    for mode, shared in (("shift", False), ("tflite", True)):
        after = quantized(module, samples, requantization=mode)
        (pooling,) = (op for op in after.walk() if isinstance(op, nn.AvgPool2dOp))
        kinds = {nn.tensor_of(value).get_element_type() for value in (pooling.input, pooling.result)}
        assert (len(kinds) == 1) == shared


@pytest.mark.parametrize(
    ("mode", "precision", "of_litert"), [("tflite", "a8w8", True), ("shift", "a8w8", False), ("tflite", "a16w8", False)]
)
def test_softmax_has_the_steps_of_litert_in_tflite_mode(mode: str, precision: str, of_litert: bool):
    net = Network(0)
    value = net.add(nn.SoftmaxOp(convolution(net, net.block.args[0]), 3, tensor(1, 8, 8, 8)))
    net.block.add_op(func.ReturnOp(value))
    module = ModuleOp([func.FuncOp("main", ([tensor(1, 8, 8, 8)], [value.type]), Region(net.block))])
    after = quantized(module, list(data(0)), precision=precision, requantization=mode)
    (softmax,) = (op for op in after.walk() if isinstance(op, nn.SoftmaxOp))
    kind = nn.tensor_of(softmax.result).get_element_type()
    assert ((kind.scale, kind.zero_point) == (1 / 256, -128)) == of_litert
    assert computes_as_litert(softmax) == of_litert


@pytest.mark.parametrize("precision", ["a8w8", "a16w8"])
def test_accumulators_are_handed_on_as_they_are(precision: str):
    net = Network(7)
    value = convolution(net, net.block.args[0])
    net.block.add_op(func.ReturnOp(value, hard_swish(net, value)))
    kinds = [tensor(1, 8, 8, 8)], [value.type, value.type]
    module, samples = ModuleOp([func.FuncOp("main", kinds, Region(net.block))]), list(data(7))
    copy = calibrated(module, samples)
    (layer,) = (op for op in copy.walk() if isinstance(op, nn.Conv2dOp))
    layer.attributes["quant.output_int32"] = UnitAttr()
    Quantize(precision=precision).apply(make_context(), copy)
    verify_module(copy)
    (layer,) = (op for op in copy.walk() if isinstance(op, nn.Conv2dOp))
    assert nn.is_accumulator(layer.result)
    assert width_of_type(layer.result.type) == (32 if precision == "a8w8" else 48)
    for sample in samples:
        exact, rounded = (Interpreter(found).run("main", [sample]) for found in (module, copy))
        # Only the operands are rounded; the result is finer than any eight bits of its range.
        assert np.abs(exact[0] - rounded[0]).max() < 0.05
        assert np.abs(exact[1] - rounded[1]).max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"precision": "a4w8"}, "no precision a4w8"), ({"requantization": "exact"}, "no requantization mode 'exact'")],
)
def test_options_that_do_not_exist(options: dict[str, str], message: str):
    with pytest.raises(UserError, match=message):
        quantized(Network(0).module(steps=1), list(data(0, count=1)), **options)
