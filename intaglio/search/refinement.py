"""Local refinement of a good choice: what along a path had to come together is tried apart.

Sensitivities are measured one group at a time and their sum is an estimate, so that some groups of a choice found
along a path are wide for nothing. They are tried narrower (a drop), those that seem to matter least for what they cost
first; then pairs, one narrower and one wider, as long as that saves (a swap).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from intaglio.precision import Precision
from intaglio.search.evaluations import Evaluations
from intaglio.search.problem import Choice, Float64Array, Problem

_PLAUSIBLE = 1.5
"""Times the estimated noise of the noisiest good choice, beyond which another is hardly good: the estimate is not the
score."""


def dropped(
    problem: Problem,
    noise: Float64Array,
    evaluations: Evaluations,
    choice: Choice,
    target: float,
    limit: int,
    least: float = 0.0,
    together: int = 4,
) -> Choice:
    """The choice with groups made cheaper while the score stays at least `target`.

    Several groups at once first: twice as many after each success, half as many after each failure, down to one, which
    is then left as it is.

    Args:
        problem: groups and costs.
        noise: `[groups, precisions]`, from phase 1.
        evaluations: carries evaluations out.
        choice: a choice that is good enough.
        target: the score to keep.
        limit: the largest number of evaluations.
        least: the smallest saving of a group that is worth an evaluation.
        together: how many groups to begin with.

    Returns:
        A choice that is good enough and costs no more.
    """
    evaluations.begin("drops", limit)
    tried: set[tuple[int, int]] = set()
    for _ in range(limit):
        steps = _distinct([step for step in _drops(problem, noise, choice, least) if step not in tried])[:together]
        if not steps:
            break
        candidate = choice
        for step in steps:
            candidate = problem.with_group(candidate, *step)
        if problem.cost(candidate) < problem.cost(choice) and evaluations.score(candidate, target) >= target:
            choice, together = candidate, 2 * len(steps)
            for group, index in steps:
                evaluations.say(f"{problem.groups.groups[group].name} does with {problem.precisions[index]}")
        elif len(steps) == 1:
            tried.add(steps[0])
        else:
            together = len(steps) // 2
    return choice


def _distinct(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first step of each group, in order."""
    first: dict[int, int] = {}
    for group, index in steps:
        first.setdefault(group, index)
    return list(first.items())


def _drops(problem: Problem, noise: Float64Array, choice: Choice, least: float) -> list[tuple[int, int]]:
    """Cheaper precisions of single groups, the least noise for what is saved first."""
    now = problem.cost(choice)
    steps: list[tuple[float, int, int]] = []
    for group, current in enumerate(choice):
        for index in np.flatnonzero(problem.allowed[group]).tolist():
            saved = now - problem.cost(problem.with_group(choice, group, index)) if index != current else 0.0
            if saved > least:
                added = max(float(noise[group, index] - noise[group, current]), 0.0)
                steps.append((added / saved, group, index))
    return [(group, index) for _, group, index in sorted(steps)]


def swapped(
    problem: Problem,
    noise: Float64Array,
    evaluations: Evaluations,
    choice: Choice,
    target: float,
    limit: int,
    least: float = 0.0,
) -> Choice:
    """The choice with pairs of groups changed, one cheaper and one costlier, while that saves and is good enough.

    The pair that is expected to be the least noisy is tried first, and none that saves less than what has been saved
    already. Arguments and result are those of `dropped`; `least` is of a pair.
    """
    evaluations.begin("swaps", limit)
    tried: set[Choice] = set()
    for _ in range(limit):
        candidate = next((found for found in _swaps(problem, noise, choice, least) if found not in tried), None)
        if candidate is None:
            break
        tried.add(candidate)
        if evaluations.score(candidate, target) >= target:
            choice = candidate
            evaluations.say(f"a swap leaves a cost of {problem.cost(choice):.6g}")
    return choice


def _swaps(problem: Problem, noise: Float64Array, choice: Choice, least: float) -> Iterator[Choice]:
    now = problem.cost(choice)
    estimate = float(noise[np.arange(len(choice)), choice].sum())
    found: list[tuple[float, float, Choice]] = []
    for down, current in enumerate(choice):
        for narrow in np.flatnonzero(problem.allowed[down]).tolist():
            if problem.costs[down, narrow] >= problem.costs[down, current]:
                continue
            lower = problem.with_group(choice, down, narrow)
            added = float(noise[down, narrow] - noise[down, current])
            for up, other in enumerate(choice):
                for wide in np.flatnonzero(problem.allowed[up]).tolist():
                    taken = float(noise[up, other] - noise[up, wide])
                    if up == down or taken <= 0:
                        continue
                    candidate = problem.with_group(lower, up, wide)
                    if (cost := problem.cost(candidate)) < now - least:
                        found.append((estimate + added - taken, cost, candidate))
    yield from (candidate for _, _, candidate in sorted(found))


def best_of_all(
    problem: Problem,
    noise: Float64Array,
    evaluations: Evaluations,
    choice: Choice,
    target: float,
    groups: int,
    limit: int | None = None,
    least: float = 0.0,
) -> Choice:
    """The cheapest good choice among all that are wide in the most sensitive groups only, or the one given.

    Every choice of these groups that costs less than what is known to be good is evaluated, the least noisy first. The
    sum of sensitivities does not tell choices apart whose scores differ by a few samples; this does, and takes up to
    as many evaluations as there are choices. Under a limit, those that are expected to be much noisier are left out,
    and those that nowhere have more bits than another that was not good enough.

    Args:
        problem: groups and costs.
        noise: `[groups, precisions]`, from phase 1.
        evaluations: carries evaluations out.
        choice: a choice that is good enough.
        target: the score to keep.
        groups: how many groups are free; the number of choices is exponential in it.
        limit: the largest number of evaluations; None for all.
        least: of the other groups, those stay as they are in `choice` that would save no more in their cheapest
            precision, which the rest has. It is also the smallest saving that is worth an evaluation.
    """
    free = np.argsort(-noise.max(1), kind="stable")[:groups].tolist()
    everyone = np.arange(len(choice))
    cheapest = problem.cheapest()
    saved = problem.costs[everyone, choice] - problem.costs[everyone, cheapest]
    choices = [tuple(np.where(saved <= least, choice, cheapest).tolist())]
    for group in free:
        indices = np.flatnonzero(problem.allowed[group]).tolist()
        choices = [problem.with_group(other, group, index) for other in choices for index in indices]
    costs = {other: problem.cost(other) for other in choices}
    estimates = {other: float(noise[everyone, other].sum()) for other in choices}
    loudest = float(noise[everyone, choice].sum())
    most = problem.cost(choice) - least
    waiting = [other for other in choices if costs[other] < most]
    left = len(waiting) if limit is None else min(limit, len(waiting))
    evaluations.begin("all choices", left)
    failed: list[Choice] = []
    for candidate in sorted(waiting, key=lambda other: (estimates[other], costs[other], other)):
        if not left or costs[candidate] >= most:
            continue
        if limit is not None:
            if estimates[candidate] > _PLAUSIBLE * loudest:
                break
            if any(_is_narrower(problem, candidate, other) for other in failed):
                continue
        left -= 1
        if evaluations.score(candidate, target) >= target:
            choice, most = candidate, costs[candidate] - least
            loudest = max(loudest, estimates[candidate])
            evaluations.say(f"of all choices one has a cost of {costs[candidate]:.6g}")
        else:
            failed.append(candidate)
    return choice


def _is_narrower(problem: Problem, choice: Choice, other: Choice) -> bool:
    """Whether a choice has at most as many bits as another everywhere, which is taken to score no better."""
    return all(
        narrow == wide or _has_fewer_bits(problem.precisions[narrow], problem.precisions[wide])
        for narrow, wide in zip(choice, other, strict=True)
    )


def _has_fewer_bits(narrow: Precision, wide: Precision) -> bool:
    return (
        narrow.kind == wide.kind
        and narrow.activation_bits <= wide.activation_bits
        and narrow.weight_bits <= wide.weight_bits
    )


def wider_within(
    problem: Problem, noise: Float64Array, evaluations: Evaluations, choice: Choice, limit_cost: float, limit: int
) -> Choice:
    """The choice with groups changed one or two at a time while the score rises and the cost stays within a limit.

    Args:
        problem: groups and costs.
        noise: `[groups, precisions]`, from phase 1.
        evaluations: carries evaluations out.
        choice: a choice within the limit.
        limit_cost: the largest cost, conversions included.
        limit: the largest number of evaluations.
    """
    evaluations.begin("best within the cost", limit)
    best = evaluations.score(choice)
    tried: set[Choice] = {choice}
    for _ in range(limit):
        candidate = next((c for c in _neighbours(problem, noise, choice, limit_cost) if c not in tried), None)
        if candidate is None:
            break
        tried.add(candidate)
        score = evaluations.score(candidate, math.nextafter(best, math.inf))
        if score > best:
            choice, best = candidate, score
            evaluations.say(f"score {best:.6g}")
    return choice


def _neighbours(problem: Problem, noise: Float64Array, choice: Choice, limit_cost: float) -> list[Choice]:
    """Choices that differ in one group, or in two of which one is cheaper, the least noise first."""
    found: list[tuple[float, Choice]] = []
    for group, current in enumerate(choice):
        for index in np.flatnonzero(problem.allowed[group]).tolist():
            candidate = problem.with_group(choice, group, index)
            if index != current and problem.cost(candidate) <= limit_cost:
                found.append((float(noise[group, index] - noise[group, current]), candidate))
    estimate = float(noise[np.arange(len(choice)), choice].sum())
    pairs = [
        (float(noise[np.arange(len(c)), c].sum()) - estimate, c)
        for _, one in sorted(found)[:8]
        for c in (problem.with_group(one, g, k) for g in range(len(one)) for k in range(len(problem.precisions)))
        if problem.is_allowed(c) and c != choice and problem.cost(c) <= limit_cost
    ]
    return list(dict.fromkeys(candidate for _, candidate in sorted(found + pairs)))
