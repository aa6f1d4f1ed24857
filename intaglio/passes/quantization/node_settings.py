"""What is asked of single operations, as discardable attributes in the text.

`quant.precision = "a16w8"`, `quant.output_int32`, `quant.asymmetric = false` and `quant.per_channel = false` are the
attributes of a `NodeConfig`. They are written by `assign-precision` or by hand and read by `quantize`.
"""

from __future__ import annotations

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, StringAttr, UnitAttr
from xdsl.ir import Attribute, Operation

from intaglio.errors import UserError
from intaglio.ir.locations import describe, where
from intaglio.precision import NodeConfig, Precision

PRECISION = "quant.precision"
OUTPUT_INT32 = "quant.output_int32"
ASYMMETRIC = "quant.asymmetric"
PER_CHANNEL = "quant.per_channel"


def config_of(op: Operation) -> NodeConfig:
    """What is asked of an operation.

    Raises:
        UserError: an attribute is not what it should be, as after editing by hand.
    """
    return NodeConfig(
        precision_of(op), OUTPUT_INT32 in op.attributes, _boolean(op, ASYMMETRIC), _boolean(op, PER_CHANNEL)
    )


def precision_of(op: Operation) -> Precision | None:
    """The precision that an operation is asked to have, or None.

    Raises:
        UserError: there is no such precision.
    """
    attribute = op.attributes.get(PRECISION)
    if attribute is None:
        return None
    if not isinstance(attribute, StringAttr):
        raise _wrong(op, PRECISION, attribute, "a text such as a16w8")
    try:
        return Precision.parse(attribute.data)
    except UserError as error:
        raise UserError(f"{describe(op)}: {error.what}", where=where(op.location), hint=error.hint) from error


def set_config(op: Operation, config: NodeConfig) -> None:
    """Ask of an operation what is set in `config`, besides what is asked of it already."""
    if config.precision is not None:
        op.attributes[PRECISION] = StringAttr(str(config.precision))
    if config.output_int32:
        op.attributes[OUTPUT_INT32] = UnitAttr()
    for name, value in ((ASYMMETRIC, config.asymmetric), (PER_CHANNEL, config.per_channel)):
        if value is not None:
            op.attributes[name] = BoolAttr.from_bool(value)


def _boolean(op: Operation, name: str) -> bool | None:
    attribute = op.attributes.get(name)
    if attribute is None:
        return None
    if not isinstance(attribute, IntegerAttr):
        raise _wrong(op, name, attribute, "true or false")
    return bool(attribute.value.data)


def _wrong(op: Operation, name: str, attribute: Attribute, expected: str) -> UserError:
    return UserError(f"{name} of {describe(op)} must be {expected}, got {attribute}", where=where(op.location))
