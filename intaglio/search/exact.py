"""The best choice by integer programming, where noise is additive.

Each group adds the noise of its precision to that of the result, and a choice is wanted that costs least at a bounded
noise, is least noisy at a bounded cost, or has the fewest conversions. With a variable for each group and precision,
and one for each edge that needs a conversion, that is a mixed-integer linear program:

    minimise    sum objective[g, p] x[g, p] + sum conversions[e] y[e]
    subject to  sum over p of x[g, p] = 1                     for every group g
                sum bounded[g, p] x[g, p] + ... <= bound      for every bound
                y[e] >= +-(w[producer] - w[reader]),          w[g] = sum over p in a class of x[g, p]

where a class is one way to store activations, and there are rows for every class but the first. Solved by HiGHS
(through SciPy), deterministically.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import optimize, sparse

from intaglio.search.problem import Choice, Float64Array, Problem

_optimize: Any = optimize
_sparse: Any = sparse
"""The package's types are partial."""

_RELATIVE_GAP = 1e-6
_SLACK = 1e-9
"""By how much of a bound a choice may exceed it: sums of floats are not exact."""

_TIME_LIMIT = 20.0
"""Seconds; a program of a thousand groups takes less than one."""


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum over the groups' precisions and the edges' conversions, to be minimised or bounded.

    Attributes:
        groups: `[groups, precisions]`, at least 0.
        edges: what a conversion adds, `[edges]`; None where conversions do not count.
        bound: the largest value that is allowed; of no meaning for what is minimised.
    """

    groups: Float64Array
    edges: Float64Array | None = None
    bound: float = np.inf


def cheapest_within(problem: Problem, noise: Float64Array, bound: float) -> Choice | None:
    """The choice of least cost, conversions included, whose noise is at most a bound.

    Args:
        problem: groups, costs, and conversions.
        noise: `[groups, precisions]`, at least 0.
        bound: on the sum of the noise of the precisions chosen.

    Returns:
        The choice, or None when the bound cannot be kept.
    """
    return solve(problem, Sum(problem.costs, problem.conversions), [Sum(noise, bound=bound)])


def quietest_within(problem: Problem, noise: Float64Array, bound: float) -> Choice | None:
    """The choice of least noise whose cost, conversions included, is at most a bound.

    Returns:
        The choice, or None when the bound cannot be kept.
    """
    return solve(problem, Sum(noise), [Sum(problem.costs, problem.conversions, bound)])


def solve(problem: Problem, objective: Sum, bounds: Sequence[Sum]) -> Choice | None:
    """The allowed choice that minimises a sum while others stay within their bounds.

    Returns:
        The choice, or None when there is none.
    """
    groups, count = len(problem.groups), len(problem.precisions)
    if groups == 0:
        return ()
    counted = any(part.edges is not None and part.edges.any() for part in (objective, *bounds))
    edges = list(problem.groups.edges) if counted else []
    one_each = _sparse.hstack(
        [_sparse.kron(_sparse.eye_array(groups), np.ones((1, count))), _sparse.coo_array((groups, len(edges)))]
    )
    constraints = [_optimize.LinearConstraint(one_each, 1, 1)]
    for part in bounds:
        row, scale = _row(part, len(edges))
        constraints.append(_optimize.LinearConstraint(row[None, :], -np.inf, part.bound / scale * (1 + _SLACK)))
    if edges:
        constraints.append(_optimize.LinearConstraint(_conversion_rows(problem, edges), -np.inf, 0))
    with _quiet():
        result = _optimize.milp(
            _row(objective, len(edges))[0],
            constraints=constraints,
            integrality=np.concatenate([np.ones(groups * count), np.zeros(len(edges))]),
            bounds=_optimize.Bounds(0, np.concatenate([problem.allowed.ravel().astype(float), np.ones(len(edges))])),
            options={"mip_rel_gap": _RELATIVE_GAP, "time_limit": _TIME_LIMIT},
        )
    solution = cast("Float64Array | None", result.x)
    if solution is None:
        return None
    chosen = solution[: groups * count].reshape(groups, count).argmax(1)
    return tuple(int(index) for index in chosen)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep off stdout what HiGHS prints there from C++, whatever its options: stdout may be a command's JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _row(part: Sum, edges: int) -> tuple[Float64Array, float]:
    """The coefficients of a sum, and what they have been divided by.

    Costs and noises span many orders of magnitude, and the solver's tolerances are absolute.
    """
    of_edges = np.zeros(edges) if part.edges is None or not edges else part.edges
    scale = max(float(part.groups.max(initial=0.0)), float(of_edges.max(initial=0.0))) or 1.0
    return np.concatenate([part.groups.ravel(), of_edges]) / scale, scale


def _conversion_rows(problem: Problem, edges: list[tuple[int, int, int]]) -> Any:
    """Rows of `+-(w[producer] - w[reader]) - y[e] <= 0` for every edge and every way to store activations."""
    count = len(problem.precisions)
    ways = list(dict.fromkeys((p.kind, p.activation_bits) for p in problem.precisions))
    first = len(problem.groups) * count
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    row = 0
    for way in ways[1:]:
        members = [k for k, p in enumerate(problem.precisions) if (p.kind, p.activation_bits) == way]
        for edge, (producer, reader, _) in enumerate(edges):
            for sign in (1.0, -1.0):
                for group, factor in ((producer, sign), (reader, -sign)):
                    rows += [row] * len(members)
                    columns += [group * count + k for k in members]
                    values += [factor] * len(members)
                rows.append(row)
                columns.append(first + edge)
                values.append(-1.0)
                row += 1
    return _sparse.csr_array((values, (rows, columns)), shape=(row, first + len(edges)))
