"""What quantization makes of the layers of a calibrated float module, which stays as it is.

The passes that make up for errors of quantization look at them here, so that precisions and settings of nodes count
exactly as they will.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformType
from intaglio.dialects.weights import array_of
from intaglio.passes.quantization.coverage import LAYERS, constant_of, functions_with_body
from intaglio.passes.quantization.quantize import Quantize
from intaglio.remarks import Remark, listening

Layer = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer before and after quantization.

    Attributes:
        layer: the float layer.
        quantized: what it becomes, in the copy.
        weight: its float weight.
        rounded: the real values of its quantized weight.
    """

    layer: Layer
    quantized: Layer
    weight: npt.NDArray[np.float64]
    rounded: npt.NDArray[np.float64]


def quantized_copy(module: ModuleOp, quantize: Quantize) -> tuple[ModuleOp, list[QuantizedLayer]]:
    """Quantize a copy of a module and match its layers.

    Args:
        module: a calibrated float module.
        quantize: the pass with its options; what it remarks is not heard, as it will say it again.

    Returns:
        The copy, and its layers that are quantized and have constant weights, in order.

    Raises:
        UserError: see `Quantize`.
    """

    def ignore(remark: Remark) -> None:
        """Leave it to the pass itself."""

    copy = module.clone()
    with listening(ignore):
        quantize.apply(Context(), copy)
    found: list[QuantizedLayer] = []
    for layer, quantized in zip(_layers(module), _layers(copy), strict=True):
        weight, rounded = constant_of(layer.weight), real_values(quantized.weight)
        if weight is not None and rounded is not None and quantized.input.type != layer.input.type:
            found.append(QuantizedLayer(layer, quantized, array_of(weight.value).astype(np.float64), rounded))
    return copy, found


def real_values(value: SSAValue) -> npt.NDArray[np.float64] | None:
    """The real values of a constant, quantized or not; None when it is no constant."""
    constant = constant_of(value)
    if constant is None:
        return None
    stored = array_of(constant.value).astype(np.float64)
    kind = nn.tensor_of(value).get_element_type()
    if not isinstance(kind, UniformType):
        return stored
    scales, zero_points = kind.broadcast_parameters(stored.shape)
    return (stored - zero_points) * scales


def _layers(module: ModuleOp) -> list[Layer]:
    blocks = [function.body.block for function in functions_with_body(module)]
    return [op for block in blocks for op in block.ops if isinstance(op, LAYERS)]
