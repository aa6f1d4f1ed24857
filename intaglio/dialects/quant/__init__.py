"""The `quant` dialect: upstream MLIR's quantized types and casts, and observers for calibration.

The text is upstream's: real LLVM tools parse what we print, and we parse what they print (LLVM 22 and 24).
What is outside upstream:

| ours | upstream |
|---|---|
| storage integers of 33 to 64 bits | at most 32 |
| storage `bf16`, `f16`, `f8E3M4`, `f8E4M3`, `f8E4M3FNUZ`, `f8E4M3B11FNUZ`, `f8E5M2FNUZ` | LLVM 24: `f8E4M3FN`, `f8E5M2`, `f4E2M1FN`; LLVM 22: none |
| `quant.scast` from and to float storage, and unsigned integers | signless integers only |
| hexadecimal sub-channel scales as bits of the expressed type | printed so, but not read |
| `quant.requantize`, `quant.observe` | none |

What upstream accepts and we reject: zero points outside the storage range, infinite calibrated ranges, the
expressed type `tf32`, storage `si8` as a type distinct from `i8` (LLVM 24; LLVM 22 and we read one as the
other, likewise `ui8` and `u8`), vectors of quantized elements. Text that LLVM prints and LLVM itself misreads
(LLVM 24 writes unsigned sub-channel zero points above half the range as negative numbers) is rejected too.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from intaglio.dialects.quant.containers import (
    check_container,
    element_type_of,
    expressed_tensor_type,
    is_quantized,
    storage_dtype,
    storage_tensor_type,
    uniform,
    uniform_per_axis,
)
from intaglio.dialects.quant.mode import REQUANTIZATION, requantization_mode, set_requantization_mode
from intaglio.dialects.quant.movement import reshaped, transposed
from intaglio.dialects.quant.ops import DequantizeCastOp, ObserveOp, QuantizeCastOp, RequantizeOp, StorageCastOp
from intaglio.dialects.quant.types import (
    AnyQuantizedType,
    CalibratedQuantizedType,
    QuantizedType,
    StoredType,
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    UniformType,
)

Quant = Dialect(
    "quant",
    [QuantizeCastOp, DequantizeCastOp, StorageCastOp, RequantizeOp, ObserveOp],
    [UniformType, AnyQuantizedType, CalibratedQuantizedType],
)

__all__ = [
    "REQUANTIZATION",
    "AnyQuantizedType",
    "CalibratedQuantizedType",
    "DequantizeCastOp",
    "ObserveOp",
    "Quant",
    "QuantizeCastOp",
    "QuantizedType",
    "RequantizeOp",
    "StorageCastOp",
    "StoredType",
    "UniformQuantizedPerAxisType",
    "UniformQuantizedSubChannelType",
    "UniformQuantizedType",
    "UniformType",
    "check_container",
    "element_type_of",
    "expressed_tensor_type",
    "is_quantized",
    "requantization_mode",
    "reshaped",
    "set_requantization_mode",
    "storage_dtype",
    "storage_tensor_type",
    "transposed",
    "uniform",
    "uniform_per_axis",
]
