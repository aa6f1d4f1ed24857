"""What the tests of the accelerator's phases share: random region functions, and their way through the phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import BFloat16Type, IntegerType, ModuleOp, StringAttr, TensorType, bf16, i8
from xdsl.ir import Block, Operation, Region, SSAValue

from intaglio.dialects import isa, nn, npu
from intaglio.dialects.quant import RequantizeOp, UniformQuantizedType, uniform, uniform_per_axis
from intaglio.dialects.weights import constant_attr
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.locations import named
from intaglio.ir.verification import verify_module
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.lowering.npu_to_isa import NpuToIsa
from intaglio.numerics.bfloat16 import BFLOAT16, floats_of, round_to_bfloat16
from intaglio.passes.npu.allocate_scratchpad import AllocateScratchpad
from intaglio.passes.npu.insert_tokens import InsertTokens
from intaglio.passes.npu.interleave_layers import InterleaveLayers
from intaglio.passes.npu.overlap_transfers import OverlapTransfers
from intaglio.targets.simulator import Program

Array = np.ndarray[Any, np.dtype[Any]]

ZERO_POINTS = (-128, 127, 0)

SCHEDULING = (InterleaveLayers(), OverlapTransfers(), AllocateScratchpad(), InsertTokens())
"""The passes of phase `npu` after the lowering."""


@dataclass
class RegionBuilder:
    """Builds a region function of quantized operations, with whatever is not said chosen at random."""

    rng: np.random.Generator
    block: Block = field(default_factory=Block)
    bits: Sequence[int] = (8,)
    """Widths of activations."""
    weight_bits: Sequence[int] = (8,)
    """Widths of weights; those of layers with an input of 8 bits are the ones up to 8, or 8."""
    is_float: bool = False
    """Whether all is bfloat16 instead."""

    @classmethod
    def seeded(
        cls, *seed: int, bits: Sequence[int] = (8,), weight_bits: Sequence[int] = (8,), is_float: bool = False
    ) -> RegionBuilder:
        return cls(np.random.default_rng(seed), bits=bits, weight_bits=weight_bits, is_float=is_float)

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, values: Sequence[Any]) -> Any:
        return values[self.number(0, len(values) - 1)]

    def activation(self) -> UniformQuantizedType | BFloat16Type:
        """Parameters of an activation; zero points are at the ends of their range more often than not."""
        if self.is_float:
            return bf16
        zero_point = self.choice([*ZERO_POINTS, self.number(-128, 127)])
        scale = float(self.rng.uniform(0.01, 0.2))
        if self.bits != (8,) and self.choice(self.bits) == 16:
            return uniform(16, float(np.float32(scale / 128)), 0)
        return uniform(8, scale, zero_point)

    def stored(self, kind: UniformQuantizedType, *shape: int) -> Array:
        """Random stored values."""
        return random_values(self.rng, kind, shape)

    def clamp(self) -> nn.ClampAttr | None:
        return self.choice([None, nn.ClampAttr.of(0.0, np.inf), nn.ClampAttr.of(0.0, 6.0), nn.ClampAttr.of(-1.0, 1.0)])

    def input(self, *shape: int) -> SSAValue:
        return self.block.insert_arg(TensorType(self.activation(), shape), len(self.block.args))

    def add(self, op: Operation) -> SSAValue:
        op.location = named(f"layer/{sum(1 for _ in self.block.ops)}")
        self.block.add_op(op)
        return op.results[0]

    def stored_constant(self, *shape: int) -> SSAValue:
        """A constant activation."""
        kind = self.activation()
        return self.constant(self.stored(kind, *shape), kind, bf16 if kind == bf16 else kind.storage_type)

    def constant(self, values: Array, kind: Any, element: Any) -> SSAValue:
        return self.add(nn.ConstantOp(constant_attr("constant", values, element), TensorType(kind, values.shape)))

    def weights(self, source: SSAValue, *shape: int) -> tuple[SSAValue, SSAValue | None]:
        """Weights, per channel or per tensor, and a bias or none."""
        kind = source.type.element_type
        if kind == bf16:
            weight = self.constant(self.stored(kind, *shape), kind, kind)
            return weight, self.constant(self.stored(kind, shape[0]), kind, kind) if self.number(0, 3) else None
        is_wide = kind.storage_type != i8
        widths = self.weight_bits if is_wide else [bits for bits in self.weight_bits if bits <= 8] or (8,)
        bits, bias_bits = self.choice(widths) if len(widths) > 1 else widths[0], 48 if is_wide else 32
        limit = (1 << (bits - 1)) - 1
        values = self.rng.integers(-limit, limit + 1, shape).astype(np.int8 if bits <= 8 else np.int16)
        finer = 127 / limit
        if self.number(0, 1):
            scales = self.rng.uniform(0.001, 0.02, shape[0]) * finer
            kinds = uniform_per_axis(bits, 0, scales), uniform_per_axis(bias_bits, 0, scales * kind.scale)
        else:
            single = float(self.rng.uniform(0.001, 0.02)) * finer
            kinds = uniform(bits, single), uniform(bias_bits, single * kind.scale)
        largest = 20_000 * 128 if is_wide else 20_000
        bias = self.rng.integers(-largest, largest, shape[0]).astype(np.int64 if is_wide else np.int32)
        weight = self.constant(values, kinds[0], IntegerType(bits))
        return weight, self.constant(bias, kinds[1], IntegerType(bias_bits)) if self.number(0, 3) else None

    def conv2d(
        self,
        source: SSAValue,
        outputs: int,
        *,
        groups: int = 1,
        kernel: tuple[int, int] | None = None,
        strides: tuple[int, int] | None = None,
        dilations: tuple[int, int] | None = None,
        pads: tuple[int, int, int, int] | None = None,
    ) -> SSAValue:
        n, height, width, channels = source.type.get_shape()
        top, left, bottom, right = pads or tuple(self.number(0, 3) for _ in range(4))
        dilation = dilations or (self.choice([1, 1, 2, 3]), self.choice([1, 1, 2, 3]))
        stride = strides or (self.number(1, 3), self.number(1, 3))
        totals = (height + top + bottom, width + left + right)
        wanted = kernel or (self.number(1, 5), self.number(1, 5))
        taps = [min(wanted[k], (totals[k] - 1) // dilation[k] + 1) for k in range(2)]
        sizes = [(totals[k] - dilation[k] * (taps[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
        weight, bias = self.weights(source, outputs, *taps, channels // groups)
        result = TensorType(self.activation(), [n, *sizes, outputs])
        attributes = {"strides": stride, "pads": (top, left, bottom, right), "dilations": dilation, "groups": groups}
        return self.add(nn.Conv2dOp(source, weight, bias, result, **attributes, clamp=self.clamp()))

    def depthwise(self, source: SSAValue, **window: Any) -> SSAValue:
        channels = source.type.get_shape()[3]
        return self.conv2d(source, channels, groups=channels, **window)

    def dense(self, source: SSAValue, outputs: int) -> SSAValue:
        shape = source.type.get_shape()
        weight, bias = self.weights(source, outputs, shape[-1])
        result = TensorType(self.activation(), [*shape[:-1], outputs])
        return self.add(nn.DenseOp(source, weight, bias, result, clamp=self.clamp()))

    def pool(self, source: SSAValue, *, largest: bool) -> SSAValue:
        n, height, width, channels = source.type.get_shape()
        kernel = [min(self.number(1, 4), size) for size in (height, width)]
        strides = [self.number(1, 3), self.number(1, 3)]
        # A window never lies in the padding alone.
        pads = [self.number(0, (size - 1) // 2) for size in (*kernel, *kernel)]
        totals = (height + pads[0] + pads[2], width + pads[1] + pads[3])
        sizes = [(totals[k] - kernel[k]) // strides[k] + 1 for k in range(2)]
        if largest:
            result = TensorType(source.type.element_type, [n, *sizes, channels])
            return self.add(nn.MaxPool2dOp(source, result, kernel=kernel, strides=strides, pads=pads))
        result = TensorType(self.activation(), [n, *sizes, channels])
        return self.add(
            nn.AvgPool2dOp(
                source, result, kernel=kernel, strides=strides, pads=pads, count_include_pad=True, clamp=self.clamp()
            )
        )

    def global_average(self, source: SSAValue) -> SSAValue:
        n, height, width, channels = source.type.get_shape()
        result = TensorType(self.activation(), [n, 1, 1, channels])
        return self.add(nn.AvgPool2dOp(source, result, kernel=(height, width)))

    def binary(self, kind: type[nn.ElementwiseOp], lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        shape = np.broadcast_shapes(lhs.type.get_shape(), rhs.type.get_shape())
        return self.add(kind(lhs, rhs, TensorType(self.activation(), shape), clamp=self.clamp()))

    def broadcast_binary(self, source: SSAValue) -> SSAValue:
        """Combine with a second input or a constant, some dimensions of which are 1 or missing."""
        shape = [1 if self.number(0, 1) else size for size in source.type.get_shape()]
        shape = shape[self.choice([0, 0, self.number(0, len(shape) - 1)]) :]
        other = self.input(*shape) if self.number(0, 1) else self.stored_constant(*shape)
        kind = self.choice([nn.AddOp, nn.SubOp, nn.MulOp])
        swapped = kind is not nn.SubOp and self.number(0, 1)
        return self.binary(kind, *((other, source) if swapped else (source, other)))

    def unary(self, source: SSAValue) -> SSAValue:
        result = TensorType(self.activation(), source.type.get_shape())
        kind = self.choice([nn.ReluOp, nn.ClipOp, nn.HardSigmoidOp, nn.HardSwishOp, nn.SigmoidOp, nn.TanhOp])
        if kind is nn.ClipOp:
            return self.add(nn.ClipOp(source, result, nn.ClampAttr.of(-0.5, float(self.rng.uniform(0, 6)))))
        if kind is nn.HardSigmoidOp:
            return self.add(nn.HardSigmoidOp(source, result, 0.2, 0.5))
        return self.add(kind(source, result))

    def requantized(self, source: SSAValue) -> SSAValue:
        return self.add(RequantizeOp(source, TensorType(self.activation(), source.type.get_shape())))

    def reshape(self, source: SSAValue, *shape: int) -> SSAValue:
        return self.add(nn.ReshapeOp(source, TensorType(source.type.element_type, shape)))

    def module(self, *outputs: SSAValue, target: str = "gen1") -> ModuleOp:
        """A module with the region `@region_0`, and `@main` that launches it."""
        self.block.add_op(func.ReturnOp(*outputs))
        types = list(self.block.arg_types), [value.type for value in outputs]
        region = func.FuncOp("region_0", types, Region(self.block))
        region.attributes["intaglio.device"] = StringAttr("accelerator")
        body = Block(arg_types=types[0])
        launch = npu.LaunchOp("region_0", list(body.args), types[1])
        body.add_ops([launch, func.ReturnOp(*launch.results)])
        module = ModuleOp([func.FuncOp("main", types, Region(body)), region])
        module.attributes["intaglio.target"] = StringAttr(target)
        return module


def random_network(builder: RegionBuilder, largest: int = 20) -> list[SSAValue]:
    """Add a few operations with branches, and return what the region returns: one, two or three values."""
    shape = (builder.choice([1, 1, 2]), *(builder.number(4, largest) for _ in range(2)), builder.number(1, 40))
    values = [builder.input(*shape) for _ in range(builder.choice([1, 1, 2]))]
    for _ in range(builder.number(2, 8)):
        source = values[builder.number(max(0, len(values) - 3), len(values) - 1)]
        shape = source.type.get_shape()
        alike = [value for value in values if value.type.get_shape() == shape]
        spatial: dict[str, Callable[[], SSAValue]] = {
            "conv2d": lambda s=source: builder.conv2d(s, builder.number(1, 60)),
            "pointwise": lambda s=source: builder.conv2d(s, builder.number(1, 60), kernel=(1, 1), pads=(0, 0, 0, 0)),
            "depthwise": lambda s=source: builder.depthwise(s),
            "largest": lambda s=source: builder.pool(s, largest=True),
            "mean": lambda s=source: builder.pool(s, largest=False),
            "excite": lambda s=source: builder.binary(nn.MulOp, s, builder.unary(builder.global_average(s))),
            "flatten": lambda s=source, d=shape: builder.reshape(s, d[0], d[1] * d[2] * d[3]),
        }
        any_rank: dict[str, Callable[[], SSAValue]] = {
            **({"requantized": lambda s=source: builder.requantized(s)} if builder.bits != (8,) else {}),
            "residual": lambda s=source, o=alike: builder.binary(nn.AddOp, s, builder.choice(o)),
            "unary": lambda s=source: builder.unary(s),
            "broadcast": lambda s=source: builder.broadcast_binary(s),
        }
        if shape[-1] <= 2000:
            any_rank["dense"] = lambda s=source: builder.dense(s, builder.number(1, 40))
        kinds = {**any_rank, **(spatial if len(shape) == 4 else {})}
        values.append(kinds[builder.choice(sorted(kinds))]())
    return [values[-1], *(builder.choice(values) for _ in range(builder.choice([0, 0, 1, 2])))]


def inputs_of(module: ModuleOp, seed: int = 0) -> list[Array]:
    """Random stored values for `@main`."""
    rng = np.random.default_rng(seed)
    main = module.body.block.first_op
    assert isinstance(main, func.FuncOp)
    return [random_values(rng, kind.element_type, kind.get_shape()) for kind in main.function_type.inputs]


def random_values(rng: np.random.Generator, kind: UniformQuantizedType, shape: Sequence[int]) -> Array:
    """Stored values of a type, all of them as likely; of bfloat16 small ones and large ones."""
    if kind == bf16:
        return round_to_bfloat16(rng.standard_normal(shape) * 2.0 ** rng.integers(-6, 3, shape))
    if kind.storage_type == i8:
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.integers(-32768, 32768, shape).astype(np.int16)


def to_npu(module: ModuleOp, scratchpad: int | None = None) -> npu.ProgramOp:
    """Run the passes of phase `npu` and return the program."""
    for lowering in (NnToNpu(scratchpad=scratchpad), *SCHEDULING):
        lowering.apply(make_context(), module)
        verify_module(module)
    return next(op for op in module.ops if isinstance(op, npu.ProgramOp))


def to_isa(module: ModuleOp) -> isa.ProgramOp:
    """Run the pass of phase `isa` and return the program."""
    NpuToIsa().apply(make_context(), module)
    verify_module(module)
    return next(op for op in module.ops if isinstance(op, isa.ProgramOp))


def check_all_levels(module: ModuleOp, scratchpad: int | None = None) -> Program:
    """Hold the programs of tasks, of instructions and of bytes to what the interpreter makes of the operations."""
    verify_module(module)
    inputs = inputs_of(module)
    expected = Interpreter(module).run("main", inputs)

    def compare(level: str, results: Sequence[Array]) -> None:
        for index, (want, have) in enumerate(zip(expected, results, strict=True)):
            pair = [floats_of(array.view(np.int16)) if want.dtype == BFLOAT16 else array for array in (have, want)]
            np.testing.assert_array_equal(*pair, err_msg=f"{level}, result {index}")

    NnToNpu(scratchpad=scratchpad).apply(make_context(), module)
    verify_module(module)
    lowered = Interpreter(module).run("main", inputs)
    if any(array.dtype == BFLOAT16 for array in lowered):
        check_close(expected, lowered)
        expected = lowered
    compare("npu", lowered)
    for scheduling in SCHEDULING:
        scheduling.apply(make_context(), module)
    verify_module(module)
    compare("npu, scheduled", Interpreter(module).run("main", inputs))
    program = to_isa(module)
    compare("isa", Interpreter(module).run("main", inputs))
    simulated = Program(program_binary(program))
    compare("simulator", simulated.run(inputs))
    return simulated


def check_close(expected: Sequence[Array], found: Sequence[Array]) -> None:
    """Hold results in bfloat16 to one unit in the last place, and to as small a part of the largest result.

    Where terms cancel, what accumulators in float32 lose weighs more than a unit of the result.
    """
    for want, have in zip(expected, found, strict=True):
        real, other = (floats_of(array.view(np.int16)).astype(np.float64) for array in (want, have))
        np.testing.assert_array_equal(np.isnan(other), np.isnan(real))
        bound = np.abs(real) * 2.0**-7 + np.abs(real).max(initial=0) * 2.0**-16
        wrong = np.abs(real - other) > bound
        assert not wrong.any(), (real[wrong], other[wrong])


@dataclass(frozen=True)
class Regions:
    """The functions of this module, for tests in other folders."""

    builder: Callable[..., RegionBuilder] = RegionBuilder.seeded
    random_network: Callable[..., list[SSAValue]] = random_network
    check_all_levels: Callable[..., Program] = check_all_levels
    check_close: Callable[..., None] = check_close
    inputs_of: Callable[..., list[Array]] = inputs_of
    to_npu: Callable[..., npu.ProgramOp] = to_npu
    to_isa: Callable[..., isa.ProgramOp] = to_isa


@pytest.fixture(scope="session")
def regions() -> Regions:
    """Random regions, and their way through the phases `npu` and `isa`."""
    return Regions()
