"""Binary search over a yes-or-no question, with AFE's semantics.

Source of the semantics: SiMa.ai AFE, `afe.driver.passes.binary_search`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

MIXED_PRECISION_SEARCH_LIMIT = 20
"""Steps of a search for which none are asked for."""


def binary_search(
    get_result: Callable[[int], tuple[bool, Value]],
    lo: int,
    hi: int,
    limit: int = MIXED_PRECISION_SEARCH_LIMIT,
    procedure_name: str | None = None,
    *,
    report: Callable[[str], None] = print,
) -> Value | None:
    """The result for the smallest integer in `[lo, hi]` whose answer is yes.

    Both ends are tested, `lo` first, so that a yes at either is found whatever lies between. Between them the answer
    is taken to change once from no to yes; where it changes more often, some yes is found that may not be the first.

    Args:
        get_result: gives the answer for an integer, and a value that belongs to it.
        lo: the smallest integer to test.
        hi: the largest integer to test.
        limit: the largest number of steps between the ends.
        procedure_name: what the messages about progress call the search; without a name there are none.
        report: takes the messages.

    Returns:
        The value of the best integer found, or None if there is no yes at either end.

    Raises:
        ValueError: the interval is empty.
    """
    if lo > hi:
        raise ValueError(f"there is no integer from {lo} to {hi}")

    def test(n: int) -> tuple[bool, Value]:
        success, value = get_result(n)
        if procedure_name is not None:
            report(f"{procedure_name}: {n} of {lo} to {hi}: {'reached' if success else 'not reached'}")
        return success, value

    success, value = test(lo)
    if success or lo == hi:
        return value if success else None
    success, best = test(hi)
    if not success:
        return None
    for _ in range(limit):
        if hi - lo <= 1:
            break
        middle = (lo + hi) // 2
        success, value = test(middle)
        if success:
            hi, best = middle, value
        else:
            lo = middle
    return best
