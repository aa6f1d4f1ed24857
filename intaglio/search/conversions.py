"""Phase 3: fewer changes of precision between neighbours, at no loss.

Two neighbours that store their activations differently need a requantization of what passes between them. Among the
choices that cost no more and are not expected to be noisier, the one with the fewest elements to requantize is found by
integer programming, and taken if its score is at least as good.
"""

from __future__ import annotations

import numpy as np

from intaglio.search.evaluations import Evaluations
from intaglio.search.exact import Sum, solve
from intaglio.search.problem import Choice, Float64Array, Problem

_NOISE_ALLOWANCES = (1.0, 0.9, 0.75, 0.5)
"""Parts of the choice's estimated noise that its successor may have; the estimate is not the score."""


def converted_elements(problem: Problem, choice: Choice) -> int:
    """How many elements a choice requantizes between groups."""
    edges = problem.groups.edges
    return sum(edges[k][2] for k in np.flatnonzero(problem.converted(choice)).tolist())


def fewer_conversions(problem: Problem, noise: Float64Array, evaluations: Evaluations, choice: Choice) -> Choice:
    """A choice with fewer elements to requantize that costs no more and scores no less, or the one given.

    Args:
        problem: groups and costs.
        noise: `[groups, precisions]`, from phase 1.
        evaluations: carries evaluations out.
        choice: the choice to improve on.
    """
    evaluations.begin("conversions", len(_NOISE_ALLOWANCES))
    now = converted_elements(problem, choice)
    score = evaluations.score(choice)
    elements = np.array([count for _, _, count in problem.groups.edges], np.float64)
    estimate = float(noise[np.arange(len(choice)), choice].sum())
    seen = {choice}
    for allowance in _NOISE_ALLOWANCES:
        found = solve(
            problem,
            Sum(np.zeros_like(problem.costs), elements),
            [Sum(problem.costs, problem.conversions, problem.cost(choice)), Sum(noise, bound=estimate * allowance)],
        )
        if found is None or found in seen or converted_elements(problem, found) >= now:
            continue
        seen.add(found)
        if evaluations.score(found, score) >= score:
            evaluations.say(f"{now - converted_elements(problem, found)} elements fewer to requantize")
            return found
    return choice
