"""The interpreter against the TOSA reference model, bit for bit: operator by operator, on random cases."""

from __future__ import annotations

import re

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, i8

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform
from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module
from intaglio.lowering.nn_to_tosa import TosaExport, export_tosa
from intaglio.lowering.nn_to_tosa.steps import rescale
from intaglio.lowering.nn_to_tosa.writer import Value, Writer
from intaglio.numerics.requantization import requantize
from tests.oracles.quantized_cases import Array, Cases
from tests.oracles.tosa_model import run, serialized

OPERATORS = {
    "conv2d": Cases.conv2d,
    "grouped convolution": Cases.grouped,
    "depthwise convolution": Cases.depthwise,
    "transposed convolution": Cases.conv_transpose2d,
    "layer of 32 bits": Cases.accumulated,
    "dense": Cases.dense,
    "matmul": Cases.matmul,
    "add": Cases.add_values,
    "sub": Cases.sub_values,
    "mul": Cases.mul_values,
    "maximum and minimum": Cases.extreme,
    "requantize": Cases.requantize,
    "relu": Cases.relu,
    "clip": Cases.clip,
    "table": Cases.table,
    "max pool": Cases.max_pool2d,
    "dilated max pool": Cases.dilated_max_pool2d,
    "average pool": Cases.avg_pool2d,
    "reduction": Cases.reduction,
    "movement": Cases.movement,
    "selection": Cases.select,
    "resize": Cases.resize,
    "interpolation": Cases.interpolation,
}
SAMPLE, ALL = 30, 300


def on_both(cases: Cases, *, validate: bool = False) -> tuple[list[Array], list[Array]]:
    """The results of all operations by the interpreter and by the reference model."""
    module = cases.module()
    expected = cases.interpreted(module, cases.inputs)
    exported = export_tosa(module)
    arguments = [cases.inputs[cases.block.args.index(port.value)] for port in exported.inputs]
    outputs, status = run(serialized(exported.text, validate=validate), arguments)
    assert status == "TOSA_VALID"
    results = [cases.results.index(port.value) for port in exported.outputs]
    assert sorted(results) == list(range(len(cases.results)))
    return [expected[index] for index in results], outputs


def compare(cases: Cases, operator: str, count: int, *, validate: bool = False) -> None:
    for _ in range(count):
        OPERATORS[operator](cases)
    expected, actual = on_both(cases, validate=validate)
    assert len(actual) >= count
    assert [a.dtype for a in actual] == [e.dtype for e in expected]
    assert [index for index, pair in enumerate(zip(expected, actual, strict=True)) if not np.array_equal(*pair)] == []
    # Enough results neither saturate nor are constant, or the comparison would say little.
    varied = [np.ptp(result.astype(np.int64)) > 2 for result in expected if result.size > 4]
    assert sum(varied) > count / 4


WIDTHS = {"int8": (8, 8), "int16": (16, 16), "int8 to int16": (8, 16), "int16 to int8": (16, 8)}
"""Bits of arguments and of results that have parameters of their own."""

UNCHANGED = {"max pool", "dilated max pool", "movement", "selection", "resize", "interpolation"}
"""Operators whose results have the parameters of their arguments."""

COMBINATIONS = [
    (operator, widths)
    for operator in OPERATORS
    for widths in WIDTHS
    if widths == "int8" or (operator != "layer of 32 bits" and (operator not in UNCHANGED or " " not in widths))
]


@pytest.mark.parametrize(("operator", "widths"), COMBINATIONS)
def test_a_sample_of_an_operator(operator: str, widths: str):
    bits, result_bits = WIDTHS[widths]
    compare(Cases(0, bits=bits, result_bits=result_bits), operator, SAMPLE, validate=True)


@pytest.mark.slow
@pytest.mark.parametrize(("operator", "widths"), COMBINATIONS)
def test_an_operator(operator: str, widths: str):
    bits, result_bits = WIDTHS[widths]
    compare(Cases(1, bits=bits, result_bits=result_bits), operator, ALL)


def rescaled(
    writer: Writer, values: Array, rng: np.random.Generator, argument: int, *, double: bool
) -> tuple[Value, Array]:
    """A RESCALE of random parameters, and what `numerics` makes of its argument."""
    channels = values.shape[-1] if rng.integers(2) else 1
    shift = rng.integers(2, 63, channels)
    # The value must fit `shift` bits, so wide values come with long shifts.
    magnitude = int(np.abs(values.astype(np.int64)).max())
    shift = np.maximum(shift, magnitude.bit_length() + 1)
    multiplier = rng.integers(1 << 30, 1 << 31, channels)
    element = str(rng.choice(["i8", "i16", "i32"]))
    zero = int(rng.integers(-128, 128)) if element == "i8" else 0
    bits = int(element[1:])
    expected = requantize(
        values, multiplier, shift, zero, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, double_round=double
    )
    source = Value(f"%a{argument}", values.shape, "i32")
    result = rescale(writer, source, multiplier, shift, element, zero_out=zero, double_round=double)
    return result, expected.astype(f"i{bits // 8}")


def ties(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Integers of any length, and such as multiply to halves."""
    length = int(rng.integers(1, 31))
    values = rng.integers(-(1 << length), 1 << length, shape)
    if rng.integers(2):
        values[0] = rng.choice([-(1 << length), (1 << length) - 1, 0, -1, 1], shape[1])
    return values.astype(np.int32)


@pytest.mark.parametrize("count", [pytest.param(60, id="sample"), pytest.param(400, id="all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_rescale(double: bool, count: int):
    rng = np.random.default_rng(count)
    writer = Writer({})
    inputs = [ties(rng, (8, 4)) for _ in range(count)]
    made = [rescaled(writer, values, rng, index, double=double) for index, values in enumerate(inputs)]
    arguments = [(Value(f"%a{index}", values.shape, "i32"), f"x{index}") for index, values in enumerate(inputs)]
    text = writer.text(arguments, [(value, f"y{index}") for index, (value, _) in enumerate(made)])
    outputs, status = run(serialized(text, validate=True), inputs)
    assert status == "TOSA_VALID"
    for output, (_, expected) in zip(outputs, made, strict=True):
        np.testing.assert_array_equal(output, expected)


def test_the_two_roundings_differ():
    value, multiplier, shift = np.arange(-2000, 2000), 1_518_500_250, 38
    once = requantize(value, multiplier, shift, 0, -128, 127)
    assert np.any(once != requantize(value, multiplier, shift, 0, -128, 127, double_round=True))


def test_a_value_too_large_for_its_shift_saturates_here_and_is_undefined_in_tosa():
    cases = Cases(0)
    source = cases.input(1, 4, kind=uniform(8, 1.0))
    cases.inputs[-1] = np.array([[-128, 0, 1, 127]], np.int8)
    cases.add(nn.ReluOp(source, TensorType(uniform(8, 2.0**-26, -128), [1, 4])))
    module = cases.module()
    assert cases.interpreted(module, cases.inputs)[0].tolist() == [[-128, -128, 127, 127]]
    _, status = run(serialized(export_tosa(module).text), cases.inputs)
    assert status == "TOSA_UNPREDICTABLE"


CONVOLUTION = """
!in = !quant.uniform<i8:f32, 0.5:3>
!out = !quant.uniform<i8:f32, 0.25:-7>
func.func @main(%x: tensor<1x4xf32> {onnx.name = "image"}) -> (tensor<1x4xf32> {onnx.name = "scores"}) {
  %t = nn.transpose %x permutation [0, 1] : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %q = quant.qcast %t : tensor<1x4xf32> to tensor<1x4x!in>
  %y = nn.relu %q : (tensor<1x4x!in>) -> tensor<1x4x!out> loc("act")
  %d = quant.dcast %y : tensor<1x4x!out> to tensor<1x4xf32>
  BETWEEN
  func.return %s : tensor<1x4xf32>
}
"""
SOFTMAX = "%s = nn.softmax %d axis 1 : (tensor<1x4xf32>) -> tensor<1x4xf32>"
ISLAND = """%f = nn.softmax %d axis 1 : (tensor<1x4xf32>) -> tensor<1x4xf32> loc("probabilities")
  %p = quant.qcast %f : tensor<1x4xf32> to tensor<1x4x!in>
  %z = nn.relu %p : (tensor<1x4x!in>) -> tensor<1x4x!out> loc("last")
  %s = quant.dcast %z : tensor<1x4x!out> to tensor<1x4xf32>"""


def exported(between: str, **options: bool) -> TosaExport:
    return export_tosa(parse_module(CONVOLUTION.replace("BETWEEN", between)), **options)


def test_floats_at_the_edges_stay_outside():
    found = exported(SOFTMAX)
    assert [op.name for op in found.outside] == ["nn.transpose", "quant.qcast", "quant.dcast", "nn.softmax"]
    assert [port.name for port in found.inputs] == ["image"]
    assert [port.name for port in found.outputs] == ["act"]
    assert "// argument 'image': real value = 0.5 * (stored value - 3)" in found.text
    assert re.search(r'%a0: tensor<1x4xi8> \{tosa.tensor_name = "image"\}', found.text)
    outputs, status = run(serialized(found.text), [np.array([[-128, 3, 4, 127]], np.int8)])
    # Twice the distance from the zero point, from real zero on.
    assert (outputs[0].tolist(), status) == ([[-7, -7, -5, 127]], "TOSA_VALID")


def test_a_result_of_the_network_keeps_its_name():
    found = exported(SOFTMAX.replace("nn.softmax %d axis 1", "nn.reshape %d"))
    assert [port.name for port in found.outputs] == ["scores"]


def test_floats_in_the_middle_are_refused_or_cut():
    with pytest.raises(UserError, match=r'nn.softmax "probabilities".* stands between quantized'):
        exported(ISLAND)
    cut = exported(ISLAND, cuts=True)
    assert [port.name for port in cut.inputs] == ["image", "probabilities"]
    assert [port.name for port in cut.outputs] == ["act", "scores"]
    stored = [np.zeros((1, 4), np.int8), np.full((1, 4), 5, np.int8)]
    outputs, _ = run(serialized(cut.text), stored)
    assert [output.tolist() for output in outputs] == [[[-7] * 4], [[-3] * 4]]


def one(op: str) -> ModuleOp:
    return parse_module("!q = !quant.uniform<i8:f32, 0.5>\n!w = !quant.uniform<i16:f32, 0.5>\n" + op)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n func.return %x : tensor<4xf32>\n}", "no quantized"),
        (
            'func.func @main(%x: tensor<4x!q>) -> tensor<4x!q> attributes {quant.requantization = "tflite"} {\n'
            "%y = nn.relu %x : (tensor<4x!q>) -> tensor<4x!q>\n func.return %y : tensor<4x!q>\n}",
            'the mode "tflite"',
        ),
        (
            "func.func @main(%c: tensor<4xi1>, %x: tensor<4x!q>) -> tensor<4x!q> {\n%y = nn.select %c, %x, %x : "
            "(tensor<4xi1>, tensor<4x!q>, tensor<4x!q>) -> tensor<4x!q>\nfunc.return %y : tensor<4x!q>\n}",
            "condition must be a constant",
        ),
        (
            "func.func @main(%x: tensor<4x!w>) -> tensor<4x!w> {\n%y = nn.log %x : (tensor<4x!w>) -> tensor<4x!w>\n"
            "func.return %y : tensor<4x!w>\n}",
            "no interpolated table",
        ),
    ],
)
def test_what_tosa_cannot_say_is_named(text: str, message: str):
    with pytest.raises(UserError, match=message):
        export_tosa(one(text))


def test_large_constants_are_resources():
    cases = Cases(0)
    source = cases.input(1, 64)
    weight = cases.constant(np.arange(64 * 3, dtype=np.int8).reshape(3, 64) % 100, uniform(8, 0.01), i8)
    cases.add(nn.DenseOp(source, weight, None, TensorType(uniform(8, 0.5), [1, 3])))
    text = export_tosa(cases.module()).text
    assert text.count("dense_resource<") == 1
    assert 'constant_0: "0x04000000000102' in text
