"""Operations of the `onnx` dialect whose result only depends on the order of elements read stored values.

```mlir
%1 = quant.dcast %0 : tensor<3x6x!quant.uniform<i8:f32, 0.5:3>> to tensor<3x6xf32>
%2 = onnx.ArgMax(%1) as "y" ...
// becomes
%1 = quant.scast %0 : tensor<3x6x!quant.uniform<i8:f32, 0.5:3>> to tensor<3x6xi8>
%2 = onnx.ArgMax(%1) as "y" ...
```

All elements have one positive scale and one zero point, so that stored values are ordered as what they stand for.
"""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import i8, i16

from intaglio.dialects import nn
from intaglio.dialects.onnx import NodeOp
from intaglio.dialects.quant import DequantizeCastOp, UniformQuantizedType, element_type_of, storage_tensor_type
from intaglio.dialects.quant.ops import StorageCastOp

COMPARING = ("ArgMax", "ArgMin")
"""Operators of ONNX that tell where an element is that compares in some way, of integers as of floats."""


def compare_stored(function: func.FuncOp) -> None:
    """Let such operations read stored values instead of floats made of them."""
    for op in list(function.body.block.ops):
        if not isinstance(op, NodeOp) or op.domain or op.op_type not in COMPARING:
            continue
        cast = op.operands[0].owner
        if not isinstance(cast, DequantizeCastOp):
            continue
        kind = element_type_of(cast.input.type)
        if not isinstance(kind, UniformQuantizedType) or kind.storage_type not in (i8, i16):
            continue
        stored = StorageCastOp(cast.input, storage_tensor_type(nn.tensor_of(cast.input)))
        stored.location = cast.location
        block = cast.parent
        assert block is not None
        block.insert_op_after(stored, cast)
        op.operands[0] = stored.result
        if cast.result.first_use is None:
            cast.detach()
            cast.erase()
