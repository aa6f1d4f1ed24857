"""The schemas of onnxruntime's operators, against those that the installed onnxruntime reports."""

from __future__ import annotations

import pytest
from onnx import AttributeProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_state

from intaglio.dialects.onnx.contributed import DOMAIN, TABLE
from intaglio.dialects.onnx.quantized_forms import FORMS
from intaglio.dialects.onnx.schema import Formal, find_operator

REFERENCE = {schema.name: schema for schema in onnxruntime_state.get_all_operator_schema() if schema.domain == DOMAIN}


def shown(formals: tuple[Formal, ...]) -> list[tuple[str, str]]:
    return [(formal.name, formal.arity.value) for formal in formals]


def reported(formals: list) -> list[tuple[str, str]]:
    return [(formal.name, str(formal.option).rpartition(".")[2].lower()) for formal in formals]


@pytest.mark.parametrize("name", TABLE)
def test_schemas_are_those_of_onnxruntime(name: str):
    operator, reference = find_operator(DOMAIN, name), REFERENCE[name]
    assert operator is not None
    (version,) = operator.versions
    assert shown(version.inputs) == reported(reference.inputs)
    assert shown(version.outputs) == reported(reference.outputs)
    assert set(version.attributes) == set(reference.attributes)
    for key, attribute in version.attributes.items():
        expected = reference.attributes[key]
        assert attribute.kind.name == str(expected.type).rpartition(".")[2]
        assert attribute.required == expected.required
        proto = AttributeProto.FromString(expected._default_value)
        default = helper.get_attribute_value(proto) if proto.type else None
        assert attribute.default == (pytest.approx(default) if isinstance(default, float) else _text(default))


def _text(default: object) -> object:
    return default.decode() if isinstance(default, bytes) else default


def test_forms_name_inputs_that_their_operators_have():
    for (domain, name), form in FORMS.items():
        operator = find_operator(domain, name)
        assert operator is not None and find_operator("", form.operator) is not None
        named = {form.scale, form.zero_point}
        for operand in form.operands:
            parts = (operand,) if isinstance(operand, str) else (operand.value, *operand.scales, operand.zero_point)
            named.update(part for part in parts if part is not None)
        assert named <= {formal.name for formal in operator.inputs}, name
