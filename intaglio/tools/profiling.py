"""What a package costs, as files: a CSV by layer, a timeline for Perfetto, and a picture of the scratchpad."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from intaglio.targets.simulator import Program
from intaglio.targets.simulator.geometry import Lattice
from intaglio.targets.simulator.steps import (
    Depthwise,
    Elementwise,
    Lookup,
    Requantize,
    Step,
    Transfer,
    VectorWork,
    window_read_of,
)

LAYER_COLUMNS = (
    "region",
    "layer",
    "cycles",
    "start",
    "finish",
    "load_cycles",
    "store_cycles",
    "matrix_cycles",
    "vector_cycles",
    "macs",
    "mac_utilization",
    "read_bytes",
    "written_bytes",
    "instructions",
)

_LINES = 512
"""Parts of the scratchpad that the picture tells apart."""

_WIDTH, _HEIGHT, _MARGIN = 1200, 512, 70


def layers_csv(programs: Sequence[Program]) -> str:
    """A line for each layer of each region, under `LAYER_COLUMNS`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(LAYER_COLUMNS)
    for program in programs:
        for layer in program.profile().layers:
            writer.writerow(
                [
                    program.binary.name,
                    layer.name or "",
                    layer.cycles,
                    layer.start,
                    layer.finish,
                    *(layer.busy[queue] for queue in ("load", "store", "matrix", "vector")),
                    layer.macs,
                    f"{layer.mac_utilization:.4f}",
                    layer.dram_bytes["read"],
                    layer.dram_bytes["written"],
                    layer.instructions,
                ]
            )
    return stream.getvalue()


def timeline(programs: Sequence[Program]) -> str:
    """The regions one after another as Chrome trace events, a process each; Perfetto and chrome://tracing show it."""
    events: list[dict[str, Any]] = []
    offset = 0
    for number, program in enumerate(programs):
        profile = program.profile()
        events.append({"name": "process_name", "ph": "M", "pid": number, "args": {"name": program.binary.name}})
        for event in profile.chrome_trace():
            event["pid"] = number
            if "ts" in event:
                event["ts"] += offset
            events.append(event)
        offset += profile.cycles
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"})


@dataclass(frozen=True)
class Life:
    """Lines of the scratchpad that hold data of one layer, from when they are written until they are last read."""

    name: str | None
    first_line: int
    end_line: int
    start: int
    end: int


def scratchpad_lives(program: Program) -> list[Life]:
    """What the scratchpad holds when, in `_LINES` parts; data that nobody reads is left out."""
    size = program.target.scratchpad_bytes
    owners: list[tuple[str | None, int, int] | None] = [None] * _LINES
    found: list[Life] = []

    def close(line: int) -> None:
        owner = owners[line]
        if owner is not None and owner[2] > owner[1]:
            found.append(Life(owner[0], line, line + 1, owner[1], owner[2]))

    for event in program.profile().timeline:
        for lattice, writes in _touched(event.step):
            lines = range(lattice[0] * _LINES // size, (lattice[1] - 1) * _LINES // size + 1)
            for line in lines:
                owner = owners[line]
                if not writes and owner is not None:
                    owners[line] = (owner[0], owner[1], max(owner[2], event.finish))
                elif writes and (owner is None or owner[0] != event.step.name):
                    close(line)
                    owners[line] = (event.step.name, event.start, event.start)
    for line in range(_LINES):
        close(line)
    return _merged(found)


def _merged(lives: Sequence[Life]) -> list[Life]:
    """Neighbouring lines with the same life as one."""
    merged: list[Life] = []
    for life in sorted(lives, key=lambda life: (life.start, life.end, life.first_line)):
        last = merged[-1] if merged else None
        same = last is not None and (last.name, last.start, last.end) == (life.name, life.start, life.end)
        if last is not None and same and last.end_line == life.first_line:
            merged[-1] = Life(life.name, last.first_line, life.end_line, life.start, life.end)
        else:
            merged.append(life)
    return merged


def _touched(step: Step) -> Iterator[tuple[tuple[int, int], bool]]:
    """The first byte of the scratchpad and one past the last of each access, reads first, and whether it writes."""
    work = step.work
    if work is None:
        return
    if isinstance(work, Transfer):
        yield _range(work.scratchpad), work.is_load
        return
    read = window_read_of(work)
    footprint = read.footprint() if read is not None else None
    if footprint is not None:
        yield (footprint.lowest, footprint.highest + 1), False
    if not isinstance(work, VectorWork):
        yield _range(work.weights), False
        return
    if isinstance(work, Requantize | Depthwise):
        yield _range(work.parameters.bytes), False
    if isinstance(work, Depthwise):
        yield _range(work.weights), False
    if isinstance(work, Lookup):
        yield _range(work.table), False
    if isinstance(work, Elementwise):
        yield _range(work.second), False
    yield _range(work.output), True


def _range(lattice: Lattice) -> tuple[int, int]:
    return lattice.lowest, lattice.highest + 1


def scratchpad_map(program: Program) -> str:
    """A picture, as SVG: time to the right, addresses upwards, a colour for each layer whose data it is."""
    cycles, lives = max(1, program.profile().cycles), scratchpad_lives(program)
    names = list(dict.fromkeys(life.name for life in lives))
    hues = {name: int(137.5 * number) % 360 for number, name in enumerate(names)}
    scale = (_WIDTH - _MARGIN) / cycles
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 40}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect x="{_MARGIN}" y="0" width="{_WIDTH - _MARGIN}" height="{_HEIGHT}" fill="#f4f4f4"/>',
    ]
    for life in lives:
        width = max((life.end - life.start) * scale, 0.2)
        height = life.end_line - life.first_line
        parts.append(
            f'<rect x="{_MARGIN + life.start * scale:.1f}" y="{_HEIGHT - life.end_line}" width="{width:.1f}" '
            f'height="{height}" fill="hsl({hues[life.name]},60%,60%)"><title>{escape(life.name or "no layer")}: '
            f"cycles {life.start:,} to {life.end:,}</title></rect>"
        )
    size = program.target.scratchpad_bytes
    for fraction in np.linspace(0, 1, 5):
        y, x = _HEIGHT * (1 - fraction), _MARGIN + (_WIDTH - _MARGIN) * fraction
        parts.append(f'<text x="2" y="{max(y, 10):.0f}">{fraction * size / 1024:.0f} KiB</text>')
        anchor = "end" if fraction == 1 else "middle"
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT + 14}" text-anchor="{anchor}">{fraction * cycles:,.0f}</text>')
    parts.append(f'<text x="{_MARGIN}" y="{_HEIGHT + 32}">{escape(program.binary.name)}: cycles</text></svg>')
    return "\n".join(parts) + "\n"
