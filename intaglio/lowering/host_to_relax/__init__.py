"""Host functions to TVM Relax: one rule for each operation, in modules by dialect as in the interpreter.

Float operations become Relax operators. Quantized ones become integer arithmetic in Relax that equals the
interpreter's in every bit: products with the requantization multiplier are 64 bits wide, and rounding is a shift.
Sums of products (convolution, dense layers, matrix products) call the runtime's BLAS kernels, and accelerator
regions the runtime's launch function; both write into tensors that the library allocates.

```mlir
%0 = nn.transpose %x permutation [0, 2, 3, 1] : ...           lv = R.permute_dims(x, axes=[0, 2, 3, 1])
%1 = quant.qcast %0 : ...                                     lv1 = R.round(R.divide(lv, scale)) ...
%2 = npu.launch @region_0(%1) : ...                           lv2 = R.call_dps_packed("intaglio.launch", (0, lv1), ...)
```

Nodes of the `onnx` dialect that `nn` has no operation for have rules by operator. Left out: operators whose result
shapes depend on values, strings and sequences. A model that keeps one of them is refused, naming its node.
"""

from intaglio.lowering.host_to_relax.conversion import (
    check_host_function,
    check_host_operation,
    host_to_relax,
)

__all__ = ["check_host_function", "check_host_operation", "host_to_relax"]
