"""Random quantized types, shared by the tests of the `quant` dialect."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from xdsl.dialects.builtin import (
    AnyFloat,
    BFloat16Type,
    Float4E2M1FNType,
    Float8E3M4Type,
    Float8E4M3B11FNUZType,
    Float8E4M3FNType,
    Float8E4M3FNUZType,
    Float8E4M3Type,
    Float8E5M2FNUZType,
    Float8E5M2Type,
    Float16Type,
    IntegerType,
    Signedness,
    bf16,
    f16,
    f32,
    f64,
)

from intaglio.dialects.quant import (
    AnyQuantizedType,
    CalibratedQuantizedType,
    QuantizedType,
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
)

OUR_FLOATS: list[AnyFloat] = [
    BFloat16Type(),
    Float16Type(),
    Float8E3M4Type(),
    Float8E4M3Type(),
    Float8E4M3FNUZType(),
    Float8E4M3B11FNUZType(),
    Float8E5M2FNUZType(),
]
LLVM_24_FLOATS: list[AnyFloat] = [Float8E4M3FNType(), Float8E5M2Type(), Float4E2M1FNType()]
EXPRESSED = {f32: 3e38, f64: 1e300, f16: 6e4, bf16: 3e38}


class TypeMaker:
    """Makes random quantized types of every kind, from a seed.

    Args:
        seed: of the random numbers.
        storage_bits: widest storage integer.
        storage_floats: float storage types to use besides integers.
        small_block_zero_points: keep zero points of sub-channel types within the non-negative half of the
            storage type, because LLVM 22 fails on negative ones and LLVM 24 prints large unsigned ones wrong.
    """

    def __init__(
        self,
        seed: int,
        storage_bits: int = 64,
        storage_floats: Sequence[AnyFloat] = (),
        small_block_zero_points: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.storage_bits = storage_bits
        self.storage_floats = storage_floats
        self.small_block_zero_points = small_block_zero_points

    def real(self) -> float:
        """A double of any magnitude: short decimals, powers of two, whole numbers, arbitrary bits."""
        pick = self.random
        kind = pick.randrange(5)
        if kind == 0:
            return round(pick.uniform(0.001, 10), pick.randrange(1, 8))
        if kind == 1:
            return math.ldexp(1.0, pick.randrange(-120, 120))
        if kind == 2:
            return float(pick.randrange(1, 10 ** pick.randrange(1, 20)))
        if kind == 3:
            return pick.uniform(0.0, 1.0) * 10.0 ** pick.randrange(-35, 35)
        return struct.unpack("<d", struct.pack("<Q", pick.randrange(1, 0x7FF << 52)))[0]

    def expressed(self) -> AnyFloat:
        """A float type."""
        return self.random.choice(list(EXPRESSED))

    def scale(self, expressed: AnyFloat) -> float:
        """A scale that the expressed type's range holds."""
        smallest = 1e-7 if expressed == f16 else 1e-37
        while True:
            value = self.real()
            if smallest < value < EXPRESSED[expressed]:
                return value

    def storage(self) -> IntegerType | AnyFloat:
        """A storage type."""
        if self.storage_floats and self.random.random() < 0.2:
            return self.random.choice(self.storage_floats)
        bits = self.random.choice([8, 4, 16, 32, self.random.randint(1, self.storage_bits)])
        return IntegerType(bits, self.random.choice([Signedness.SIGNLESS, Signedness.UNSIGNED]))

    def bounds(self, storage: IntegerType | AnyFloat) -> tuple[int, int]:
        """A storage range: half of the time the type's own."""
        own = AnyQuantizedType(storage)
        if self.random.random() < 0.5:
            return own.storage_min, own.storage_max
        # Zero points are of 64 bits, and must find room in the range.
        low = self.random.randint(max(own.storage_min, -(2**63)), min(own.storage_max, 2**63) - 1)
        return low, self.random.randint(low + 1, own.storage_max)

    def zero_point(self, low: int, high: int) -> int:
        """Zero when possible half of the time, and within 64 bits."""
        if low <= 0 <= high and self.random.random() < 0.5:
            return 0
        low, high = max(low, -(2**63)), min(high, 2**63 - 1)
        return self.random.choice([low, high, self.random.randint(low, high)])

    def per_tensor(self) -> UniformQuantizedType:
        """One scale."""
        storage, expressed = self.storage(), self.expressed()
        low, high = self.bounds(storage)
        return UniformQuantizedType(storage, expressed, self.scale(expressed), self.zero_point(low, high), low, high)

    def per_axis(self) -> UniformQuantizedPerAxisType:
        """A scale a channel."""
        storage, expressed = self.storage(), self.expressed()
        low, high = self.bounds(storage)
        count = self.random.choice([1, 2, 3, 40])
        scales = [self.scale(expressed) for _ in range(count)]
        zero_points = np.array([self.zero_point(low, high) for _ in range(count)], np.int64)
        axis = self.random.randrange(5)
        return UniformQuantizedPerAxisType(storage, expressed, axis, scales, zero_points, low, high)

    def sub_channel(self) -> UniformQuantizedSubChannelType:
        """A scale a block."""
        storage, expressed = self.storage(), self.expressed()
        if self.small_block_zero_points:
            while not isinstance(storage, IntegerType) or storage.bitwidth < 2:
                storage = self.storage()
        own = AnyQuantizedType(storage)
        low, high = own.storage_min, own.storage_max
        shape = tuple(self.random.randint(1, 3) for _ in range(self.random.randint(1, 4)))
        axes = self.random.sample(range(4), self.random.randint(0, 3))
        blocks = {axis: self.random.choice([1, 2, 32, 1000]) for axis in axes}
        scales = np.array([self.scale(expressed) for _ in range(math.prod(shape))]).reshape(shape)
        limits = (0, (1 << (storage.bitwidth - 1)) - 1) if self.small_block_zero_points else (low, high)
        zero_points = np.array([self.zero_point(*limits) for _ in range(scales.size)], np.int64)
        return UniformQuantizedSubChannelType(storage, expressed, blocks, scales, zero_points.reshape(shape), low, high)

    def any(self) -> AnyQuantizedType:
        """Storage, and maybe an expressed type."""
        storage = self.storage()
        expressed = self.random.choice([None, self.expressed()])
        return AnyQuantizedType(storage, expressed, *self.bounds(storage))

    def calibrated(self) -> CalibratedQuantizedType:
        """A range."""
        values = sorted({self.real() * self.random.choice([-1, 1]) for _ in range(9)} | {0.0})
        low, high = sorted(self.random.sample(values, 2))
        return CalibratedQuantizedType(self.expressed(), low, high)

    def make(self) -> QuantizedType:
        """A type of any kind."""
        kinds: list[Callable[[], QuantizedType]] = [
            self.per_tensor,
            self.per_axis,
            self.sub_channel,
            self.any,
            self.calibrated,
        ]
        return self.random.choice(kinds)()


@pytest.fixture
def make_types() -> Callable[..., list[QuantizedType]]:
    """A function `(count, seed, **TypeMaker arguments)` that makes random types."""

    def make(count: int, seed: int, **arguments: object) -> list[QuantizedType]:
        maker = TypeMaker(seed, **arguments)
        return [maker.make() for _ in range(count)]

    return make
