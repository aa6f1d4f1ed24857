"""The generated op classes, and the round trip of randomly built ops through text."""

from __future__ import annotations

import math
import struct

import onnx.defs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, FloatAttr, IntegerAttr, ModuleOp, StringAttr, TensorType, f32, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from intaglio.dialects.onnx import (
    Onnx,
    OnnxOp,
    YieldOp,
    build,
    contributed,
    floats_attr,
    ints_attr,
    operator_class,
    operator_classes,
    opset_of,
)
from intaglio.dialects.onnx.node import short_float
from intaglio.dialects.onnx.schema import Arity, AttributeKind, Operator, find_operator, operators
from intaglio.ir.locations import named
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module

T = TensorType(f32, [2])


def test_every_operator_has_a_class():
    expected = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    expected |= {(contributed.DOMAIN, name) for name in contributed.TABLE}
    assert set(operators()) == expected
    for operator in operators().values():
        kind = operator_class(operator.name, operator.domain)
        assert kind.name == operator.ir_name
    assert len({kind.name for kind in operator_classes()}) == len(expected)
    assert set(operator_classes()) <= set(Onnx.operations)


def test_the_version_in_force_is_the_schema_of_onnx():
    for (domain, name), operator in operators().items():
        if domain == contributed.DOMAIN:
            continue
        for opset in (7, 11, 13, 17, 21):
            version = operator.at(opset)
            try:
                schema = onnx.defs.get_schema(name, opset, domain)
            except onnx.defs.SchemaError:
                assert version is None or version.deprecated
                continue
            assert version is not None
            assert version.since == schema.since_version
            assert list(version.attributes) == sorted(schema.attributes)
            assert [formal.name for formal in version.inputs] == [formal.name for formal in schema.inputs]


def test_accessors_have_prefixes():
    block = Block(arg_types=[T, T, T])
    clip = find_operator("", "Clip")
    assert clip is not None
    low, high = block.args[1:]
    op = build(clip, [block.args[0], None, high], [T], {"min": FloatAttr(0.5, f32)})
    assert op.in_input is block.args[0]
    assert op.in_min is None
    assert op.in_max is high
    assert op.out_output is op.results[0]
    assert op.attr_min == FloatAttr(0.5, f32)
    assert op.attr_max is None
    assert (op.domain, op.op_type) == ("", "Clip")
    assert low.first_use is None


def test_unknown_operators_have_no_class():
    assert find_operator("", "Blur") is None
    with pytest.raises(KeyError, match=r"com\.acme\.Blur"):
        operator_class("Blur", "com.acme")


def test_the_domain_of_onnx_has_two_names():
    assert find_operator("ai.onnx", "Relu") is find_operator("", "Relu")


def test_the_opset_is_that_of_the_module():
    module = parse_module(
        'builtin.module attributes {onnx.opset_import = {"ai.onnx" = 9 : i64, ai.onnx.ml = 2 : i64}} {}'
    )
    assert opset_of(module, "") == 9
    assert opset_of(module, "ai.onnx.ml") == 2
    assert opset_of(parse_module("builtin.module {}"), "") == onnx.defs.onnx_opset_version()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_floats_read_back_exactly(value: float):
    text = short_float(value)
    assert struct.pack("<f", float(text)) == struct.pack("<f", value)
    assert "." in text


TEXTS = st.text(max_size=8)
VALUES: dict[AttributeKind, st.SearchStrategy[Attribute]] = {
    AttributeKind.INT: st.integers(-(2**63), 2**63 - 1).map(lambda value: IntegerAttr(value, i64)),
    AttributeKind.FLOAT: st.floats(width=32).filter(lambda x: not math.isnan(x)).map(lambda x: FloatAttr(x, f32)),
    AttributeKind.STRING: TEXTS.map(StringAttr),
    AttributeKind.INTS: st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(ints_attr),
    AttributeKind.FLOATS: st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(floats_attr),
    AttributeKind.STRINGS: st.lists(TEXTS.map(StringAttr), max_size=3).map(ArrayAttr),
    AttributeKind.TYPE_PROTO: st.just(T),
    AttributeKind.TENSOR: st.just(ints_attr([1])),
    AttributeKind.SPARSE_TENSOR: st.nothing(),
}


@st.composite
def built_ops(draw: st.DrawFn) -> tuple[Block, OnnxOp]:
    """An op of any operator, with any of its inputs, outputs and attributes, in a block with what it uses."""
    operator: Operator = draw(st.sampled_from(sorted(operators().values(), key=lambda operator: operator.ir_name)))
    block = Block(arg_types=[T, TensorType(f32, [])])

    def present(arity: Arity) -> list[bool]:
        match arity:
            case Arity.SINGLE:
                return [True]
            case Arity.OPTIONAL:
                return [draw(st.booleans())]
            case Arity.VARIADIC:
                return [True] * draw(st.integers(0, 3))

    inputs: list[SSAValue | None] = []
    for formal in operator.inputs:
        inputs += [draw(st.sampled_from(block.args)) if there else None for there in present(formal.arity)]
    types: list[Attribute | None] = []
    for formal in operator.outputs:
        types += [T if there else None for there in present(formal.arity)]
    attributes: dict[str, Attribute] = {}
    for name, kinds in operator.attributes.items():
        if draw(st.booleans()) and kinds != {AttributeKind.SPARSE_TENSOR}:
            (kind, *_) = sorted(kinds - {AttributeKind.SPARSE_TENSOR}, key=lambda kind: kind.value)
            attributes[name] = draw(VALUES[kind])
    graphs = {formal.name: Region(Block([YieldOp([block.args[0]])])) for formal in operator.graphs}
    count = sum(kind is not None for kind in types)
    names = draw(st.none() | st.lists(TEXTS, min_size=count, max_size=count))
    location = named(draw(TEXTS)) if draw(st.booleans()) else None
    op = build(operator, inputs, types, attributes, graphs=graphs, result_names=names, location=location)
    block.add_op(op)
    block.add_op(ReturnOp())
    return block, op


@given(built_ops())
@settings(max_examples=400, deadline=None)
def test_any_op_prints_and_parses_back(built: tuple[Block, OnnxOp]):
    block, op = built
    function = FuncOp("main", ([argument.type for argument in block.args], []), Region(block))
    module = ModuleOp([function])
    text = print_module(module)
    again = parse_module(text, verify=False)
    (parsed,) = (other for other in again.walk() if isinstance(other, OnnxOp))
    assert parsed.properties == op.properties
    assert module.is_structurally_equivalent(again)
    assert print_module(again) == text
