"""Phase 2: the first choice on a path that is good enough.

A path goes from the cheapest choice to the widest. AIMET's algorithms are binary search, interpolation, brute force,
and the greedy walk from the cheap end (its `phase2_reverse`). All take the score to rise along the path; where it does
not, brute force alone finds the first good choice for certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from intaglio.search.binary_search import MIXED_PRECISION_SEARCH_LIMIT, binary_search
from intaglio.search.evaluations import Evaluations
from intaglio.search.problem import Choice

Algorithm = Literal["binary", "interpolation", "brute-force", "reverse"]

_LOW_SHARE = 0.25
"""Of what is left of a path, the part below the choice that `first_good_from_below` tries where evaluations that fail
stop early: if they take a fifth of the time of others, this place is the best."""

ALGORITHMS: tuple[Algorithm, ...] = ("binary", "interpolation", "brute-force", "reverse")


def first_good(
    path: Sequence[Choice],
    evaluations: Evaluations,
    target: float,
    algorithm: Algorithm = "binary",
    limit: int = MIXED_PRECISION_SEARCH_LIMIT,
) -> int | None:
    """The index of the first choice on a path with a score of at least `target`, as far as the algorithm can tell.

    Args:
        path: choices, the cheapest first.
        evaluations: carries evaluations out.
        target: the score wanted.
        algorithm: how to search.
        limit: the largest number of steps of a binary search or interpolation.

    Returns:
        The index, or None when neither end is good enough.
    """
    search = _SEARCHES[algorithm]
    evaluations.begin(f"path of {len(path)} choices by {algorithm}")
    return search(path, evaluations, target, limit)


def first_good_from_below(path: Sequence[Choice], evaluations: Evaluations, target: float, limit: int) -> int | None:
    """Like binary search, but nearer to the cheap end where evaluations that fail are shorter than those that succeed.

    Arguments and result are those of `first_good`.
    """
    evaluations.begin(f"path of {len(path)} choices")
    share = _LOW_SHARE if evaluations.stops_early else 0.5
    low, high = 0, len(path) - 1
    if evaluations.score(path[low], target) >= target:
        return low
    if evaluations.score(path[high], target) < target:
        return None
    for _ in range(limit):
        if high - low <= 1:
            break
        middle = low + max(int(share * (high - low)), 1)
        if evaluations.score(path[middle], target) >= target:
            high = middle
        else:
            low = middle
    return high


def _binary(path: Sequence[Choice], evaluations: Evaluations, target: float, limit: int) -> int | None:
    def is_good(n: int) -> tuple[bool, int]:
        return evaluations.score(path[n], target) >= target, n

    return binary_search(is_good, 0, len(path) - 1, limit=limit)


def _interpolation(path: Sequence[Choice], evaluations: Evaluations, target: float, limit: int) -> int | None:
    """Both ends are tested; then the place where a straight line between the nearest two meets the target."""
    lo, hi = 0, len(path) - 1
    low = evaluations.score(path[lo])
    if low >= target:
        return lo
    high = evaluations.score(path[hi])
    if high < target:
        return None
    for _ in range(limit):
        if hi - lo <= 1:
            break
        share = (target - low) / (high - low) if high > low else 0.5
        middle = min(max(lo + round(share * (hi - lo)), lo + 1), hi - 1)
        score = evaluations.score(path[middle])
        if score >= target:
            hi, high = middle, score
        else:
            lo, low = middle, score
    return hi


def _brute_force(path: Sequence[Choice], evaluations: Evaluations, target: float, limit: int) -> int | None:
    scores = evaluations.scores(path)
    return next((n for n, score in enumerate(scores) if score >= target), None)


def _reverse(path: Sequence[Choice], evaluations: Evaluations, target: float, limit: int) -> int | None:
    return next((n for n, choice in enumerate(path) if evaluations.score(choice, target) >= target), None)


_SEARCHES: dict[Algorithm, Callable[[Sequence[Choice], Evaluations, float, int], int | None]] = {
    "binary": _binary,
    "interpolation": _interpolation,
    "brute-force": _brute_force,
    "reverse": _reverse,
}
