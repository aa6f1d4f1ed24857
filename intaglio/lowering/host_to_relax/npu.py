"""The rule of starting an accelerator region."""

from __future__ import annotations

from intaglio.dialects import npu
from intaglio.interpreter.values import value_dtype, value_shape
from intaglio.lowering.host_to_relax.callbacks import LAUNCH
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr


@rule(npu.LaunchOp)
def launch(emitter: Emitter, op: npu.LaunchOp, operands: list[Expr]) -> list[Expr]:
    """Hand the region's inputs to the runtime, which writes its results."""
    region = emitter.regions[op.callee.string_value()]
    results = [(value_shape(result), value_dtype(result)) for result in op.results]
    return emitter.builder.packed(LAUNCH, [region, len(operands)], operands, results)
