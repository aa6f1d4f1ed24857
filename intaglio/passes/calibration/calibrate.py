"""Run the float network on real data and write the range of each observed tensor into the text.

```mlir
%1 = quant.observe %0 {method = "min_max"}  ->  %1 = quant.observe %0 {method = "min_max", range = array<f64: 0.0, 6.0>}
```

onnxruntime executes the network, one sample at a time, in one pass over the data; memory does not depend on the
number of samples. Ranges found by an earlier run are replaced, so that the pass may be repeated with other data.
Observers outside `@main` are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, StringAttr, f64
from xdsl.passes import ModulePass

from intaglio.data import checked_samples, load_samples
from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import describe, where
from intaglio.params import CalibrationMethod
from intaglio.passes.calibration.float_graph import Array, FloatGraph
from intaglio.passes.calibration.statistics import RangeStatistics, statistics_for

Progress = Callable[[int], None]
"""Called after each sample with the number of samples done."""


@dataclass(frozen=True)
class Calibrate(ModulePass):
    """Run the float network on sample data and record the range of each observed tensor.

    Options:
        data: an .npz file with one array per model input, samples stacked on a new first axis.
    """

    name = "calibrate"
    data: str

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Write the ranges.

        Raises:
            UserError: the data does not fit the model, there is nothing to calibrate, or a value is NaN.
        """
        graph = _observed_graph(op)
        _record(op, graph, load_samples(self.data, graph.shapes, graph.dtypes), None)


def record_ranges(
    module: ModuleOp,
    samples: Iterable[Mapping[str, Array]],
    *,
    method: CalibrationMethod | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the range that each observer's values have on the given samples.

    Args:
        module: a float module with observers in `@main`.
        samples: one array per model input by its ONNX name, of the input's shape; read once, one at a time.
        method: the calibration method of all observers; by default each one's own.
        progress: called after each sample with the number of samples done.

    Raises:
        UserError: a sample does not fit the model, there are none, there is nothing to calibrate, or a value
            inside the network is NaN or infinite.
    """
    if method is not None:
        for observer in _observers(module):
            observer.properties["method"] = StringAttr(method.name)
    graph = _observed_graph(module)
    _record(module, graph, checked_samples(samples, graph.shapes, graph.dtypes), progress)


def _observers(module: ModuleOp) -> list[ObserveOp]:
    return [op for op in main_function(module).body.block.ops if isinstance(op, ObserveOp)]


def _observed_graph(module: ModuleOp) -> FloatGraph:
    observers = _observers(module)
    if not observers:
        raise UserError("there is nothing to calibrate: @main has no observers", hint="run insert-observers first")
    return FloatGraph(module, [observer.input for observer in observers])


def _record(
    module: ModuleOp, graph: FloatGraph, samples: Iterable[Mapping[str, Array]], progress: Progress | None
) -> None:
    observers = _observers(module)
    statistics = [statistics_for(CalibrationMethod.from_str(observer.method.data)) for observer in observers]
    count = 0
    for count, sample in enumerate(samples, start=1):
        _, values = graph.run(sample)
        for observer, recorded, array in zip(observers, statistics, values, strict=True):
            _update(observer, recorded, array, count - 1)
        if progress is not None:
            progress(count)
    if count == 0:
        raise UserError("there are no samples to calibrate with")
    for observer, recorded in zip(observers, statistics, strict=True):
        observer.properties["range"] = DenseArrayBase.from_list(f64, list(recorded.range()))


def _update(observer: ObserveOp, statistics: RangeStatistics, array: Array, sample: int) -> None:
    if not np.isfinite(array).all():
        kind = "NaN" if np.isnan(array).any() else "infinite"
        raise UserError(
            f"sample {sample} makes the values at {describe(observer)} {kind}",
            where=where(observer.location),
            hint="the float network itself does not work on this sample",
        )
    statistics.update(array)
