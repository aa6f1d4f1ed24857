"""Progress on stderr, when that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from intaglio.phases import PHASE_NAMES
from intaglio.search.evaluations import Event, Watch

PhaseProgress = Callable[[str, int, int | None], None]
SampleProgress = Callable[[int, int], None]


@contextmanager
def compile_progress() -> Generator[PhaseProgress | None]:
    """Yield a callback for `compile_model` that shows phase after phase, or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, total: int | None) -> None:
            if phase not in tasks:
                for task in tasks.values():
                    bars.update(task, total=1, completed=1)
                tasks[phase] = bars.add_task(f"{PHASE_NAMES.index(phase) + 1}/{len(PHASE_NAMES)} {phase}", total=None)
            bars.update(tasks[phase], completed=done, total=total)

        yield report


@contextmanager
def sample_progress(label: str = "running") -> Generator[SampleProgress | None]:
    """Yield a callback that shows how many samples are done of how many, or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars() as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def search_progress() -> Generator[Watch | None]:
    """Yield a callback that shows what a search does and finds out, or None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def report(event: Event) -> None:
            if event.procedure not in tasks:
                tasks[event.procedure] = bars.add_task(event.procedure, total=event.total)
            bars.update(tasks[event.procedure], completed=event.done, total=event.total)
            if event.message:
                bars.console.print(event.message, highlight=False, markup=False)

        yield report


def _bars() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
