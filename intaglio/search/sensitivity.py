"""Phase 1: how much each precision of each group takes away from the result.

The network is evaluated with one group in a narrower precision and all others in their widest, so that what is seen is
the group's own damage. From the noise of the outputs no labels are needed, and few samples; the score is what counts
in the end, but one group rarely moves it, and ties make a poor order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from intaglio.search.evaluations import Evaluations
from intaglio.search.problem import Choice, Float64Array, Problem

Proxy = Literal["noise", "score", "proxy"]
"""What sensitivity is measured by."""


def sensitivities(problem: Problem, evaluations: Evaluations, proxy: Proxy = "noise") -> Float64Array:
    """What each precision of each group adds to the noise of the result, or takes from the score.

    Args:
        problem: groups and precisions.
        evaluations: carries evaluations out, one for each precision of each group that is not its widest.
        proxy: `noise`, the mean squared error of the outputs; `score`, the user's metric; or `proxy`, another metric of
            the user's for this phase.

    Returns:
        `[groups, precisions]`, at least 0; 0 for a group's widest precision and where one is not allowed.
    """
    widest = problem.widest()
    places: list[tuple[int, int]] = []
    choices: list[Choice] = []
    for group in range(len(problem.groups)):
        for index in np.flatnonzero(problem.allowed[group]).tolist():
            if index != widest[group]:
                places.append((group, index))
                choices.append(problem.with_group(widest, group, index))
    evaluations.begin("sensitivity", len(choices) + 1)
    if proxy == "noise":
        values = np.array(evaluations.noises([widest, *choices]))
    else:
        ask = evaluations.scores if proxy == "score" else evaluations.proxies
        values = -np.array(ask([widest, *choices]))
    result = np.zeros(problem.allowed.shape)
    for (group, index), value in zip(places, values[1:], strict=True):
        result[group, index] = max(float(value - values[0]), 0.0)
    return result
