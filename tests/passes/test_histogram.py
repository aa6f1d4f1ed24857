"""The growing histogram: its counts are those of its final grid, whatever the order and the parts of the data."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intaglio.passes.calibration.histogram import COUNTED_VALUES, Histogram, counted

Array = np.ndarray[Any, np.dtype[Any]]

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ARRAYS = hnp.arrays(np.float32, st.integers(1, 40), elements=FLOATS)
PARTS = st.lists(ARRAYS, min_size=1, max_size=6)


def histogram_of(parts: list[Array], bins: int = 16) -> Histogram:
    histogram = Histogram(bins)
    for part in parts:
        histogram.add(part, float(part.min()), float(part.max()))
    return histogram


def state(histogram: Histogram) -> tuple[object, ...]:
    return (
        histogram.low,
        histogram.high,
        histogram.zeros,
        histogram.exponent,
        histogram.first,
        histogram.counts.tolist(),
    )


@given(PARTS)
def test_counts_are_those_of_the_final_grid(parts: list[Array]):
    histogram = histogram_of(parts)
    values = [float(value) for part in parts for value in part]
    width = Fraction(2) ** histogram.exponent
    expected = dict.fromkeys(range(histogram.first, histogram.first + histogram.counts.size), 0)
    for value in values:
        expected[math.floor(Fraction(value) / width)] += 1
    assert histogram.counts.tolist() == list(expected.values())
    assert histogram.total == len(values)
    assert histogram.zeros == values.count(0.0)
    assert (histogram.low, histogram.high) == (min(values), max(values))


@given(PARTS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(parts: list[Array], random: Any):
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert state(histogram_of(shuffled)) == state(histogram_of(parts))
    assert state(histogram_of([np.concatenate(shuffled)])) == state(histogram_of(parts))


@given(PARTS, PARTS)
def test_merged_parts_are_the_whole(first: list[Array], second: list[Array]):
    merged = histogram_of(first)
    merged.merge(histogram_of(second))
    assert state(merged) == state(histogram_of(first + second))


@given(PARTS)
def test_bins_are_as_many_as_asked_for_or_twice_that(parts: list[Array]):
    histogram = histogram_of(parts)
    assert 1 <= histogram.counts.size <= 32
    low, high = (math.floor(math.ldexp(bound, -histogram.exponent)) for bound in (histogram.low, histogram.high))
    span = max(high, 0) - min(low, 0) + 1
    assert span <= 32
    assert span >= 16 or histogram.exponent == -126


def test_merging_an_empty_histogram_changes_nothing():
    histogram = histogram_of([np.array([1, 2, 3], np.float32)])
    before = state(histogram)
    histogram.merge(Histogram(16))
    assert state(histogram) == before
    empty = Histogram(16)
    empty.merge(histogram)
    assert state(empty) == before


def test_histograms_of_different_bins_are_not_merged():
    with pytest.raises(ValueError, match="16 and 32 bins"):
        Histogram(16).merge(Histogram(32))


def test_edges_reach_from_the_smallest_to_the_largest_value():
    histogram = histogram_of([np.array([-0.3, 0.0, 0.0, 1.7], np.float32)])
    edges = histogram.edges()
    assert edges[0] == np.float32(-0.3)
    assert edges[-1] == np.float32(1.7)
    assert (np.diff(edges) >= 0).all()
    assert edges.size == histogram.counts.size + 1
    assert histogram.nonzero_counts().sum() == 2


@pytest.mark.parametrize("shape", [(56, 56, 144), (144, 56, 56), (112, 112, 32), (1, 16385, 1), (16384,)])
def test_counted_values_spread_evenly_over_every_axis(shape: tuple[int, ...]):
    subset = counted(np.arange(math.prod(shape)))
    assert min(COUNTED_VALUES, math.prod(shape)) / 4 < subset.size <= COUNTED_VALUES
    for axis, coordinates in enumerate(np.unravel_index(subset, shape)):
        per_place = np.bincount(coordinates, minlength=shape[axis])
        expected = subset.size / shape[axis]
        assert abs(per_place - expected).max() <= max(3.0, 0.06 * expected), axis


def test_small_tensors_are_counted_whole():
    values = np.arange(COUNTED_VALUES)
    assert counted(values) is values
    one_more = counted(np.arange(COUNTED_VALUES + 1))
    assert one_more.size == (COUNTED_VALUES + 2) // 2


@pytest.mark.parametrize("broken", ["exponent", "first", "negative", "zeros", "size"])
def test_a_state_that_fits_no_histogram_is_refused(broken: str):
    source = histogram_of([np.array([0, 0, 1, 2, 5], np.float32)])
    exponent, first, zeros, counts = source.exponent, source.first, source.zeros, source.counts.copy()
    if broken == "exponent":
        exponent += 1
    if broken == "first":
        first -= 1
    if broken == "negative":
        counts[1] = -1
    if broken == "zeros":
        zeros = 3
    if broken == "size":
        counts = counts[:-1]
    with pytest.raises(ValueError, match="no histogram of 16 bins"):
        Histogram(16).restore(source.low, source.high, (exponent, first, zeros), counts)
    Histogram(16).restore(source.low, source.high, (source.exponent, source.first, source.zeros), source.counts)
