"""What may store and what may express a quantized value: ranges, NumPy types and the rules they obey.

Upstream MLIR (LLVM 22) stores in integers of at most 32 bits; LLVM 24 adds `f8E4M3FN`, `f8E5M2` and
`f4E2M1FN`. Ours beyond both: integers of 33 to 64 bits (48-bit accumulators and biases), `bf16`, `f16` and
the remaining signed 8-bit float formats.
"""

from __future__ import annotations

import re
from typing import Any, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    Float4E2M1FNType,
    Float6E2M3FNType,
    Float6E3M2FNType,
    Float8E3M4Type,
    Float8E4M3B11FNUZType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E4M3Type,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float8E8M0FNUType,
    Float16Type,
    Float32Type,
    Float64Type,
    Float80Type,
    Float128Type,
    IntegerType,
    Signedness,
)
from xdsl.ir import Attribute
from xdsl.utils.exceptions import VerifyException

MAX_STORAGE_BITS = 64
"""Widest storage integer. Upstream stops at 32."""

StorageType = IntegerType | AnyFloat

_DTYPES: dict[type[Attribute], np.dtype[np.generic]] = {
    Float16Type: np.dtype(np.float16),
    Float32Type: np.dtype(np.float32),
    Float64Type: np.dtype(np.float64),
    BFloat16Type: np.dtype(ml_dtypes.bfloat16),
    Float8E3M4Type: np.dtype(ml_dtypes.float8_e3m4),
    Float8E4M3Type: np.dtype(ml_dtypes.float8_e4m3),
    Float8E4M3FNType: np.dtype(ml_dtypes.float8_e4m3fn),
    Float8E4M3FNUZType: np.dtype(ml_dtypes.float8_e4m3fnuz),
    Float8E4M3B11FNUZType: np.dtype(ml_dtypes.float8_e4m3b11fnuz),
    Float8E5M2Type: np.dtype(ml_dtypes.float8_e5m2),
    Float8E5M2FNUZType: np.dtype(ml_dtypes.float8_e5m2fnuz),
    Float8E8M0FNUType: np.dtype(ml_dtypes.float8_e8m0fnu),
    Float6E2M3FNType: np.dtype(ml_dtypes.float6_e2m3fn),
    Float6E3M2FNType: np.dtype(ml_dtypes.float6_e3m2fn),
    Float4E2M1FNType: np.dtype(ml_dtypes.float4_e2m1fn),
    # Scales are doubles, all of which the two wider types hold exactly.
    Float80Type: np.dtype(np.float64),
    Float128Type: np.dtype(np.float64),
}

_STORAGE_FLOATS: dict[str, AnyFloat] = {
    kind.name: kind()
    for kind in (
        BFloat16Type,
        Float16Type,
        Float8E3M4Type,
        Float8E4M3Type,
        Float8E4M3FNType,
        Float8E4M3FNUZType,
        Float8E4M3B11FNUZType,
        Float8E5M2Type,
        Float8E5M2FNUZType,
        Float4E2M1FNType,
    )
}

_INTEGER_NAME = re.compile(r"(i|si|u|ui)([0-9]{1,9})")


def storage_type_named(name: str) -> StorageType | None:
    """The storage type spelled `name` in IR text, or None when there is none of that name.

    `i8` and `si8` are the signed integer (a signless `i8`), `u8` and `ui8` the unsigned one (`ui8`); LLVM 22
    makes the same two pairs.
    """
    if name in _STORAGE_FLOATS:
        return _STORAGE_FLOATS[name]
    match = _INTEGER_NAME.fullmatch(name)
    if match is None:
        return None
    signedness = Signedness.UNSIGNED if match[1].startswith("u") else Signedness.SIGNLESS
    return IntegerType(int(match[2]), signedness)


def storage_name(storage: StorageType) -> str:
    """The spelling of a storage type that every version of upstream reads: `i8`, `u8`, `f8E4M3FN`."""
    if not isinstance(storage, IntegerType):
        return storage.name
    prefix = "u" if storage.signedness.data is Signedness.UNSIGNED else "i"
    return f"{prefix}{storage.width.data}"


def is_signed(storage: StorageType) -> bool:
    """Whether stored values may be negative; floats are signed."""
    return not isinstance(storage, IntegerType) or storage.signedness.data is not Signedness.UNSIGNED


def default_storage_range(storage: StorageType) -> tuple[int, int]:
    """Smallest and largest stored value that need not be written in the text.

    For float storage it is plus and minus the largest finite value, truncated to an integer because the text
    holds integers only (this matters for `f8E3M4`, 15 instead of 15.5).
    """
    if isinstance(storage, IntegerType):
        bits = storage.width.data
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed(storage) else (0, (1 << bits) - 1)
    largest = int(_float_limits(storage)[1])
    return -largest, largest


def _float_limits(kind: AnyFloat) -> tuple[float, float]:
    limits = cast(Any, ml_dtypes.finfo(_DTYPES[type(kind)]))
    return float(limits.smallest_subnormal), float(limits.max)


def storage_dtype_of(storage: StorageType) -> np.dtype[np.generic]:
    """The NumPy type that holds one stored value an element.

    Integers use the narrowest NumPy integer that holds them: 4-bit weights are `int8`, 48-bit accumulators
    `int64`.
    """
    if not isinstance(storage, IntegerType):
        return _DTYPES[type(storage)]
    bits = next(size for size in (8, 16, 32, 64) if storage.width.data <= size)
    return np.dtype(f"{'int' if is_signed(storage) else 'uint'}{bits}")


def check_storage_type(storage: Attribute) -> None:
    """Raise a VerifyException unless `storage` is an integer of 1 to 64 bits or a storage float."""
    if not isinstance(storage, IntegerType):
        if storage not in _STORAGE_FLOATS.values():
            raise VerifyException(f"illegal storage type: {storage}")
        return
    bits, signedness = storage.bitwidth, cast(IntegerType, storage).signedness.data
    if not 1 <= bits <= MAX_STORAGE_BITS:
        raise VerifyException(f"illegal storage type size: {bits}, expected 1 to {MAX_STORAGE_BITS}")
    if signedness is Signedness.SIGNED:
        raise VerifyException(f"storage type must be signless or unsigned, got {storage}")


def check_storage_range(storage: StorageType, minimum: int, maximum: int) -> None:
    """Raise a VerifyException unless the range is not empty and lies within the storage type's own."""
    low, high = default_storage_range(storage)
    if minimum < low:
        raise VerifyException(f"illegal storage type minimum: {minimum}, {storage_name(storage)} has {low}")
    if maximum > high:
        raise VerifyException(f"illegal storage type maximum: {maximum}, {storage_name(storage)} has {high}")
    if minimum >= maximum:
        raise VerifyException(f"illegal storage min and storage max: ({minimum}:{maximum})")


def check_expressed_type(expressed: Attribute) -> None:
    """Raise a VerifyException unless `expressed` is a float type."""
    if type(expressed) not in _DTYPES:
        raise VerifyException(f"expressed type must be floating point, got {expressed}")


def check_scales(scales: npt.NDArray[np.float64], expressed: AnyFloat) -> None:
    """Raise a VerifyException unless each scale is positive, finite and within the expressed type's range."""
    low, high = _float_limits(expressed)
    bad = scales[~((scales >= low) & (scales <= high))]
    if not bad.size:
        return
    scale = float(bad[0])
    if not (np.isfinite(scale) and scale > 0.0):
        raise VerifyException(f"illegal scale: {scale}, expected a positive finite number")
    raise VerifyException(f"scale {scale} out of expressed type range [{low}, {high}]")


def check_zero_points(zero_points: npt.NDArray[np.int64], minimum: int, maximum: int) -> None:
    """Raise a VerifyException unless each zero point is within the storage range.

    Upstream accepts any 64-bit integer; outside the range real zero has no stored value, so padding and ReLU
    would be wrong without notice.
    """
    bad = zero_points[(zero_points < minimum) | (zero_points > maximum)]
    if bad.size:
        raise VerifyException(f"zero point {bad[0]} out of storage range [{minimum}, {maximum}]")


def round_to_expressed(scales: npt.NDArray[np.float64], expressed: AnyFloat) -> npt.NDArray[np.float64]:
    """Scales as the expressed type holds them (nearest, ties to even), as doubles."""
    return scales.astype(_DTYPES[type(expressed)]).astype(np.float64)


def float_of_bits(bits: int, kind: AnyFloat) -> float:
    """The number whose representation in the float type `kind` is `bits`."""
    dtype = _DTYPES[type(kind)]
    return float(np.frombuffer(bits.to_bytes(dtype.itemsize, "little"), dtype.newbyteorder("<"))[0])
