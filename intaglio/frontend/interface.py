"""What compiled code can take: the importer carries every ONNX model, the phases after it need less.

Strings, sequences, optional values, maps, complex numbers and the rarer 4- and 8-bit floats are carried from ONNX to IR
and back, but no later phase computes on them.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import (
    ArrayAttr,
    ComplexType,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnrankedTensorType,
    f4E2M1FN,
    f8E4M3FNUZ,
    f8E5M2FNUZ,
    f8E8M0FNU,
)
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import UNKNOWN_TYPE, InitializerOp, OnnxOp, StringType, constant_type
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.types import DATA_TYPES, data_type_name
from intaglio.ir.locations import describe

_CARRIED_ONLY = (f4E2M1FN, f8E4M3FNUZ, f8E5M2FNUZ, f8E8M0FNU)


def check_compilable(module: ModuleOp) -> None:
    """Check that inputs, outputs and constants of an imported model are such as the compiler works on.

    Raises:
        UserError: one is no tensor, has a data type that is only carried, or an input has an open dimension.
    """
    function = main_function(module)
    kinds = function.function_type
    for name, kind in zip(_names(function.arg_attrs, len(kinds.inputs)), kinds.inputs, strict=True):
        _check(kind, f'input "{name}"')
        if not isa(kind, TensorType) or not kind.has_static_shape():
            raise UserError(
                f'input "{name}" has open dimensions: {kind}', hint=f"give its shape when importing: --shape {name}=..."
            )
    for name, kind in zip(_names(function.res_attrs, len(kinds.outputs)), kinds.outputs, strict=True):
        if kind != UNKNOWN_TYPE:
            _check(kind, f'output "{name}"')
    for op in module.walk():
        if isinstance(op, InitializerOp):
            _check(op.result.type, f'initializer "{op.tensor_name.data}"')
        elif isinstance(op, OnnxOp) and op.op_type == "Constant":
            for value in op.node_attributes().values():
                try:
                    kind = constant_type(value)
                except VerifyException:
                    continue
                _check(kind, f"the value of {describe(op)}")


def _names(entries: ArrayAttr[DictionaryAttr] | None, count: int) -> Iterator[str]:
    for index in range(count):
        name = entries.data[index].data.get("onnx.name") if entries is not None else None
        yield name.data if isinstance(name, StringAttr) else str(index)


def _check(kind: Attribute, what: str) -> None:
    if not isa(kind, TensorType) and not isa(kind, UnrankedTensorType):
        raise UserError(f"{what} is no tensor, which is not supported")
    element: Attribute = kind.element_type
    if isinstance(element, StringType | ComplexType) or element in _CARRIED_ONLY:
        raise UserError(
            f"{what} has data type {data_type_name(DATA_TYPES[element])}, which is not supported",
            hint="supported are float, float16, bfloat16, double, bool and the integer types",
        )
