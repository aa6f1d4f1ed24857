"""Paths of choices from the cheapest to the widest, along which phase 2 looks for the first that is good enough."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from intaglio.search.problem import Choice, Float64Array, Problem


def ordered_path(problem: Problem, noise: Float64Array) -> list[Choice]:
    """AIMET's path: from the widest choice down, groups get narrower in the order of their noise, the least first.

    Every step of a group to a cheaper precision is one entry of the order; a step that would make the group costlier
    than it is by then is left out.

    Args:
        problem: groups and costs.
        noise: what each precision of each group adds, `[groups, precisions]`.

    Returns:
        The choices, the cheapest first; each differs from the one before in one group.
    """
    current = problem.widest()
    steps = sorted(
        (float(noise[group, index]), float(problem.costs[group, index]), group, index)
        for group in range(len(current))
        for index in np.flatnonzero(problem.allowed[group]).tolist()
        if index != current[group]
    )
    path = [current]
    for _, cost, group, index in steps:
        if cost < problem.costs[group, current[group]]:
            current = problem.with_group(current, group, index)
            path.append(current)
    return path[::-1]


def hull_path(problem: Problem, noise: Float64Array) -> list[Choice]:
    """The choices that are optimal for some price of noise, where noise and costs are additive.

    From the cheapest choice up, each step is the one that takes away the most noise for its cost; steps that cost
    nothing come first. Within a group only precisions on the lower convex hull of cost and noise are used, so that
    every choice on the path has the least noise of all choices that cost no more (the fractional knapsack's argument).

    Returns:
        The choices, the cheapest first; each differs from the one before in one group.
    """
    steps: list[tuple[float, float, int, int]] = []
    start: list[int] = []
    for group in range(len(problem.groups)):
        hull = _hull(problem, noise, group)
        start.append(hull[0])
        for before, after in pairwise(hull):
            cost = float(problem.costs[group, after] - problem.costs[group, before])
            gain = float(noise[group, before] - noise[group, after])
            steps.append((cost / gain, cost, group, after))
    current = tuple(start)
    path = [current]
    for _, _, group, index in sorted(steps):
        current = problem.with_group(current, group, index)
        path.append(current)
    return path


def _hull(problem: Problem, noise: Float64Array, group: int) -> list[int]:
    """The precisions of a group on the lower convex hull of cost and noise, the cheapest first."""
    allowed = np.flatnonzero(problem.allowed[group]).tolist()
    points = sorted((float(problem.costs[group, k]), float(noise[group, k]), k) for k in allowed)
    hull: list[tuple[float, float, int]] = []
    for cost, level, index in points:
        if hull and level >= hull[-1][1]:
            continue
        while len(hull) >= 2:
            (cost_a, level_a, _), (cost_b, level_b, _) = hull[-2:]
            if (level_a - level_b) * (cost - cost_a) > (level_a - level) * (cost_b - cost_a):
                break
            hull.pop()
        hull.append((cost, level, index))
    return [index for _, _, index in hull]
