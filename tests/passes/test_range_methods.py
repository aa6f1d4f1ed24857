"""The ranges that mse, entropy and percentile choose, against brute force over the values themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from intaglio.passes.calibration.entropy import divergence, entropy_range
from intaglio.passes.calibration.histogram import Histogram
from intaglio.passes.calibration.mean_squared_error import ExpectedError, least_squares_range
from intaglio.passes.calibration.percentile import percentile_range

Array = np.ndarray[Any, np.dtype[Any]]

RNG = np.random.default_rng(5)
DATA: dict[str, Array] = {
    "normal": RNG.normal(size=20000),
    "relu": np.maximum(RNG.normal(size=20000), 0),
    "relu6": np.clip(RNG.normal(scale=4, size=20000), 0, 6),
    "laplace": RNG.laplace(size=20000),
    "shifted": RNG.normal(3, 1, size=20000),
    "negative": -RNG.exponential(size=20000),
    "skewed": np.concatenate([RNG.exponential(size=20000), RNG.normal(-0.2, 0.05, 4000)]),
    "outliers": np.concatenate([RNG.normal(size=20000), [60.0, -45.0]]),
    "tiny": RNG.normal(size=20000) * 1e-36,
    "huge": RNG.normal(size=20000) * 1e36,
}


def histogram_of(values: Array, bins: int) -> Histogram:
    narrow = values.astype(np.float32)
    histogram = Histogram(bins)
    histogram.add(narrow, float(narrow.min()), float(narrow.max()))
    return histogram


def squared_error(values: Array, low: float, high: float, bits: int, symmetric: bool) -> float:
    """Mean squared error of quantizing and dequantizing, in plain arithmetic."""
    levels = 2**bits
    if symmetric:
        scale = max(-low, high) / (levels // 2 - 1)
        stored = np.clip(np.rint(values / scale), -levels // 2, levels // 2 - 1)
        return float(np.mean((values - stored * scale) ** 2))
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (levels - 1)
    zero_point = round(-low / scale)
    stored = np.clip(np.rint(values / scale) + zero_point, 0, levels - 1)
    return float(np.mean((values - (stored - zero_point) * scale) ** 2))


def least_by_brute_force(values: Array, bits: int, symmetric: bool) -> float:
    parts = np.arange(1, 41) / 40
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    if symmetric:
        limit = max(-low, high)
        return min(squared_error(values, -limit * part, limit * part, bits, True) for part in parts)
    lows = parts if low < 0 else [1.0]
    highs = parts if high > 0 else [1.0]
    return min(squared_error(values, low * a, high * b, bits, False) for a in lows for b in highs)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", DATA)
def test_mse_is_close_to_the_least_error_of_all_ranges(name: str, bits: int, symmetric: bool):
    values = DATA[name].astype(np.float32).astype(np.float64)[::4]
    unit = np.abs(values).max()
    low, high = least_squares_range(histogram_of(values, 2048), bits, symmetric)
    assert values.min() <= low <= high <= values.max()
    found = squared_error(values / unit, low / unit, high / unit, bits, symmetric)
    assert found <= 1.03 * least_by_brute_force(values / unit, bits, symmetric)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", DATA)
def test_the_expected_error_is_that_of_the_values(name: str, bits: int, symmetric: bool):
    values = DATA[name].astype(np.float32).astype(np.float64)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    error = ExpectedError(histogram_of(values, 4096), bits, symmetric)
    unit = np.abs(values).max()
    for part in (1.0, 0.7, 0.3):
        bounds = (-part * max(-low, high), part * max(-low, high)) if symmetric else (low * part, high * part)
        expected = squared_error(values / unit, bounds[0] / unit, bounds[1] / unit, bits, symmetric)
        found = error(np.array([bounds[0]]), np.array([bounds[1]]))[0] / unit / unit
        assert found == pytest.approx(expected, rel=0.08)


def test_sixteen_bits_clip_next_to_nothing():
    values = DATA["normal"]
    low, high = least_squares_range(histogram_of(values, 2048), 16, True)
    assert max(-low, high) > 0.9 * np.abs(values).max()
    error = ExpectedError(histogram_of(values, 2048), 16, True)
    limit = np.abs(values).max()
    assert error(np.array([-limit]), np.array([limit]))[0] == pytest.approx((limit / 32767) ** 2 / 12, rel=1e-3)


def test_mse_clips_an_outlier_and_keeps_a_frequent_bound():
    low, high = least_squares_range(histogram_of(np.append(DATA["relu"], 100.0), 2048), 4, False)
    assert low == 0.0 and high < 30
    low, high = least_squares_range(histogram_of(DATA["relu6"], 2048), 8, False)
    assert low == 0.0 and high == pytest.approx(6.0, rel=0.02)


def brute_force_divergence(counts: list[int], first: int, last: int, levels: int) -> float:
    """Divergence of a window, written out as in the description of TensorRT's method."""
    inside = counts[first:last]
    reference = [float(count) for count in inside]
    reference[0] += sum(counts[:first])
    reference[-1] += sum(counts[last:])
    quantized = [0.0] * len(inside)
    groups: dict[int, list[int]] = {}
    for place in range(len(inside)):
        groups.setdefault(place * levels // len(inside), []).append(place)
    for places in groups.values():
        occupied = [place for place in places if inside[place]]
        for place in occupied:
            quantized[place] = sum(inside[place] for place in places) / len(occupied)
    if not sum(quantized):
        return math.inf
    reference = [value / sum(reference) for value in reference]
    quantized = [value / sum(quantized) for value in quantized]
    empty = sum(1 for p, q in zip(reference, quantized, strict=True) if p and not q)
    total = 0.0
    for p, q in zip(reference, quantized, strict=True):
        if p:
            total += p * math.log(p / (q * (1 - 1e-4 * empty) if q else 1e-4))
    return total


@pytest.mark.parametrize("window", [(0, 90), (3, 80), (10, 60), (0, 40), (33, 90)])
def test_divergence_is_that_of_the_description(window: tuple[int, int]):
    counts = np.bincount(RNG.integers(5, 85, 300), minlength=90)
    counts[20:24] = 0
    expected = brute_force_divergence(counts.tolist(), *window, levels=32)
    assert divergence(counts, *window, levels=32) == pytest.approx(expected, rel=1e-9)


def test_entropy_finds_the_window_of_least_divergence():
    values = np.concatenate([RNG.exponential(size=3000), [12.0]])
    histogram = histogram_of(values, 40)
    counts = histogram.nonzero_counts().tolist()
    width = 2.0**histogram.exponent
    ends = range(16, len(counts) + 1)
    best = min(ends, key=lambda end: (brute_force_divergence(counts, 0, end, 16), -end))
    low, high = entropy_range(histogram, 4, False)
    assert low == histogram.low
    assert high == min(best * width, histogram.high)
    assert high < 12.0


def test_entropy_of_magnitudes_is_symmetric():
    values = np.concatenate([RNG.normal(size=5000), [30.0]])
    low, high = entropy_range(histogram_of(values, 512), 8, True)
    mirrored = entropy_range(histogram_of(-values, 512), 8, True)
    assert mirrored == (-high, -low)
    assert high < 29


def test_entropy_cuts_both_sides():
    values = np.concatenate([RNG.normal(size=20000), [-40.0, 50.0]])
    low, high = entropy_range(histogram_of(values, 2048), 8, False)
    assert -39 < low < -2 and 2 < high < 49


def test_entropy_keeps_everything_when_there_are_fewer_bins_than_levels():
    histogram = histogram_of(DATA["normal"], 64)
    assert entropy_range(histogram, 8, False) == (histogram.low, histogram.high)
    assert entropy_range(histogram_of(DATA["shifted"], 512), 16, False)[1] == histogram_of(DATA["shifted"], 512).high


@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 99.9, 100.0])
@pytest.mark.parametrize("name", DATA)
def test_percentile_is_that_of_the_sorted_values(name: str, percentile: float):
    values = DATA[name].astype(np.float32).astype(np.float64)
    histogram = histogram_of(values, 1024)
    width = 2.0**histogram.exponent
    rest = (1 - percentile / 100) / 2
    low, high = percentile_range(histogram, percentile, False)
    expected = np.quantile(values, [rest, 1 - rest])
    # Between the sparse values of a tail, any place is as good.
    for found, side in ((low, "lower"), (high, "higher")):
        q = rest if side == "lower" else 1 - rest
        around = np.quantile(values, [max(q - 2 / values.size, 0), min(q + 2 / values.size, 1)])
        assert around[0] - width <= found <= around[1] + width, (found, expected)


@pytest.mark.parametrize("percentile", [90.0, 99.9, 100.0])
@pytest.mark.parametrize("name", DATA)
def test_symmetric_percentile_is_that_of_magnitudes(name: str, percentile: float):
    values = DATA[name].astype(np.float32).astype(np.float64)
    histogram = histogram_of(values, 1024)
    low, high = percentile_range(histogram, percentile, True)
    q, step = percentile / 100, 2 / values.size
    around = np.quantile(np.abs(values), [max(q - step, 0), min(q + step, 1)])
    width = 2.0**histogram.exponent
    assert around[0] - width <= max(-low, high) <= around[1] + width


def test_percentile_as_onnxruntime_has_it():
    from onnxruntime.quantization.calibrate import HistogramCollector

    values = np.concatenate([RNG.exponential(size=200000), RNG.normal(-0.2, 0.05, 40000)]).astype(np.float32)
    collector = HistogramCollector("percentile", False, 2048, 128, 99.9, None)
    collector.collect_value({"t": [values]})
    low, high = (float(np.ravel(bound)[0]) for bound in collector.compute_percentile()["t"][:2])
    width = float(np.ptp(values)) / 1024
    found = percentile_range(histogram_of(values, 2048), 99.9, False)
    assert found == (pytest.approx(low, abs=2 * width), pytest.approx(high, abs=2 * width))


CHOOSE: dict[str, Callable[[Histogram, bool], tuple[float, float]]] = {
    "mse": lambda histogram, symmetric: least_squares_range(histogram, 8, symmetric),
    "entropy": lambda histogram, symmetric: entropy_range(histogram, 8, symmetric),
    "percentile": lambda histogram, symmetric: percentile_range(histogram, 99.9, symmetric),
}


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("method", CHOOSE)
@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1e-45],
        [-1e-45, 1e-45],
        [-1e-40, 0.0, 0.0],
        [1.0, np.nextafter(np.float32(1), np.float32(2))],
        [-3e38, 3e38],
        [5.0, 7.0],
        [-7.0, -5.0],
        [0.0] * 1000 + [1e30],
    ],
)
def test_few_and_extreme_values_give_an_ordered_range_inside_of_them(values: list[float], method: str, symmetric: bool):
    narrow = np.array(values, np.float32)
    low, high = CHOOSE[method](histogram_of(narrow, 512), symmetric)
    assert math.isfinite(low) and math.isfinite(high)
    assert narrow.min() <= low <= high <= narrow.max()
    assert CHOOSE[method](histogram_of(narrow[::-1], 512), symmetric) == (low, high)
