"""Round weights up or down by what that does to the results of their layer.

```mlir
%1 = nn.conv2d %0, %w bias %b ...   ->   %1 = nn.conv2d %0, %w_on_the_grid bias %b_corrected ...
```

Each weight next to its float value is not what gives results next to the float ones: errors of inputs that occur
together can be made to cancel (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization").
The second moments of a layer's inputs on data say which do; `rounding` finds the integers, by least squares and
without gradients. With a scale for each channel, the scale is chosen as well. That is for weights of 4 bits, and for
layers that 8 bits are hard for.

The weights written are real values on the grid that `quantize` will choose again. The bias takes up the mean of what
is left. A layer is left alone when its results would not be nearer, or when its rows are too long for their moments:
more than 2,304 elements.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp, f32
from xdsl.passes import ModulePass

from intaglio.data import checked_samples, load_samples
from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import name_of
from intaglio.passes.calibration.batches import split_batches
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.graph.matching import new_constant
from intaglio.passes.quantization.coverage import constant_of
from intaglio.passes.quantization.layer_inputs import Moments, RoundedLayer, moments_of, shape_of_moments
from intaglio.passes.quantization.quantize import Quantize
from intaglio.passes.quantization.quantized_copy import QuantizedLayer, quantized_copy
from intaglio.passes.quantization.rounding import best_scales, result_error, round_rows
from intaglio.remarks import remark

Array = np.ndarray[Any, np.dtype[Any]]

_LONGEST_ROW = 2304

MOST_SAMPLES = 64
"""How many samples are looked at, at most."""


@dataclass(frozen=True)
class RoundWeights(ModulePass):
    """Round weights by the error of their layer's results on data instead of one by one.

    Options:
        data: an .npz file with one array per model input; 64 samples are used.
        activation_symmetric: as of quantize.
        weight_per_tensor: as of quantize.
        precision: as of quantize.
    """

    name = "round-weights"
    data: str
    activation_symmetric: bool = False
    weight_per_tensor: bool = False
    precision: str = "a8w8"

    @property
    def quantize(self) -> Quantize:
        """The pass that will quantize the module."""
        return Quantize(self.activation_symmetric, self.weight_per_tensor, self.precision)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Round the weights.

        Raises:
            UserError: the data does not fit the model, or a value was not calibrated.
        """
        graph = FloatGraph(op)
        round_weights(op, self.quantize, load_samples(self.data, graph.shapes, graph.dtypes))


def round_weights(module: ModuleOp, quantize: Quantize, samples: Iterable[Mapping[str, Array]]) -> None:
    """Round the weights of the layers in `@main` of a calibrated float module.

    Args:
        module: changed in place.
        quantize: the pass that will quantize it.
        samples: one array per model input, or batches; the first are used.

    Raises:
        UserError: the samples do not fit the model, there are none, or a value was not calibrated.
    """
    _, found = quantized_copy(module, quantize)
    main = main_function(module).body.block
    by_layer = {
        entry.layer: entry
        for entry in found
        if isinstance(entry.layer, RoundedLayer) and entry.layer.parent is main and _largest(entry) is not None
    }
    layers = [layer for layer in by_layer if shape_of_moments(layer)[1] <= _LONGEST_ROW]
    if not layers:
        remark("no weight to round: no layer has integer weights in rows that are short enough", RoundWeights.name)
        return
    graph = FloatGraph(module)
    checked = checked_samples(split_batches(samples, graph.shapes), graph.shapes, graph.dtypes)
    taken = list(itertools.islice(checked, MOST_SAMPLES))
    if not taken:
        raise UserError("there are no samples to round weights by")
    rounded = sum(_round_layer(layer, by_layer[layer], moments) for layer, moments in moments_of(module, layers, taken))
    if not rounded:
        remark("no weight to round: rounding to nearest is best for all layers", RoundWeights.name)
    elif len(layers) < len(by_layer):
        remark(f"{len(by_layer) - len(layers)} layers with long rows are rounded to nearest", RoundWeights.name)


def _largest(entry: QuantizedLayer) -> int | None:
    """The largest stored weight of a layer, None when its weights are no integers."""
    kind = nn.tensor_of(entry.quantized.weight).get_element_type()
    if not isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType):
        return None
    return kind.storage_max if isinstance(kind.storage_type, IntegerType) else None


def _round_layer(layer: RoundedLayer, entry: QuantizedLayer, moments: Moments) -> bool:
    """Round a layer's weight; False when rounding to nearest does as well."""
    largest = _largest(entry)
    assert largest is not None
    groups, length = shape_of_moments(layer)
    shape = (groups, -1, length)
    weights, nearest, squares = entry.weight.reshape(shape), entry.rounded.reshape(shape), moments.squares
    kind = nn.tensor_of(entry.quantized.weight).get_element_type()
    if isinstance(kind, UniformQuantizedType):
        # One scale: it stays, and with it the largest weight of all.
        scales = np.full(weights.shape[:2], kind.scale)
        highest = np.abs(weights).max(axis=2)
        kept = highest == highest.max()
    else:
        scales = best_scales(weights, squares, largest)
        kept = np.ones(scales.shape, np.bool_)
    values = round_rows(weights, squares, scales, largest, kept=kept) * scales[:, :, None]
    if not result_error(weights, values, squares) < result_error(weights, nearest, squares):
        return False
    left = np.einsum("grk,gk->gr", weights - values, moments.means).reshape(-1)
    _set(layer, 1, values.reshape(entry.weight.shape))
    bias = constant_of(layer.bias)
    if bias is not None:
        _set(layer, 2, array_of(bias.value).astype(np.float64) + left)
    elif layer.bias is None:
        new = new_constant(f"{name_of(layer) or layer.name}.bias", left, f32)
        assert layer.parent is not None
        layer.parent.insert_op_before(new, layer)
        layer.operands = [*layer.operands, new.result]
    return True


def _set(layer: RoundedLayer, index: int, values: npt.NDArray[np.float64]) -> None:
    old = constant_of(layer.operands[index])
    assert old is not None and layer.parent is not None
    new = new_constant(name_of(layer) or layer.name, values, f32, old)
    layer.parent.insert_op_before(new, layer)
    layer.operands[index] = new.result
    if old.result.first_use is None:
        old.detach()
        old.erase()
