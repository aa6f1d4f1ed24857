"""Running a function of a module, operation after operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.traits import IsTerminator

from intaglio.errors import UserError
from intaglio.interpreter.registry import find_calling_rule, find_rule, missing_rule
from intaglio.interpreter.values import Array, value_dtype, value_shape
from intaglio.ir.locations import describe

Listener = Callable[[Operation, Sequence[Array]], None]
"""Called after each operation with the values of its results."""


@dataclass(frozen=True)
class _Step:
    """One operation, how it is computed, and the values nobody needs after it."""

    op: Operation
    compute: Callable[[list[Array]], list[Array]]
    last_uses: tuple[SSAValue, ...]


class Interpreter:
    """Runs the functions of a module by the rules of their operations.

    A value is in row-major order, and freed after its last use. What the interpreter learns about a function is
    kept, so running the same one again costs only its operations; the module must not change in between.

    Args:
        module: a verified module.
        listeners: called after each operation, those in called functions included.
    """

    def __init__(self, module: ModuleOp, *, listeners: Iterable[Listener] = ()) -> None:
        self.module = module
        self.listeners = tuple(listeners)
        self._functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
        self._steps: dict[str, list[_Step]] = {}

    def function(self, name: str) -> func.FuncOp:
        """The function called `name`.

        Raises:
            UserError: there is none, or it has no body.
        """
        function = self._functions.get(name)
        if function is None or not function.body.blocks:
            have = ", ".join(f"@{known}" for known, op in self._functions.items() if op.body.blocks)
            raise UserError(f"the module has no function @{name} with a body", hint=f"it has: {have or 'none'}")
        return function

    def run(self, name: str, arguments: Sequence[Array]) -> list[Array]:
        """Run a function.

        Args:
            name: the function's name.
            arguments: one array per argument, of its shape and dtype (the storage dtype when it is quantized).

        Returns:
            One array per result.

        Raises:
            UserError: no such function, arguments that do not fit, an operation without a rule, or a check that
                did not hold.
        """
        function = self.function(name)
        block = function.body.block
        self._check_arguments(name, block.args, arguments)
        values: dict[SSAValue, Array] = dict(zip(block.args, map(_row_major, arguments), strict=True))
        if name not in self._steps:
            self._steps[name] = list(self._plan(function))
        for step in self._steps[name]:
            operands = [values[operand] for operand in step.op.operands]
            try:
                # Infinities and NaN are values like any other here.
                with np.errstate(all="ignore"):
                    results = step.compute(operands)
            except ValueError as error:
                # What numerics raises for scales and sums outside the range that its formulas are defined on.
                raise UserError(f"cannot compute {describe(step.op)}: {error}") from error
            if step.op.has_trait(IsTerminator):
                return results
            _check_results(step.op, results)
            results = [_row_major(array) for array in results]
            values.update(zip(step.op.results, results, strict=True))
            for value in step.last_uses:
                del values[value]
            for listener in self.listeners:
                listener(step.op, results)
        raise AssertionError("a verified function ends in a terminator")

    def run_many(self, name: str, samples: Iterable[Sequence[Array]]) -> Iterator[list[Array]]:
        """Run a function once per sample, lazily; see `run`."""
        return (self.run(name, sample) for sample in samples)

    def _plan(self, function: func.FuncOp) -> Iterator[_Step]:
        ops = list(function.body.block.ops)
        last_use: dict[SSAValue, Operation] = {}
        for op in ops:
            last_use.update(dict.fromkeys(op.results, op))
            last_use.update(dict.fromkeys(op.operands, op))
        freed: dict[Operation, list[SSAValue]] = {}
        for value, op in last_use.items():
            freed.setdefault(op, []).append(value)
        for op in ops:
            yield _Step(op, self._computation(op), tuple(freed.get(op, ())))

    def _computation(self, op: Operation) -> Callable[[list[Array]], list[Array]]:
        function = find_rule(op)
        if function is not None:
            return lambda operands: function(op, operands)
        calling = find_calling_rule(op)
        if calling is not None:
            return lambda operands: calling(self, op, operands)
        raise missing_rule(op)

    def _check_arguments(self, name: str, parameters: Sequence[SSAValue], arguments: Sequence[Array]) -> None:
        if len(parameters) != len(arguments):
            raise UserError(f"@{name} takes {len(parameters)} arguments, got {len(arguments)}")
        for index, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True)):
            if not isinstance(parameter.type, TensorType):
                continue
            shape, dtype = value_shape(parameter), value_dtype(parameter)
            if argument.shape != shape or argument.dtype != dtype:
                raise UserError(
                    f"argument {index} of @{name} must be {dtype} of shape {list(shape)}, "
                    f"got {argument.dtype} of shape {list(argument.shape)}"
                )


def _row_major(value: Array) -> Array:
    """A value in row-major order: NumPy adds floats in another order where the layout of an array is another."""
    return np.asarray(value, order="C")


def _check_results(op: Operation, results: Sequence[Array]) -> None:
    """Hold every rule to the types that the IR promises; a violation is an error of ours, not of the user."""
    for result, array in zip(op.results, results, strict=True):
        if isinstance(result.type, TensorType):
            shape, dtype = value_shape(result), value_dtype(result)
            assert array.shape == shape and array.dtype == dtype, (
                f"the rule of {describe(op)} gave {array.dtype}{list(array.shape)}, not {dtype}{list(shape)}"
            )
