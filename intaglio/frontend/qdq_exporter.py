"""A quantized module as an ONNX model of float operators between QuantizeLinear and DequantizeLinear.

This is the form in which onnxruntime and most compilers take quantized models: they compute a float operator between
the two in integers where they can. Rounding is theirs, so results differ from ours by a step here and there.

```mlir
%y = nn.relu %x : (tensor<4x!in>) -> tensor<4x!out>     ->     DequantizeLinear - Relu - QuantizeLinear
```
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto
from xdsl.dialects.builtin import IntegerType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    RequantizeOp,
    UniformType,
    expressed_tensor_type,
)
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.nn_exporter import export_float
from intaglio.ir.locations import describe, where

_OPSET, _OPSET_OF_OTHER_WIDTHS = 17, 21
"""From the second on, integers may have 4 and 16 bits."""

LAYERS = (nn.Conv2dOp, nn.ConvTranspose2dOp, nn.DenseOp)


def export_qdq(module: ModuleOp) -> ModelProto:
    """Write `@main` of a quantized module, before it is partitioned.

    Integers of 8 bits need opset 17, others 21; a model that still holds `onnx` ops keeps theirs, and has
    onnxruntime's own casts where the standard ones of that opset do not suffice.

    Returns:
        The model, with the names, types and layouts of `@main`.

    Raises:
        UserError: an op or a quantized type has no form in ONNX, or quantizes its input at run time; it is named.
    """
    copy = module.clone()
    function = main_function(copy)
    for op in function.body.block.ops:
        if isinstance(op, LAYERS) and nn.is_dynamic(op.input, op.weight):
            raise UserError(
                f"{describe(op)} quantizes its input as it comes, which has no form with scales",
                where=where(op.location),
                hint="export a network that was quantized statically",
            )
    widths = {
        kind.storage_type.width.data
        for op in function.body.walk()
        for value in op.results
        if hasattr(value.type, "element_type")
        and isinstance(kind := element(value), UniformType)
        and isinstance(kind.storage_type, IntegerType)
    }
    _between_casts(function)
    model, _ = export_float(copy, opset=_OPSET if widths <= {8, 32} else _OPSET_OF_OTHER_WIDTHS)
    return model


def _between_casts(function: FuncOp) -> None:
    """Make every quantized operation of a function a float one between casts."""
    floats: dict[SSAValue, SSAValue] = {}

    def as_float(value: SSAValue, before: Operation) -> SSAValue:
        if not isinstance(element(value), UniformType):
            return value
        if value not in floats:
            cast = DequantizeCastOp(value, expressed_tensor_type(nn.tensor_of(value)))
            _insert(cast, before, value)
            floats[value] = cast.result
        return floats[value]

    for op in list(function.body.block.ops):
        if isinstance(op, nn.ConstantOp | QuantizeCastOp) or op.name == "func.return":
            continue
        if isinstance(op, DequantizeCastOp):
            op.result.replace_all_uses_with(as_float(op.input, op))
            op.detach()
            op.erase()
        elif isinstance(op, RequantizeOp):
            _replaced(op, [as_float(op.input, op)])
        elif any(isinstance(element(value), UniformType) for value in (*op.operands, *op.results) if _is_tensor(value)):
            _rebuilt(op, [as_float(value, op) for value in op.operands])


def _is_tensor(value: SSAValue) -> bool:
    return hasattr(value.type, "element_type")


def _rebuilt(op: Operation, operands: Sequence[SSAValue]) -> None:
    """Replace an operation by one on floats, whose results are cast."""
    new = type(op).create(
        operands=operands,
        result_types=[expressed_tensor_type(nn.tensor_of(result)) for result in op.results],
        properties=dict(op.properties),
        attributes=dict(op.attributes),
    )
    _insert(new, op, op.results[0])
    _replaced(op, new.results)


def _replaced(op: Operation, floats: Sequence[SSAValue]) -> None:
    for result, real in zip(op.results, floats, strict=True):
        if isinstance(element(result), UniformType):
            cast = QuantizeCastOp(real, result.type)
            _insert(cast, op, result)
            result.replace_all_uses_with(cast.result)
        else:
            result.replace_all_uses_with(real)
    op.detach()
    op.erase()


def _insert(new: Operation, before: Operation, like: SSAValue) -> None:
    block = before.parent
    assert block is not None
    new.location = before.location
    block.insert_op_before(new, before)
    for result in new.results:
        result.name_hint = like.name_hint
