"""Rules of reductions; the reduced dimensions stay with one element."""

from __future__ import annotations

import numpy as np

from intaglio.dialects import nn
from intaglio.dialects.nn.types import storage_bits
from intaglio.dialects.quant import requantization_mode
from intaglio.interpreter.nn_reduction import axes_of, count_of, sum_multiplier
from intaglio.interpreter.values import quantization, value_dtype, value_shape
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.fixed_point import FixedPoint, requantized
from intaglio.lowering.host_to_relax.registry import rule
from intaglio.lowering.tvm import Expr
from intaglio.numerics.averaging import is_wide_sum
from intaglio.numerics.fixed_point import ROOT_FRACTION_BITS
from intaglio.params import RequantizationMode

_OPERATORS: dict[type[nn.ReduceOp], tuple[str, float]] = {
    nn.ReduceMeanOp: ("mean", np.nan),
    nn.ReduceSumOp: ("sum", 0.0),
    nn.ReduceMaxOp: ("max", -np.inf),
    nn.ReduceMinOp: ("min", np.inf),
    nn.ReduceProdOp: ("prod", 1.0),
}
"""The Relax operator, and the result where there is nothing to reduce."""


@rule(nn.ReduceMeanOp, nn.ReduceSumOp, nn.ReduceMaxOp, nn.ReduceMinOp, nn.ReduceProdOp)
def reduce(emitter: Emitter, op: nn.ReduceOp, operands: list[Expr]) -> list[Expr]:
    """Reduce; sums of quantized elements are requantized."""
    operator, nothing = _OPERATORS[type(op)]
    if quantization(op.input) is not None and isinstance(op, nn.ReduceSumOp | nn.ReduceMeanOp):
        return [_quantized_sum(emitter, op, operands[0])]
    dtype = value_dtype(op.result)
    if count_of(op) == 0:
        # TVM leaves the result of an empty reduction uninitialised.
        value = np.clip(nothing, np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else nothing
        return [emitter.constant(np.full(value_shape(op.result), value), dtype)]
    axes = list(axes_of(op))
    if operator in ("max", "min") and dtype.kind not in "iub":
        return [emitter.extreme(operands[0], axes, largest=operator == "max", keepdims=True)]
    return [emitter.builder.operator(operator, operands[0], axis=axes, keepdims=True)]


@rule(nn.ReduceL2Op)
def reduce_l2(emitter: Emitter, op: nn.ReduceL2Op, operands: list[Expr]) -> list[Expr]:
    """The root of the sum of squares; quantized: of the exact sum, requantized."""
    kind, dtype = quantization(op.input), value_dtype(op.result)
    if count_of(op) == 0:
        return [emitter.constant(np.zeros(value_shape(op.result)), dtype)]
    x = operands[0] if kind is None else emitter.centered(operands[0], kind)
    total = emitter.apply("sum", emitter.multiply(x, x), axis=list(axes_of(op)), keepdims=True)
    if kind is None:
        return [emitter.apply("sqrt", total)]
    fraction = ROOT_FRACTION_BITS[storage_bits(op.input)]
    root = FixedPoint(emitter).square_root(total, fraction)
    return [requantized(emitter, root, kind.scale * 2.0**-fraction, op.result)]


def _quantized_sum(emitter: Emitter, op: nn.ReduceSumOp | nn.ReduceMeanOp, x: Expr) -> Expr:
    kind = quantization(op.input)
    assert kind is not None
    total = emitter.builder.operator("sum", emitter.centered(x, kind), axis=list(axes_of(op)), keepdims=True)
    count, wide = count_of(op), is_wide_sum(count_of(op), storage_bits(op.input))
    if requantization_mode(op) is RequantizationMode.SHIFT and not wide:
        return emitter.requantize(total, *sum_multiplier(op, count), op.result)
    unit = kind.scale / count if isinstance(op, nn.ReduceMeanOp) else kind.scale
    return requantized(emitter, total, unit, op.result, wide=wide)
