"""Order and preparation of the operations of a function: what is constant, which kernel computes what.

Constant values are computed once, by the interpreter's rules. Every other value is an array with the samples of a batch
on a new first axis, in row-major order, so that nothing depends on which dimension of the model means a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.traits import IsTerminator

from intaglio.errors import UserError
from intaglio.executor.registry import Kernel, find_builder
from intaglio.interpreter.interpreter import Interpreter
from intaglio.interpreter.registry import find_calling_rule, find_rule, missing_rule
from intaglio.interpreter.values import value_dtype, value_shape
from intaglio.ir.locations import describe

Array = np.ndarray[Any, np.dtype[Any]]
Rule = Callable[[list[Array]], list[Array]]


@dataclass(frozen=True, eq=False)
class Step:
    """One operation and how it is computed for a batch.

    Attributes:
        op: the operation.
        prepare: makes the kernel for the operation, when it is first computed, or None.
        by_rule: computes it by the interpreter's rule, where there is no kernel.
    """

    op: Operation
    prepare: Callable[[], Kernel | None]
    by_rule: Kernel

    @cached_property
    def compute(self) -> Kernel:
        """The kernel, or the rule."""
        return self._native or self.by_rule

    @property
    def is_native(self) -> bool:
        """Whether there is a kernel."""
        return self._native is not None

    @cached_property
    def _native(self) -> Kernel | None:
        try:
            return self.prepare()
        except (ValueError, UserError):
            return None  # the rule says the same, with the operation named, when it runs

    @cached_property
    def promised(self) -> tuple[tuple[tuple[int, ...], np.dtype[Any]] | None, ...]:
        """Shape and dtype of each result by its type in the IR; None for what is no tensor."""
        return tuple(
            (value_shape(result), value_dtype(result)) if isinstance(result.type, TensorType) else None
            for result in self.op.results
        )


class Plan:
    """The operations of a function, ready to run on batches.

    Args:
        interpreter: of the module.
        function: the function.

    Attributes:
        constants: values that do not depend on the arguments, without an axis of samples.
        steps: the other operations in order; those without results are checks.
        results: operands of the terminator.

    Raises:
        UserError: an operation has no rule, or a constant cannot be computed.
    """

    def __init__(self, interpreter: Interpreter, function: func.FuncOp) -> None:
        self._interpreter = interpreter
        self.arguments: tuple[SSAValue, ...] = tuple(function.body.block.args)
        self.constants: dict[SSAValue, Array] = {}
        self.steps: list[Step] = []
        self.results: tuple[SSAValue, ...] = ()
        for op in function.body.block.ops:
            if op.has_trait(IsTerminator):
                self.results = tuple(op.operands)
                break
            self._add(op)

    def _add(self, op: Operation) -> None:
        rule = self._rule(op)
        if op.results and all(operand in self.constants for operand in op.operands):
            values = guarded(op, rule, [self.constants[operand] for operand in op.operands])
            for result, value in zip(op.results, values, strict=True):
                self.constants[result] = row_major(value) if isinstance(result.type, TensorType) else value
            return
        known = {index: self.constants[o] for index, o in enumerate(op.operands) if o in self.constants}
        builder = find_builder(op)
        prepare = (lambda: None) if builder is None else partial(builder, op, known)
        self.steps.append(Step(op, prepare, _one_by_one(rule, frozenset(known), op)))

    def _rule(self, op: Operation) -> Rule:
        function = find_rule(op)
        if function is not None:
            return lambda operands: function(op, operands)
        calling = find_calling_rule(op)
        if calling is not None:
            return lambda operands: calling(self._interpreter, op, operands)
        raise missing_rule(op)

    def needed(self, wanted: Iterable[SSAValue], given: Iterable[SSAValue], *, checks: bool) -> list[Step]:
        """The steps that make some values.

        Args:
            wanted: the values.
            given: values that are known already.
            checks: whether operations without results are wanted too.
        """
        missing = set(wanted) - set(given)
        known = set(given)
        steps: list[Step] = []
        for step in reversed(self.steps):
            if missing.intersection(step.op.results) or (checks and not step.op.results):
                steps.append(step)
                missing.update(operand for operand in step.op.operands if operand not in known)
        return steps[::-1]

    def run(
        self, steps: Sequence[Step], given: Mapping[SSAValue, Array], wanted: Sequence[SSAValue]
    ) -> dict[SSAValue, Array]:
        """Run steps on a batch; every value is freed after its last use.

        Args:
            steps: from `needed`.
            given: known values, with samples on a new first axis.
            wanted: values to return.

        Raises:
            UserError: an operation cannot be computed.
        """
        last_use: dict[SSAValue, int] = {}
        for index, step in enumerate(steps):
            last_use.update(dict.fromkeys((*step.op.operands, *step.op.results), index))
        freed: list[list[SSAValue]] = [[] for _ in steps]
        kept = {*wanted, *self.constants}
        for value, index in last_use.items():
            if value not in kept:
                freed[index].append(value)
        values: dict[SSAValue, Array] = {**self.constants, **given}
        for step, last in zip(steps, freed, strict=True):
            results = guarded(step.op, step.compute, [values[operand] for operand in step.op.operands])
            for value, array, promised in zip(step.op.results, results, step.promised, strict=True):
                if promised is not None:
                    _check(step.op, array, *promised)
                values[value] = array
            for value in last:
                del values[value]
        return {value: values[value] for value in wanted}


def row_major(array: Any) -> Array:
    """An array in row-major order, of any rank."""
    return np.asarray(array, order="C")


def guarded(op: Operation, compute: Rule, operands: list[Array]) -> list[Array]:
    """Compute an operation; what numerics refuses is an error of the module, as in the interpreter."""
    try:
        with np.errstate(all="ignore"):
            return compute(operands)
    except ValueError as error:
        raise UserError(f"cannot compute {describe(op)}: {error}") from error


def _one_by_one(rule: Rule, constant: frozenset[int], op: Operation) -> Kernel:
    """A kernel that runs the interpreter's rule for each sample.

    What is no tensor, as a sequence of ONNX, stays a list of the samples' values.
    """
    is_tensor = [isinstance(result.type, TensorType) for result in op.results]

    def compute(operands: list[Array]) -> list[Array]:
        count = max(len(operand) for index, operand in enumerate(operands) if index not in constant)
        rows = [
            rule([operand if index in constant else operand[k] for index, operand in enumerate(operands)])
            for k in range(count)
        ]
        columns: list[Any] = [[row[index] for row in rows] for index in range(len(is_tensor))]
        return [
            np.stack([row_major(value) for value in column]) if tensor else column
            for column, tensor in zip(columns, is_tensor, strict=True)
        ]

    return compute


def _check(op: Operation, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Hold kernels to the types that the IR promises; a violation is an error of ours."""
    assert array.shape[1:] == shape and array.dtype == dtype, (
        f"the kernel of {describe(op)} gave {array.dtype}{list(array.shape[1:])}, not {dtype}{list(shape)}"
    )
