"""The types of the `quant` dialect: text, values, and what tensors of them store."""

import time

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    IntegerType,
    Signedness,
    TensorType,
    bf16,
    f8E4M3FN,
    f16,
    f32,
    f64,
    i8,
    i32,
)
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from intaglio.dialects.quant import (
    AnyQuantizedType,
    CalibratedQuantizedType,
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    check_container,
    expressed_tensor_type,
    is_quantized,
    storage_dtype,
    storage_tensor_type,
    uniform,
    uniform_per_axis,
)
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.numerics.quantization import dequantize

ui8 = IntegerType(8, Signedness.UNSIGNED)
i48 = IntegerType(48)


def parse_type(text):
    return Parser(make_context(), text).parse_type()


def test_random_types_print_and_parse_equal(make_types):
    types = make_types(3000, seed=20, storage_floats=[bf16, f8E4M3FN, f16])
    assert {type(kind) for kind in types} == {
        UniformQuantizedType,
        UniformQuantizedPerAxisType,
        UniformQuantizedSubChannelType,
        AnyQuantizedType,
        CalibratedQuantizedType,
    }
    context = make_context()
    for kind in types:
        text = str(kind)
        again = Parser(context, text).parse_type()
        assert again == kind, text
        assert hash(again) == hash(kind)
        assert str(again) == text
    assert len(set(types)) > 2500


def test_random_types_survive_in_a_module(make_types):
    types = make_types(300, seed=21, storage_floats=[bf16, f8E4M3FN])
    text = "".join(f"func.func private @f{index}({kind})\n" for index, kind in enumerate(types))
    functions = parse_module(text).body.ops
    assert [function.function_type.inputs.data[0] for function in functions] == types


def test_both_parsers_of_scale_lists_agree(make_types):
    # A comment inside the braces is not for the quick parser.
    per_axis = [kind for kind in make_types(1500, seed=22) if isinstance(kind, UniformQuantizedPerAxisType)]
    assert len(per_axis) > 200
    for kind in per_axis:
        assert parse_type(str(kind).replace("{", "{ // scales\n")) == kind


def test_many_channels_parse_in_linear_time():
    kind = uniform_per_axis(8, 0, np.linspace(0.001, 0.9, 100_000))
    text = str(kind)
    start = time.perf_counter()
    assert parse_type(text) == kind
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("!quant.uniform<i99:f32, 1.0>", 16),
        ("!quant.uniform<i8<-200:127>:f32, 1.0>", 19),
        ("!quant.uniform<i8:i32, 1.0>", 19),
        ("!quant.uniform<i8:f32, -1.0>", 24),
        ("!quant.uniform<i8:f32, 1.0:128>", 28),
        ("!quant.uniform<i8:f32:0, {1.0,2.0,0.0}>", 35),
        ("!quant.uniform<i8:f32:0, {1.0,2.0:-999,1.0}>", 35),
        ("!quant.uniform<i8:f32:{0:1,1:0}, {1.0}>", 30),
        ("!quant.any<i8<7:3>>", 15),
        ("!quant.calibrated<f32<1.0:0.5>>", 23),
    ],
)
def test_errors_point_at_the_offending_token(text, column):
    with pytest.raises(UserError) as error:
        parse_module(f"\nfunc.func private @f({text})", file_name="x.mlir")
    assert error.value.where == f"x.mlir:2:{column + 21}"


@pytest.mark.parametrize(
    "text",
    [
        "!quant.uniform<i8>",
        "!quant.uniform<i8:f32>",
        "!quant.uniform<i8:f32, 1.0",
        "!quant.uniform<i8:f32:0, 1.0>",
        "!quant.uniform<i8:f32:0, {1.0>",
        "!quant.uniform<i8:f32:0, {1.0,}>",
        "!quant.uniform<i8:f32:0, {{1.0}}>",
        "!quant.uniform<i8:f32, {1.0}>",
        "!quant.uniform<8:f32, 1.0>",
        "!quant.uniform<i8:f32, 1.0:2.0>",
        "!quant.uniform<i8:f32, true>",
        "!quant.uniform<i8:f32, 0x>",
        "!quant.calibrated<f32>",
        "!quant.unknown<i8>",
    ],
)
def test_malformed_text_is_a_parse_error(text):
    with pytest.raises(ParseError):
        parse_type(text)


def test_types_differ_by_each_parameter():
    per_tensor = UniformQuantizedType(i8, f32, 0.5, 1, -100, 100)
    block = UniformQuantizedSubChannelType(i8, f32, {0: 2}, [[0.5]], [[1]])
    others = [
        UniformQuantizedType(ui8, f32, 0.5, 1, 0, 100),
        UniformQuantizedType(i8, f64, 0.5, 1, -100, 100),
        UniformQuantizedType(i8, f32, np.nextafter(0.5, 1), 1, -100, 100),
        UniformQuantizedType(i8, f32, 0.5, 2, -100, 100),
        UniformQuantizedType(i8, f32, 0.5, 1, -101, 100),
        UniformQuantizedType(i8, f32, 0.5, 1, -100, 101),
        UniformQuantizedPerAxisType(i8, f32, 0, [0.5], [1], -100, 100),
        UniformQuantizedPerAxisType(i8, f32, 1, [0.5], [1], -100, 100),
        block,
        UniformQuantizedSubChannelType(i8, f32, {0: 3}, [[0.5]], [[1]]),
        UniformQuantizedSubChannelType(i8, f32, {1: 2}, [[0.5]], [[1]]),
        UniformQuantizedSubChannelType(i8, f32, {0: 2}, [[[0.5]]], [[[1]]]),
    ]
    assert len({per_tensor, *others}) == len(others) + 1
    assert UniformQuantizedType(i8, f32, 0.5, 1, -100, 100) == per_tensor


def test_accessors():
    kind = parse_type("!quant.uniform<i8<-127:127>:f32, 0.05:3>")
    assert (kind.storage_type, kind.expressed_type) == (i8, f32)
    assert (kind.storage_min, kind.storage_max, kind.is_signed) == (-127, 127, True)
    assert (kind.scale, kind.zero_point) == (0.05, 3)
    assert kind == uniform(8, 0.05, 3, storage_min=-127, storage_max=127)
    assert kind.scales.shape == ()

    kind = parse_type("!quant.uniform<u4:f16:1, {0.5,0.25:15}>")
    assert (kind.axis, kind.storage_min, kind.storage_max, kind.is_signed) == (1, 0, 15, False)
    assert kind.scales.dtype == np.float64
    assert kind.zero_points.dtype == np.int64
    assert (kind.scales.tolist(), kind.zero_points.tolist()) == ([0.5, 0.25], [0, 15])
    assert kind == uniform_per_axis(4, 1, [0.5, 0.25], [0, 15], signed=False, expressed=f16)

    kind = parse_type("!quant.uniform<i8:f32:{1:2, 0:3}, {{1.0, 2.0:1}}>")
    assert list(kind.block_sizes.items()) == [(1, 2), (0, 3)]
    assert (kind.scales.tolist(), kind.zero_points.tolist()) == ([[1.0, 2.0]], [[0, 1]])

    kind = parse_type("!quant.any<i8>")
    assert (kind.storage_type, kind.expressed_type) == (i8, None)
    kind = parse_type("!quant.calibrated<f16<-1.5:2.0>>")
    assert (kind.expressed_type, kind.min, kind.max) == (f16, -1.5, 2.0)


def test_parameter_arrays_cannot_be_written():
    kind = uniform_per_axis(8, 0, [0.5, 0.25])
    with pytest.raises(ValueError, match="read-only"):
        kind.scales[0] = 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: uniform(0, 1.0),
        lambda: uniform(65, 1.0),
        lambda: uniform(8, float("nan")),
        lambda: uniform(8, -0.5),
        lambda: uniform(8, 1e39),
        lambda: uniform(8, 1.0, 128),
        lambda: uniform(8, 1.0, storage_min=-129),
        lambda: uniform(8, 1.0, storage_min=5, storage_max=5),
        lambda: UniformQuantizedType(IntegerType(8, Signedness.SIGNED), f32, 1.0),
        lambda: UniformQuantizedType(f32, f32, 1.0),
        lambda: UniformQuantizedType(i8, i32, 1.0),
        lambda: uniform_per_axis(8, -1, [1.0]),
        lambda: uniform_per_axis(8, 0, []),
        lambda: uniform_per_axis(8, 0, [1.0, 2.0], [0]),
        lambda: uniform_per_axis(8, 0, [1.0, 0.0]),
        lambda: uniform_per_axis(8, 0, [1.0, 2.0], [0, 200]),
        lambda: UniformQuantizedSubChannelType(i8, f32, {0: 0}, [[1.0]]),
        lambda: UniformQuantizedSubChannelType(i8, f32, {-1: 1}, [[1.0]]),
        lambda: UniformQuantizedSubChannelType(i8, f32, {0: 1}, 1.0),
        lambda: UniformQuantizedSubChannelType(i8, f32, {0: 1}, [[1e-60]]),
        lambda: AnyQuantizedType(i8, storage_max=128),
        lambda: CalibratedQuantizedType(f32, 1.0, 1.0),
        lambda: CalibratedQuantizedType(f32, 0.0, float("inf")),
        lambda: CalibratedQuantizedType(i8, 0.0, 1.0),
    ],
)
def test_types_that_make_no_sense_cannot_be_built(make):
    with pytest.raises(VerifyException):
        make()


def test_fractional_zero_points_are_not_cut_off():
    with pytest.raises(TypeError):
        uniform_per_axis(8, 0, [1.0], [0.5])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (uniform(8, 1.0), np.int8),
        (uniform(8, 1.0, signed=False), np.uint8),
        (uniform(4, 1.0), np.int8),
        (uniform(1, 1.0, signed=False), np.uint8),
        (uniform(16, 1.0), np.int16),
        (uniform(9, 1.0, signed=False), np.uint16),
        (uniform(32, 1.0), np.int32),
        (uniform(48, 1.0), np.int64),
        (uniform(64, 1.0, signed=False), np.uint64),
        (UniformQuantizedType(bf16, f32, 1.0), ml_dtypes.bfloat16),
        (UniformQuantizedType(f8E4M3FN, f32, 1.0), ml_dtypes.float8_e4m3fn),
        (AnyQuantizedType(i8), np.int8),
    ],
)
def test_storage_dtype(kind, dtype):
    assert storage_dtype(kind) == np.dtype(dtype)


def test_tensors_of_quantized_types():
    kind = uniform(48, 0.5)
    tensor = TensorType(kind, [2, DYNAMIC_INDEX])
    assert is_quantized(tensor)
    assert storage_tensor_type(tensor) == TensorType(i48, [2, DYNAMIC_INDEX])
    assert expressed_tensor_type(tensor) == TensorType(f32, [2, DYNAMIC_INDEX])
    assert storage_tensor_type(TensorType(uniform(8, 1.0, signed=False), [3])) == TensorType(ui8, [3])
    assert not is_quantized(TensorType(f32, [2]))
    assert not is_quantized(kind)
    assert not is_quantized(TensorType(AnyQuantizedType(i8), [2]))
    with pytest.raises(TypeError):
        storage_tensor_type(TensorType(f32, [2]))
    with pytest.raises(TypeError):
        expressed_tensor_type(TensorType(AnyQuantizedType(i8), [2]))


def test_parameters_broadcast_against_their_tensor():
    stored = np.arange(8).reshape(2, 4)
    per_tensor = uniform(8, 0.5, 1)
    assert dequantize(stored, *per_tensor.broadcast_parameters((2, 4)))[1, 3] == 3.0
    per_axis = uniform_per_axis(8, 1, [1.0, 2.0, 4.0, 8.0], [0, 0, 0, 7])
    assert dequantize(stored, *per_axis.broadcast_parameters((2, 4))).tolist() == [
        [0.0, 2.0, 8.0, -32.0],
        [4.0, 10.0, 24.0, 0.0],
    ]
    # The example of upstream's documentation: blocks of 1 x 2.
    blocks = parse_type("!quant.uniform<i8:f32:{0:1, 1:2}, {{1.0, 2.0}, {1.0:4, 0.5}}>")
    check_container(blocks, TensorType(blocks, [2, 4]))
    assert dequantize(stored, *blocks.broadcast_parameters((2, 4))).tolist() == [
        [0.0, 1.0, 4.0, 6.0],
        [0.0, 1.0, 3.0, 3.5],
    ]


def test_sub_channel_scales_are_numbers_of_the_expressed_type():
    kind = UniformQuantizedSubChannelType(i8, f16, {0: 1}, [[0.1]])
    assert kind.scales.tolist() == [[float(np.float16(0.1))]]
