"""Which operations a quantized function still computes in floats, and why.

Casts are what a quantized network has at its edges. Operations that only move elements of a network's input, before the
cast that follows them, are listed too: they change no number, and there is nothing to gain from integers.
"""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import AnyFloat, TensorType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import ObserveOp, QuantizeCastOp, RequantizeOp
from intaglio.dialects.quant.ops import DequantizeCastOp, StorageCastOp
from intaglio.passes.quantization.coverage import KEEPS_RANGE, MOVES_ELEMENTS, OWN_RANGE
from intaglio.passes.quantization.node_settings import precision_of
from intaglio.passes.quantization.refusals import refusal

_NO_COMPUTATION = (
    nn.ConstantOp,
    func.ReturnOp,
    func.CallOp,
    QuantizeCastOp,
    DequantizeCastOp,
    RequantizeOp,
    StorageCastOp,
    ObserveOp,
)


def float_operations(function: func.FuncOp) -> list[tuple[Operation, str]]:
    """The operations of a quantized function that compute on floats, bfloat16 aside, in order, each with its reason.

    Args:
        function: what `quantize` has left; of a function before it, all operations are listed.
    """
    return [
        (op, float_reason(op))
        for op in function.body.block.ops
        if not (isinstance(op, _NO_COMPUTATION) or _is_rounding(op))
        and any(map(_is_float, (*op.operands, *op.results)))
    ]


def moves_only(op: Operation) -> bool:
    """Whether an operation hands elements on as they are."""
    return isinstance(op, MOVES_ELEMENTS)


def float_reason(op: Operation) -> str:
    """Why an operation on floats was not quantized: a clause that could follow "because"."""
    precision = precision_of(op)
    if precision is not None and precision.is_float:
        return "floats were asked for"
    if not isinstance(op, OWN_RANGE + KEEPS_RANGE + MOVES_ELEMENTS):
        return f"{op.name} has no integer form"
    if (found := refusal(op)) is not None:
        return found
    if moves_only(op):
        return "it moves elements of floats, which are cast after it"
    return "its operands are constants or of other types than f32"


def _is_float(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and isinstance(element(value), AnyFloat) and not _is_bfloat16(value)


def _is_rounding(op: Operation) -> bool:
    """Whether an operation is the cast at the edge of what computes in bfloat16."""
    return isinstance(op, nn.CastOp) and (_is_bfloat16(op.input) or _is_bfloat16(op.result))


def _is_bfloat16(value: SSAValue) -> bool:
    return str(element(value)) == "bf16"
