"""Running a function piece by piece, so that what has not run yet can still be changed.

Values that later operations read are kept for all samples, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.traits import IsTerminator

from intaglio.dialects import nn
from intaglio.executor import Executor

Array = np.ndarray[Any, np.dtype[Any]]


class StepwiseRun:
    """A run of a function on some samples at once.

    Args:
        function: of one block, without calls.
        inputs: an array `[N, *shape]` for each argument.
    """

    def __init__(self, function: func.FuncOp, inputs: Sequence[Array]) -> None:
        block = function.body.block
        self._pending = [op for op in block.ops if not isinstance(op, nn.ConstantOp)]
        self._last_use: dict[SSAValue, int] = {}
        for index, op in enumerate(self._pending):
            self._last_use.update(dict.fromkeys(op.operands, index))
        self._done = 0
        self._values: dict[SSAValue, Array] = dict(zip(block.args, inputs, strict=True))

    def values_before(self, op: Operation, wanted: SSAValue) -> Array:
        """Run all operations before `op`, which has not run yet, and return a value that it reads.

        Returns:
            `[N, *shape]`, as stored.
        """
        end = self._pending.index(op, self._done)
        piece = self._pending[self._done : end]
        made = [result for step in piece for result in step.results]
        kept = [value for value in made if self._last_use.get(value, -1) >= end]
        if piece:
            self._values |= _run(piece, self._values, kept)
        self._done = end
        self._values = {value: array for value, array in self._values.items() if self._last_use.get(value, -1) >= end}
        return self._values[wanted]


def _run(
    piece: Sequence[Operation], known: Mapping[SSAValue, Array], wanted: Sequence[SSAValue]
) -> dict[SSAValue, Array]:
    """Run some operations as a function of their own."""
    operands = dict.fromkeys(operand for op in piece for operand in op.operands)
    arguments = [value for value in operands if value in known]
    block = Block(arg_types=[value.type for value in arguments])
    mapper: dict[SSAValue, SSAValue] = dict(zip(arguments, block.args, strict=True))
    for value in operands:
        if isinstance(value.owner, nn.ConstantOp):
            block.add_op(value.owner.clone(mapper))
    for op in piece:
        assert not op.has_trait(IsTerminator), "a terminator is not run"
        block.add_op(op.clone(mapper))
    block.add_op(func.ReturnOp(*(mapper[value] for value in wanted)))
    kind = FunctionType.from_lists([value.type for value in arguments], [value.type for value in wanted])
    executor = Executor(ModuleOp([func.FuncOp("main", kind, Region(block))]))
    arrays = {name: known[value] for name, value in zip(executor.inputs, arguments, strict=True)}
    results = executor.run_batch(arrays)
    return dict(zip(wanted, (results[name] for name in executor.outputs), strict=True))
