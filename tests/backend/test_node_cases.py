"""The ONNX backend's node cases give their expected outputs, those excepted that are listed with a reason."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.backend.node_cases import CATEGORIES, Outcome, cases, run_cases

EXPECTED = Path(__file__).parent / "expected_failures.toml"
SAMPLE_STEP = 23
"""Of the cases in their order, each one at this distance is in the sample."""

BOUND = 1400
"""Cases that must pass."""


@cache
def expected() -> dict[str, dict[str, str]]:
    """The listed cases, each with its category and reason."""
    return tomllib.loads(EXPECTED.read_text(encoding="utf-8"))


def sample() -> list[str]:
    return list(cases())[::SAMPLE_STEP]


def surprises(outcomes: Sequence[Outcome]) -> list[str]:
    """What differs from the list: a case that fails, fails otherwise, or passes although it is listed."""
    found: list[str] = []
    for outcome in outcomes:
        entry = expected().get(outcome.case)
        wanted = "passes" if entry is None else entry["category"]
        if outcome.category != wanted:
            found.append(f"{outcome.case}: {outcome.category}, expected {wanted}: {outcome.detail}")
    return found


def test_the_list_names_cases_with_categories_and_reasons() -> None:
    for case, entry in expected().items():
        assert case in cases()
        assert entry["category"] in CATEGORIES[1:]
        assert len(entry["reason"]) > 20


def test_a_sample_is_as_listed() -> None:
    assert surprises(run_cases(sample())) == []


@pytest.mark.slow
def test_all_cases_are_as_listed() -> None:
    outcomes = run_cases(list(cases()))
    assert surprises(outcomes) == []
    assert sum(outcome.category == "passes" for outcome in outcomes) >= BOUND
