"""Operations that treat rows, windows or channels of integers alike: samples are joined along the first dimension.

The interpreter's rule then computes all of them at once, and exactly, because on integers the order of additions does
not matter. Floats, where it may, run one sample at a time.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.executor.registry import Array, Constants, Kernel, kernel
from intaglio.interpreter.registry import find_rule
from intaglio.interpreter.values import value_dtype, value_shape


@kernel(nn.SoftmaxOp, nn.LayerNormOp, nn.RmsNormOp)
def normalize(op: nn.SoftmaxOp | nn.LayerNormOp | nn.RmsNormOp, constants: Constants) -> Kernel | None:
    """Rows are along another dimension than the first."""
    return _merged(op, constants) if op.axis.value.data > 0 else None


@kernel(nn.ReduceMeanOp, nn.ReduceSumOp, nn.ReduceMaxOp, nn.ReduceMinOp)
def reduce(op: nn.ReduceOp, constants: Constants) -> Kernel | None:
    """Reduced are other dimensions than the first."""
    return _merged(op, constants) if min(op.axes.get_values(), default=0) > 0 else None


@kernel(nn.ResizeOp)
def resize(op: nn.ResizeOp, constants: Constants) -> Kernel | None:
    """Resized are the second and third dimension."""
    return _merged(op, constants)


def _merged(op: Operation, constants: Constants) -> Kernel | None:
    rule = find_rule(op)
    source, others = op.operands[0], range(1, len(op.operands))
    shape = value_shape(op.results[0])
    if rule is None or 0 in constants or not all(index in constants for index in others) or 0 in value_shape(source):
        return None
    if value_dtype(source).kind not in "iu" or value_dtype(op.results[0]).kind not in "iu":
        return None

    def compute(operands: list[Array]) -> list[Array]:
        x = operands[0]
        (result,) = rule(op, [x.reshape(-1, *x.shape[2:]), *operands[1:]])
        return [np.asarray(result, order="C").reshape(len(x), *shape)]

    return compute
