"""Store 8-bit and narrower values as signed 8-bit integers, the only storage of the accelerator.

```mlir
%1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!quant.uniform<u8:f32, 0.5:131>>
%2 = quant.dcast %1 : tensor<4x!quant.uniform<u8:f32, 0.5:131>> to tensor<4xf32>
// becomes
%1 = quant.qcast %0 : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, 0.5:3>>
%2 = quant.dcast %1 : tensor<4x!quant.uniform<i8:f32, 0.5:3>> to tensor<4xf32>
```

Unsigned values and their zero point are 128 less; 4-bit values stay as they are. Real values do not change: every
stored value stands for the same number, and where quantization saturates is the same. Where a model takes or
returns the stored values themselves, a cast to floats and back stands between the two storages, which is exact.
Values of more than 8 bits, and parameters for each block, are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerType, ModuleOp, Signedness, TensorType, i8
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    StorageCastOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    UniformType,
    element_type_of,
    expressed_tensor_type,
)
from intaglio.dialects.weights import array_of
from intaglio.ir.locations import name_of
from intaglio.passes.graph.matching import new_constant
from intaglio.passes.quantization.coverage import functions_with_body

_UNSIGNED = IntegerType(8, Signedness.UNSIGNED)


def shift_of(kind: UniformType) -> int:
    """What is subtracted from stored values to store them in signed 8 bits."""
    return 128 if kind.storage_type == _UNSIGNED else 0


def signed_form(type: Attribute) -> UniformType | None:
    """The type with signed 8-bit storage of the same real values, None when it is stored so or must stay."""
    kind = element_type_of(type)
    if not isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType):
        return None
    storage = kind.storage_type
    if not isa(storage, IntegerType) or storage.bitwidth > 8 or storage == i8:
        return None
    shift = shift_of(kind)
    bounds = kind.storage_min - shift, kind.storage_max - shift
    if isinstance(kind, UniformQuantizedType):
        return UniformQuantizedType(i8, kind.expressed_type, kind.scale, kind.zero_point - shift, *bounds)
    return UniformQuantizedPerAxisType(
        i8, kind.expressed_type, kind.axis, kind.scales, kind.zero_points - shift, *bounds
    )


def _store_signed(op: Operation) -> None:
    """Store the result of a constant or cast signed for all who read its real values."""
    if not isinstance(op, nn.ConstantOp | QuantizeCastOp | StorageCastOp):
        return
    kind = signed_form(op.result.type)
    readers = [use.operation for use in op.result.uses if isinstance(use.operation, DequantizeCastOp)]
    if kind is None or _is_a_copy(op, kind):
        return
    result = TensorType(kind, tensor_of(op.result).get_shape())
    if isinstance(op, nn.ConstantOp):
        if readers:
            _read_instead(readers, _signed_constant(op, kind, result))
    elif isinstance(op, QuantizeCastOp):
        signed = _inserted(QuantizeCastOp(op.input, result), op)
        _read_instead(readers, signed.results[0])
        if op.result.first_use is not None:
            copy = _inserted(DequantizeCastOp(signed.results[0], op.input.type), signed)
            op.operands[0] = copy.results[0]
            op.detach()
            block = copy.parent
            assert block is not None
            block.insert_op_after(op, copy)
        else:
            op.detach()
            op.erase()
    elif any(not _is_stored_signed(reader, kind) for reader in readers):
        floats = _inserted(DequantizeCastOp(op.result, expressed_tensor_type(tensor_of(op.result))), op)
        _read_instead(readers, _inserted(QuantizeCastOp(floats.results[0], result), floats).results[0])


def _is_a_copy(op: Operation, kind: UniformType) -> bool:
    """Whether a cast only stores in another way what is stored signed already."""
    source = op.input.owner if isinstance(op, QuantizeCastOp) else None
    return isinstance(source, DequantizeCastOp) and element_type_of(source.input.type) == kind


def _is_stored_signed(reader: DequantizeCastOp, kind: UniformType) -> bool:
    users = [use.operation for use in reader.result.uses]
    return all(isinstance(user, QuantizeCastOp) and element_type_of(user.result.type) == kind for user in users)


def _signed_constant(op: nn.ConstantOp, kind: UniformType, result: TensorType[Attribute]) -> SSAValue:
    old = element_type_of(op.result.type)
    assert isinstance(old, UniformType)
    stored = (array_of(op.value).astype(np.int16) - shift_of(old)).astype(np.int8)
    constant = new_constant(name_of(op) or "constant", stored, i8, op)
    return _inserted(nn.ConstantOp(constant.value, result), op).results[0]


def _read_instead(readers: Iterable[DequantizeCastOp], value: SSAValue) -> None:
    for reader in readers:
        reader.operands[0] = value


def _inserted(op: Operation, behind: Operation) -> Operation:
    """Insert an operation behind another one, with its location and name."""
    block = behind.parent
    assert block is not None
    op.location = behind.location
    op.results[0].name_hint = behind.results[0].name_hint
    block.insert_op_after(op, behind)
    return op


@dataclass(frozen=True)
class UseSignedStorage(ModulePass):
    """Store unsigned and narrow quantized values as signed 8-bit integers."""

    name = "use-signed-storage"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        for function in functions_with_body(op):
            for operation in list(function.body.block.ops):
                _store_signed(operation)
            for operation in reversed(list(function.body.block.ops)):
                if isinstance(operation, nn.ConstantOp) and operation.result.first_use is None:
                    operation.detach()
                    operation.erase()
