"""Run the float network on real data and write the range of each observed tensor into the text.

```mlir
%1 = quant.observe %0 {method = "min_max"}  ->  %1 = quant.observe %0 {method = "min_max", range = array<f64: 0.0, 6.0>}
```

Histograms, whose range may leave values out, also write down the extrema, for those who store 16 bits; so do channels
that an earlier run has looked at, in which no value was passed over.

onnxruntime executes the network in one pass over the data, one sample ahead of the statistics, which are taken in a
thread of their own; memory does not depend on the number of samples. Ranges found by an earlier run are replaced, so
that the pass may be repeated with other data. Observers outside `@main` are left alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import AnyFloat, DenseArrayBase, ModuleOp, StringAttr, TensorType, f32, f64
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from intaglio.calibration_methods import CalibrationMethod
from intaglio.data import checked_samples, load_samples
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import describe, where
from intaglio.passes.calibration.batches import samples_per_run, split_batches
from intaglio.passes.calibration.channels import channel_values, write_channel_values
from intaglio.passes.calibration.collection import NetworkStatistics
from intaglio.passes.calibration.float_graph import Array, FloatGraph
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.statistics import Grid, Range

Progress = Callable[[int], None]
"""Called as samples are done, with their number."""

CHECKPOINT_SECONDS = 20.0
"""How much work an interruption costs at most, when statistics are saved."""


@dataclass(frozen=True)
class Calibrate(ModulePass):
    """Run the float network on sample data and record the range of each observed tensor.

    Options:
        data: an .npz file with one array per model input, samples stacked on a new first axis.
        method: calibration method of all observers, instead of each one's own.
        bits: width of the integers that the ranges are chosen for (mse, entropy); 8 also for a network with values of
            16 bits, which are quantized by their extrema.
        symmetric: whether the ranges are chosen for symmetric quantization (mse, entropy, percentile).
        statistics: a file that keeps the statistics; an interrupted run goes on from it.
        channels: whether to record mean, mean square and extrema of each channel as well.
    """

    name = "calibrate"
    data: str
    method: str | None = None
    bits: int = 8
    symmetric: bool = False
    statistics: str | None = None
    channels: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Write the ranges.

        Raises:
            UserError: the data does not fit the model, there is nothing to calibrate, or a value is NaN.
        """
        if self.method is not None:
            set_method(op, CalibrationMethod.from_str(self.method))
        collected = Calibration(op, self.statistics, channels=self.channels)
        collected.add(load_samples(self.data, collected.shapes, collected.dtypes))
        collected.write(Grid(self.bits, self.symmetric))


def record_ranges(
    module: ModuleOp,
    samples: Iterable[Mapping[str, Array]],
    *,
    method: CalibrationMethod | None = None,
    grid: Grid | None = None,
    statistics: str | Path | None = None,
    channels: bool = False,
    progress: Progress | None = None,
    earlier: NetworkStatistics | None = None,
) -> NetworkStatistics:
    """Write the range that each observer's values have on the given samples.

    Args:
        module: a float module with observers in `@main`.
        samples: one array per model input by its ONNX name, of the input's shape, or batches of them of any size;
            read once, one at a time.
        method: the calibration method of all observers; by default each one's own.
        grid: the integers that values will be quantized to; by default 8 bits, asymmetric.
        statistics: a file that keeps the statistics; an interrupted run goes on from it when it is given the same
            samples again.
        channels: whether to record mean, mean square and extrema of each channel as well.
        progress: called as samples are done, with their number.
        earlier: statistics of samples that came before these, of the same tensors, methods and choice of `channels`;
            they are added to.

    Returns:
        The statistics.

    Raises:
        UserError: a sample does not fit the model, there are none, there is nothing to calibrate, or a value
            inside the network is NaN or infinite.
    """
    if method is not None:
        set_method(module, method)
    collected = Calibration(module, statistics, channels=channels)
    collected.add(samples, progress, earlier)
    collected.write(grid)
    return collected.statistics


def set_method(module: ModuleOp, method: CalibrationMethod) -> None:
    """Give all observers in `@main` a calibration method."""
    for observer in observers_of(module).values():
        observer.properties["method"] = StringAttr(str(method))


def write_ranges(module: ModuleOp, ranges: Mapping[str, Range], extrema: Mapping[str, Range] | None = None) -> None:
    """Write ranges, and extrema if they are known, into the observers of those names, which exist."""
    observers = observers_of(module)
    for name, bounds in ranges.items():
        properties = observers[name].properties
        properties["range"] = DenseArrayBase.from_list(f64, list(bounds))
        properties.pop("extrema", None)
        if extrema is not None and name in extrema:
            properties["extrema"] = DenseArrayBase.from_list(f64, list(extrema[name]))


class Calibration:
    """A calibration of a module in progress.

    Attributes:
        statistics: what was collected so far.
        shapes: shape of each input of the network by its ONNX name.
        dtypes: dtype of each input by its ONNX name.

    Args:
        module: a float module with observers in `@main`.
        file: where the statistics are kept; what an earlier run left there is the start.
        channels: whether to keep statistics of channels.

    Raises:
        UserError: there are no observers, the network cannot be run, or the file belongs to another calibration.
    """

    def __init__(self, module: ModuleOp, file: str | Path | None = None, *, channels: bool = False) -> None:
        self._module = module
        self._file = Path(file) if file is not None else None
        self.statistics = _empty_statistics(module, channels)
        if self._file is not None and self._file.exists():
            earlier = NetworkStatistics.load(self._file)
            self._check_same(earlier)
            self.statistics = earlier
        self._graph = FloatGraph(
            module,
            [observer.input for observer in observers_of(module).values()],
            [statistics.most_values for statistics in self.statistics.tensors.values()],
        )
        self.shapes, self.dtypes = self._graph.shapes, self._graph.dtypes

    def add(
        self,
        samples: Iterable[Mapping[str, Array]],
        progress: Progress | None = None,
        earlier: NetworkStatistics | None = None,
    ) -> None:
        """Run the network on samples; those that were done before an interruption are skipped.

        Args:
            samples: samples or batches.
            progress: called as samples are done, with their number.
            earlier: statistics of samples that came before these; none of these is skipped then.

        Raises:
            UserError: a sample does not fit the model, or a value inside the network is NaN or infinite.
        """
        batch = samples_per_run(self.shapes)
        runs = checked_samples(split_batches(samples, self.shapes), self.shapes, self.dtypes)
        if earlier is not None:
            self.statistics = earlier
        else:
            runs = itertools.islice(runs, self.statistics.samples // batch, None)
        saved = time.monotonic()
        for results, values in _run_ahead(self._graph, runs):
            self.statistics.update(values, batch)
            self._check_results(results)
            if progress is not None:
                progress(self.statistics.samples)
            if self._file is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.statistics.save(self._file)
                saved = time.monotonic()
        if self._file is not None and self.statistics.samples:
            self.statistics.save(self._file)

    def write(self, grid: Grid | None = None) -> None:
        """Write ranges, and statistics of channels if there are any, into the observers.

        Args:
            grid: the integers that values will be quantized to; by default 8 bits, asymmetric.

        Raises:
            UserError: there were no samples.
        """
        observers = observers_of(self._module)
        extrema = self.statistics.extrema()
        for name, (low, high) in extrema.items():
            if (known := channel_values(observers[name])) is not None and known.minima.size:
                extrema[name] = min(low, float(known.minima.min())), max(high, float(known.maxima.max()))
        write_ranges(self._module, self.statistics.ranges(grid), extrema)
        for name, observer in observers.items():
            found = self.statistics.channels.get(name)
            write_channel_values(observer, found.values() if found is not None else None)

    def _check_results(self, results: list[Array]) -> None:
        """Find NaN and infinite values that are in none of the subsets looked at, but reach a result."""
        for name, array in zip(self._graph.outputs, results, strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UserError(
                    f"sample {self.statistics.samples - 1} makes values of the result {name!r} NaN or infinite",
                    hint="the float network itself does not work on this sample",
                )

    def _check_same(self, earlier: NetworkStatistics) -> None:
        expected, found = (
            {name: tensor.method for name, tensor in statistics.tensors.items()}
            for statistics in (self.statistics, earlier)
        )
        if expected != found or list(self.statistics.channels) != list(earlier.channels):
            what = "other methods" if list(expected) == list(found) else "other tensors"
            raise UserError(
                f"the file holds statistics of {what} than are to be calibrated",
                where=str(self._file),
                hint="remove it, or name another file",
            )


def _empty_statistics(module: ModuleOp, channels: bool) -> NetworkStatistics:
    methods: dict[str, CalibrationMethod] = {}
    for name, observer in observers_of(module).items():
        try:
            methods[name] = CalibrationMethod.from_str(observer.method.data)
        except UserError as error:
            raise UserError(error.what, where=where(observer.location) or name, hint=error.hint) from error
    if not methods:
        raise _nothing_to_calibrate(module)
    return NetworkStatistics(methods, channels=channels)


def _nothing_to_calibrate(module: ModuleOp) -> UserError:
    """The error of a module without observers; it names the type when that is why there can be none."""
    for op in main_function(module).body.block.ops:
        for kind in op.result_types:
            element = kind.element_type if isa(kind, TensorType) else None
            if isinstance(element, AnyFloat) and element != f32:
                what = f"nothing can be quantized: {describe(op)} computes in {element}"
                return UserError(what, hint="only float32 is quantized: convert the model to it")
    what = "there is nothing to calibrate: @main has no observers"
    return UserError(what, hint="run insert-observers first; where it puts none, nothing can be quantized")


def _run_ahead(graph: FloatGraph, runs: Iterable[Mapping[str, Array]]) -> Generator[tuple[list[Array], list[Array]]]:
    """Yield the results and the watched values of each run, while the next one is under way."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="calibrate") as executor:
        ahead: Future[tuple[list[Array], list[Array]]] | None = None
        for sample in runs:
            current, ahead = ahead, executor.submit(graph.run, sample)
            if current is not None:
                yield current.result()
                del current
        if ahead is not None:
            yield ahead.result()
