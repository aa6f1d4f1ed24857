"""The range whose quantized distribution diverges least from that of the values.

For a candidate range, the reference is the histogram inside it with everything outside moved into its end bins; the
quantized distribution has the counts inside spread evenly over the non-empty bins of each level. The range with the
smallest Kullback-Leibler divergence of the two is taken. Levels are those of the stored integers, so that both limits
are searched for asymmetric quantization, in turns; for symmetric quantization the histogram of magnitudes is used. A
candidate has at least one bin for each level. Exact zeros are stored without error and do not count.

Sources: S. Migacz, "8-bit inference with TensorRT" (GTC 2017); smoothing of empty bins as in Apache MXNet's
`quantization` module, which onnxruntime's entropy calibration follows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from intaglio.passes.calibration.histogram import Float64Array, Histogram, Int64Array

_SMOOTHING = 1e-4
"""Probability that an empty bin of the quantized distribution gets where the reference is not empty."""

_CANDIDATES, _ROUNDS = 64, 2
"""Candidates of the coarse pass over one limit, and turns over the two limits."""


def divergence(counts: Int64Array, first: int, last: int, levels: int) -> float:
    """Kullback-Leibler divergence of quantizing to a range, infinite when no value is in it.

    Args:
        counts: values in each bin.
        first: first bin of the range.
        last: last bin of the range, plus one.
        levels: how many levels the range is quantized to.
    """
    inside = counts[first:last].astype(np.float64)
    if not inside.any():
        return np.inf
    reference = inside.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    level = np.arange(inside.size) * levels // inside.size if inside.size > levels else np.arange(inside.size)
    occupied = inside > 0
    size = np.bincount(level, occupied)
    spread = np.bincount(level, inside) / np.maximum(size, 1)
    quantized = np.where(occupied, spread[level], 0.0)
    return _kullback_leibler(reference / reference.sum(), quantized / quantized.sum())


def _kullback_leibler(reference: Float64Array, quantized: Float64Array) -> float:
    occupied = reference > 0
    p, q = reference[occupied], quantized[occupied]
    empty = q == 0
    if empty.any():
        q = np.where(empty, _SMOOTHING, q * (1 - _SMOOTHING * np.count_nonzero(empty)))
    return float(np.sum(p * np.log(p / q)))


def entropy_range(histogram: Histogram, bits: int, symmetric: bool) -> tuple[float, float]:
    """The range with the least divergence; see the module. All values, if there are no more bins than levels.

    Args:
        histogram: counts of at least two different values.
        bits: width of stored values.
        symmetric: whether zero is stored as 0 and the levels are as many on both sides.
    """
    counts, start = histogram.nonzero_counts(), histogram.first
    width = float(np.ldexp(1.0, histogram.exponent))
    if symmetric:
        magnitudes = _magnitudes(counts, start)
        _, last = _best_window(magnitudes, 0, 1 << (bits - 1), move_first=False)
        limit = last * width
        return histogram.inside(-limit, limit)
    # Zero is always in the range: bins between it and the values exist, and are empty.
    counts = np.pad(counts, (max(start, 0), max(-start - counts.size, 0)))
    start = min(start, 0)
    first, last = _best_window(counts, -start, 1 << bits, move_first=start < 0)
    return histogram.inside((start + first) * width, (start + last) * width)


def _magnitudes(counts: Int64Array, start: int) -> Int64Array:
    """Counts by magnitude: bin `-j - 1` is as far from zero as bin `j`."""
    index = np.arange(start, start + counts.size)
    index = np.where(index < 0, -index - 1, index)
    result = np.zeros(int(index.max()) + 1, np.int64)
    np.add.at(result, index, counts)
    return result


def _best_window(counts: Int64Array, zero: int, levels: int, *, move_first: bool) -> tuple[int, int]:
    """First bin and last bin plus one of the best range.

    Args:
        counts: values in each bin.
        zero: the bin that starts at zero; the range includes its start.
        levels: the least size of the range.
        move_first: whether the lower limit may move.
    """
    first, last = 0, counts.size
    for _ in range(_ROUNDS):
        before = first, last
        least = max(first + levels, zero)
        if least < counts.size:
            error = partial(_divergence_to, counts, first, levels)
            last = _best_index(least, counts.size, error, larger=True)
        most = min(last - levels, zero)
        if move_first and most > 0:
            error = partial(_divergence_from, counts, last, levels)
            first = _best_index(0, most, error, larger=False)
        if (first, last) == before or not move_first:
            break
    return first, last


def _divergence_to(counts: Int64Array, first: int, levels: int, last: int) -> float:
    return divergence(counts, first, last, levels)


def _divergence_from(counts: Int64Array, last: int, levels: int, first: int) -> float:
    return divergence(counts, first, last, levels)


def _best_index(least: int, most: int, error: Callable[[int], float], *, larger: bool) -> int:
    """The index from `least` to `most` with the smallest error, of equals the outer one; coarsely, then finely."""
    known: dict[int, float] = {}
    step = max(1, (most - least) // _CANDIDATES)
    candidates = [*range(most, least - 1, -step)] if larger else [*range(least, most + 1, step)]
    while True:
        for at in candidates:
            if at not in known:
                known[at] = error(at)
        best = min(known, key=lambda at: (known[at], -at if larger else at))
        if step == 1:
            return best
        candidates = [*range(max(least, best - step + 1), min(most, best + step - 1) + 1)]
        step = 1
