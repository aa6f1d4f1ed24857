"""AFE's binary search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.search.binary_search import binary_search


@given(st.integers(-50, 50), st.integers(0, 100), st.integers(-60, 160))
def test_it_finds_the_first_yes(lo: int, size: int, first: int) -> None:
    found = binary_search(lambda n: (n >= first, n), lo, lo + size)
    assert found == (None if first > lo + size else max(lo, first))


def test_both_ends_are_tested_first() -> None:
    asked: list[int] = []

    def answer(n: int) -> tuple[bool, int]:
        asked.append(n)
        return n >= 7, n

    assert binary_search(answer, 0, 8) == 7
    assert asked[:2] == [0, 8]
    assert len(asked) == len(set(asked)) == 5  # ends, then 4, 6, 7


def test_a_yes_at_the_low_end_ends_it() -> None:
    asked: list[int] = []
    assert binary_search(lambda n: (asked.append(n) is None, n), 3, 9) == 3
    assert asked == [3]


def test_the_limit_counts_steps_between_the_ends() -> None:
    assert binary_search(lambda n: (n >= 700, n), 0, 1024, limit=1) == 1024
    assert binary_search(lambda n: (n >= 700, n), 0, 1024, limit=2) == 768
    assert binary_search(lambda n: (n >= 700, n), 0, 1024, limit=20) == 700


def test_one_that_is_not_monotonic_still_gives_a_yes() -> None:
    yes = {0: False, 1: True, 2: False, 3: False, 4: True}
    assert yes[binary_search(lambda n: (yes[n], n), 0, 4) or 0]


def test_progress_has_the_name_of_the_procedure() -> None:
    messages: list[str] = []
    binary_search(lambda n: (n > 0, n), 0, 1, procedure_name="mixed precision", report=messages.append)
    assert messages == ["mixed precision: 0 of 0 to 1: not reached", "mixed precision: 1 of 0 to 1: reached"]


def test_an_empty_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="no integer from 2 to 1"):
        binary_search(lambda n: (True, n), 2, 1)
