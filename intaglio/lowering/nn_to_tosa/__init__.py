"""The integer part of a quantized module as TOSA 1.0 text, which computes the same to the last bit.

TOSA has integers and floats, but no cast between them that rounds as `quant.qcast` and `quant.dcast`. The function
that is written therefore takes and returns stored integers: it begins behind the casts of the network's inputs and
ends before those of its outputs, and what floats compute at the edges (layout of inputs, softmax) stays outside.
Floats in the middle would cut the network into pieces; they are an error unless the cuts are asked for.

```mlir
func.func @main(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {           func.func @main(%a0: tensor<1x4xi8>)
  %q = quant.qcast %x : ... to tensor<1x4x!in>                  ->    -> tensor<1x4xi8> {
  %y = nn.relu %q : (tensor<1x4x!in>) -> tensor<1x4x!out>             %0 = tosa.rescale ...
  ...                                                                 %1 = tosa.clamp ...
```

Source: TOSA 1.0 specification; the text is that of MLIR's `tosa` dialect.
"""

from intaglio.lowering.nn_to_tosa import elementwise, layers, movement
from intaglio.lowering.nn_to_tosa.export import Port, TosaExport, export_tosa

__all__ = ["Port", "TosaExport", "elementwise", "export_tosa", "layers", "movement"]
