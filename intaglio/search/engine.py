"""The search: sensitivities, a path, refinement, fewer conversions; from a problem and somebody who evaluates.

1. The ends are evaluated: when the cheapest choice is good enough there is nothing to search, and when the widest is
   not, nothing to find.
2. Phase 1 measures what each precision of each group adds to the noise (`sensitivity`).
3. Phase 2 finds the first good choice on a path from the cheapest to the widest (`along_path`). The path of AIMET goes
   by noise alone; the default goes by noise for cost (`paths.hull_path`). The algorithm `exact` then looks between the
   last bad and the first good choice of that path, by integer programming (`exact`).
4. Refinement drops and swaps, and tries choices of the most sensitive groups, on request all (`refinement`). Groups
   that cost next to nothing are made narrower last, as they may be what allows others to be narrow.
5. Phase 3 makes conversions fewer (`conversions`).

A limit of the cost takes the place of a target score when one is given: the least noisy choice within it, improved by
neighbours that score better.

Every choice evaluated on the way is a point, and those that no other beats in score and cost are the Pareto front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from intaglio.errors import UserError
from intaglio.search import along_path
from intaglio.search.binary_search import MIXED_PRECISION_SEARCH_LIMIT
from intaglio.search.conversions import fewer_conversions
from intaglio.search.evaluations import Evaluations, StopSearchError
from intaglio.search.exact import cheapest_within, quietest_within
from intaglio.search.paths import hull_path, ordered_path
from intaglio.search.problem import Choice, Float64Array, Problem, choice_of
from intaglio.search.refinement import best_of_all, dropped, swapped, wider_within
from intaglio.search.sensitivity import Proxy, sensitivities

Algorithm = Literal["exact", "binary", "interpolation", "brute-force", "reverse"]

ALGORITHMS: tuple[Algorithm, ...] = ("exact", *along_path.ALGORITHMS)

MOST_EXHAUSTIVE = 10
"""Groups of which all choices may be tried: with three precisions there are 59,049."""

_EXACT_STEPS = 4
"""Integer programs between two neighbours on the path."""

_NEGLIGIBLE = 1e-3
"""Part of the cost of a choice that is not worth an evaluation by itself."""

_NEGLIGIBLE_LIMIT = 16
"""Evaluations of drops of all groups with a negligible cost."""

_IN_FULL = 4
"""By how much fewer choices are tried in the end where evaluations that fail take as long as others."""

_SENSITIVE = 8
"""Groups of which choices are tried in the end when no other number is asked for."""


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        target: the least score that is good enough.
        cost_limit: the largest cost; the score is then maximised, and `target` only asked for in the end.
        algorithm: phase 2. `exact` follows the path of least noise for cost and solves integer programs; the others
            are AIMET's on its path, ordered by noise.
        proxy: what phase 1 measures.
        refine: whether to drop and swap afterwards.
        reduce_conversions: whether to do phase 3.
        full_curve: evaluate every choice of the path instead of stopping at the target, for the whole Pareto front.
        limit: the largest number of steps of a binary search.
        drop_limit: the largest number of evaluations of drops.
        swap_limit: the largest number of evaluations of swaps, or of neighbours under a cost limit.
        choice_limit: the largest number of evaluations of choices of the 8 most sensitive groups in the end; a quarter
            of it where evaluations cannot stop early.
        exhaustive: of how many of the most sensitive groups all choices are tried instead that cost less; 0 for none.
    """

    target: float | None = None
    cost_limit: float | None = None
    algorithm: Algorithm = "exact"
    proxy: Proxy = "noise"
    refine: bool = True
    reduce_conversions: bool = True
    full_curve: bool = False
    limit: int = MIXED_PRECISION_SEARCH_LIMIT
    drop_limit: int = 30
    swap_limit: int = 10
    choice_limit: int = 40
    exhaustive: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise UserError(f"there is no algorithm {self.algorithm!r}", hint=f"use one of {', '.join(ALGORITHMS)}")
        if not 0 <= self.exhaustive <= MOST_EXHAUSTIVE:
            raise UserError(
                f"all choices of {self.exhaustive} groups cannot be tried", hint=f"give 0 to {MOST_EXHAUSTIVE} groups"
            )


@dataclass(frozen=True)
class Point:
    """A choice that has been evaluated.

    Attributes:
        choice: the precision of every group.
        cost: what it costs, conversions included.
        score: the user's metric.
    """

    choice: Choice
    cost: float
    score: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search has found.

    Attributes:
        best: the cheapest good choice found, with a cost limit the best within it; None if there is none.
        front: the points that no other beats, the cheapest first.
        points: all choices whose score is known exactly, in the order they were evaluated.
        noise: `[groups, precisions]`, from phase 1; None if it was not reached.
        stopped: why the search ended early, or None.
    """

    best: Point | None
    front: tuple[Point, ...]
    points: tuple[Point, ...]
    noise: Float64Array | None
    stopped: str | None


def search(
    problem: Problem, evaluations: Evaluations, options: SearchOptions, known: Float64Array | None = None
) -> SearchResult:
    """Choose the precision of every group.

    Args:
        problem: groups, precisions and costs.
        evaluations: carries evaluations out and records them.
        options: what is wanted.
        known: sensitivities `[groups, precisions]` that take the place of phase 1.

    Raises:
        UserError: the metric fails, or the target is out of reach even in the widest precisions.
    """
    noise: Float64Array | None = None
    chosen: Choice | None = None
    stopped: str | None = None
    try:
        _check_target(problem, evaluations, options)
        if not _is_done(problem, evaluations, options):
            noise = sensitivities(problem, evaluations, options.proxy) if known is None else known
            chosen = _choose(problem, noise, evaluations, options)
    except StopSearchError as error:
        stopped = error.reason
    except KeyboardInterrupt:
        stopped = "interrupted"
    points = _points(problem, evaluations)
    return SearchResult(_best(points, options, chosen), pareto_front(points), points, noise, stopped)


def _check_target(problem: Problem, evaluations: Evaluations, options: SearchOptions) -> None:
    evaluations.begin("ends", 2)
    widest, cheapest = problem.widest(), problem.cheapest()
    score = evaluations.score(widest)
    if options.target is not None and score < options.target:
        # Some narrower choice may score better by luck, the cheapest too; it is known either way.
        if evaluations.score(cheapest) >= options.target:
            return
        precisions = " and ".join(dict.fromkeys(str(problem.precisions[k]) for k in widest))
        raise UserError(
            f"the target {options.target:.6g} cannot be reached: the widest precisions ({precisions}) "
            f"score {score:.6g}",
            hint="lower the target, add a wider candidate, or repair the network first (equalization, SmoothQuant)",
        )
    if options.cost_limit is not None and problem.cost(cheapest) > options.cost_limit:
        raise UserError(
            f"the cost limit {options.cost_limit:.6g} cannot be kept: the cheapest choice costs "
            f"{problem.cost(cheapest):.6g}"
        )
    evaluations.score(cheapest)


def _is_done(problem: Problem, evaluations: Evaluations, options: SearchOptions) -> bool:
    """Whether the cheapest choice is the answer."""
    if options.full_curve or options.target is None or options.cost_limit is not None:
        return False
    return evaluations.score(problem.cheapest(), options.target) >= options.target


def _choose(problem: Problem, noise: Float64Array, evaluations: Evaluations, options: SearchOptions) -> Choice | None:
    path = hull_path(problem, noise) if options.algorithm == "exact" else ordered_path(problem, noise)
    if options.full_curve or (options.target is None and options.cost_limit is None):
        evaluations.begin("curve", len(path))
        evaluations.scores(path)
    if options.cost_limit is not None:
        start = quietest_within(problem, noise, options.cost_limit) or problem.cheapest()
        best = wider_within(problem, noise, evaluations, start, options.cost_limit, options.swap_limit)
        return fewer_conversions(problem, noise, evaluations, best) if options.reduce_conversions else best
    if options.target is None:
        return None
    if options.algorithm == "exact":
        index = along_path.first_good_from_below(path, evaluations, options.target, options.limit)
    else:
        index = along_path.first_good(path, evaluations, options.target, options.algorithm, options.limit)
    choice = problem.widest() if index is None else path[index]
    if options.algorithm == "exact" and index:
        choice = _between(problem, noise, evaluations, path[index - 1], choice, options.target)
    choice = _refined(problem, noise, evaluations, choice, options.target, options)
    return fewer_conversions(problem, noise, evaluations, choice) if options.reduce_conversions else choice


def _refined(
    problem: Problem,
    noise: Float64Array,
    evaluations: Evaluations,
    choice: Choice,
    target: float,
    options: SearchOptions,
) -> Choice:
    """A good choice that costs no more, by the score itself."""
    least = _NEGLIGIBLE * problem.cost(choice)
    if options.refine:
        choice = dropped(problem, noise, evaluations, choice, target, options.drop_limit, least)
        choice = swapped(problem, noise, evaluations, choice, target, options.swap_limit, least)
    if options.exhaustive:
        choice = best_of_all(problem, noise, evaluations, choice, target, options.exhaustive)
    elif options.refine:
        limit = options.choice_limit if evaluations.stops_early else options.choice_limit // _IN_FULL
        choice = best_of_all(problem, noise, evaluations, choice, target, _SENSITIVE, limit, least)
    if options.refine:
        everyone = len(choice)
        choice = dropped(problem, noise, evaluations, choice, target, _NEGLIGIBLE_LIMIT, together=everyone)
    return choice


def _between(
    problem: Problem, noise: Float64Array, evaluations: Evaluations, bad: Choice, good: Choice, target: float
) -> Choice:
    """A good choice cheaper than `good`: the cheapest within a bound of noise, by bisection of the bound."""
    evaluations.begin("integer programs", _EXACT_STEPS)
    everyone = np.arange(len(good))
    low, high = float(noise[everyone, good].sum()), float(noise[everyone, bad].sum())
    seen = {bad, good}
    for _ in range(_EXACT_STEPS):
        middle = (low + high) / 2
        found = cheapest_within(problem, noise, middle)
        if found is None or found in seen or problem.cost(found) >= problem.cost(good):
            break
        seen.add(found)
        if evaluations.score(found, target) >= target:
            good, low = found, middle
        else:
            high = middle
    return good


def _points(problem: Problem, evaluations: Evaluations) -> tuple[Point, ...]:
    exact = (record for record in evaluations.journal if record["kind"] == "score" and not record.get("is_bound"))
    choices = ((choice_of(record["key"]), float(record["value"])) for record in exact)
    return tuple(Point(choice, problem.cost(choice), score) for choice, score in choices)


def _best(points: tuple[Point, ...], options: SearchOptions, chosen: Choice | None) -> Point | None:
    """The best point; among equals the choice that the search has ended with."""
    if options.cost_limit is not None or options.target is None:
        limit = np.inf if options.cost_limit is None else options.cost_limit
        within = [point for point in points if point.cost <= limit]
        best = max(within, key=lambda point: (point.score, -point.cost, point.choice == chosen), default=None)
        is_good = best is not None and (options.target is None or best.score >= options.target)
        return best if is_good else None
    good = [point for point in points if point.score >= options.target]
    return min(good, key=lambda point: (point.cost, point.choice != chosen, -point.score), default=None)


def pareto_front(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The points that no other beats in cost without losing score, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.score, point.choice)):
        if not front or point.score > front[-1].score:
            front.append(point)
    return tuple(front)
