"""Walking the host function and emitting each operation by its rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects.onnx import OnnxOp
from intaglio.errors import UserError
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape
from intaglio.ir.locations import describe, where
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.host_to_relax.registry import find_rule
from intaglio.lowering.tvm import Expr, HostBuilder, build_function, carried_dtype

_CONTRADICTIONS = (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError)
"""What TVM, NumPy and the rules that use them raise about shapes that do not fit; errors of TVM are RuntimeErrors."""


def check_host_function(function: func.FuncOp) -> None:
    """Check that the host can run every operation of a function.

    Raises:
        UserError: it cannot; the message names an operation and its node.
    """
    block = function.body.block
    _check_values(block.args, "an argument")
    for op in block.ops:
        check_host_operation(op)


def check_host_operation(op: Operation) -> None:
    """Check that the host can run an operation of a host function.

    Raises:
        UserError: it cannot; the message names it and its node.
    """
    if isinstance(op, func.ReturnOp):
        _check_values(op.operands, "a result")
    elif find_rule(op) is not None:
        _check_values(op.results, describe(op))
    else:
        raise UserError(
            f"{describe(op)} cannot run on the host",
            where=where(op.location),
            hint="no rule of intaglio/lowering/host_to_relax/ lowers this operation",
        )


def host_to_relax(function: func.FuncOp, regions: Mapping[str, int]) -> Any:
    """Lower a host function to a Relax module whose `main` takes and returns what the function does.

    Quantized arguments and results have their storage type.

    Args:
        function: a function of `nn`, `quant` and `npu.launch` operations on static shapes.
        regions: the number by which the runtime knows each accelerator region, by symbol.

    Raises:
        UserError: an operation cannot run on the host; the message names it and its node.
    """
    check_host_function(function)
    block = function.body.block

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
    if all(0 in value_shape(result) for result in op.results):
        # TVM has trouble with tensors without elements, and there is nothing to compute.
        pairs = [(value_shape(result), carried_dtype(value_dtype(result)).name) for result in op.results]
        return [emitter.apply("zeros", shape, dtype) for shape, dtype in pairs]
    function = find_rule(op)
    assert function is not None, "looked up before"
    if not isinstance(op, OnnxOp):
        return function(emitter, op, operands)
    try:
        return function(emitter, op, operands)
    except _CONTRADICTIONS as error:
        # Unlike ops of ours, nodes may have shapes that contradict each other: ONNX's inference lets them pass.
        message = " ".join(str(error).split())
        message = message if len(message) <= 200 else f"... {message[-200:]}"
        raise UserError(f"TVM cannot compute {describe(op)}: {message}", where=where(op.location)) from error


def _check_values(values: Iterable[SSAValue], what: str) -> None:
    """Check that values are tensors that host code can hold.

    Raises:
        UserError: one is no tensor, has a shape that is known at run time only, or elements that cannot be held.
    """
    for value in values:
        kind = value.type
        if not isinstance(kind, TensorType) or not tensor_type(value).has_static_shape():
            raise UserError(f"{what} cannot run on the host: {kind} is not a tensor of a shape known at compile time")
        value_dtype(value)
