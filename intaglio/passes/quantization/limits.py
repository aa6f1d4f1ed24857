"""Limits: the smaller or larger of a value and a constant, as the bounds of channels are after equalization.

```mlir
%0 = nn.conv2d ... clamp <0.0, inf>          // read by nothing else
%1 = nn.minimum %0, %bounds
```

What is limited is quantized as the result is. It then saturates where the result does, and as `min(sat(x), b)` is
`sat(min(x, b))`, nothing is lost: the layer has no use for a range that reaches beyond the bounds, and the value needs
no observer. A bound at the end of the range or beyond does nothing that saturation does not do; a limit of such bounds
only is left out of the quantized network.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.numerics.quantization import quantize
from intaglio.passes.graph.matching import constant_of

Limit = nn.MinimumOp | nn.MaximumOp


def limited_value(op: Operation) -> SSAValue | None:
    """The value that an operation limits by a constant and that nothing else reads; observers are looked through."""
    if not isinstance(op, Limit):
        return None
    operands = [operand for operand in op.operands if constant_of(operand) is None]
    if len(operands) != 1:
        return None
    (value,) = operands
    while isinstance(value.owner, ObserveOp):
        value = value.owner.input
    same_shape = nn.tensor_of(value).get_shape() == nn.tensor_of(op.result).get_shape()
    return value if same_shape and set(_readers(value)) == {op} else None


def limit_of(value: SSAValue) -> Limit | None:
    """The operation that limits a value, by a constant, before anything else reads it."""
    reader = next(_readers(value), None)
    return reader if isinstance(reader, Limit) and limited_value(reader) is value else None


def bounds_of_limit(op: Limit) -> np.ndarray:
    """The constant of a limit."""
    (constant,) = (found for operand in op.operands if (found := constant_of(operand)) is not None)
    return array_of(constant.value)


def is_idle(op: Limit, kind: UniformQuantizedType) -> bool:
    """Whether a limit does nothing between values of a quantized type, as all of its bounds are at its end.

    Args:
        op: a limit on floats.
        kind: the type of what it reads and makes.
    """
    if op.clamp is not None:
        return False
    ends = kind.storage_min, kind.storage_max
    stored = quantize(bounds_of_limit(op), kind.scale, kind.zero_point, *ends, np.int64)
    return bool(np.all(stored == ends[isinstance(op, nn.MinimumOp)]))


def _readers(value: SSAValue) -> Iterator[Operation]:
    for use in value.uses:
        if isinstance(use.operation, ObserveOp):
            yield from _readers(use.operation.result)
        else:
            yield use.operation
