"""Whether a model comes quantized, so that there is nothing to calibrate."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.onnx import OnnxOp
from intaglio.dialects.onnx.quantized_forms import FORMS
from intaglio.dialects.quant import Quant
from intaglio.dialects.quant import is_quantized as is_quantized_type

_AFTER_IMPORT: tuple[type[Operation], ...] = tuple(
    op for op in (*nn.Nn.operations, *Quant.operations) if op is not nn.ConstantOp
)
_ON_STORED_VALUES = ("QuantizeLinear", "ConvInteger", "MatMulInteger")


def is_quantized(module: ModuleOp) -> bool:
    """Whether a module computes with quantized tensors, at the end of any phase.

    A model of which only weights are stored as integers is a float model. Before the phase `graph` operators are
    judged by what they are for; after it, the types of values say whether a quantized tensor came of them.

    Args:
        module: a module at the end of a phase.
    """
    lowered = [op for op in module.walk() if isinstance(op, _AFTER_IMPORT)]
    if lowered:
        return any(is_quantized_type(kind) for op in lowered for kind in op.result_types)
    return any(_computes_quantized(op) for op in module.walk() if isinstance(op, OnnxOp))


def _computes_quantized(op: OnnxOp) -> bool:
    return op.op_type in _ON_STORED_VALUES or (op.domain, op.op_type) in FORMS
