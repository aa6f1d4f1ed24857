"""Make up in the biases for what quantization does to the mean of each layer's result.

```mlir
%1 = nn.conv2d %0, %w bias %b ...   ->   %1 = nn.conv2d %0, %w bias %b_corrected ...
```

Rounding shifts a weight by some error, and a layer with few weights for each channel, as a depthwise one, by an error
that does not average out: the channel's mean moves, the same way for every input. Two ways to find out by how much:

- `regular`: the error of the weights times the mean of the layer's input that calibration has observed
  (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2).
- `iterative`: layer by layer, with the mean that the input has in the quantized network once all layers before are
  corrected, so that what clipping and rounding of activations do is made up for as well.

The biases are those of floats; `quantize` rounds them. Which error weights have is seen by quantizing a copy with the
options that follow. Layers whose input has no observed channels, or that stay in floats, keep their bias. Only `@main`
runs on data.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from intaglio.data import checked_samples, load_samples
from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformType, storage_tensor_type
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import name_of
from intaglio.passes.calibration.batches import split_batches
from intaglio.passes.calibration.channels import ChannelStatistics, Floats, channel_values
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.graph.matching import new_constant
from intaglio.passes.quantization.channel_scaling import columns, groups_of
from intaglio.passes.quantization.coverage import constant_of
from intaglio.passes.quantization.quantize import Quantize
from intaglio.passes.quantization.quantized_copy import Layer, quantized_copy
from intaglio.passes.quantization.stepwise import StepwiseRun
from intaglio.remarks import remark

Array = np.ndarray[Any, np.dtype[Any]]

MOST_SAMPLES = 64
"""How many samples the iterative correction looks at, at most; a mean needs no more."""


@dataclass(frozen=True)
class CorrectBias(ModulePass):
    """Correct the biases of layers for the errors that quantized weights will have.

    Needs observers with statistics of channels on what layers read (`channels=true` of insert-observers and calibrate).

    Options:
        iterative: use means of inputs in the quantized network, with data.
        data: an .npz file with one array per model input, for the iterative correction; 64 samples are used.
        activation_symmetric: as of quantize.
        weight_per_tensor: as of quantize.
        precision: as of quantize.
    """

    name = "correct-bias"
    iterative: bool = False
    data: str | None = None
    activation_symmetric: bool = False
    weight_per_tensor: bool = False
    precision: str = "a8w8"

    @property
    def quantize(self) -> Quantize:
        """The pass that will quantize the module."""
        return Quantize(self.activation_symmetric, self.weight_per_tensor, self.precision)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Correct the biases.

        Raises:
            UserError: there is no data for the iterative correction, or a value was not calibrated.
        """
        if not self.iterative:
            correct_biases(op, self.quantize)
            return
        if self.data is None:
            raise UserError(
                "the iterative correction of biases needs data", hint="correct-bias{iterative=true data=FILE}"
            )
        graph = FloatGraph(op)
        correct_biases(op, self.quantize, load_samples(self.data, graph.shapes, graph.dtypes))


def correct_biases(module: ModuleOp, quantize: Quantize, samples: Iterable[Mapping[str, Array]] | None = None) -> None:
    """Correct the biases of the layers of a calibrated float module.

    Args:
        module: changed in place.
        quantize: the pass that will quantize it.
        samples: for the iterative correction, one array per model input; None for the regular one.

    Raises:
        UserError: a value was not calibrated.
    """
    copy, found = quantized_copy(module, quantize)
    means = {entry.layer: known for entry in found if (known := _observed_means(entry.layer)) is not None}
    if not means:
        remark(
            "no bias to correct: no quantized layer reads a tensor whose channels were observed"
            if found
            else "no bias to correct: no layer is quantized",
            CorrectBias.name,
        )
        return
    if samples is None:
        for entry in found:
            if (known := means.get(entry.layer)) is not None:
                _shift_bias(entry.layer, _mean_result(entry.layer, entry.weight - entry.rounded, known))
        return
    means = {layer: known for layer, known in means.items() if layer.parent is main_function(module).body.block}
    for layer in means:
        if layer.bias is None:
            _shift_bias(layer, np.zeros(nn.tensor_of(layer.weight).get_shape()[0]))
    copy, found = quantized_copy(module, quantize)
    graph = FloatGraph(module, [layer.input for layer in means])
    checked = checked_samples(split_batches(samples, graph.shapes), graph.shapes, graph.dtypes)
    taken = list(itertools.islice(checked, MOST_SAMPLES))
    means = dict(zip(means, _float_means(graph, taken), strict=True))
    run = StepwiseRun(main_function(copy), [np.stack([sample[name] for sample in taken]) for name in graph.shapes])
    for entry in found:
        if (known := means.get(entry.layer)) is None:
            continue
        value = entry.quantized.input
        real = Executor.real(value, run.values_before(entry.quantized, value))
        seen = real.reshape(-1, real.shape[-1]).mean(axis=0, dtype=np.float64)
        shift = _mean_result(entry.layer, entry.weight, known) - _mean_result(entry.layer, entry.rounded, seen)
        _shift_bias(entry.layer, shift)
        _shift_quantized_bias(entry.quantized, shift)


def _observed_means(layer: Layer) -> Floats | None:
    """The observed means of what a layer reads, None when there are none or its bias cannot be changed."""
    if layer.bias is not None and constant_of(layer.bias) is None:
        return None
    observer = layer.input.owner
    values = channel_values(observer) if isinstance(observer, ObserveOp) else None
    return None if values is None else values.means


def _mean_result(layer: Layer, weight: Floats, means: Floats) -> Floats:
    """The mean that a layer without bias has on inputs with these means, away from padding."""
    products = weight * columns(means, weight, groups_of(layer))
    if isinstance(layer, nn.ConvTranspose2dOp):
        # A kernel element meets one result in as many as there are strides.
        products = products / np.prod(layer.strides.get_values())
    return products.reshape(len(weight), -1).sum(axis=1)


def _float_means(graph: FloatGraph, samples: Sequence[Mapping[str, Array]]) -> list[Floats]:
    """The means of the channels of what is watched, on the samples that the quantized network runs on."""
    statistics: list[ChannelStatistics] = []
    for sample in samples:
        _, values = graph.run(sample)
        statistics = statistics or [ChannelStatistics() for _ in values]
        for entry, array in zip(statistics, values, strict=True):
            entry.update(array)
    if not statistics:
        raise UserError("there are no samples to correct biases with")
    return [values.means for entry in statistics if (values := entry.values()) is not None]


def _shift_bias(layer: Layer, shift: Floats) -> None:
    """Add to the bias of a float layer, which may have none yet."""
    old = constant_of(layer.bias)
    values = shift if old is None else array_of(old.value).astype(np.float64) + shift
    _set_bias(layer, new_constant(f"{name_of(layer) or layer.name}.bias", values, f32, old))


def _shift_quantized_bias(layer: Layer, shift: Floats) -> None:
    """Add to the bias of a layer in the quantized network."""
    old = constant_of(layer.bias)
    assert old is not None
    stored, kind = array_of(old.value), nn.tensor_of(old.result)
    element = kind.get_element_type()
    if isinstance(element, UniformType):
        scales, _ = element.broadcast_parameters(stored.shape)
        shift = np.rint(shift / scales)
    attribute = constant_attr(
        layer.name,
        (stored + shift).astype(stored.dtype),
        storage_tensor_type(kind).get_element_type() if isinstance(element, UniformType) else element,
    )
    _set_bias(layer, nn.ConstantOp(attribute, kind))


def _set_bias(layer: Layer, new: nn.ConstantOp) -> None:
    assert layer.parent is not None
    old = constant_of(layer.bias)
    layer.parent.insert_op_before(new, layer)
    layer.operands = [*layer.operands[:2], new.result]
    if old is not None and old.result.first_use is None:
        old.detach()
        old.erase()
