"""The problem that searches solve: which precision each group gets, and what that costs.

A choice is a tuple with the index of a precision for every group. Costs are sums of a cost of each group by itself and
of conversions between groups that store their activations differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from intaglio.errors import UserError
from intaglio.precision import Precision
from intaglio.search.groups import Groups

Choice = tuple[int, ...]
"""The index of a precision for each group."""

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """Groups, the precisions to choose from, and the costs to minimise.

    Attributes:
        groups: the groups.
        precisions: what there is to choose from.
        allowed: whether a group may have a precision, `[groups, precisions]`.
        costs: what a group costs in a precision, `[groups, precisions]`; at least 0.
        conversions: what it costs when two groups store their activations differently, `[edges]`.

    Raises:
        UserError: there are no precisions, one is given twice, or a group may have none.
    """

    groups: Groups
    precisions: tuple[Precision, ...]
    allowed: npt.NDArray[np.bool_]
    costs: Float64Array
    conversions: Float64Array

    def __post_init__(self) -> None:
        if not self.precisions:
            raise UserError("there are no candidates to choose from", hint="give at least one precision")
        if len(set(self.precisions)) < len(self.precisions):
            raise UserError(f"a candidate is given twice: {', '.join(map(str, self.precisions))}")
        shape = (len(self.groups), len(self.precisions))
        assert self.allowed.shape == self.costs.shape == shape, "one row a group, one column a precision"
        for group, row in zip(self.groups.groups, self.allowed, strict=True):
            if not row.any():
                raise UserError(
                    f"no candidate is supported for {group.name} ({group.kinds[0]})",
                    hint="add a candidate, or consider all of them: --all-candidates",
                )

    def cost(self, choice: Choice) -> float:
        """What a choice costs, conversions included."""
        total = float(self.costs[np.arange(len(choice)), choice].sum())
        return total + float(self.conversions[self.converted(choice)].sum())

    def converted(self, choice: Choice) -> npt.NDArray[np.bool_]:
        """Which edges have a conversion, `[edges]`."""
        storage = [_storage(self.precisions[index]) for index in choice]
        return np.array([storage[a] != storage[b] for a, b, _ in self.groups.edges], np.bool_)

    def cheapest(self) -> Choice:
        """The choice of least cost by groups alone; among equals the first precision."""
        return tuple(int(index) for index in np.where(self.allowed, self.costs, np.inf).argmin(1))

    def widest(self) -> Choice:
        """The choice of most bits, activations before weights; among equals the first precision."""
        bits = [(p.activation_bits, p.weight_bits) for p in self.precisions]
        order = sorted(range(len(bits)), key=lambda index: bits[index], reverse=True)
        return tuple(next(index for index in order if row[index]) for row in self.allowed)

    def is_allowed(self, choice: Choice) -> bool:
        """Whether every group may have its precision."""
        return bool(self.allowed[np.arange(len(choice)), choice].all())

    def with_group(self, choice: Choice, group: int, precision: int) -> Choice:
        """A choice with another precision for one group."""
        return (*choice[:group], precision, *choice[group + 1 :])


def _storage(precision: Precision) -> tuple[str, int]:
    return precision.kind, precision.activation_bits


def key_of(choice: Choice) -> str:
    """A choice as text: the indices joined by commas."""
    return ",".join(map(str, choice))


def choice_of(key: str) -> Choice:
    """The choice that `key_of` wrote."""
    return tuple(int(index) for index in key.split(",")) if key else ()


def uniform_choice(problem: Problem, index: int) -> Choice:
    """The same precision for every group that may have it, and for others the cheapest at least as wide, or the widest.

    Args:
        problem: the problem.
        index: of the precision.
    """
    wanted = problem.precisions[index]
    choice: list[int] = []
    for group in range(len(problem.groups)):
        choices = [int(k) for k in np.flatnonzero(problem.allowed[group])]
        choice.append(index if index in choices else _nearest(choices, problem, group, wanted))
    return tuple(choice)


def _nearest(choices: Sequence[int], problem: Problem, group: int, wanted: Precision) -> int:
    def is_wider(k: int) -> bool:
        return problem.precisions[k].activation_bits >= wanted.activation_bits

    wider = [k for k in choices if is_wider(k)]
    if wider:
        return min(wider, key=lambda k: float(problem.costs[group, k]))
    return max(choices, key=lambda k: (problem.precisions[k].activation_bits, problem.precisions[k].weight_bits))
