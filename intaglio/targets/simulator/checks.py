"""Static checks of a whole program: ranges, order between queues, and data that nobody wrote.

A program's accesses do not depend on data, so all of this is decided once, before anything runs, and holds for
every timing. The words are walked in program order, which the rule "a signal's word stands before the word of
the wait that takes it" makes an order in which they could be executed one by one.

What happens before an instruction is a vector clock: for each queue, how many of its instructions have surely
finished. An access conflicts when the last access to one of its bytes from another queue (of two accesses one
writes) is not among them. For each byte and queue the position of the last read and the last write are kept in
arrays, so that a check is a maximum over a view.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from intaglio.targets.encoding import ProgramError
from intaglio.targets.instructions import SEMAPHORES, Queue
from intaglio.targets.simulator.geometry import Footprint, Lattice, WindowRead
from intaglio.targets.simulator.steps import (
    AccumulatorWork,
    BinaryWork,
    Depthwise,
    FloatDepthwise,
    FloatNormalize,
    FloatRowWork,
    FloatSums,
    Interpolate,
    Lookup,
    Multiply,
    Normalize,
    Requantize,
    RowWork,
    Softmax,
    Step,
    TappedWork,
    Transfer,
    VectorWork,
)
from intaglio.targets.target import Target

MAX_COUNT = 255
"""Largest count of a semaphore."""

QUEUES = (Queue.LOAD, Queue.STORE, Queue.MATRIX, Queue.VECTOR)
_NUMBER = {queue: number for number, queue in enumerate(QUEUES)}

Clock = list[int]
"""For each queue, the number of its instructions that have finished."""


@dataclass
class _Semaphore:
    """Signals not yet taken, with what has happened before each, and who uses the semaphore."""

    pending: deque[tuple[Step, Clock]] = field(default_factory=deque[tuple[Step, Clock]])
    signalled: int = 0
    wait_positions: list[int] = field(default_factory=list[int])
    signaller: Queue | None = None
    waiter: Queue | None = None


class _Memory:
    """Who accessed each element of a memory last.

    Args:
        name: what messages call it.
        size: number of elements.
        unit: what messages call an element.
        is_constant: whether it is read-only, and has a content from the start.
    """

    def __init__(self, name: str, size: int, *, unit: str = "byte", is_constant: bool = False) -> None:
        self.name = name
        self.size = size
        self.unit = unit
        self.is_constant = is_constant
        self.written = np.zeros(0 if is_constant else size, bool)
        self._last_write: dict[int, npt.NDArray[np.int32]] = {}
        self._last_read: dict[int, npt.NDArray[np.int32]] = {}

    def check_range(self, step: Step, footprint: Footprint | Lattice, what: str) -> None:
        """Refuse addresses outside of the memory."""
        if footprint.lowest < 0 or footprint.highest >= self.size:
            address = footprint.lowest if footprint.lowest < 0 else footprint.highest
            raise step.error(f"{what}: {self.unit} {address} is out of range, {self.name} has {self.size}")

    def read(self, step: Step, footprint: Footprint, clock: Clock, history: _History) -> None:
        """Check a read against the writes of other queues and record it."""
        if self.is_constant:
            return
        written = footprint.of(self.written)
        if not written.all():
            address = footprint.indices()[int(np.argmin(written.reshape(-1)))]
            raise step.error(f"reads {self.unit} {address} of {self.name}, which nothing has written before")
        queue = _NUMBER[step.queue]
        self._check_order(step, footprint, clock, history, self._last_write, ("reads", "writes"))
        self._record(self._last_read, queue, footprint, clock)

    def write(self, step: Step, footprint: Footprint, clock: Clock, history: _History) -> None:
        """Check a write against the reads and writes of other queues and record it."""
        if self.is_constant:
            raise step.error(f"writes to {self.name}, which is read-only")
        queue = _NUMBER[step.queue]
        self._check_order(step, footprint, clock, history, self._last_write, ("writes", "writes"))
        self._check_order(step, footprint, clock, history, self._last_read, ("writes", "reads"))
        self._record(self._last_write, queue, footprint, clock)
        footprint.set(self.written, True)

    def _check_order(
        self,
        step: Step,
        footprint: Footprint,
        clock: Clock,
        history: _History,
        accesses: dict[int, npt.NDArray[np.int32]],
        verbs: tuple[str, str],
    ) -> None:
        for other, positions in accesses.items():
            if other == _NUMBER[step.queue]:
                continue
            found = footprint.of(positions)
            if found.max() <= clock[other]:
                continue
            flat = found.reshape(-1)
            place = int(np.argmax(flat > clock[other]))
            culprit = history[other][int(flat[place]) - 1]
            raise step.error(
                f"{verbs[0]} {self.unit} {footprint.indices()[place]} of {self.name}, "
                f"which {culprit.describe()} {verbs[1]}, with no order between the two",
                hint="a semaphore signalled by the earlier one must be waited for",
            )

    def _record(
        self, accesses: dict[int, npt.NDArray[np.int32]], queue: int, footprint: Footprint, clock: Clock
    ) -> None:
        if queue not in accesses:
            accesses[queue] = np.zeros(self.size, np.int32)
        footprint.set(accesses[queue], clock[queue])


_History = tuple[list[Step], ...]


class _Checker:
    def __init__(self, target: Target, region_bytes: Sequence[int], inputs: int) -> None:
        self._scratchpad = _Memory("the scratchpad", target.scratchpad_bytes)
        self._accumulators = _Memory("the accumulators", target.accumulator_rows, unit="row")
        self._lanes = np.zeros(target.accumulator_rows, np.int32)
        self._holds_floats = np.zeros(target.accumulator_rows, bool)
        self._regions: list[_Memory] = []
        for number, size in enumerate(region_bytes):
            is_constant = number == 0 or 2 <= number < 2 + inputs
            self._regions.append(_Memory(_region_name(number, inputs), size, is_constant=is_constant))
        self._outputs = self._regions[2 + inputs :]
        self._semaphores = [_Semaphore() for _ in range(SEMAPHORES)]
        self._history: _History = tuple(list[Step]() for _ in QUEUES)
        self._latest: list[Clock] = [[0] * len(QUEUES) for _ in QUEUES]

    def check(self, steps: Sequence[Step]) -> None:
        for step in steps:
            queue = _NUMBER[step.queue]
            clock = list(self._latest[queue])
            self._wait(step, clock)
            self._history[queue].append(step)
            clock[queue] += 1
            work = step.work
            if isinstance(work, Transfer):
                self._transfer(step, work, clock)
            elif isinstance(work, Multiply):
                self._multiply(step, work, clock)
            elif work is not None:
                self._vector(step, work, clock)
            self._signal(step, clock)
            self._latest[queue] = clock
        self._finish()

    def _wait(self, step: Step, clock: Clock) -> None:
        for number in step.wait:
            semaphore = self._semaphores[number]
            if semaphore.waiter is not None and semaphore.waiter is not step.queue:
                raise step.error(
                    f"waits for semaphore {number}, as the {semaphore.waiter.value} queue does",
                    hint="a semaphore has one queue that signals and one that waits",
                )
            semaphore.waiter = step.queue
            if not semaphore.pending:
                raise step.error(
                    f"deadlock: waits for semaphore {number}, which no instruction before it signals once more"
                )
            signaller, before = semaphore.pending.popleft()
            if signaller.queue is step.queue:
                raise step.error(f"waits for semaphore {number}, which its own queue signals")
            for queue, finished in enumerate(before):
                clock[queue] = max(clock[queue], finished)
            semaphore.wait_positions.append(len(self._history[_NUMBER[step.queue]]) + 1)

    def _signal(self, step: Step, clock: Clock) -> None:
        for number in step.signal:
            semaphore = self._semaphores[number]
            if semaphore.signaller is not None and semaphore.signaller is not step.queue:
                raise step.error(
                    f"signals semaphore {number}, as the {semaphore.signaller.value} queue does",
                    hint="a semaphore has one queue that signals and one that waits",
                )
            semaphore.signaller = step.queue
            semaphore.signalled += 1
            semaphore.pending.append((step, clock))
            taken = 0
            if semaphore.waiter is not None:
                taken = bisect_right(semaphore.wait_positions, clock[_NUMBER[semaphore.waiter]])
            if semaphore.signalled - taken > MAX_COUNT:
                raise step.error(
                    f"semaphore {number} can reach {semaphore.signalled - taken}, its limit is {MAX_COUNT}",
                    hint="let the signalling queue wait for the other now and then",
                )

    def _finish(self) -> None:
        for number, semaphore in enumerate(self._semaphores):
            if semaphore.pending:
                raise semaphore.pending[0][0].error(f"signals semaphore {number}, and nothing takes that signal")
        for memory in self._outputs:
            if not memory.written.all():
                raise ProgramError(
                    f"byte {int(np.argmin(memory.written))} of {memory.name} is never written", where="end of program"
                )

    def _transfer(self, step: Step, work: Transfer, clock: Clock) -> None:
        if work.region >= len(self._regions):
            raise step.error(f"region {work.region} does not exist, the program has {len(self._regions)}")
        dram = self._regions[work.region]
        dram.check_range(step, work.dram, "DRAM side")
        self._scratchpad.check_range(step, work.scratchpad, "scratchpad side")
        written = work.scratchpad if work.is_load else work.dram
        _check_injective(step, written, self._scratchpad if work.is_load else dram)
        source, destination = (dram, self._scratchpad) if work.is_load else (self._scratchpad, dram)
        read = work.dram if work.is_load else work.scratchpad
        source.read(step, Footprint(read), clock, self._history)
        destination.write(step, Footprint(written), clock, self._history)

    def _rows(self, step: Step, first: int, count: int) -> Footprint:
        rows = Footprint(Lattice(first, (count,), (1,)))
        self._accumulators.check_range(step, rows, "accumulators")
        return rows

    def _multiply(self, step: Step, work: Multiply, clock: Clock) -> None:
        rows = self._rows(step, work.accumulator, work.positions)
        self._read_window(step, work.read, clock)
        self._read(step, work.weights, "weights", clock)
        lanes = rows.of(self._lanes)
        if work.accumulate:
            self._check_lanes(step, work.accumulator, lanes, work.outer)
            self._check_kind(step, work.accumulator, rows, is_float=work.is_float)
            self._accumulators.read(step, rows, clock, self._history)
        self._accumulators.write(step, rows, clock, self._history)
        np.maximum(lanes, work.outer, out=lanes)
        rows.set(self._holds_floats, work.is_float)

    def _check_kind(self, step: Step, first: int, rows: Footprint, *, is_float: bool) -> None:
        wrong = rows.of(self._holds_floats) != is_float
        if wrong.any():
            held, wanted = ("integers", "floats") if is_float else ("floats", "integers")
            raise step.error(f"takes {wanted} from accumulator row {first + int(np.argmax(wrong))}, which holds {held}")

    def _check_lanes(self, step: Step, first: int, lanes: npt.NDArray[np.int32], needed: int) -> None:
        if lanes.min() < needed:
            place = int(np.argmax(lanes < needed))
            raise step.error(
                f"reads lanes 0 to {needed - 1} of accumulator row {first + place}, "
                f"of which {lanes[place]} have been written"
            )

    def _vector(self, step: Step, work: VectorWork, clock: Clock) -> None:
        self._scratchpad.check_range(step, work.output, "output")
        _check_injective(step, work.output, self._scratchpad)
        others: list[Footprint] = []
        if isinstance(work, AccumulatorWork):
            rows = self._rows(step, work.accumulator, work.window.count)
            self._check_lanes(step, work.accumulator, rows.of(self._lanes), work.output.shape[2])
            self._check_kind(step, work.accumulator, rows, is_float=isinstance(work, FloatSums))
            self._accumulators.read(step, rows, clock, self._history)
        else:
            window = self._read_window(step, work.read, clock)
            if isinstance(work, TappedWork | RowWork | FloatRowWork):
                others += [window] if window is not None else []
            elif window is not None and _overlap(window, work.output):
                _check_in_place(step, work.read.addresses(), work.read.map.element_bytes, work.output)
        if isinstance(work, Requantize | Depthwise):
            others.append(self._read(step, work.parameters.bytes, "parameters", clock))
        if isinstance(work, FloatSums | FloatDepthwise):
            others.append(self._read(step, work.biases, "biases", clock))
        if isinstance(work, Depthwise | FloatDepthwise):
            others.append(self._read(step, work.weights, "weights", clock))
        if isinstance(work, Normalize | FloatNormalize):
            others.append(self._read(step, work.affine, "factors and offsets", clock))
        if isinstance(work, Lookup | Interpolate | Softmax):
            others.append(self._read(step, work.table, "table", clock))
        if isinstance(work, BinaryWork):
            second = self._read(step, work.second, "second operand", clock)
            if _overlap(second, work.output):
                _check_in_place(step, work.second.bytes.indices(), work.second.width, work.output)
        for footprint in others:
            if _overlap(footprint, work.output):
                common = np.intersect1d(footprint.indices(), work.output.bytes.indices())
                if len(common):
                    raise step.error(f"writes scratchpad byte {common[0]}, which it also reads")
        self._scratchpad.write(step, Footprint(work.output), clock, self._history)

    def _read(self, step: Step, addresses: Lattice, what: str, clock: Clock) -> Footprint:
        footprint = Footprint(addresses)
        self._scratchpad.check_range(step, footprint, what)
        self._scratchpad.read(step, footprint, clock, self._history)
        return footprint

    def _read_window(self, step: Step, read: WindowRead, clock: Clock) -> Footprint | None:
        footprint = read.footprint()
        if footprint is not None:
            self._scratchpad.check_range(step, footprint, "input")
            self._scratchpad.read(step, footprint, clock, self._history)
        return footprint


def _region_name(number: int, inputs: int) -> str:
    if number < 2:
        return f"region {number} ({'constants' if number == 0 else 'arena'})"
    if number < 2 + inputs:
        return f"region {number} (input {number - 2})"
    return f"region {number} (output {number - 2 - inputs})"


def _overlap(footprint: Footprint, output: Lattice) -> bool:
    return footprint.lowest <= output.highest and output.lowest <= footprint.highest


def _check_injective(step: Step, written: Lattice, memory: _Memory) -> None:
    if written.bytes.size > memory.size or not written.is_injective:
        raise step.error(f"writes a byte of {memory.name} more than once")


def _check_in_place(step: Step, sources: npt.NDArray[np.int64], width: int, output: Lattice) -> None:
    """Refuse results over operand elements other than the one they are computed from.

    Args:
        step: the instruction.
        sources: addresses of the operand's bytes, element by element.
        width: bytes of an element.
        output: the results.
    """
    destinations = output.bytes.indices()
    owner = np.full(output.highest - output.lowest + 1, -1, np.int64)
    owner[destinations - output.lowest] = np.arange(len(destinations)) // output.width
    inside = np.flatnonzero((sources >= output.lowest) & (sources <= output.highest))
    owners = owner[sources[inside] - output.lowest]
    wrong = (owners >= 0) & (owners != inside // width)
    if wrong.any():
        address = sources[inside[int(np.argmax(wrong))]]
        raise step.error(
            f"writes scratchpad byte {address}, which it also reads for another result",
            hint="a result may only replace the operand element it is computed from",
        )


def check_steps(steps: Sequence[Step], target: Target, region_bytes: Sequence[int], inputs: int) -> None:
    """Check a decoded program.

    Args:
        steps: its instructions, without `end`.
        target: the accelerator.
        region_bytes: size of each DRAM region: constants, arena, inputs, outputs.
        inputs: how many of the regions are inputs.

    Raises:
        ProgramError: the program is wrong in some timing; the message names the instruction.
    """
    _Checker(target, region_bytes, inputs).check(steps)
