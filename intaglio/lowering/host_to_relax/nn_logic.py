"""Rules of comparison, selection and conversion."""

from __future__ import annotations

import numpy as np

from intaglio.dialects import nn
from intaglio.interpreter.values import quantization, value_dtype
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.quant import quantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr

_OPERATORS = {
    "equal": "equal",
    "less": "less",
    "less_or_equal": "less_equal",
    "greater": "greater",
    "greater_or_equal": "greater_equal",
}


@rule(nn.CompareOp)
def compare(emitter: Emitter, op: nn.CompareOp, operands: list[Expr]) -> list[Expr]:
    """Compare element by element."""
    return [emitter.builder.operator(_OPERATORS[op.predicate.data], *operands)]


@rule(nn.SelectOp)
def select(emitter: Emitter, op: nn.SelectOp, operands: list[Expr]) -> list[Expr]:
    """Choose element by element."""
    return [emitter.builder.operator("where", *operands)]


@rule(nn.CastOp)
def cast(emitter: Emitter, op: nn.CastOp, operands: list[Expr]) -> list[Expr]:
    """Convert element by element; a truth value is whether a number is not zero, and integers may be quantized."""
    if quantization(op.result) is not None:
        return [quantized(emitter, emitter.cast(operands[0], np.float32), op.result)]
    source, result = value_dtype(op.input), value_dtype(op.result)
    if result == np.bool_ and source != np.bool_:
        return [emitter.builder.operator("not_equal", operands[0], emitter.constant(0, source))]
    return [operands[0] if source == result else emitter.cast(operands[0], result)]
