"""The search, on networks whose noise is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.search.along_path import first_good_from_below
from intaglio.search.conversions import converted_elements, fewer_conversions
from intaglio.search.engine import ALGORITHMS, SearchOptions, pareto_front, search
from intaglio.search.evaluations import Event, Outcome, Task
from intaglio.search.problem import Problem
from intaglio.search.refinement import best_of_all, dropped

MAKE = Callable[..., Any]


def of_weights(noise: list[float]) -> np.ndarray:
    """Noise of a wide and a narrow precision."""
    return np.array([[0.0, level] for level in noise])


@pytest.fixture
def problem(make_problem: MAKE) -> Problem:
    return make_problem([[4.0 * macs, float(macs)] for macs in (10, 20, 30, 40, 50, 60)])


@pytest.fixture
def noise() -> np.ndarray:
    return of_weights([0.05, 0.4, 0.01, 0.3, 0.02, 0.2])


@pytest.mark.parametrize("target", [0.95, 0.7, 0.45])
def test_the_default_finds_the_cheapest_choice_of_an_additive_network(
    problem: Problem, noise: np.ndarray, target: float, additive: MAKE, evaluations: MAKE, every_choice: MAKE
) -> None:
    network = additive(noise)
    result = search(problem, evaluations(network), SearchOptions(target=target))
    best = min(problem.cost(choice) for choice in every_choice(problem) if network.score_of(choice) >= target)
    assert result.best is not None
    assert (result.best.cost, result.best.score) == (best, network.score_of(result.best.choice))
    assert result.stopped is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_meets_the_target(
    algorithm: Any, problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    network = additive(noise, step=0.01)
    result = search(problem, evaluations(network), SearchOptions(target=0.7, algorithm=algorithm, refine=False))
    assert result.best is not None and result.best.score >= 0.7
    assert result.best.cost < problem.cost(problem.widest())


def test_aimets_algorithms_agree_where_the_path_is_monotonic(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    found = {
        search(
            problem,
            evaluations(additive(noise), about={"algorithm": algorithm}),
            SearchOptions(target=0.6, algorithm=algorithm, refine=False, reduce_conversions=False),
        ).best
        for algorithm in ("binary", "interpolation", "reverse")
    }
    assert len(found) == 1


def test_refinement_undoes_what_the_path_needed_for_nothing(
    make_problem: MAKE, evaluations: MAKE, additive: MAKE
) -> None:
    # The noise of the second group vanishes next to the first's: the sum is not the truth.
    problem = make_problem([[40.0, 10.0], [40.0, 10.0], [40.0, 10.0]])

    def evaluate(task: Task) -> Outcome:
        first, second, third = (index == 1 for index in task.choice)
        level = 0.5 * first + (0.3 if second and not first else 0.0) + 0.1 * third
        if task.kind == "score" and not first:
            level = 0.1 * third
        return Outcome(level if task.kind == "noise" else 1 - level)

    result = search(problem, evaluations(evaluate), SearchOptions(target=0.85))
    assert result.best is not None and result.best.choice == (0, 1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_all_choices_of_the_most_sensitive_groups_are_tried_on_request(
    seed: int, problem: Problem, evaluations: MAKE, additive: MAKE, every_choice: MAKE
) -> None:
    # Scores that have little to do with what phase 1 measures, as those that differ by a few samples.
    rng = np.random.default_rng(seed)
    luck = {choice: float(level) for choice, level in zip(every_choice(problem), rng.random(64), strict=True)}
    luck[problem.widest()] = 1.0
    noise = of_weights([0.05, 0.4, 0.01, 0.3, 0.02, 0.2])
    level = additive(noise).noise_of

    def evaluate(task: Task) -> Outcome:
        return Outcome(level(task.choice) if task.kind == "noise" else luck[task.choice])

    result = search(problem, evaluations(evaluate), SearchOptions(target=0.8, exhaustive=6))
    best = min(problem.cost(choice) for choice in every_choice(problem) if luck[choice] >= 0.8)
    assert result.best is not None and result.best.cost == best
    # Of the three most sensitive groups it is the best where all others are narrow.
    three = search(problem, evaluations(evaluate, about={"groups": 3}), SearchOptions(target=0.8, exhaustive=3)).best
    few = [c for c in every_choice(problem) if luck[c] >= 0.8 and c[0] == c[2] == c[4] == 1]
    assert three is not None and three.cost <= min(map(problem.cost, few), default=math.inf)


def test_groups_that_are_wide_for_nothing_are_dropped_together(
    make_problem: MAKE, evaluations: MAKE, additive: MAKE
) -> None:
    problem = make_problem([[40.0, 10.0]] * 28)
    noise = of_weights([0.0] * 28)
    asked = evaluations(additive(noise))
    assert dropped(problem, noise, asked, (0,) * 28, 0.5, 30) == (1,) * 28
    assert asked.carried_out["score"] == 3  # 4, 8 and 16 of them

    # One among them is needed, whatever phase 1 says.
    def evaluate(task: Task) -> Outcome:
        return Outcome(1.0 if task.choice[9] == 0 else 0.0)

    asked = evaluations(evaluate, about={"needed": 9})
    assert dropped(problem, noise, asked, (0,) * 28, 0.5, 30) == (*(1,) * 9, 0, *(1,) * 18)
    assert asked.carried_out["score"] <= 12


@pytest.mark.parametrize("first", range(20))
def test_the_first_good_choice_is_found_from_below(
    first: int, make_problem: MAKE, evaluations: MAKE, additive: MAKE
) -> None:
    problem = make_problem([[40.0, 10.0]] * 19)
    path = [(0,) * wide + (1,) * (19 - wide) for wide in range(20)]
    asked = evaluations(lambda task: Outcome(float(sum(k == 0 for k in task.choice) >= first)), about={"first": first})
    assert first_good_from_below(path, asked, 1.0, 20) == first
    assert problem.widest() == path[-1] and asked.carried_out["score"] <= 12
    assert first_good_from_below(path, asked, 2.0, 20) is None
    # Where evaluations cannot stop early it is binary search.
    asked = evaluations(asked.evaluate, about={"in full": first}, stops_early=False)
    assert first_good_from_below(path, asked, 1.0, 20) == first
    assert asked.carried_out["score"] <= 7


def test_a_choice_narrower_than_one_that_fails_is_not_tried_under_a_limit(
    make_problem: MAKE, evaluations: MAKE, additive: MAKE, every_choice: MAKE
) -> None:
    problem = make_problem([[4.0 * macs, float(macs)] for macs in (10, 20, 30, 40, 50, 60)])
    noise = of_weights([0.09, 0.4, 0.08, 0.3, 0.07, 0.1])
    # The second and the fourth group matter, and phase 1 has the fifth wrong.
    network = additive(of_weights([0.02, 0.4, 0.02, 0.3, 0.25, 0.02]))
    start = (1, 0, 1, 0, 0, 0)
    asked = evaluations(network)
    best = best_of_all(problem, noise, asked, start, 0.9, 6, 64)
    good = [choice for choice in every_choice(problem) if network.score_of(choice) >= 0.9]
    assert problem.cost(best) == min(map(problem.cost, good))
    failed: list[tuple[int, ...]] = []
    for task in network.asked:
        assert not any(all(a >= b for a, b in zip(task.choice, other, strict=True)) for other in failed)
        if network.score_of(task.choice) < 0.9:
            failed.append(task.choice)
    assert failed and len(network.asked) < 20


def test_too_many_groups_for_all_choices_are_refused() -> None:
    with pytest.raises(UserError, match="all choices of 11 groups cannot be tried"):
        SearchOptions(exhaustive=11)


def test_phase_three_makes_conversions_fewer_at_no_loss(make_problem: MAKE, evaluations: MAKE, additive: MAKE) -> None:
    # The group in the middle has no products, so that its width costs nothing but conversions.
    problem = make_problem([[40.0, 10.0], [0.0, 0.0], [40.0, 10.0]], edges=((0, 1, 100), (1, 2, 100)))
    asked = evaluations(additive(of_weights([0.5, 0.0, 0.5])))
    start = (0, 1, 0)
    assert converted_elements(problem, start) == 200
    assert fewer_conversions(problem, of_weights([0.5, 0.0, 0.5]), asked, start) == (0, 0, 0)
    # Where the estimate is wrong and the score would fall, the choice stays.
    asked = evaluations(lambda task: Outcome(0.9 if task.choice == start else 0.8), about={"wrong": True})
    assert fewer_conversions(problem, of_weights([0.5, 0.0, 0.5]), asked, start) == start


def test_a_cost_limit_is_kept_and_the_score_maximised(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE, every_choice: MAKE
) -> None:
    network = additive(noise)
    result = search(problem, evaluations(network), SearchOptions(cost_limit=400.0))
    best = max(network.score_of(choice) for choice in every_choice(problem) if problem.cost(choice) <= 400.0)
    assert result.best is not None
    assert result.best.cost <= 400.0 and result.best.score == pytest.approx(best)


def test_without_a_target_the_whole_curve_is_evaluated(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    result = search(problem, evaluations(additive(noise)), SearchOptions())
    assert [point.cost for point in result.front] == sorted(point.cost for point in result.front)
    assert result.front[0].cost == problem.cost(problem.cheapest())
    assert result.front[-1].score == 1.0
    assert len(result.front) == 7


def test_a_network_that_is_good_enough_needs_no_search(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    network = additive(noise)
    result = search(problem, evaluations(network), SearchOptions(target=0.01))
    assert result.best is not None and result.best.choice == problem.cheapest()
    assert len(network.asked) == 2


def test_a_target_out_of_reach_is_an_error_and_what_is_known_is_kept(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    asked = evaluations(additive(noise))
    with pytest.raises(UserError, match=r"target 1.5 cannot be reached: the widest precisions \(a16w16\) score 1"):
        search(problem, asked, SearchOptions(target=1.5))
    assert len(asked.journal) == 2


def test_a_cost_limit_below_the_cheapest_is_an_error(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    with pytest.raises(UserError, match="cost limit 5 cannot be kept: the cheapest choice costs 210"):
        search(problem, evaluations(additive(noise)), SearchOptions(cost_limit=5.0))


def test_a_score_that_is_not_a_number_is_an_error(problem: Problem, evaluations: MAKE) -> None:
    asked = evaluations(lambda task: Outcome(math.nan))
    with pytest.raises(UserError, match="score of an evaluation is not a number"):
        search(problem, asked, SearchOptions(target=0.5))


@dataclass
class Failing:
    """Fails at one evaluation, in one of several ways."""

    network: Any
    at: int
    error: BaseException
    count: int = field(default=0)

    def __call__(self, task: Task) -> Outcome:
        self.count += 1
        if self.count == self.at:
            raise self.error
        return self.network(task)


@pytest.mark.parametrize("at", [1, 4, 9, 12])
def test_an_interrupt_ends_the_search_with_the_best_so_far(
    at: int, problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    result = search(problem, evaluations(Failing(additive(noise), at, KeyboardInterrupt())), SearchOptions(target=0.7))
    assert result.stopped == "interrupted"
    assert (result.best is None) == (at == 1)


def test_a_search_resumes_where_a_failure_has_ended_it(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    whole = additive(noise)
    expected = search(problem, evaluations(whole), SearchOptions(target=0.7))
    count = len(whole.asked)
    for at in range(1, count + 1):
        network = additive(noise)
        with pytest.raises(UserError, match="out of luck"):
            search(
                problem,
                evaluations(Failing(network, at, UserError("out of luck")), about={"at": at}),
                SearchOptions(target=0.7),
            )
        assert len(network.asked) == at - 1
        resumed = search(problem, evaluations(network, about={"at": at}), SearchOptions(target=0.7))
        assert (resumed.best, resumed.front) == (expected.best, expected.front)
        assert len(network.asked) == count, "an evaluation was repeated"


def test_a_time_budget_ends_the_search(problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE) -> None:
    result = search(problem, evaluations(additive(noise), time_budget=-1.0), SearchOptions(target=0.7))
    assert (result.stopped, result.best) == ("time budget", None)


def test_watchers_hear_of_procedures_and_findings(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    events: list[Event] = []
    search(problem, evaluations(additive(noise), watch=events.append), SearchOptions(target=0.7))
    procedures = list(dict.fromkeys(event.procedure for event in events))
    assert procedures[:2] == ["ends", "sensitivity"] and procedures[-1] == "conversions"
    of_sensitivity = [event for event in events if event.procedure == "sensitivity"]
    assert [event.done for event in of_sensitivity] == list(range(8))
    assert of_sensitivity[-1].total == 7 and of_sensitivity[-1].seconds_left == 0


def test_the_front_has_the_points_that_no_other_beats(
    problem: Problem, noise: np.ndarray, additive: MAKE, evaluations: MAKE
) -> None:
    points = search(problem, evaluations(additive(noise)), SearchOptions(target=0.7)).points
    front = pareto_front(points)
    for point in points:
        beaten = any(p.cost <= point.cost and p.score >= point.score and p != point for p in points)
        assert (point in front) or beaten
    assert all(not any(p.cost <= point.cost and p.score > point.score for p in points) for point in front)


def test_algorithms_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match="there is no algorithm 'ternary'"):
        SearchOptions(algorithm="ternary")  # type: ignore[arg-type]
