"""Constants that integers cannot store: NaN and infinity.

A NaN becomes 0, as in `quant.qcast`. An infinite element becomes the largest magnitude that the constant otherwise
has, or 1 if it has no other. A warning names the constant. Infinite elements of attention masks have been limited
before, see `masks`.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.weights import WeightsAttr, array_of, constant_attr
from intaglio.ir.locations import describe, where
from intaglio.remarks import warn


def finite(array: np.ndarray) -> np.ndarray:
    """A float array with finite elements in the place of others; the array itself when all are."""
    known = np.isfinite(array)
    if known.all():
        return array
    largest = float(np.abs(array[known]).max(initial=0.0)) or 1.0
    return np.nan_to_num(array, nan=0.0, posinf=largest, neginf=-largest)


def replace_constants(op: Operation) -> None:
    """Give an operation finite constants of f32 in the place of those that have other elements."""
    for index, operand in enumerate(op.operands):
        original = operand.owner
        if not isinstance(original, nn.ConstantOp) or nn.tensor_of(operand).get_element_type() != f32:
            continue
        values = array_of(original.value)
        stored = finite(values)
        if stored is values:
            continue
        count = int(np.count_nonzero(~np.isfinite(values)))
        warn(
            f"{describe(original)} has {count} elements that are NaN or infinite; they are stored as 0 and as the "
            "largest magnitude there is",
            where(original.location),
        )
        key = original.value.key if isinstance(original.value, WeightsAttr) else ""
        constant = nn.ConstantOp(constant_attr(key, stored, f32))
        constant.location = original.location
        constant.result.name_hint = original.result.name_hint
        block = original.parent
        assert block is not None
        block.insert_op_after(constant, original)
        op.operands[index] = constant.result
        if original.result.first_use is None:
            original.detach()
            original.erase()
