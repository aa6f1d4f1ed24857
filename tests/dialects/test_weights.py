"""Constants by digest, their text and their files."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.dialects.builtin import IntegerType, Signedness, bf16, f16, f32, i1
from xdsl.ir import Attribute

from intaglio.dialects import weights
from intaglio.dialects.weights import (
    Weights,
    WeightsAttr,
    array_of,
    constant_attr,
    dense_attr,
    dtype_of,
    element_type_of,
    register_weights_file,
    write_weights_file,
)
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import LocatedParser, parse_module
from intaglio.ir.printing import print_module

ui8 = IntegerType(8, Signedness.UNSIGNED)
KINDS: list[tuple[Attribute, np.dtype]] = [
    (f32, np.dtype(np.float32)),
    (f16, np.dtype(np.float16)),
    (bf16, np.dtype(ml_dtypes.bfloat16)),
    (i1, np.dtype(np.bool_)),
    (IntegerType(4), np.dtype(np.int8)),
    (IntegerType(8), np.dtype(np.int8)),
    (ui8, np.dtype(np.uint8)),
    (IntegerType(16), np.dtype(np.int16)),
    (IntegerType(32), np.dtype(np.int32)),
    (IntegerType(48), np.dtype(np.int64)),
    (IntegerType(64), np.dtype(np.int64)),
]


def forgotten(attribute: WeightsAttr) -> WeightsAttr:
    """Return the attribute as another process reads it from text: without values."""
    weights._LOADED.pop(attribute.digest, None)
    return WeightsAttr(Weights(attribute.digest, attribute.type, attribute.key))


def reparsed(attribute: Attribute) -> Attribute:
    return LocatedParser(make_context(), str(attribute), "text").parse_attribute()


@pytest.mark.parametrize(("element_type", "dtype"), KINDS, ids=str)
def test_element_types_have_their_dtype(element_type: Attribute, dtype: np.dtype) -> None:
    assert dtype_of(element_type) == dtype


@pytest.mark.parametrize(("element_type", "dtype"), KINDS, ids=str)
def test_every_element_type_survives_the_file(element_type: Attribute, dtype: np.dtype, tmp_path: Path) -> None:
    values = (np.arange(240).reshape(4, 60) % 7).astype(dtype)
    attribute = WeightsAttr.from_array("some/name:0", values, element_type)
    assert write_weights_file(tmp_path / "w.safetensors", [attribute]) == 1
    loaded = forgotten(attribute).array()
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded, values)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0] = 1


def test_eight_bit_floats_are_stored_as_bits(tmp_path: Path) -> None:
    values = np.linspace(-2, 2, 120).astype(ml_dtypes.float8_e4m3fn)
    attribute = WeightsAttr.from_array("w", values)
    write_weights_file(tmp_path / "w.safetensors", [attribute])
    np.testing.assert_array_equal(forgotten(attribute).array().view(np.uint8), values.view(np.uint8))


def test_the_digest_is_of_dtype_shape_and_bytes() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = hashlib.blake2b(b"float32[2, 3]" + values.tobytes(), digest_size=16).hexdigest()
    assert WeightsAttr.from_array("w", values).digest == expected


def test_equality_is_by_content_and_type() -> None:
    values = np.arange(200, dtype=np.int8)
    first = WeightsAttr.from_array("first", values)
    assert first == WeightsAttr.from_array("second", values.copy())
    assert hash(first) == hash(WeightsAttr.from_array("second", values))
    assert first != WeightsAttr.from_array("first", values.reshape(2, 100))
    assert first != WeightsAttr.from_array("first", values // 16, IntegerType(4))


def test_the_attribute_does_not_change_with_the_array_it_was_made_of() -> None:
    values = np.zeros(200, dtype=np.float32)
    attribute = WeightsAttr.from_array("w", values)
    values[:] = 1
    assert not attribute.array().any()


@given(st.text(), hnp.array_shapes(max_dims=4, max_side=5), st.sampled_from([f32, bf16, IntegerType(8), ui8]))
def test_text_round_trips(key: str, shape: tuple[int, ...], element_type: Attribute) -> None:
    attribute = WeightsAttr.from_array(key, np.ones(shape, dtype_of(element_type)), element_type)
    parsed = reparsed(attribute)
    assert isinstance(parsed, WeightsAttr)
    assert (parsed, parsed.key, str(parsed)) == (attribute, key, str(attribute))


@given(
    st.sampled_from([np.float32, np.int8, np.uint8, np.int32, np.bool_, ml_dtypes.bfloat16]),
    hnp.array_shapes(max_dims=3, max_side=4),
    st.integers(0, 2**32 - 1),
)
def test_dense_constants_round_trip(dtype: type, shape: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).integers(-100, 100, shape).astype(np.int32).astype(dtype)
    attribute = dense_attr(values)
    parsed = reparsed(attribute)
    assert parsed == attribute
    np.testing.assert_array_equal(array_of(parsed), values)
    assert array_of(parsed).dtype == values.dtype


def test_constants_of_up_to_100_elements_are_in_the_text() -> None:
    assert not isinstance(constant_attr("w", np.zeros(100, np.float32)), WeightsAttr)
    assert isinstance(constant_attr("w", np.zeros(101, np.float32)), WeightsAttr)


@pytest.mark.parametrize(
    ("values", "element_type", "message"),
    [
        (np.array([8]), IntegerType(4), "values from 8 to 8 do not fit i4"),
        (np.array([-1]), ui8, "do not fit ui8"),
        (np.array([0.5]), IntegerType(8), "float64 values cannot be stored as i8"),
        (np.array(["x"]), None, "cannot be constants"),
    ],
)
def test_values_must_fit(values: np.ndarray, element_type: Attribute | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        constant_attr("w", values, element_type)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('#nn.weights<"w", "12"> : tensor<2xf32>', "32 hexadecimal digits, got '12'"),
        (f'#nn.weights<"w", "{"0" * 32}"> : f32', "weights need a tensor type"),
        (f'#nn.weights<"w", "{"0" * 32}"> : tensor<?xf32>', "static shape"),
        (f'#nn.weights<"w", "{"0" * 32}"> : tensor<2x!onnx.string>', "not supported"),
        ('#nn.weights<"w"> : tensor<2xf32>', "between key and digest"),
    ],
)
def test_malformed_text_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as info:
        parse_module(f'"test.op"() {{v = {text}}} : () -> ()', "m.mlir")
    assert info.value.where is not None
    assert info.value.where.startswith("m.mlir:1:")


def test_structure_is_usable_without_the_file() -> None:
    text = f'"test.op"() {{v = #nn.weights<"w", "{"ab" * 16}"> : tensor<20x30xf32>}} : () -> ()'
    module = parse_module(text)
    assert "tensor<20x30xf32>" in print_module(module)
    attribute = next(iter(module.body.block.ops)).attributes["v"]
    assert isinstance(attribute, WeightsAttr)
    assert not attribute.is_available()
    with pytest.raises(UserError, match=r'values of weights "w" \(abab.* are not available'):
        attribute.array()


def test_files_are_added_to_and_their_bytes_depend_on_the_content_only(tmp_path: Path) -> None:
    first, second = (WeightsAttr.from_array("w", np.full(150, value, np.float32)) for value in (1, 2))
    together, one_by_one = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert write_weights_file(together, [first, second]) == 2
    assert [write_weights_file(one_by_one, [item]) for item in (second, first, second)] == [1, 1, 0]
    assert together.read_bytes() == one_by_one.read_bytes()


def test_an_old_file_is_used_when_a_newer_one_is_gone(tmp_path: Path) -> None:
    attribute = WeightsAttr.from_array("w", np.full(150, 3, np.float32))
    for name in ("old", "new"):
        write_weights_file(tmp_path / f"{name}.safetensors", [attribute])
    (tmp_path / "new.safetensors").unlink()
    np.testing.assert_array_equal(forgotten(attribute).array(), 3)


HUGE_TENSOR = json.dumps({"a" * 32: {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()


def damaged(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 64,
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", len(HUGE_TENSOR)) + HUGE_TENSOR,
    ],
    ids=["empty", "no header", "huge header", "huge tensor"],
)
def test_a_damaged_file_is_a_user_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match="cannot read weights"):
        register_weights_file(damaged(tmp_path, content))


def test_values_that_do_not_have_their_digest_are_refused(tmp_path: Path) -> None:
    attribute = WeightsAttr.from_array("w", np.arange(150, dtype=np.float32))
    path = tmp_path / "w.safetensors"
    write_weights_file(path, [attribute])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="are not those of digest") as info:
        forgotten(attribute).array()
    assert info.value.where == str(path)


def test_an_absent_file_is_an_error_now_or_when_a_value_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "absent.safetensors"
    with pytest.raises(UserError, match="cannot read weights"):
        register_weights_file(path)
    register_weights_file(path, required=False)
    attribute = WeightsAttr.from_array("w", np.full(150, 0.125, np.float32))
    with pytest.raises(UserError, match="not available") as info:
        forgotten(attribute).array()
    assert info.value.hint is not None
    assert f"{path}" in info.value.hint


@pytest.mark.parametrize(("element_type", "dtype"), [(f32, np.float32), (i1, np.bool_), (ui8, np.uint8)])
def test_dtypes_have_their_element_type(element_type: Attribute, dtype: type) -> None:
    assert element_type_of(np.dtype(dtype)) == element_type
