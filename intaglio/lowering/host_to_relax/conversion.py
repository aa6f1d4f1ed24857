"""Walking the host function and emitting each operation by its rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xdsl.dialects import func
from xdsl.ir import Operation, SSAValue

from intaglio.errors import UserError
from intaglio.interpreter.values import value_dtype, value_shape
from intaglio.ir.locations import describe, where
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import find_rule
from intaglio.lowering.tvm import Expr, HostBuilder, build_function


def host_to_relax(function: func.FuncOp, regions: Mapping[str, int]) -> Any:
    """Lower a host function to a Relax module whose `main` takes and returns what the function does.

    Quantized arguments and results have their storage type.

    Args:
        function: a function of `nn`, `quant` and `npu.launch` operations on static shapes.
        regions: the number by which the runtime knows each accelerator region, by symbol.

    Raises:
        UserError: an operation cannot run on the host; the message names it and its node.
    """
    block = function.body.block
    for op in block.ops:
        if not isinstance(op, func.ReturnOp) and find_rule(op) is None:
            raise UserError(
                f"{describe(op)} cannot run on the host",
                where=where(op.location),
                hint="no rule of intaglio/lowering/host_to_relax/ lowers this operation",
            )

    def body(builder: HostBuilder, arguments: list[Expr]) -> list[Expr]:
        emitter = Emitter(builder, regions)
        values: dict[SSAValue, Expr] = dict(zip(block.args, arguments, strict=True))
        for op in block.ops:
            operands = [values[operand] for operand in op.operands]
            if isinstance(op, func.ReturnOp):
                return operands
            values.update(zip(op.results, _emitted(emitter, op, operands), strict=True))
        raise AssertionError("a verified function ends in a return")

    return build_function([(value_shape(argument), value_dtype(argument)) for argument in block.args], body)


def _emitted(emitter: Emitter, op: Operation, operands: list[Expr]) -> list[Expr]:
    function = find_rule(op)
    assert function is not None, "looked up before"
    return function(emitter, op, operands)
