"""What the tests of interpreter rules share: run one operation, and TOSA's integer formulas in Python integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, f32
from xdsl.ir import Attribute, Block, Operation, Region

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType, is_quantized, set_requantization_mode, storage_tensor_type
from intaglio.dialects.weights import constant_attr
from intaglio.executor import Executor
from intaglio.interpreter import Interpreter
from intaglio.ir.verification import verify_module
from intaglio.params import RequantizationMode


def assert_executor_agrees(module: ModuleOp, arguments: list[np.ndarray]) -> None:
    """Hold the executor to the interpreter's bits on a batch, for all arguments and with all but the first constant."""
    rng = np.random.default_rng(0)
    first = np.stack([arguments[0], rng.permutation(arguments[0].reshape(-1)).reshape(arguments[0].shape)])
    with_constants = module.clone()
    (function,) = with_constants.ops
    assert isinstance(function, func.FuncOp)
    block = function.body.block
    for argument, array in reversed([*zip(block.args, arguments, strict=True)][1:]):
        kind = argument.type
        stored = storage_tensor_type(kind) if is_quantized(kind) else kind
        constant = nn.ConstantOp(constant_attr("constant", array, stored.get_element_type()), kind)
        block.insert_op_before(constant, block.first_op)
        argument.replace_all_uses_with(constant.result)
        block.erase_arg(argument)
    function.update_function_type()
    for variant, others in ((module, arguments[1:]), (with_constants, [])):
        stacked = [first, *(np.stack([other, other]) for other in others)]
        batch = Executor(variant).run_batch({f"input_{index}": array for index, array in enumerate(stacked)})
        for sample in range(2):
            expected = Interpreter(variant).run("main", [array[sample] for array in stacked])
            actual = [array[sample] for array in batch.values()]
            assert [array.dtype for array in actual] == [array.dtype for array in expected]
            assert [array.tobytes() for array in actual] == [array.tobytes() for array in expected]


@pytest.fixture(scope="session")
def run_op() -> Callable[..., np.ndarray]:
    """Run the operation that `build` makes of values; arguments are float arrays or (stored array, element type)."""

    def run(
        build: Callable[..., Operation], *arguments: np.ndarray | tuple[np.ndarray, Attribute], mode: str = "shift"
    ) -> np.ndarray:
        pairs = [argument if isinstance(argument, tuple) else (argument, f32) for argument in arguments]
        types = [TensorType(kind, array.shape) for array, kind in pairs]
        block = Block(arg_types=types)
        op = build(*block.args)
        block.add_ops([op, func.ReturnOp(*op.results)])
        kind = FunctionType.from_lists(types, [result.type for result in op.results])
        function = func.FuncOp("main", kind, Region(block))
        set_requantization_mode(function, RequantizationMode(mode))
        module = ModuleOp([function])
        verify_module(module)
        (result,) = Interpreter(module).run("main", [array for array, _ in pairs])
        assert_executor_agrees(module, [array for array, _ in pairs])
        return result

    return run


class Tosa:
    """The formulas of TOSA 1.0 on Python integers, typed from the specification."""

    @staticmethod
    def multiplier(real: float) -> tuple[int, int]:
        """RESCALE's multiplier in [2^30, 2^31) and shift for a real factor."""
        exact, shift = Fraction(real), 31
        while exact * 2**shift >= 2**31:
            shift -= 1
        while exact * 2**shift < 2**30:
            shift += 1
        multiplier = floor(exact * 2**shift + Fraction(1, 2))
        return (multiplier // 2, shift - 1) if multiplier == 2**31 else (multiplier, shift)

    @staticmethod
    def apply_scale_32(value: int, multiplier: int, shift: int) -> int:
        """The multiplication with a single rounding."""
        return (int(value) * multiplier + (1 << (shift - 1))) >> shift

    @staticmethod
    def reciprocal_scale(count: int) -> tuple[int, int]:
        """Multiplier and shift of a division by a count."""
        leading = 32 - (count - 1).bit_length()
        numerator = ((1 << 30) + 1) << (32 - leading)
        return numerator // count, 30 + 32 - leading

    def rescale_48(self, value: int, real: float, kind: UniformQuantizedType) -> int:
        """A 48-bit value in units of another scale as a stored value of `kind`, with RESCALE's 16-bit multiplier."""
        exact, shift = Fraction(real), 15
        while exact * 2**shift >= 2**15:
            shift -= 1
        while exact * 2**shift < 2**14:
            shift += 1
        multiplier = floor(exact * 2**shift + Fraction(1, 2))
        if multiplier == 2**15:
            multiplier, shift = multiplier // 2, shift - 1
        stored = ((int(value) * multiplier + (1 << (shift - 1))) >> shift) + kind.zero_point
        return min(max(stored, kind.storage_min), kind.storage_max)

    def rescale(self, value: int, real: float, kind: UniformQuantizedType) -> int:
        """A value in units of another scale as a stored value of `kind`."""
        stored = self.apply_scale_32(value, *self.multiplier(real)) + kind.zero_point
        return min(max(stored, kind.storage_min), kind.storage_max)


class Lite:
    """The formulas of TensorFlow Lite's reference kernels on Python integers, typed from `common.h` and gemmlowp."""

    @staticmethod
    def multiply(value: int, real: float) -> int:
        """`MultiplyByQuantizedMultiplier` with double rounding."""
        exact, exponent = Fraction(real), 0
        while exact >= 1:
            exact, exponent = exact / 2, exponent + 1
        while exact < Fraction(1, 2):
            exact, exponent = exact * 2, exponent - 1
        multiplier = floor(exact * 2**31 + Fraction(1, 2))
        if multiplier == 2**31:
            multiplier, exponent = multiplier // 2, exponent + 1
        product = int(value) * 2 ** max(exponent, 0) * multiplier
        nudged = product + (2**30 if product >= 0 else 1 - 2**30)
        high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
        shift = max(-exponent, 0)
        remainder, threshold = high & ((1 << shift) - 1), (((1 << shift) - 1) >> 1) + (high < 0)
        return (high >> shift) + (remainder > threshold)


@pytest.fixture(scope="session")
def lite() -> Lite:
    return Lite()


@pytest.fixture(scope="session")
def tosa() -> Tosa:
    return Tosa()


@pytest.fixture(scope="session")
def real() -> Callable[[np.ndarray, UniformQuantizedType], np.ndarray]:
    """The real values that stored values stand for, in double precision."""
    return lambda stored, kind: (stored.astype(np.float64) - kind.zero_point) * kind.scale


@pytest.fixture(scope="session")
def assert_within_one_step() -> Callable[[np.ndarray, np.ndarray, UniformQuantizedType], None]:
    """Hold stored values to the quantization of real ones, give or take one step."""

    def check(stored: np.ndarray, expected: np.ndarray, kind: UniformQuantizedType) -> None:
        steps = np.clip(np.rint(expected / kind.scale) + kind.zero_point, kind.storage_min, kind.storage_max)
        assert np.abs(stored.astype(np.int64) - steps).max() <= 1

    return check


@pytest.fixture(scope="session")
def random_stored() -> Callable[..., np.ndarray]:
    """Random stored values of a type, the ends of its range among them."""

    def make(rng: np.random.Generator, shape: tuple[int, ...], kind: UniformQuantizedType) -> np.ndarray:
        width = "8" if kind.storage_max <= 255 else "16"
        dtype = np.dtype(("int" if kind.storage_min < 0 else "uint") + width)
        values = rng.integers(kind.storage_min, kind.storage_max, shape, dtype, endpoint=True)
        if values.size >= 2:
            values.flat[0], values.flat[-1] = kind.storage_min, kind.storage_max
        return values

    return make
