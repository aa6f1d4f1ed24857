"""Turn calibrated float operations into integer ones.

```mlir
%1 = quant.observe %0 {range = array<f64: -1.0, 1.55>}         %1 = quant.qcast %0 : ... to tensor<..., -28>
%2 = nn.relu %1 : (tensor<4xf32>) -> tensor<4xf32>        ->   %2 = nn.relu %1 : (tensor<...>) -> tensor<...>
%3 = quant.observe %2 {range = array<f64: 0.0, 1.55>}          %3 = quant.dcast %2 : ... to tensor<4xf32>
func.return %3 : tensor<4xf32>                                 func.return %3 : tensor<4xf32>
```

Which operations are quantized is decided in `coverage`, what becomes of each in `rules`. Results have the
parameters of their calibrated range, values that an operation only hands on have its input's, and a concat has
those of all its inputs' ranges together. Casts stand where a quantized operation meets a float one, function
arguments and results included; the function's own types do not change. Real zero always has an exact stored
value. Locations stay, so that every quantized operation has its ONNX name.

The precision asked of an operation (`assign-precision`, `node_settings`) says how its operands and weights are stored
while it computes; its result is stored in the widest precision that an operation reads it in. Where that is another one
than the reader's, a `quant.requantize` stands between:

```mlir
%2 = nn.conv2d %1, ... : ... -> tensor<..xi16>
%3 = nn.conv2d %2, ... {quant.precision = "a16w8"}
%4 = quant.requantize %2 : tensor<..xi16> to tensor<..xi8>
%5 = nn.conv2d %4, ...
```

Operations in bfloat16 are on tensors of bf16, with `nn.cast` at their edges.

A remark names each operation that stays in float, and says why.

The pass does not fuse, and it does not move casts through other operations.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.dialects.quant import set_requantization_mode
from intaglio.ir.locations import describe, where
from intaglio.params import RequantizationMode
from intaglio.passes.quantization.activation_types import Options
from intaglio.passes.quantization.compare_stored import compare_stored
from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.passes.quantization.float_operations import float_operations, moves_only
from intaglio.passes.quantization.quantizer import Quantizer
from intaglio.passes.quantization.rules import rule_of
from intaglio.precision import Precision
from intaglio.remarks import remark


@dataclass(frozen=True)
class Quantize(ModulePass):
    """Turn calibrated float operations into integer ones, or bfloat16 ones, with casts at their edges.

    Activations have one scale and zero point for each tensor, weights are symmetric. Observers disappear.

    Options:
        activation_symmetric: make all zero points of activations 0; those of 16 bits always are.
        weight_per_tensor: give a weight one scale instead of one for each output channel.
        precision: of operations that none is asked of: a8w8, a16w8, a16w16, a8w4, a16w4, bf16 or float.
        requantization: the arithmetic of functions that do not say theirs: shift or tflite.
    """

    name = "quantize"
    activation_symmetric: bool = False
    weight_per_tensor: bool = False
    precision: str = "a8w8"
    requantization: str = "shift"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Quantize every function.

        Raises:
            UserError: a value that needs a range was not calibrated, or there is no such precision or mode.
        """
        mode = RequantizationMode.parse(self.requantization)
        options = Options(self.activation_symmetric, self.weight_per_tensor, Precision.parse(self.precision))
        for function in functions_with_body(op):
            if mode is not RequantizationMode.SHIFT:
                set_requantization_mode(function, mode)
            quantize_function(function, options)


def quantize_function(function: func.FuncOp, options: Options) -> None:
    """Quantize one function in place.

    Args:
        function: a float function whose observers are calibrated, with its requantization mode.
        options: the choices for operations of which nothing else is asked.

    Raises:
        UserError: a value that needs a range was not calibrated, or a setting in the text does not exist.
    """
    quantizer = Quantizer(function, options)
    for operation in quantizer.coverage.quantized:
        quantizer.quantize(operation, rule_of(operation))
    for operation in quantizer.coverage.bfloat16:
        quantizer.run_in_bfloat16(operation)
    quantizer.finish()
    compare_stored(function)
    if not options.precision.is_float:
        for op, reason in float_operations(function):
            if not moves_only(op):
                remark(f"{describe(op)} stays in float: {reason}", where(op.location))
    wide = sum(precision.activation_bits > 8 for precision in quantizer.coverage.quantized.values())
    if wide and not options.activation_symmetric:
        remark(
            f"16-bit activations are symmetric (operations: {wide}): accumulators of 48 bits know no zero points",
            f"@{function.sym_name.data}",
        )
