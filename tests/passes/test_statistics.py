"""Statistics of a tensor: what each method keeps, and that parts of the data add up to the whole."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intaglio.errors import UserError
from intaglio.params import (
    AverageMinMaxMethod,
    CalibrationMethod,
    HistogramEntropyMethod,
    HistogramMSEMethod,
    HistogramPercentileMethod,
    MinMaxMethod,
    MovingAverageMinMaxMethod,
)
from intaglio.passes.calibration.statistics import Grid, NotFiniteError, RangeStatistics, statistics_for

Array = np.ndarray[Any, np.dtype[Any]]

METHODS: list[CalibrationMethod] = [
    MinMaxMethod(),
    MovingAverageMinMaxMethod(),
    AverageMinMaxMethod(),
    HistogramMSEMethod(64),
    HistogramEntropyMethod(64),
    HistogramPercentileMethod(99.0, 64),
]
MERGEABLE = [method for method in METHODS if not isinstance(method, MovingAverageMinMaxMethod)]

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SAMPLES = st.lists(hnp.arrays(np.float32, (2, 3), elements=FLOATS), min_size=1, max_size=6)


def collect(method: CalibrationMethod, samples: list[Array]) -> RangeStatistics[Any]:
    statistics = statistics_for(method)
    for sample in samples:
        statistics.update(sample)
    return statistics


def both_ranges(statistics: RangeStatistics[Any]) -> list[tuple[float, float]]:
    return [statistics.range(Grid()), statistics.range(Grid(4, symmetric=True))]


@pytest.mark.parametrize("method", MERGEABLE, ids=str)
@given(SAMPLES, SAMPLES)
def test_merged_parts_are_the_whole(method: CalibrationMethod, first: list[Array], second: list[Array]):
    merged = collect(method, first)
    merged.merge(collect(method, second))
    assert both_ranges(merged) == both_ranges(collect(method, first + second))


@pytest.mark.parametrize("method", MERGEABLE, ids=str)
@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(method: CalibrationMethod, samples: list[Array], random: Any):
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert both_ranges(collect(method, shuffled)) == both_ranges(collect(method, samples))


@pytest.mark.parametrize("method", METHODS, ids=str)
@given(SAMPLES)
def test_batches_are_taken_sample_by_sample(method: CalibrationMethod, samples: list[Array]):
    batch = statistics_for(method)
    batch.update(np.stack(samples), samples=len(samples))
    assert both_ranges(batch) == both_ranges(collect(method, samples))


@pytest.mark.parametrize("method", METHODS, ids=str)
@given(SAMPLES, SAMPLES)
def test_a_restored_state_goes_on_as_if_never_interrupted(
    method: CalibrationMethod, first: list[Array], second: list[Array]
):
    restored = statistics_for(method)
    restored.restore(collect(method, first).state())
    for sample in second:
        restored.update(sample)
    assert both_ranges(restored) == both_ranges(collect(method, first + second))


@pytest.mark.parametrize("method", METHODS, ids=str)
@given(SAMPLES)
def test_ranges_are_inside_of_the_values(method: CalibrationMethod, samples: list[Array]):
    low, high = collect(method, samples).range(Grid())
    values = np.stack(samples)
    assert values.min() <= low <= high <= values.max()


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("value", [0.0, 2.5, -1e-40])
def test_constant_tensors_have_the_range_of_their_value(method: CalibrationMethod, value: float):
    constant = np.full((2, 3), value, np.float32)
    expected = float(np.float32(value))
    assert collect(method, [constant] * 3).range(Grid()) == (expected, expected)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_nothing_seen_is_the_empty_range(method: CalibrationMethod):
    assert statistics_for(method).range(Grid()) == (0.0, 0.0)
    assert collect(method, [np.zeros((0, 3), np.float32)]).range(Grid()) == (0.0, 0.0)


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_values_that_are_not_finite_are_refused(method: CalibrationMethod, value: float, kind: str):
    statistics = collect(method, [np.ones((2, 3), np.float32)])
    before = both_ranges(statistics)
    with pytest.raises(NotFiniteError, match=kind):
        statistics.update(np.array([[0, value, 1], [1, 2, 3]], np.float32))
    assert both_ranges(statistics) == before


def test_a_double_too_large_for_float32_is_infinite():
    with pytest.raises(NotFiniteError, match="infinite"):
        collect(MinMaxMethod(), [np.array([1e300])])


def test_moving_average_by_hand():
    samples = [np.array(values, np.float32) for values in ([-1, 4], [-3, 2], [0, 8])]
    low, high = collect(MovingAverageMinMaxMethod(smoothing=0.5), samples).range(Grid())
    assert (low, high) == (-1.0, 5.5)  # -1, -2, -1 and 4, 3, 5.5


def test_moving_average_as_onnxruntime_has_it():
    from onnxruntime.quantization import calibrate

    samples = [np.random.default_rng(seed).normal(size=20).astype(np.float32) for seed in range(7)]
    calibrator = object.__new__(calibrate.MinMaxCalibrater)  # its constructor wants a model
    calibrator.moving_average, calibrator.averaging_constant = True, 0.01
    merged: Any = None
    for sample in samples:
        extrema = calibrate.TensorData(lowest=sample.min(), highest=sample.max())
        new = calibrate.TensorsData(calibrate.CalibrationMethod.MinMax, {"t": extrema})
        merged = calibrator.merge_range(merged, new)
    low, high = merged["t"].range_value
    found = collect(MovingAverageMinMaxMethod(), samples).range(Grid())
    assert found == (pytest.approx(float(low), rel=1e-5), pytest.approx(float(high), rel=1e-5))


@given(SAMPLES)
def test_average_is_that_of_exact_arithmetic(samples: list[Array]):
    low, high = collect(AverageMinMaxMethod(), samples).range(Grid())
    exact = [
        sum(Fraction(float(bound)) for bound in bounds)
        for bounds in zip(*((s.min(), s.max()) for s in samples), strict=True)
    ]
    assert (low, high) == tuple(float(total) / len(samples) for total in exact)


def test_moving_average_refuses_to_be_merged():
    statistics = statistics_for(MovingAverageMinMaxMethod())
    with pytest.raises(UserError, match="moving_average cannot be merged"):
        statistics.merge(statistics_for(MovingAverageMinMaxMethod()))


def test_different_methods_are_not_merged():
    with pytest.raises(UserError, match="percentile cannot be merged into those for mse"):
        statistics_for(HistogramMSEMethod()).merge(statistics_for(HistogramPercentileMethod()))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_the_state_does_not_grow_with_the_samples(method: CalibrationMethod):
    rng = np.random.default_rng(3)
    statistics = statistics_for(method)
    sizes: list[int] = []
    for _ in range(4):
        for _ in range(200):
            statistics.update(rng.normal(scale=10.0 ** rng.integers(-5, 5), size=64).astype(np.float32))
        sizes.append(sum(array.nbytes for array in statistics.state().values()))
    assert max(sizes) <= 2 * 64 * 8 + 200
