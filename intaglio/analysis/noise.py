"""The noise of quantization, layer by layer: float and quantized network run side by side on the same data.

Every layer is measured in two ways. *Accumulated*: as the quantized network computes it, with the noise of all layers
before. *Local*: fed the float network's values, quantized as the layer takes them, so that its own damage shows.
Data is read once, sample after sample; memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import BlockArgument, OpResult, SSAValue

from intaglio.analysis.correspondence import Layer, matching_layers, uncast
from intaglio.analysis.error_statistics import ErrorStatistics
from intaglio.analysis.execution import Runner, exact_runner, real_values
from intaglio.analysis.exposing import expose, local_feed
from intaglio.analysis.hints import Symptoms, hint_of
from intaglio.analysis.report import Distribution, Divergence, LayerReport, NoiseReport, decibel_text
from intaglio.data import checked_samples
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType, UniformType, is_quantized
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import tensor_type, value_shape
from intaglio.passes.calibration.batches import samples_per_run, split_batches
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.calibration.histogram import Histogram, counted
from intaglio.passes.quantization.channel_scaling import SCALED
from intaglio.passes.quantization.coverage import KEEPS_RANGE, LAYERS, MOVES_ELEMENTS, constant_of
from intaglio.runtime.packaging import interface

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[int], None]

DIVERGENCE_DB = 10.0
"""Accumulated SQNR below which a tensor counts as diverged: the noise is a tenth of the signal."""

_BINS = 48
"""Of the distributions in a report: enough to see their shape."""


@dataclass(frozen=True)
class NoiseOptions:
    """What to measure.

    Attributes:
        local: also feed every layer float values.
        threshold_db: accumulated SQNR below which a tensor counts as diverged.
        runner: makes what runs quantized modules.
    """

    local: bool = True
    threshold_db: float = DIVERGENCE_DB
    runner: Callable[[ModuleOp], Runner] = exact_runner


class _Measurement:
    """What is collected of one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.accumulated, self.local = ErrorStatistics(), ErrorStatistics()
        self.floats, self.quantized = Histogram(_BINS), Histogram(_BINS)
        self.representable = _representable(layer.value)
        self.values = self.clipped = 0
        self._clipped_noise = self._noise = 0.0

    def add(self, reference: Array, value: Array) -> None:
        """Take in what both networks computed for a sample."""
        self.accumulated.add(reference, value)
        _count(self.floats, reference)
        _count(self.quantized, value)
        self.values += reference.size
        if self.representable is not None:
            low, high = self.representable
            self.clipped += int(np.count_nonzero((reference < low) | (reference > high)))

    def add_local(self, reference: Array, value: Array) -> None:
        """Take in what the layer made of float values."""
        self.local.add(reference, value)
        if self.representable is not None:
            squared = np.square(value.astype(np.float64) - reference)
            low, high = self.representable
            self._noise += float(squared.sum())
            self._clipped_noise += float(squared[(reference < low) | (reference > high)].sum())

    @property
    def clipped_share(self) -> float:
        """The share of the local squared error on values outside the representable range."""
        return self._clipped_noise / self._noise if self._noise else 0.0


def noise_analysis(
    float_module: ModuleOp,
    quantized_module: ModuleOp,
    samples: Iterable[Mapping[str, Array]],
    options: NoiseOptions | None = None,
    progress: Progress | None = None,
) -> NoiseReport:
    """Measure the noise of every layer.

    Args:
        float_module: the module that was quantized, of the phase `calibrate` or `graph`. Where channels were given
            other units, it must be the one after that.
        quantized_module: what the phase `quantize` made of it.
        samples: one array per input by name, or batches of them; read once.
        options: what to measure.
        progress: called as samples are done, with their number.

    Raises:
        UserError: a sample does not fit, there are none, the modules have no tensor in common, or channels of the
            quantized one have other units.
    """
    options = options or NoiseOptions()
    layers = [layer for layer in matching_layers(float_module, quantized_module) if _is_of_interest(layer)]
    if not layers:
        raise UserError(
            "the float and the quantized network have no tensor in common",
            hint="analyze a module that was quantized from this model: names of nodes must be the same",
        )
    if SCALED in quantized_module.attributes and SCALED not in float_module.attributes:
        raise UserError(
            "channels of the quantized network have other units than those of this float network, by equalization or "
            "smoothing",
            hint="compare with the float module that was calibrated: what `intaglio quantize --float` wrote",
        )
    function, quantized = main_function(float_module), main_function(quantized_module)
    if [arg.type for arg in function.body.block.args] != [arg.type for arg in quantized.body.block.args]:
        raise UserError("the float and the quantized network have different inputs")
    results = _results(quantized_module)
    measurements = [_Measurement(layer) for layer in layers]
    outputs = {name: ErrorStatistics() for name in results}

    floats: dict[SSAValue, SSAValue] = dict(zip(quantized.body.block.args, function.body.block.args, strict=True))
    for layer in layers:
        floats[layer.value] = layer.reference
    feed = local_feed(quantized_module, floats, [layer.value for layer in layers]) if options.local else None
    watched = list(dict.fromkeys([*(layer.reference for layer in layers), *_inner(feed.inputs if feed else ())]))
    graph = FloatGraph(float_module, watched)
    run = options.runner(expose(quantized_module, [*(layer.value for layer in layers), *results.values()]))
    run_local = options.runner(feed.module) if feed else None

    inputs, _ = interface(function)
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in inputs}
    done, batch = 0, samples_per_run(shapes)
    for sample in checked_samples(split_batches(samples, shapes), shapes, dtypes):
        arguments = [sample[name] for name in shapes]
        exact_outputs, values = graph.run(dict(zip(graph.shapes, arguments, strict=True)))
        known: dict[SSAValue, Array] = dict(zip(watched, values, strict=True))
        known.update(zip(function.body.block.args, arguments, strict=True))
        stored = run(arguments)
        for measurement, array in zip(measurements, stored, strict=False):
            layer = measurement.layer
            measurement.add(known[layer.reference], real_values(array, layer.value))
        for (name, value), array, exact in zip(results.items(), stored[len(layers) :], exact_outputs, strict=True):
            outputs[name].add(exact, real_values(array, value))
        if feed is not None and run_local is not None:
            for measurement, array in zip(measurements, run_local([known[v] for v in feed.inputs]), strict=True):
                layer = measurement.layer
                measurement.add_local(known[layer.reference], real_values(array, layer.value))
        done += batch
        if progress is not None:
            progress(done)
    if not done:
        raise UserError("there are no samples to analyze")
    reports = [_layer_report(measurement, measurements, options.local) for measurement in measurements]
    return NoiseReport(
        model=_model_name(quantized_module),
        samples=done,
        layers=reports,
        outputs={name: statistics.total for name, statistics in outputs.items()},
        divergence=_first_divergence(reports, options.threshold_db),
        threshold_db=options.threshold_db,
    )


def _is_of_interest(layer: Layer) -> bool:
    """Whether a layer computes or is quantized: a change of layout of floats says nothing."""
    return not isinstance(layer.reference.op, MOVES_ELEMENTS) or is_quantized(tensor_type(layer.value))


def _results(module: ModuleOp) -> dict[str, SSAValue]:
    """The values that `@main` returns, by their ONNX names."""
    function = main_function(module)
    terminator = function.body.block.last_op
    assert terminator is not None
    _, outputs = interface(function)
    return {output.name: value for output, value in zip(outputs, terminator.operands, strict=True)}


def _inner(values: Sequence[SSAValue]) -> list[SSAValue]:
    return [value for value in values if not isinstance(value, BlockArgument)]


def _count(histogram: Histogram, values: Array) -> None:
    flat = counted(values.reshape(-1))
    if flat.size:
        low, high = float(flat.min()), float(flat.max())
        if np.isfinite(low) and np.isfinite(high):
            histogram.add(flat.astype(np.float32, copy=False), low, high)


def _representable(value: SSAValue) -> tuple[float, float] | None:
    """The real values that a quantized tensor can hold, None for floats."""
    kind = tensor_type(value)
    element = kind.get_element_type()
    if not is_quantized(kind) or not isinstance(element, UniformQuantizedType):
        return None
    low, high = (element.scale * (bound - element.zero_point) for bound in (element.storage_min, element.storage_max))
    return low, high


def _stored_as(value: SSAValue) -> str:
    kind = tensor_type(value)
    element = kind.get_element_type()
    return str(element.storage_type if is_quantized(kind) and isinstance(element, UniformType) else element)


def _bits(value: SSAValue) -> int:
    """Bits of a quantized tensor's storage, 0 for floats."""
    kind = tensor_type(value)
    element = kind.get_element_type()
    if not is_quantized(kind) or not isinstance(element, UniformType):
        return 0
    return (element.storage_max - element.storage_min).bit_length()


def _layer_report(measurement: _Measurement, everyone: Sequence[_Measurement], with_local: bool) -> LayerReport:
    layer, accumulated = measurement.layer, measurement.accumulated
    op = layer.value.op
    precision = op.attributes.get("quant.precision")
    own = measurement.local if with_local else accumulated
    moves_only = isinstance(layer.reference.op, MOVES_ELEMENTS + KEEPS_RANGE)
    symptoms = Symptoms(
        sqnr_db=own.total.sqnr_db,
        bias_share=own.bias_share,
        clipped_share=measurement.clipped_share,
        has_bias=isinstance(op, LAYERS),
        weight_spread=_weight_spread(layer.value),
        input_spread=_input_spread(layer.value, everyone),
        result_spread=accumulated.channel_spread,
        bits=_bits(layer.value),
    )
    return LayerReport(
        name=layer.name,
        kind=layer.kind,
        stored=_stored_as(layer.value),
        precision=precision.data if isinstance(precision, StringAttr) else None,
        shape=value_shape(layer.value),
        accumulated=accumulated.total,
        local=measurement.local.total if with_local else None,
        low=accumulated.low,
        high=accumulated.high,
        representable=measurement.representable,
        clipped=measurement.clipped / measurement.values if measurement.values else 0.0,
        worst_channels=own.worst_channels(),
        floats=_distribution(measurement.floats),
        quantized=_distribution(measurement.quantized),
        hint=None if moves_only else hint_of(symptoms),
        moves_only=moves_only,
    )


def _distribution(histogram: Histogram) -> Distribution:
    return Distribution(histogram.edges().tolist() if histogram.counts.size else [], histogram.counts.tolist())


def _weight_spread(value: OpResult) -> float:
    """The strongest output channel of a weight with one scale against the median one; 1 for all else."""
    op = value.op
    if not isinstance(op, LAYERS) or (weight := constant_of(op.weight)) is None:
        return 1.0
    if isinstance(tensor_type(weight.result).get_element_type(), UniformQuantizedPerAxisType):
        return 1.0
    array = np.abs(array_of(weight.value).astype(np.float64))
    peaks = array.max(axis=tuple(range(1, array.ndim)), initial=0.0)
    peaks = peaks[peaks > 0]
    return float(peaks.max() / np.median(peaks)) if peaks.size else 1.0


def _input_spread(value: OpResult, everyone: Sequence[_Measurement]) -> float:
    """The spread of the channels of a layer's input, 1 when it is not known."""
    if not isinstance(value.op, LAYERS):
        return 1.0
    source = uncast(value.op.operands[0])
    return next((m.accumulated.channel_spread for m in everyone if m.layer.value is source), 1.0)


def _first_divergence(layers: Sequence[LayerReport], threshold_db: float) -> Divergence | None:
    for layer in layers:
        error = layer.accumulated
        if error.sqnr_db < threshold_db:
            detail = f"SQNR {decibel_text(error.sqnr_db)}"
            if layer.local is not None:
                own = layer.local.sqnr_db
                cause = "made by the layer itself" if own < threshold_db else "accumulated in the layers before"
                detail += f" ({cause}: {decibel_text(own)} when fed float values)"
            return Divergence(layer.name, "float and quantized", detail)
    return None


def _model_name(module: ModuleOp) -> str:
    name = module.attributes.get("intaglio.model")
    return name.data if isinstance(name, StringAttr) else "model"
