"""The real value of one unit of the integer that an operation requantizes to its result."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.numerics.fixed_point import QUOTIENT_BITS, ROOT_FRACTION_BITS
from intaglio.numerics.normalization import normalized_fraction_bits
from intaglio.numerics.softmax import PROBABILITY_BITS
from intaglio.passes.quantization.coverage import KEEPS_RANGE, MOVES_ELEMENTS
from intaglio.passes.quantization.refusals import constant_values


def norm_scale_unit(scale: np.ndarray) -> float:
    """The scale of a normalization's stored scales: 16 bits for the largest, 1 when all are zero; a float32."""
    largest = float(np.abs(scale.astype(np.float64)).max(initial=0.0))
    return float(np.float32(max(largest / 32767, float(np.finfo(np.float32).tiny)))) if largest else 1.0


def accumulator_unit(op: Operation, scale_of: Callable[[SSAValue], float], bits: int = 8) -> float:
    """The unit of what an operation without weights requantizes; 0 if it does not.

    Args:
        op: a float operation that is to be quantized.
        scale_of: the scale of an operand.
        bits: width of the result.

    Returns:
        The unit; 0 for what is no integer to be requantized, such as a table's entry.
    """
    match op:
        case nn.MulOp() | nn.MatmulOp():
            return math.prod(scale_of(operand) for operand in op.operands)
        case nn.SoftmaxOp():
            return 2.0**-PROBABILITY_BITS
        case nn.AxisNormOp():
            count = nn.tensor_of(op.operands[0]).get_shape()[op.axis.value.data]
            scales = constant_values(op.operands[1])
            assert scales is not None
            return norm_scale_unit(scales) * 2.0 ** -normalized_fraction_bits(count, bits)
        case nn.ReduceL2Op():
            return scale_of(op.input) * 2.0 ** -ROOT_FRACTION_BITS[8]
        case nn.DivOp():
            return scale_of(op.lhs) / scale_of(op.rhs) * 2.0 ** -QUOTIENT_BITS[8]
        case nn.ReciprocalOp():
            return 2.0 ** -(QUOTIENT_BITS[8] + 7) / scale_of(op.input)
        case nn.CastOp():
            return 0.0
        case nn.ActivationOp() if isinstance(op, nn.TABLE_OPS):
            return 0.0
        case _ if isinstance(op, KEEPS_RANGE + MOVES_ELEMENTS):
            return 0.0
        case _:
            return max(scale_of(operand) for operand in op.operands)
