"""The range that holds a given part of all values.

Half of the rest is cut off on each side; of symmetric levels, the whole rest is cut off by magnitude. Inside a bin
values are taken as evenly spread, and exact zeros as a step of the distribution. So a ReLU's result, whose smallest
value is also a frequent one, is only cut above.

Source: the percentile calibration of onnxruntime's `quantization.calibrate`, which divides the rest in the same way.
"""

from __future__ import annotations

import numpy as np

from intaglio.passes.calibration.histogram import Float64Array, Histogram


def percentile_range(histogram: Histogram, percentile: float, symmetric: bool) -> tuple[float, float]:
    """The range that `percentile` percent of the values are in.

    Args:
        histogram: counts of at least two different values.
        percentile: above 0, at most 100.
        symmetric: cut by magnitude instead of half on each side.
    """
    positions, running = _distribution(histogram)
    rest = 1 - percentile / 100
    if not symmetric:
        low, high = np.interp([rest / 2, 1 - rest / 2], running, positions)
        return float(low), float(high)
    # The part with a magnitude of at most t, for every t at which its slope may change.
    limits = np.unique(np.abs(positions))
    within = np.interp(limits, positions, running, right=1.0) - np.interp(-limits, positions, running, left=0.0)
    limit = float(np.interp(1 - rest, within, limits))
    return histogram.inside(-limit, limit)


def _distribution(histogram: Histogram) -> tuple[Float64Array, Float64Array]:
    """Positions in rising order and the part of all values up to each, from 0 to 1, with a step at zero."""
    edges = histogram.edges()
    counts = histogram.nonzero_counts()
    running = np.concatenate(([0.0], np.cumsum(counts)))
    if histogram.zeros:
        before = float(np.interp(0.0, edges, running))
        at = int(np.searchsorted(edges, 0.0, side="right"))
        keep = edges[:at] < 0.0
        edges = np.concatenate((edges[:at][keep], [0.0, 0.0], edges[at:]))
        after = running[at:] + histogram.zeros
        running = np.concatenate((running[:at][keep], [before, before + histogram.zeros], after))
    return edges, running / running[-1]
