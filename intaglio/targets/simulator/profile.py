"""Where the cycles went: totals, layers and a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.targets.instructions import Queue
from intaglio.targets.simulator.checks import QUEUES
from intaglio.targets.simulator.clock import Event, Timing
from intaglio.targets.target import Target

_CHARGED = (Queue.MATRIX, Queue.VECTOR, Queue.LOAD, Queue.STORE)
"""Whose instruction a cycle is charged to, of those under way in it: the first of these that works."""


@dataclass(frozen=True)
class LayerProfile:
    """What the instructions of one ONNX name took.

    Args:
        name: the ONNX name, None for instructions without.
        cycles: the layer's part of the total: the cycles in which the array works for it, or the vector unit while the
            array is idle, or a transfer while both are. A cycle in which nothing works is charged to the layer
            whose instruction begins next. These add up to the total.
        start: the cycle its first instruction begins in.
        finish: the cycle after its last.
        busy: cycles of its instructions by queue.
        macs: multiply-accumulate operations, those of padding included.
        mac_utilization: `macs` of what the array could do in `cycles`.
        dram_bytes: bytes over the DRAM port, `read` and `written`, in whole bursts.
        instructions: number of words.
    """

    name: str | None
    cycles: int
    start: int
    finish: int
    busy: dict[str, int]
    macs: int
    mac_utilization: float
    dram_bytes: dict[str, int]
    instructions: int


@dataclass(frozen=True)
class Profile:
    """What a program takes on the clock; the same for all data.

    Args:
        cycles: from the first word's dispatch until all queues are empty.
        busy: cycles in which each queue has an instruction under way.
        stalls: for each queue, cycles lost by cause: `dispatch`, `wait for <queue>`, `dram latency`, `dram port`,
            `bank conflicts`.
        macs: multiply-accumulate operations, those of padding included.
        mac_utilization: `macs` of what the array could do in `cycles`.
        dram_bytes: bytes over the DRAM port, `read` and `written`, in whole bursts.
        instructions: number of words.
        layers: by ONNX name, in the order in which they finish.
        timeline: every instruction's time, in program order.
    """

    cycles: int
    busy: dict[str, int]
    stalls: dict[str, dict[str, int]]
    macs: int
    mac_utilization: float
    dram_bytes: dict[str, int]
    instructions: int
    layers: tuple[LayerProfile, ...]
    timeline: tuple[Event, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the timeline as plain values, as `--json` prints them."""
        fields = {name: value for name, value in vars(self).items() if name not in {"layers", "timeline"}}
        return {**fields, "layers": [dict(vars(layer)) for layer in self.layers]}

    def chrome_trace(self) -> list[dict[str, Any]]:
        """Return the timeline as Chrome trace events, one row a queue, a cycle shown as a microsecond."""
        rows = {queue: number for number, queue in enumerate(QUEUES)}
        trace: list[dict[str, Any]] = [
            {"name": "thread_name", "ph": "M", "pid": 0, "tid": row, "args": {"name": queue.value}}
            for queue, row in rows.items()
        ]
        trace += [
            {
                "name": event.step.name or event.step.word.instruction.mnemonic,
                "ph": "X",
                "pid": 0,
                "tid": rows[event.step.queue],
                "ts": event.start,
                "dur": event.finish - event.start,
                "args": {"index": event.step.index, "instruction": event.step.word.text()},
            }
            for event in self.timeline
            if event.step.work is not None
        ]
        return trace


def make_profile(timing: Timing, target: Target) -> Profile:
    """Sum up what the clock found."""
    by_name: dict[str | None, list[Event]] = {}
    for event in timing.events:
        by_name.setdefault(event.step.name, []).append(event)
    shares = _shares(timing)
    array = target.macs_per_cycle
    layers = [_layer(name, events, shares.get(name, 0), array) for name, events in by_name.items()]
    macs = _macs(timing.events)
    return Profile(
        cycles=timing.cycles,
        busy=timing.busy,
        stalls=timing.stalls,
        macs=macs,
        mac_utilization=macs / (timing.cycles * array),
        dram_bytes=_dram_bytes(timing.events),
        instructions=len(timing.events) + 1,
        layers=tuple(sorted(layers, key=lambda layer: layer.finish)),
        timeline=timing.events,
    )


def _shares(timing: Timing) -> dict[str | None, int]:
    """Charge every cycle to one layer."""
    events = [event for event in timing.events if event.finish > event.start]
    names = list(dict.fromkeys(event.step.name for event in events))
    number = {name: index for index, name in enumerate(names)}
    times = np.unique([0, timing.cycles, *(time for event in events for time in (event.start, event.finish))])
    begins = times[:-1]
    # For each stretch between two times the layer; what begins next where nothing works.
    starts, layers, _ = _in_order(events, number)
    charged = layers[np.minimum(np.searchsorted(starts, begins), len(starts) - 1)]
    for queue in reversed(_CHARGED):
        starts, layers, finishes = _in_order([event for event in events if event.step.queue is queue], number)
        latest = np.searchsorted(starts, begins, "right") - 1
        # A queue's instructions finish in the order in which they begin.
        works = (latest >= 0) & (finishes[latest] > begins) if len(starts) else np.zeros(len(begins), bool)
        charged[works] = layers[latest[works]]
    cycles = np.zeros(len(names), np.int64)
    np.add.at(cycles, charged, np.diff(times))
    return dict(zip(names, cycles.tolist(), strict=True))


def _in_order(
    events: Sequence[Event], number: dict[str | None, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return when events begin, whose they are, and when they finish, by when they begin."""
    rows = sorted((event.start, event.finish, number[event.step.name]) for event in events)
    starts, finishes, layers = np.array(rows, np.int64).reshape(-1, 3).T
    return starts, layers, finishes


def _layer(name: str | None, events: Sequence[Event], cycles: int, array: int) -> LayerProfile:
    macs = _macs(events)
    busy = {queue.value: 0 for queue in QUEUES}
    for event in events:
        busy[event.step.queue.value] += event.finish - event.start
    return LayerProfile(
        name=name,
        cycles=cycles,
        start=min(event.start for event in events),
        finish=max(event.finish for event in events),
        busy=busy,
        macs=macs,
        mac_utilization=macs / (cycles * array) if cycles else 0.0,
        dram_bytes=_dram_bytes(events),
        instructions=len(events),
    )


def _macs(events: Sequence[Event]) -> int:
    return sum(event.cost.macs for event in events)


def _dram_bytes(events: Sequence[Event]) -> dict[str, int]:
    return {
        "read": sum(event.cost.read_bytes for event in events),
        "written": sum(event.cost.written_bytes for event in events),
    }
