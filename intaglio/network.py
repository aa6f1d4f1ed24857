"""The Python interface: load, quantize, compile, run.

```python
import intaglio as ig

network = ig.load("model.onnx", shapes={"input": (1, 3, 224, 224)})
model = network.quantize(calibration_data)             # any iterable of {input: array}, or an .npz file
model.compile("model.igpkg", target="gen1")
outputs = ig.Session("model.igpkg").run({"input": image})
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, UnitAttr

from intaglio.analysis.evaluation import Item, aggregate, labelled_samples, model_of
from intaglio.analysis.execution import exact_runner, fast_runner, float_runner
from intaglio.analysis.metrics import Statistic, metric
from intaglio.analysis.noise import DIVERGENCE_DB, NoiseOptions, noise_analysis
from intaglio.analysis.report import NoiseReport
from intaglio.analysis.simulation import compare_with_simulator
from intaglio.compiler import import_phase, package_phase, resume, run_phase, write_text
from intaglio.errors import UserError
from intaglio.files import check_output, write_atomically
from intaglio.frontend.nn_exporter import export_float
from intaglio.ir.context import make_context
from intaglio.ir.verification import verify_module
from intaglio.params import QuantizationParams, default_quantization
from intaglio.passes.base import get_pass
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.collection import NetworkStatistics
from intaglio.passes.calibration.statistics import Grid
from intaglio.passes.partition.backends import IndexToBackend
from intaglio.passes.partition.boundaries import Boundaries, boundaries_of
from intaglio.passes.partition.placement import Placement, placement
from intaglio.passes.quantization.assign_precision import Request, assign
from intaglio.passes.quantization.quantized_models import is_quantized
from intaglio.phases import PHASES, CompileOptions, Phase, Samples, corrects_bias, phase_index
from intaglio.remarks import Remark, collecting
from intaglio.runnable import Runnable
from intaglio.runtime.package import Package
from intaglio.runtime.session import checked_feeds

Array = np.ndarray[Any, np.dtype[Any]]

_SPLIT = "intaglio.split_tensors"
"""Module attribute of a network whose tensors were split."""


def load(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None, *, batch: int | None = None) -> Network:
    """Load an ONNX model and optimise its graph, or read the text of a network that was saved.

    Args:
        path: the model, or text (`.mlir`) at the end of the phase `graph`, whose shapes are fixed.
        shapes: shapes of inputs by name, for models that leave dimensions open.
        batch: the first dimension of inputs that leave it open and are given no shape.

    Raises:
        UserError: the file is no ONNX model that can be compiled, a shape is open, or the model has another batch
            size.
    """
    options = CompileOptions(shapes=shapes or {}, batch=batch)
    if Path(path).suffix == ".mlir":
        return Network(resume(path, "graph"))
    return Network(_loaded(path, options), path, options)


def _loaded(path: str | Path, options: CompileOptions) -> ModuleOp:
    module = import_phase(path, options)
    run_phase(module, _phase("graph"), options)
    return module


def _phase(name: str) -> Phase:
    return PHASES[phase_index(name, where="phase")]


class Network(Runnable):
    """A network as it was loaded, float as a rule: the module at the end of the phase `graph`.

    Args:
        module: the module; it belongs to this object from now on.
        source: the model that it was loaded from, None when it comes from elsewhere.
        options: what it was loaded with.
    """

    def __init__(
        self, module: ModuleOp, source: str | Path | None = None, options: CompileOptions | None = None
    ) -> None:
        super().__init__(module)
        self._source = source
        self._options = options or CompileOptions()
        self._calibrated: ModuleOp | None = None
        self._recorded: QuantizationParams | None = None
        self._statistics: NetworkStatistics | None = None
        self._calibrated_with = default_quantization
        self._remarks: list[Remark] = []

    def copy(self) -> Network:
        """A network of its own that is equal to this one, calibration included."""
        result = Network(self.module.clone(), self._source, self._options)
        result._calibrated = None if self._calibrated is None else self._calibrated.clone()
        result._recorded = self._recorded
        result._statistics = self._statistics
        result._calibrated_with = self._calibrated_with
        result._remarks = list(self._remarks)
        return result

    def set_batch_size(self, batch: int) -> None:
        """Load the model again with another batch size; samples then have `batch` entries on their first axis.

        What was calibrated or recorded is forgotten.

        Args:
            batch: the first dimension of inputs that leave it open and were given no shape.

        Raises:
            UserError: the model has another batch size, or can no longer be loaded, or the network was not loaded
                from a model.
        """
        if self._source is None:
            raise UserError("the batch size of a network that was not loaded from a model is fixed")
        options = replace(self._options, batch=batch)
        self._take(_loaded(self._source, options))
        self._options, self._calibrated, self._recorded = options, None, None

    @property
    def is_quantized(self) -> bool:
        """Whether the model came quantized; `quantize` then needs no data."""
        return is_quantized(self.module)

    @property
    def is_calibrated(self) -> bool:
        """Whether `calibrate` has been called; `quantize` then needs no data."""
        return self._calibrated is not None

    @property
    def float_module(self) -> ModuleOp:
        """What `quantize` starts from: the network in the units that calibration has given its channels, if it has."""
        return self.module if self._calibrated is None else self._calibrated

    @property
    def is_split_tensors(self) -> bool:
        """Whether `split_tensors` has been called."""
        return _SPLIT in self.module.attributes

    @property
    def recorded_params(self) -> QuantizationParams:
        """The parameters that were recorded for this network, the defaults where none were."""
        return self._recorded or default_quantization

    def record_params(self, params: QuantizationParams) -> None:
        """Keep parameters for `calibrate` and `quantize`; those that were recorded before are not overridden.

        Precisions and settings are written onto the nodes, which keep what they have; what `params` says of single
        nodes (`custom_quantization_configs`, `unquantized_nodes`) is written over what they have.

        Raises:
            UserError: a name or pattern means no node.
        """
        default = params.precision if self._recorded is None else None
        for module in (self.module, self._calibrated):
            if module is not None:
                requests = [Request(name, config, "parameters") for name, config in params.node_configs.items()]
                assign(module, requests, default)
        self._recorded = self._recorded or params

    def calibrate(
        self,
        calibration_data: str | Path | Samples,
        params: QuantizationParams | None = None,
        *,
        reset: bool = True,
    ) -> Network:
        """Find the range of every tensor.

        Args:
            calibration_data: an `.npz` file, or samples: one array per input by name, of the input's shape.
            params: the method, and what is done before (equalization, SmoothQuant); by default those recorded.
            reset: forget an earlier calibration. Otherwise the data is added to what was seen then; units of channels,
                which equalization and SmoothQuant have chosen, stay.

        Returns:
            This network.

        Raises:
            UserError: the data does not fit the model, is empty, or holds NaN, or parameters are given to go on with
                that differ from those of the earlier calibration.
        """
        if self._calibrated is not None and self._statistics is not None and not reset:
            self._calibrate_further(self._calibrated, self._statistics, calibration_data, params)
            return self
        kept: list[NetworkStatistics] = []
        options = CompileOptions(
            calibration=calibration_data, params=params or self.recorded_params, keep_statistics=kept.append
        )
        module = self.module.clone()
        with collecting() as remarks:
            run_phase(module, _phase("calibrate"), options)
        self._calibrated, self._remarks, self._statistics = module, remarks, kept[-1] if kept else None
        self._recorded = params or self._recorded
        self._calibrated_with = options.params
        return self

    def _calibrate_further(
        self,
        calibrated: ModuleOp,
        earlier: NetworkStatistics,
        data: str | Path | Samples,
        params: QuantizationParams | None,
    ) -> None:
        """Add samples to those of an earlier calibration; after an error that one still stands."""
        if params is not None and params != self._calibrated_with:
            raise UserError("the network was calibrated with other parameters", hint="calibrate with reset=True")
        module, statistics = calibrated.clone(), earlier.copy()
        samples = self.samples(data) if isinstance(data, str | Path) else data
        options = CompileOptions(params=self._calibrated_with)
        grid = Grid(symmetric=not options.params.activation_quantization_scheme.asymmetric)
        record_ranges(module, samples, grid=grid, channels=corrects_bias(options), earlier=statistics)
        self._calibrated, self._statistics = module, statistics

    def split_tensors(self, force: bool = False) -> Network:
        """Split the outlier channels of weights off into weights of their own, whose scale is finer.

        Args:
            force: forget an earlier calibration, which the changed graph makes void.

        Returns:
            This network.

        Raises:
            UserError: the network is calibrated, and `force` is not given.
        """
        if self.is_calibrated and not force:
            raise UserError("splitting tensors makes the calibration void", hint="split first, or with force=True")
        self._calibrated = None
        module = self.module
        get_pass("split-tensors")().apply(make_context(), module)
        verify_module(module)
        module.attributes[_SPLIT] = UnitAttr()
        self._take(module)
        return self

    def quantize(
        self,
        calibration_data: str | Path | Samples | None = None,
        params: QuantizationParams | None = None,
    ) -> QuantizedNetwork:
        """Calibrate and quantize; this network does not change.

        A network that came quantized is taken as it is, what is float in it included.

        Args:
            calibration_data: an `.npz` file, or samples: one array per input by name, of the input's shape. Needed
                for a float network that has not been calibrated; of one that has, the ranges are taken without it.
            params: how to quantize a float network; by default as recorded. What concerns calibration was decided
                when the network was calibrated.

        Raises:
            UserError: the data is missing, does not fit the model, is empty, or holds NaN.
        """
        options = CompileOptions(calibration=calibration_data, params=params or self.recorded_params)
        with collecting() as remarks:
            if calibration_data is None and self._calibrated is not None:
                module = self._calibrated.clone()
                remarks.extend(self._remarks)
            else:
                module = self.module.clone()
                run_phase(module, _phase("calibrate"), options)
            float_module = module.clone()
            run_phase(module, _phase("quantize"), options)
        return QuantizedNetwork(module, None if is_quantized(float_module) else float_module, remarks)

    def evaluate(self, data: str | Path | Iterable[Item], metric: str | Statistic[Any, Any] = "top1") -> Any:
        """Run the float network in onnxruntime on labelled samples and sum its answers up.

        Args:
            data: an `.npz` file with the array `label` beside the inputs, or samples (see `labelled_samples`).
            metric: a metric's name, `module:function`, or a statistic.

        Returns:
            The figure, or whatever the statistic results in.

        Raises:
            UserError: there is no such metric, the data does not fit or lacks labels, or the network is quantized.
        """
        model = model_of(float_runner(self.module), self.inputs)
        return aggregate(model, labelled_samples(data, self.inputs), _statistic(metric), reference=model)

    def export(self, path: str | Path) -> None:
        """Write the optimised float graph as an ONNX model.

        Raises:
            UserError: an operation has no ONNX form, or the file cannot be written.
        """
        model, _ = export_float(self.module)
        write_atomically(path, model.SerializeToString())

    def save(self, path: str | Path) -> None:
        """Write the module as text, and its weights into a file beside it; `load` reads it.

        Raises:
            UserError: a file cannot be written.
        """
        write_text(self.module, path)


class QuantizedNetwork(Runnable):
    """A quantized network: the module at the end of the phase `quantize`.

    Attributes:
        float_module: the module that was quantized, at the end of the phase `calibrate`; None when it is not known.
        remarks: what the passes had to say.

    Args:
        module: the module; it belongs to this object from now on.
        float_module: see above.
        remarks: see above.
    """

    def __init__(self, module: ModuleOp, float_module: ModuleOp | None = None, remarks: Sequence[Remark] = ()) -> None:
        super().__init__(module)
        self.float_module = float_module
        self.remarks = tuple(remarks)

    @staticmethod
    def load(path: str | Path, float_path: str | Path | None = None) -> QuantizedNetwork:
        """Read what `save` wrote, or a file of `--compile-to quantize`.

        Args:
            path: the quantized module's text.
            float_path: the text at the end of the phase `calibrate`, for `analyze`.

        Raises:
            UserError: a file cannot be read or is not of that phase.
        """
        float_module = None if float_path is None else resume(float_path, "calibrate")
        return QuantizedNetwork(resume(path, "quantize"), float_module)

    def save(self, path: str | Path, float_path: str | Path | None = None) -> None:
        """Write the module as text, and its weights into a file beside it.

        Args:
            path: the quantized module's text.
            float_path: where to write the float module it was made from, for `analyze` later.

        Raises:
            UserError: a file cannot be written, or the float module is not known.
        """
        write_text(self.module, path)
        if float_path is not None:
            write_text(self._float(), float_path)

    def _float(self) -> ModuleOp:
        if self.float_module is None:
            raise UserError(
                "the float network that this one was quantized from is not known",
                hint="give it, or quantize and analyze in one go",
            )
        return self.float_module

    def analyze(
        self,
        data: str | Path | Samples,
        *,
        local: bool = True,
        threshold_db: float = DIVERGENCE_DB,
        simulated_samples: int = 0,
        target: str = "gen1",
        progress: Callable[[int], None] | None = None,
    ) -> NoiseReport:
        """Measure the noise of every layer against the float network; AFE's `analyze_quantization_error`.

        Args:
            data: evaluation data: an `.npz` file, or samples.
            local: also feed every layer float values, which shows its own damage.
            threshold_db: SQNR below which a tensor counts as diverged.
            simulated_samples: on so many samples, also compare every tensor with the simulator, bit for bit.
            target: the accelerator that is simulated.
            progress: called as samples are done, with their number.

        Raises:
            UserError: the data does not fit, there is none, or the float network is not known.
        """
        samples = self.samples(data) if isinstance(data, str | Path) else data
        kept = list[Mapping[str, Array]]()

        def keeping() -> Iterator[Mapping[str, Array]]:
            for sample in samples:
                if len(kept) < simulated_samples:
                    kept.append(sample)
                yield sample

        options = NoiseOptions(local=local, threshold_db=threshold_db)
        report = noise_analysis(self._float(), self.module, keeping(), options, progress)
        if not kept:
            return report
        names = [tensor.name for tensor in self.inputs]
        arguments = [checked_feeds({name: sample[name] for name in names}, self.inputs) for sample in kept]
        return replace(report, simulator=compare_with_simulator(self.module, arguments, target))

    analyze_quantization_error = analyze

    def evaluate(
        self,
        data: str | Path | Iterable[Item],
        metric: str | Statistic[Any, Any] = "top1",
        *,
        fast_mode: bool = False,
    ) -> Any:
        """Run the network on labelled samples and sum its answers up.

        Args:
            data: an `.npz` file with the array `label` beside the inputs, or samples (see `labelled_samples`).
            metric: a metric's name, `module:function`, or a statistic.
            fast_mode: run it in onnxruntime, where results may differ by a step of quantization, instead of exactly.

        Returns:
            The figure, or whatever the statistic results in.

        Raises:
            UserError: there is no such metric, or the data does not fit or lacks labels.
        """
        statistic = _statistic(metric)
        reference = model_of(float_runner(self._float()), self.inputs) if statistic.needs_reference else None
        runner = fast_runner(self.module) if fast_mode else exact_runner(self.module)
        samples = labelled_samples(data, self.inputs)
        return aggregate(model_of(runner, self.inputs), samples, statistic, reference=reference)

    def compile(
        self,
        path: str | Path,
        target: str | Path = "gen1",
        *,
        fail_on_host: bool = False,
        max_regions: int | None = None,
        index_to_backend: IndexToBackend | None = None,
    ) -> Package:
        """Compile to a package file; this network does not change.

        Args:
            path: the package to write.
            target: a preset such as `gen1`, a description file, or `host` for no accelerator.
            fail_on_host: refuse a model of which the host has to compute a part.
            max_regions: refuse a model whose accelerator part is in more regions.
            index_to_backend: devices of operations, see `partition`.

        Returns:
            What the package holds.

        Raises:
            UserError: there is no such target, an operation can run nowhere or not where it was asked to, or the file
                cannot be written.
        """
        options = CompileOptions(
            target=str(target),
            fail_on_host=fail_on_host,
            max_regions=max_regions,
            index_to_backend=index_to_backend or {},
        )
        check_output(path)
        module = self.module.clone()
        for name in ("partition", "npu", "isa"):
            run_phase(module, _phase(name), options)
        return package_phase(module, path)

    def partition(
        self, target: str | Path = "gen1", *, index_to_backend: IndexToBackend | None = None
    ) -> PartitionedNetwork:
        """Divide the network between the accelerator and the host; this network does not change.

        Args:
            target: a preset such as `gen1`, a description file, or `host` for no accelerator.
            index_to_backend: devices that override the compiler's decision, for operations by their index among those
                of the network (constants and the return are none), by the name of their ONNX node, or by a pattern
                of names: `{"head/*": "host", 12: Backend.ACCELERATOR}`.

        Raises:
            UserError: there is no such target, no such operation, or the accelerator cannot run what it was chosen for.
        """
        module = self.module.clone()
        options = CompileOptions(target=str(target), index_to_backend=index_to_backend or {})
        run_phase(module, _phase("partition"), options)
        return PartitionedNetwork(module)

    def placement(
        self, target: str | Path = "gen1", *, index_to_backend: IndexToBackend | None = None
    ) -> list[Placement]:
        """Where each operation would run, and on the host why.

        Raises:
            UserError: as `partition`.
        """
        return self.partition(target, index_to_backend=index_to_backend).placement


class PartitionedNetwork(Runnable):
    """A network divided between devices, at the end of the phase `partition`; `graphs` has a function a region."""

    @property
    def placement(self) -> list[Placement]:
        """Where each operation runs, and on the host why."""
        return placement(self.module)

    @property
    def boundaries(self) -> Boundaries:
        """The regions, what crosses their boundaries, and what that costs."""
        return boundaries_of(self.module)


def _statistic(text: str | Statistic[Any, Any]) -> Statistic[Any, Any]:
    return metric(text) if isinstance(text, str) else text
