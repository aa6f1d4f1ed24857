"""Lower programs of tasks to instructions.

```mlir
%1 = npu.convert %x map <..> to %y <..> .. after(%0)  ->  isa.vector_input base 0 row_stride 784 ..
                                                          isa.vector_output base 832 ..
                                                          ...
                                                          isa.vector_convert channels 784 x0 0 y0 0 wait [2] signal [9]
```

A task becomes the instruction of its name, after those that configure its queue where the state that it needs is not
what was set last. Quantities that an instruction does not look at are not set for its sake. A token becomes a signal
of the earlier task and a wait of the later one, on one semaphore for each ordered pair of queues: a queue's signals and
the other's waits pair up in order, so a wait that an earlier one of the same queue implies is left out. Attributes of
the program, which say how it was scheduled, stay with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from intaglio.dialects import isa, npu
from intaglio.dialects.isa.instructions import from_word
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.errors import UserError
from intaglio.ir.locations import where
from intaglio.lowering.instructions import Configuration, Setting, instructions_of
from intaglio.targets.encoding import Word
from intaglio.targets.instructions import BY_MNEMONIC, state_key

_QUEUES = ("load", "store", "matrix", "vector")
_SEMAPHORES = {pair: number for number, pair in enumerate((a, b) for a in _QUEUES for b in _QUEUES if a != b)}
"""The semaphore that the first queue of a pair signals and the second waits for."""


@dataclass(frozen=True)
class NpuToIsa(ModulePass):
    """Lower programs of tasks with addresses and tokens to programs of instructions."""

    name = "npu-to-isa"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Replace every `npu.program` by an `isa.program`.

        Raises:
            UserError: a buffer has no address yet, or a quantity does not fit its field.
        """
        for program in list(op.ops):
            if isinstance(program, npu.ProgramOp):
                Rewriter.replace_op(program, _lowered(program), [])


def _lowered(program: npu.ProgramOp) -> isa.ProgramOp:
    places = _places(program)
    tasks = [task for task in program.body.block.ops if isinstance(task, npu.TaskOp)]
    waits, signals = _semaphores(tasks)
    states = _States()
    ops: list[isa.InstructionOp] = []
    for task, wait, signal in zip(tasks, waits, signals, strict=True):
        settings, executed = instructions_of(task, places)
        for setting in settings:
            ops.extend(from_word(word, task.location) for word in states.set(setting))
        entry = BY_MNEMONIC[executed.mnemonic]
        ops.append(from_word(Word(entry, executed.values, wait, signal), task.location))
    ops.append(isa.instruction("end"))
    lowered = isa.ProgramOp(
        program.sym_name.data,
        program.function_type.inputs.data,
        program.function_type.outputs.data,
        constant_attr(program.sym_name.data, _constants(program)),
        _arena_bytes(program),
        program.target.data,
        ops,
    )
    lowered.location = program.location
    lowered.attributes.update(program.attributes)
    return lowered


def _places(program: npu.ProgramOp) -> dict[SSAValue, tuple[int, int]]:
    """DRAM region (0 for the scratchpad too) and address of every buffer."""
    places: dict[SSAValue, tuple[int, int]] = {}
    for number, argument in enumerate(program.body.block.args):
        places[argument] = (2 + number, 0)
    for child in program.body.block.ops:
        if isinstance(child, npu.AllocateOp | npu.ConstantOp):
            if child.address is None:
                raise UserError(
                    f"a buffer of @{program.sym_name.data} has no address",
                    where=where(program.location),
                    hint="run allocate-scratchpad before",
                )
            region = 1 if npu.space_of(child.result) is npu.Space.ARENA else 0
            places[child.result] = (region, child.address.value.data)
    return places


def _constants(program: npu.ProgramOp) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """The content of the constants region, at least one byte."""
    constants = [child for child in program.body.block.ops if isinstance(child, npu.ConstantOp)]
    image = np.zeros(max((_end(child) for child in constants), default=1), np.int8)
    for child in constants:
        image[_end(child) - child.result.type.size : _end(child)] = array_of(child.value)
    return image


def _arena_bytes(program: npu.ProgramOp) -> int:
    allocations = (child for child in program.body.block.ops if isinstance(child, npu.AllocateOp))
    return max((_end(child) for child in allocations if npu.space_of(child.result) is npu.Space.ARENA), default=0)


def _end(op: npu.ConstantOp | npu.AllocateOp) -> int:
    """One past the last byte of a buffer."""
    assert op.address is not None
    return op.address.value.data + op.result.type.size


def _semaphores(tasks: Sequence[npu.TaskOp]) -> tuple[list[int], list[int]]:
    """Wait and signal masks of each task."""
    numbers: dict[SSAValue, int] = {task.token: number for number, task in enumerate(tasks)}
    waits, signals = [0] * len(tasks), [0] * len(tasks)
    waited: dict[int, int] = {}
    for number, task in enumerate(tasks):
        for earlier in sorted((numbers[token] for token in task.after), reverse=True):
            queue = tasks[earlier].QUEUE
            if queue == task.QUEUE:
                continue
            semaphore = _SEMAPHORES[queue, task.QUEUE]
            if waited.get(semaphore, -1) < earlier:
                waited[semaphore] = earlier
                waits[number] |= 1 << semaphore
                signals[earlier] |= 1 << semaphore
    return waits, signals


class _States:
    """The sticky state of the queues."""

    def __init__(self) -> None:
        self._values: dict[str, Configuration] = {}

    def set(self, setting: Setting) -> Iterator[Word]:
        """Yield the word that establishes a state, unless it is established."""
        entry = BY_MNEMONIC[setting.mnemonic]
        known = tuple(0 if value is None else value for value in setting.values)
        key = state_key(entry, known)
        current = self._values.get(key)
        if current is not None and setting.agrees(current):
            return
        filled = tuple(
            value if value is not None else max(0, entry.fields[index].minimum)
            for index, value in enumerate(setting.values)
        )
        self._values[key] = filled
        yield Word(entry, filled, 0, 0)
