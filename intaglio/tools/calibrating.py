"""What the command `intaglio calibrate` does: ranges from data, from statistics of other machines, or from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from intaglio.calibration_methods import CalibrationMethod
from intaglio.compiler import import_phase, run_phase
from intaglio.data import Samples, load_samples
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.params import default_calibration
from intaglio.passes.calibration.calibrate import Calibration
from intaglio.passes.calibration.collection import NetworkStatistics
from intaglio.passes.calibration.insert_observers import InsertObservers
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.ranges_file import (
    CalibratedRange,
    read_ranges,
    select_ranges,
    write_encodings,
    write_ranges_file,
)
from intaglio.passes.calibration.statistics import Grid
from intaglio.passes.calibration.tensor_names import read_tensor_names
from intaglio.phases import PHASES, CompileOptions

Progress = Callable[[int, int], None]
"""Called with the number of samples done and of all."""

FORMATS = ("ranges", "aimet", "aimet-0.6.1")
"""Formats of the file that is written."""


@dataclass(frozen=True)
class CalibrateOptions:
    """What the command was asked for.

    Attributes:
        data: samples, an `.npz` file.
        method: calibration method; that of the statistics when parts are merged.
        shapes: shapes of inputs by name, for models that leave dimensions open.
        batch: the first dimension of inputs that leave it open.
        grid: the integers that values will be quantized to.
        statistics: a file that keeps the statistics; an interrupted run goes on from it.
        merge: files of statistics of other parts of the data.
        ranges: a file of ranges to convert, in place of data.
        format: one of `FORMATS`.
    """

    data: str | None = None
    method: CalibrationMethod = field(default_factory=default_calibration)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    batch: int | None = None
    grid: Grid = field(default_factory=Grid)
    statistics: str | None = None
    merge: Sequence[str] = ()
    ranges: str | None = None
    format: str = "ranges"

    def __post_init__(self) -> None:
        """Refuse contradictions before work begins."""
        if self.ranges is not None and (self.data is not None or self.merge):
            raise UserError("--ranges takes the place of --calibration and --merge", where="intaglio calibrate")
        if self.data is None and self.ranges is None and not self.merge:
            raise UserError(
                "there is nothing to calibrate with",
                where="intaglio calibrate",
                hint="--calibration DATA.npz, --merge STATISTICS of other machines, or --ranges FILE",
            )
        if self.statistics is not None and self.data is None:
            raise UserError("--statistics keeps what --calibration collects", where="intaglio calibrate")


def calibrate_model(
    model: str, output: str, options: CalibrateOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Write a file with the range of every tensor of a model that is to be quantized.

    Args:
        model: path of an ONNX model.
        output: the file to write.
        options: see there.
        progress: called as samples are done.

    Returns:
        The report: `output`, `tensors`, `samples` (None when ranges were converted) and `ranges` by name.

    Raises:
        UserError: something is wrong with the model, the data or the options.
    """
    if not Path(output).absolute().parent.is_dir():
        raise UserError("the folder does not exist", where=str(Path(output).parent))
    module = _observed_module(model, options)
    names = list(observers_of(module))
    tensor_names = read_tensor_names(model)
    samples: int | None = None
    if options.ranges is not None:
        ranges = select_ranges(read_ranges(options.ranges), names, tensor_names, where=options.ranges)
    else:
        collected = _collected(module, options, progress)
        samples = collected.samples
        extrema = collected.extrema()
        ranges = {
            name: CalibratedRange(*bounds, str(collected.tensors[name].method), extrema.get(name))
            for name, bounds in collected.ranges(options.grid).items()
        }
    _write(output, ranges, tensor_names, options)
    return {
        "output": output,
        "tensors": len(ranges),
        "samples": samples,
        "ranges": {name: found.entry() for name, found in ranges.items()},
    }


def _observed_module(model: str, options: CalibrateOptions) -> ModuleOp:
    compile_options = CompileOptions(shapes=options.shapes, batch=options.batch, calibration=options.data)
    module = import_phase(model, compile_options)
    run_phase(module, next(phase for phase in PHASES if phase.name == "graph"), compile_options)
    InsertObservers(method=str(options.method)).apply(make_context(), module)
    if not observers_of(module):
        raise UserError(
            "no operation of the model can be quantized, so that there is nothing to calibrate", where=model
        )
    return module


def _collected(module: ModuleOp, options: CalibrateOptions, progress: Progress | None) -> NetworkStatistics:
    """The statistics of the data and of all parts to be merged."""
    parts = [NetworkStatistics.load(path) for path in options.merge]
    if options.data is not None:
        calibration = Calibration(module, options.statistics)
        samples: Samples = load_samples(options.data, calibration.shapes, calibration.dtypes)
        calibration.add(samples, None if progress is None else lambda done: progress(done, len(samples)))
        parts.insert(0, calibration.statistics)
    whole, *others = parts
    observed = list(observers_of(module))
    if list(whole.tensors) != observed:
        raise UserError("the statistics are of another model", where=options.merge[0])
    for path, part in zip(options.merge[-len(others) :] if others else (), others, strict=True):
        try:
            whole.merge(part)
        except UserError as error:
            raise UserError(error.what, where=path, hint=error.hint) from error
    return whole


def _write(
    output: str, ranges: Mapping[str, CalibratedRange], tensor_names: Mapping[str, str], options: CalibrateOptions
) -> None:
    if options.format == "ranges":
        write_ranges_file(output, ranges)
        return
    tensors = {node: tensor for tensor, node in tensor_names.items()}
    version = "0.6.1" if options.format == "aimet-0.6.1" else "1.0.0"
    write_encodings(output, {tensors.get(name, name): r for name, r in ranges.items()}, options.grid, version)
