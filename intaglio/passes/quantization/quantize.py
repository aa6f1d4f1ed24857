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

The pass does not fuse, and it does not move casts through other operations.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.passes.quantization.coverage import functions_with_body
from intaglio.passes.quantization.quantizer import Options, Quantizer
from intaglio.passes.quantization.rules import rule_of


@dataclass(frozen=True)
class Quantize(ModulePass):
    """Turn calibrated float operations into int8 ones with casts at their edges.

    Activations have one scale and zero point for each tensor, weights are symmetric. Observers disappear.

    Options:
        activation_symmetric: make all zero points of activations 0.
        weight_per_tensor: give a weight one scale instead of one for each output channel.
    """

    name = "quantize"
    activation_symmetric: bool = False
    weight_per_tensor: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Quantize every function.

        Raises:
            UserError: a value that needs a range was not calibrated.
        """
        options = Options(self.activation_symmetric, self.weight_per_tensor)
        for function in functions_with_body(op):
            quantizer = Quantizer(function, options)
            for operation in quantizer.coverage.quantized:
                rule_of(operation)(operation, quantizer)
            quantizer.finish()
