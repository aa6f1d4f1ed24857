"""Integer programs and paths, against trying every choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from intaglio.precision import Precision
from intaglio.search.conversions import converted_elements
from intaglio.search.exact import Sum, cheapest_within, quietest_within, solve
from intaglio.search.paths import hull_path, ordered_path
from intaglio.search.problem import Choice, Problem

CANDIDATES = tuple(map(Precision.parse, ("a16w16", "a16w8", "a8w8")))


Draw = Callable[..., tuple[Problem, np.ndarray]]
Every = Callable[[Problem], Iterator[Choice]]


@pytest.fixture
def drawn(make_problem: Callable[..., Problem]) -> Draw:
    def draw(seed: int, groups: int = 6, with_conversions: bool = False) -> tuple[Problem, np.ndarray]:
        rng = np.random.default_rng(seed)
        costs = np.sort(rng.integers(1, 100, (groups, 3)), axis=1)[:, ::-1].astype(np.float64)
        noise = np.sort(rng.random((groups, 3)), axis=1)
        noise[:, 0] = 0
        edges = tuple((k, k + 1, int(rng.integers(1, 50))) for k in range(groups - 1)) if with_conversions else ()
        conversions = [float(rng.integers(0, 30)) for _ in edges]
        return make_problem(costs.tolist(), CANDIDATES, edges, conversions), noise

    return draw


def total(noise: np.ndarray, choice: Choice) -> float:
    return float(noise[np.arange(len(choice)), choice].sum())


@pytest.mark.parametrize("with_conversions", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_choice_within_a_bound_is_the_one_found_by_trying_all(
    drawn: Draw, every_choice: Every, seed: int, with_conversions: bool
) -> None:
    problem, noise = drawn(seed, with_conversions=with_conversions)
    for bound in (0.2, 1.0, 2.5):
        best = min(problem.cost(choice) for choice in every_choice(problem) if total(noise, choice) <= bound)
        found = cheapest_within(problem, noise, bound)
        assert found is not None
        assert total(noise, found) <= bound * (1 + 1e-6)
        assert problem.cost(found) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(6))
def test_the_quietest_choice_within_a_cost_is_the_one_found_by_trying_all(
    drawn: Draw, every_choice: Every, seed: int
) -> None:
    problem, noise = drawn(seed, with_conversions=True)
    bound = (problem.cost(problem.cheapest()) + problem.cost(problem.widest())) / 2
    best = min(total(noise, choice) for choice in every_choice(problem) if problem.cost(choice) <= bound)
    found = quietest_within(problem, noise, bound)
    assert found is not None
    assert problem.cost(found) <= bound * (1 + 1e-6)
    assert total(noise, found) == pytest.approx(best)


def test_conversions_alone_can_be_minimised(drawn: Draw, every_choice: Every) -> None:
    problem, noise = drawn(3, with_conversions=True)
    elements = np.array([count for _, _, count in problem.groups.edges], np.float64)
    found = solve(problem, Sum(np.zeros_like(problem.costs), elements), [Sum(noise, bound=1.5)])
    best = min(converted_elements(problem, c) for c in every_choice(problem) if total(noise, c) <= 1.5)
    assert found is not None and converted_elements(problem, found) == best


def test_a_bound_that_nothing_keeps_gives_none(drawn: Draw) -> None:
    problem, noise = drawn(0)
    assert cheapest_within(problem, noise + 1.0, 0.5) is None
    assert quietest_within(problem, noise, 0.0) is None


def test_precisions_that_are_not_allowed_are_not_chosen(drawn: Draw) -> None:
    problem, noise = drawn(1)
    problem.allowed[2] = [False, True, False]
    for bound in (1.0, 6.0):
        found = cheapest_within(problem, noise, bound)
        assert found is not None and found[2] == 1


@pytest.mark.parametrize("seed", range(4))
def test_every_choice_on_the_hull_has_the_least_noise_for_its_cost(drawn: Draw, every_choice: Every, seed: int) -> None:
    problem, noise = drawn(seed)
    path = hull_path(problem, noise)
    assert problem.cost(path[0]) == problem.cost(problem.cheapest())
    assert total(noise, path[-1]) == total(noise, problem.widest())
    everyone = [(problem.cost(choice), total(noise, choice)) for choice in every_choice(problem)]
    for choice in path:
        least = min(level for cost, level in everyone if cost <= problem.cost(choice))
        assert total(noise, choice) == pytest.approx(least)


def test_the_ordered_path_narrows_the_least_noisy_first(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem([[9.0, 1.0], [9.0, 1.0], [9.0, 1.0]])
    noise = np.array([[0.0, 0.3], [0.0, 0.1], [0.0, 0.2]])
    assert ordered_path(problem, noise) == [(1, 1, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0)]


def test_a_candidate_that_is_not_cheaper_is_no_step_of_the_ordered_path(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem([[9.0, 9.0], [9.0, 1.0]])
    assert ordered_path(problem, np.array([[0.0, 0.1], [0.0, 0.2]])) == [(0, 1), (0, 0)]
