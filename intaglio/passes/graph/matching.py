"""What the patterns of the graph passes ask about values, and how they make constants."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import AnyFloat
from xdsl.ir import Attribute, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.weights import WeightsAttr, array_of, constant_attr
from intaglio.interpreter import Array


def has_one_use(value: SSAValue) -> bool:
    """Whether exactly one operand reads the value."""
    return value.uses.get_length() == 1 if value.first_use is not None else False


def is_float(value: SSAValue) -> bool:
    """Whether the value is a tensor of floats."""
    return isinstance(tensor_of(value).get_element_type(), AnyFloat)


def constant_of(value: SSAValue | None) -> nn.ConstantOp | None:
    """The `nn.constant` that defines the value, if one does."""
    return value.owner if value is not None and isinstance(value.owner, nn.ConstantOp) else None


def constant_array(value: SSAValue) -> Array | None:
    """The values of a constant, or None when the value is not known at compile time.

    Raises:
        UserError: the weights are in a file that is not there.
    """
    constant = constant_of(value)
    return array_of(constant.value) if constant is not None else None


def constant_number(value: SSAValue) -> float | None:
    """The one number that all elements of a float constant are, or None."""
    constant = constant_of(value)
    if constant is None or not is_float(value):
        return None
    array = array_of(constant.value)
    if array.size == 0 or not np.all(array == array.flat[0]):
        return None
    return float(array.flat[0])


def new_constant(
    key: str, array: Array, element_type: Attribute, replaced: nn.ConstantOp | None = None
) -> nn.ConstantOp:
    """A constant of the given element type, to be inserted by the caller.

    Args:
        key: the name for people, used when the values go to the weights file.
        array: the values, converted to the element type (doubles are rounded to nearest).
        element_type: the type of an element.
        replaced: the constant whose names and location it takes, if there is one.
    """
    if replaced is not None and isinstance(replaced.value, WeightsAttr):
        key = replaced.value.key
    constant = nn.ConstantOp(constant_attr(key, array, element_type))
    if replaced is not None:
        constant.location = replaced.location
        constant.result.name_hint = replaced.result.name_hint
    return constant
