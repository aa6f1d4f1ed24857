"""What compiled code can take: the importer carries every ONNX model, the phases after it need less.

Strings, sequences, optional values, maps and complex numbers are carried from ONNX to IR and back, but no later phase
computes on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from xdsl.dialects.builtin import (
    ArrayAttr,
    ComplexType,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnrankedTensorType,
)
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import UNKNOWN_TYPE, InitializerOp, OnnxOp, StringType, constant_type
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.types import DATA_TYPES, data_type_name
from intaglio.ir.locations import describe

MAX_ELEMENTS = 2**31 - 1
"""Tensors of more elements are not compiled: lowering may have to make constants as large."""


def check_compilable(module: ModuleOp) -> None:
    """Check that inputs, outputs and constants of an imported model are such as the compiler works on.

    Raises:
        UserError: one is no tensor, has a data type that is only carried, an input has an open dimension, or a
            value has more than `MAX_ELEMENTS` elements.
    """
    function = main_function(module)
    kinds = function.function_type
    for name, kind in zip(_names(function.arg_attrs, len(kinds.inputs)), kinds.inputs, strict=True):
        _check(kind, f'input "{name}"')
        if not isa(kind, TensorType) or not kind.has_static_shape():
            raise UserError(
                f'input "{name}" has open dimensions: {kind}', hint=f"give its shape when importing: --shape {name}=..."
            )
        _check_size(kind, f'input "{name}"')
    for name, kind in zip(_names(function.res_attrs, len(kinds.outputs)), kinds.outputs, strict=True):
        if kind != UNKNOWN_TYPE:
            _check(kind, f'output "{name}"')
    for op in module.walk():
        for result in op.results:
            _check_size(result.type, f"a result of {describe(op)}")
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


def _check_size(kind: Attribute, what: str) -> None:
    if not isa(kind, TensorType) or not kind.has_static_shape():
        return
    elements = math.prod(kind.get_shape())
    if elements > MAX_ELEMENTS:
        raise UserError(f"{what} has {elements} elements, more than {MAX_ELEMENTS}: {kind}")


def _check(kind: Attribute, what: str) -> None:
    if not isa(kind, TensorType) and not isa(kind, UnrankedTensorType):
        raise UserError(f"{what} is no tensor, which is not supported")
    element: Attribute = kind.element_type
    if isinstance(element, StringType | ComplexType):
        raise UserError(
            f"{what} has data type {data_type_name(DATA_TYPES[element])}, which is not supported",
            hint="supported are bool, integers and floats of any width",
        )
