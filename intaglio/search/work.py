"""How much an operation computes."""

from __future__ import annotations

import math

from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn


def macs_of(op: Operation) -> int:
    """Multiplications with accumulation of an operation; 0 for all but layers and matrix products.

    A transposed convolution multiplies every input element with every weight of its group that it meets.
    """
    if isinstance(op, nn.Conv2dOp):
        return elements_of(op.result) * math.prod(nn.tensor_of(op.weight).get_shape()[1:])
    if isinstance(op, nn.ConvTranspose2dOp):
        outputs, height, width, _ = nn.tensor_of(op.weight).get_shape()
        return elements_of(op.input) * height * width * outputs // op.groups.value.data
    if isinstance(op, nn.DenseOp):
        return elements_of(op.result) * nn.tensor_of(op.weight).get_shape()[1]
    if isinstance(op, nn.MatmulOp):
        return elements_of(op.result) * nn.tensor_of(op.lhs).get_shape()[-1]
    return 0


def elements_of(value: SSAValue) -> int:
    """How many elements a tensor has."""
    return math.prod(nn.tensor_of(value).get_shape())
