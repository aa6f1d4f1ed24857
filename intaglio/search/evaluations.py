"""Asking for evaluations: each is computed once, recorded at once, and counted; on this machine or on many.

What is asked for is a `Task`, and who answers is a function from tasks to outcomes, which `intaglio.search.network`
makes of a network and its data. Tests use one of their own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from intaglio.errors import UserError
from intaglio.search.journal import Journal
from intaglio.search.problem import Choice, key_of

Kind = Literal["noise", "proxy", "score"]

_ATTEMPTS = 3
"""How often a task is given to another worker when the one that had it died."""


@dataclass(frozen=True)
class Task:
    """An evaluation asked for.

    Attributes:
        kind: `noise`, the mean squared error of the outputs against the float network's, on the analysis data; `proxy`,
            a metric of the user's for phase 1; or `score`, the user's metric on the evaluation data.
        choice: the precision of every group.
        at_least: a score below which its exact value is of no interest, so that the evaluation may stop early.
    """

    kind: Kind
    choice: Choice
    at_least: float | None = None


@dataclass(frozen=True)
class Outcome:
    """An evaluation.

    Attributes:
        value: the noise or the score; an upper bound of the score when the evaluation stopped early.
        is_bound: whether it stopped early.
        macs: multiplications with accumulation carried out.
    """

    value: float
    is_bound: bool = False
    macs: int = 0


Evaluate = Callable[[Task], Outcome]
"""Carries a task out; may raise UserError."""


class StopSearchError(Exception):
    """The search has to end: out of time, or interrupted; what is known so far is its result."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Event:
    """News about a search.

    Attributes:
        procedure: what is being done.
        done: evaluations carried out in this procedure.
        total: how many there will be, as far as is known.
        evaluations: evaluations carried out in the whole search, those found in the journal left out.
        seconds_left: an estimate for this procedure, or None.
        message: what has just been found out.
    """

    procedure: str
    done: int
    total: int | None
    evaluations: int
    seconds_left: float | None
    message: str = ""


Watch = Callable[[Event], None]


@dataclass
class Evaluations:
    """The evaluations of a search: those in the journal, and those still to be carried out.

    Attributes:
        evaluate: carries tasks out.
        journal: where they are recorded.
        executor: where they are carried out; None for this thread.
        watch: is told what happens.
        time_budget: seconds after which no evaluation is begun any more.
        stops_early: whether an evaluation ends once its target is out of reach, so that many that fail cost little.
        carried_out: how many were, by kind.
        macs: multiplications with accumulation of all of them.
    """

    evaluate: Evaluate
    journal: Journal
    executor: Executor | None = None
    watch: Watch | None = None
    time_budget: float | None = None
    stops_early: bool = True
    carried_out: dict[Kind, int] = field(default_factory=lambda: {"noise": 0, "proxy": 0, "score": 0})
    macs: int = 0
    _started: float = field(default_factory=time.monotonic)
    _procedure: str = "search"
    _done: int = 0
    _total: int | None = None
    _procedure_started: float = field(default_factory=time.monotonic)

    def begin(self, procedure: str, total: int | None = None) -> None:
        """Say what comes next, and how many evaluations it will take if that is known."""
        self._procedure, self._done, self._total = procedure, 0, total
        self._procedure_started = time.monotonic()
        self._report()

    def say(self, message: str) -> None:
        """Tell whoever watches what has been found out."""
        self._report(message)

    def score(self, choice: Choice, at_least: float | None = None) -> float:
        """The user's metric of a choice.

        Args:
            choice: the precision of every group.
            at_least: a score below which the exact value is of no interest.

        Returns:
            The score. When it is below `at_least`, possibly only a number that is below `at_least` and not below it.

        Raises:
            UserError: the metric failed or is not a number.
            StopSearchError: there is no time left.
        """
        return self._all([Task("score", choice, at_least)])[0].value

    def exact_score(self, choice: Choice) -> float | None:
        """The score of a choice if all of it is known already."""
        outcome = self._known(Task("score", choice))
        return None if outcome is None else outcome.value

    def proxies(self, choices: Sequence[Choice]) -> list[float]:
        """The metric for phase 1 of each choice; see `score` for what is raised."""
        return [outcome.value for outcome in self._all([Task("proxy", choice) for choice in choices])]

    def noises(self, choices: Sequence[Choice]) -> list[float]:
        """The noise of each choice; see `score` for what is raised."""
        return [outcome.value for outcome in self._all([Task("noise", choice) for choice in choices])]

    def scores(self, choices: Sequence[Choice]) -> list[float]:
        """The exact score of each choice; see `score` for what is raised."""
        return [outcome.value for outcome in self._all([Task("score", choice) for choice in choices])]

    def _known(self, task: Task) -> Outcome | None:
        found = self.journal.find(task.kind, key_of(task.choice))
        if found is None:
            return None
        outcome = Outcome(float(found["value"]), bool(found.get("is_bound")), 0)
        is_enough = not outcome.is_bound or (task.at_least is not None and outcome.value < task.at_least)
        return outcome if is_enough else None

    def _all(self, tasks: Sequence[Task]) -> list[Outcome]:
        found = {task: outcome for task in tasks if (outcome := self._known(task)) is not None}
        missing = [task for task in dict.fromkeys(tasks) if task not in found]
        self._done += len(tasks) - len(missing)
        for task, outcome in self._carry_out(missing):
            if math.isnan(outcome.value):
                raise UserError(f"the {task.kind} of an evaluation is not a number", where=self._procedure)
            values: dict[str, Any] = {"value": outcome.value, "macs": outcome.macs}
            if outcome.is_bound:
                values["is_bound"] = True
            self.journal.record(task.kind, key_of(task.choice), **values)
            found[task] = outcome
            self.carried_out[task.kind] += 1
            self.macs += outcome.macs
            self._done += 1
            self._report()
        return [found[task] for task in tasks]

    def _carry_out(self, tasks: list[Task]) -> Iterator[tuple[Task, Outcome]]:
        if self.executor is None:
            for task in tasks:
                self._check_time()
                yield task, self.evaluate(task)
            return
        attempts = dict.fromkeys(tasks, 0)
        while attempts:
            self._check_time()
            futures: dict[Future[Outcome], Task] = {}
            try:
                for task in attempts:
                    futures[self.executor.submit(self.evaluate, task)] = task
                for future in as_completed(futures):
                    outcome = future.result()
                    del attempts[futures[future]]
                    yield futures[future], outcome
                    self._check_time()
            except BrokenExecutor as error:
                # Which worker had which task is not known: all that are left are given out again.
                for task in attempts:
                    attempts[task] += 1
                if max(attempts.values()) >= _ATTEMPTS:
                    raise UserError(
                        f"workers died {_ATTEMPTS} times in a row: {error}", hint="use fewer workers, or none"
                    ) from error
                self._restart()
            finally:
                for future in futures:
                    with suppress(Exception):
                        future.cancel()

    def _restart(self) -> None:
        restart = getattr(self.executor, "restart", None)
        if restart is None:
            raise UserError("a worker died, and the executor cannot be used any more", hint="resume the search")
        restart()

    def _check_time(self) -> None:
        if self.time_budget is not None and time.monotonic() - self._started > self.time_budget:
            raise StopSearchError("time budget")

    def _report(self, message: str = "") -> None:
        if self.watch is None:
            return
        left = None
        if self._total is not None and self._done:
            elapsed = time.monotonic() - self._procedure_started
            left = elapsed / self._done * max(self._total - self._done, 0)
        count = sum(self.carried_out.values())
        self.watch(Event(self._procedure, self._done, self._total, count, left, message))
