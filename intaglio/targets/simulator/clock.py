"""The clock: when each instruction begins and finishes, by events, from costs and semaphores alone.

An instruction begins when it has been dispatched, its queue is free and its semaphores are positive. It is in
setup for a fixed time and then works, at a rate below 1 while others get in the way: the DRAM port is shared
equally by a load and a store, and bank conflicts slow each instruction by `1 + lines per cycle of the others /
banks`. Times are whole cycles: work that ends within a cycle ends with it.

Loads use read channels: one may begin while others are under way, but their data arrive in order, and they
finish in order.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from intaglio.targets.costs import Cost
from intaglio.targets.instructions import Queue
from intaglio.targets.simulator.checks import QUEUES
from intaglio.targets.simulator.costs import cost_of
from intaglio.targets.simulator.steps import Step
from intaglio.targets.target import Target

_TOLERANCE = 1e-6
"""Work below this many cycles is the rounding of rates."""


@dataclass(frozen=True)
class Event:
    """One instruction's time in its queue.

    Args:
        step: the instruction.
        cost: what it costs on an idle machine.
        start: the cycle it begins in.
        finish: the cycle after its last.
    """

    step: Step
    cost: Cost
    start: int
    finish: int


@dataclass(frozen=True)
class Timing:
    """What the clock found.

    Args:
        cycles: from the first word's dispatch until all queues are empty.
        events: every instruction's time, in program order.
        busy: cycles in which each queue has an instruction under way.
        stalls: for each queue, cycles lost by cause.
    """

    cycles: int
    events: tuple[Event, ...]
    busy: dict[str, int]
    stalls: dict[str, dict[str, int]]


@dataclass
class _Job:
    step: Step
    cost: Cost
    start: int
    ready: int
    """When setup is over."""
    remaining: float


@dataclass
class _QueueState:
    queue: Queue
    pending: deque[Step]
    jobs: deque[_Job] = field(default_factory=deque[_Job])
    free: int = 0
    """When the next instruction may begin, as far as issuing goes."""
    busy: int = 0
    stalls: dict[str, float] = field(default_factory=dict[str, float])

    def lose(self, cause: str, cycles: float) -> None:
        self.stalls[cause] = self.stalls.get(cause, 0.0) + cycles


class _Clock:
    def __init__(self, steps: Sequence[Step], target: Target) -> None:
        self._target = target
        self._states = [_QueueState(queue, deque(step for step in steps if step.queue is queue)) for queue in QUEUES]
        self._counts: dict[int, int] = {}
        self._signaller = {number: step.queue for step in steps for number in step.signal}
        self._events: dict[int, Event] = {}
        self._now = 0

    def run(self) -> None:
        while True:
            for state in self._states:
                self._begin(state)
            working = self._working()
            rates = self._rates(working)
            upcoming = self._next_event(working, rates)
            if upcoming is None:
                break
            self._account(upcoming - self._now, working, rates)
            for job, rate in zip(working, rates, strict=True):
                job.remaining -= rate[0] * rate[1] * (upcoming - self._now)
            self._now = upcoming
            for state in self._states:
                self._finish(state)
        assert not any(state.pending for state in self._states), "a checked program does not deadlock"

    def timing(self, words: int) -> Timing:
        return Timing(
            max(self._now, words),
            tuple(self._events[index] for index in sorted(self._events)),
            {state.queue.value: state.busy for state in self._states},
            {
                state.queue.value: {cause: round(cycles) for cause, cycles in sorted(state.stalls.items())}
                for state in self._states
            },
        )

    def _blocked_by(self, state: _QueueState) -> str | None:
        """Why a queue's next instruction cannot begin now, or None if it can."""
        step = state.pending[0]
        if self._now < step.index + 1:
            return "dispatch"
        if state.queue is Queue.LOAD:
            in_flight = sum(job.step.work is not None for job in state.jobs)
            if self._now < state.free or (step.work is not None and in_flight >= self._target.dma_read_channels):
                return "own queue"
        elif state.jobs:
            return "own queue"
        for number in step.wait:
            if not self._counts.get(number, 0):
                return f"wait for {self._signaller[number].value}"
        return None

    def _begin(self, state: _QueueState) -> None:
        while state.pending and self._blocked_by(state) is None:
            step = state.pending.popleft()
            for number in step.wait:
                self._counts[number] -= 1
            cost = cost_of(step, self._target)
            state.jobs.append(_Job(step, cost, self._now, self._now + cost.setup_cycles, cost.work_cycles))
            state.free = self._now + 1

    def _working(self) -> list[_Job]:
        """The jobs past their setup: of the loads only the oldest, since data arrive in order."""
        found: list[_Job] = []
        for state in self._states:
            job = next((job for job in state.jobs if job.cost.work_cycles), None)
            if job is not None and job.ready <= self._now and job.remaining > _TOLERANCE:
                found.append(job)
        return found

    def _rates(self, working: Sequence[_Job]) -> list[tuple[float, float]]:
        """For each job its share of the DRAM port, and its rate under bank conflicts."""
        transfers = sum(job.step.queue in {Queue.LOAD, Queue.STORE} for job in working)
        lines = sum(job.cost.lines_per_cycle for job in working)
        rates: list[tuple[float, float]] = []
        for job in working:
            share = 1 / transfers if job.step.queue in {Queue.LOAD, Queue.STORE} else 1.0
            others = lines - job.cost.lines_per_cycle
            rates.append((share, 1 / (1 + others / self._target.scratchpad_banks)))
        return rates

    def _next_event(self, working: Sequence[_Job], rates: Sequence[tuple[float, float]]) -> int | None:
        times = [
            self._now + max(1, math.ceil(job.remaining / (share * banks) - _TOLERANCE))
            for job, (share, banks) in zip(working, rates, strict=True)
        ]
        for state in self._states:
            times += [job.ready for job in state.jobs if job.ready > self._now]
            if state.pending:
                times += [time for time in (state.pending[0].index + 1, state.free) if time > self._now]
        return min(times, default=None)

    def _account(self, elapsed: int, working: Sequence[_Job], rates: Sequence[tuple[float, float]]) -> None:
        for state in self._states:
            if state.jobs:
                state.busy += elapsed
                if state.queue is Queue.LOAD and not any(job.step.queue is Queue.LOAD for job in working):
                    state.lose("dram latency", elapsed)
            elif state.pending and (cause := self._blocked_by(state)) is not None:
                state.lose(cause, elapsed)
        for job, (share, banks) in zip(working, rates, strict=True):
            state = self._states[QUEUES.index(job.step.queue)]
            if share < 1:
                state.lose("dram port", elapsed * (1 - share))
            if banks < 1:
                state.lose("bank conflicts", elapsed * share * (1 - banks))

    def _finish(self, state: _QueueState) -> None:
        while state.jobs:
            job = state.jobs[0]
            if job.ready > self._now or job.remaining > _TOLERANCE:
                return
            state.jobs.popleft()
            for number in job.step.signal:
                self._counts[number] = self._counts.get(number, 0) + 1
            self._events[job.step.index] = Event(job.step, job.cost, job.start, self._now)


def time_steps(steps: Sequence[Step], target: Target) -> Timing:
    """Run the clock over a checked program.

    Args:
        steps: its instructions, without `end`.
        target: the accelerator.
    """
    clock = _Clock(steps, target)
    clock.run()
    return clock.timing(len(steps) + 1)
