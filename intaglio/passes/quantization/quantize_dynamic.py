"""Quantize weights now, and what layers read when they read it.

```mlir
%w = nn.constant dense<...> : tensor<4x8xf32>               %w = nn.constant dense<...> as tensor<4x8x!quant.uniform..>
%1 = nn.dense %0, %w :                                  ->  %1 = nn.dense %0, %w :
  (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<1x4xf32>       (tensor<1x8xf32>, tensor<4x8x!quant..>) -> tensor<1x4xf32>
```

Convolutions and dense layers with constant weights become layers of floats with quantized weights, which quantize their
input by the range that it has at run time, sum integers, and give floats (see `nn.conv2d`). No calibration data is
needed, and no value is ever clipped; the ranges cost a look at every input. The accelerator's programs hold their
scales, so that the host computes such layers.

Everything else stays in floats, products of two activations included. An operation whose precision is `float` or `bf16`
(`quant.precision`) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, TensorType, f32
from xdsl.passes import ModulePass

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformType, storage_dtype, uniform, uniform_per_axis
from intaglio.dialects.weights import WeightsAttr, array_of, constant_attr
from intaglio.errors import UserError
from intaglio.ir.locations import describe, where
from intaglio.numerics.quantization import choose_weight_scales, quantize
from intaglio.passes.quantization.constants import replace_constants
from intaglio.passes.quantization.coverage import LAYERS, constant_of, functions_with_body
from intaglio.passes.quantization.node_settings import config_of
from intaglio.precision import Precision
from intaglio.remarks import remark

Layer = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp


@dataclass(frozen=True)
class QuantizeDynamic(ModulePass):
    """Give layers quantized weights, and let them quantize their inputs by the ranges that these have at run time.

    Options:
        weight_per_tensor: give a weight one scale instead of one for each output channel.
        precision: of operations that none is asked of, a8w8 or a8w4.
    """

    name = "quantize-dynamic"
    weight_per_tensor: bool = False
    precision: str = "a8w8"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Quantize the layers of every function.

        Raises:
            UserError: there is no such precision, or activations of another width are asked for.
        """
        default = Precision.parse(self.precision)
        for function in functions_with_body(op):
            _drop_observers(function)
            layers = [layer for layer in function.body.block.ops if isinstance(layer, LAYERS)]
            changed = [layer for layer in layers if self._quantize(layer, default)]
            if not changed:
                remark("nothing to quantize: no layer has constant weights", f"@{function.sym_name.data}")

    def _quantize(self, op: Layer, default: Precision) -> bool:
        """Quantize a layer if it is one of floats with a constant weight."""
        config = config_of(op)
        precision = config.precision or default
        if not precision.is_integer or constant_of(op.weight) is None or not _is_f32(op):
            return False
        if precision.activation_bits != 8 or config.output_int32:
            what = "an accumulator as its result" if config.output_int32 else f"the precision {precision}"
            raise UserError(
                f"{describe(op)} is asked for {what}, which is not quantized dynamically",
                where=where(op.location),
                hint="inputs are quantized to 8 bits as they come: use a8w8 or a8w4, or static quantization",
            )
        replace_constants(op)
        per_channel = not self.weight_per_tensor if config.per_channel is None else config.per_channel
        _quantize_weight(op, precision.weight_bits, per_channel=per_channel)
        return True


def _drop_observers(function: func.FuncOp) -> None:
    """Remove what calibration has left, which is of no use here."""
    for observer in [op for op in function.body.block.ops if isinstance(op, ObserveOp)]:
        observer.result.replace_all_uses_with(observer.input)
        observer.detach()
        observer.erase()


def _is_f32(op: Layer) -> bool:
    return all(nn.tensor_of(value).get_element_type() == f32 for value in (*op.operands, *op.results))


def _quantize_weight(op: Layer, bits: int, *, per_channel: bool) -> None:
    """Put a quantized constant in the place of a float weight."""
    original = constant_of(op.weight)
    assert original is not None and original.parent is not None
    values = array_of(original.value)
    scales = choose_weight_scales(values, 0 if per_channel else None, bits)
    smallest = 1 - (1 << (bits - 1))
    kind: UniformType = (
        uniform_per_axis(bits, 0, scales, storage_min=smallest)
        if per_channel
        else uniform(bits, float(scales), storage_min=smallest)
    )
    stored = quantize(values, *kind.broadcast_parameters(values.shape), smallest, -smallest, storage_dtype(kind))
    key = original.value.key if isinstance(original.value, WeightsAttr) else ""
    constant = nn.ConstantOp(constant_attr(key, stored, kind.storage_type), TensorType(kind, values.shape))
    constant.location = original.location
    constant.result.name_hint = original.result.name_hint
    original.parent.insert_op_after(constant, original)
    op.operands[1] = constant.result
    if original.result.first_use is None:
        original.detach()
        original.erase()
