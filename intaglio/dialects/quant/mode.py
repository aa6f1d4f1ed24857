"""The requantization mode of a function: `func.func @main(...) attributes {quant.requantization = "tflite"}`."""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from intaglio.params import RequantizationMode

REQUANTIZATION = "quant.requantization"
"""Function attribute; without it the mode is `shift`."""


def requantization_mode(op: Operation) -> RequantizationMode:
    """The mode in which an operation, or a function, requantizes.

    Args:
        op: a function, or an operation in one; outside of functions the mode is `shift`.

    Raises:
        UserError: the attribute names no mode.
    """
    function: Operation | None = op
    while function is not None and not isinstance(function, FuncOp):
        function = function.parent_op()
    attribute = function.attributes.get(REQUANTIZATION) if function is not None else None
    if attribute is None:
        return RequantizationMode.SHIFT
    name = attribute.data if isinstance(attribute, StringAttr) else str(attribute)
    return RequantizationMode.parse(name)


def set_requantization_mode(function: FuncOp, mode: RequantizationMode) -> None:
    """Write a mode into a function's attributes; `shift`, which is the default, is not written."""
    if mode is RequantizationMode.SHIFT:
        function.attributes.pop(REQUANTIZATION, None)
    else:
        function.attributes[REQUANTIZATION] = StringAttr(mode.value)
