"""Random quantized operations, many in one function, each with its own arguments: what oracles are asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerType, ModuleOp, TensorType, f32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    RequantizeOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    uniform,
    uniform_per_axis,
)
from intaglio.dialects.weights import constant_attr
from intaglio.interpreter import Interpreter
from intaglio.interpreter.table_functions import table_function
from intaglio.ir.verification import verify_module
from intaglio.numerics.quantization import dequantize

Array = np.ndarray[Any, np.dtype[Any]]


class Cases:
    """Collects operations with whatever is not said chosen at random, and inputs for them.

    Args:
        seed: of the random choices.
        bits: width of the activations, 8 or 16; zero points are 0 at 16.
        result_bits: width of results that have parameters of their own; by default the same.
    """

    def __init__(self, *seed: int, bits: int = 8, result_bits: int | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self.bits = bits
        self.result_bits = result_bits or bits
        self.block = Block()
        self.inputs: list[Array] = []
        self.results: list[SSAValue] = []

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, values: Sequence[Any]) -> Any:
        return values[self.number(0, len(values) - 1)]

    def shape(self, rank: int, largest: int = 9) -> list[int]:
        return [self.number(1, 3), *(self.number(1, largest) for _ in range(rank - 1))]

    def kind(self, scale: float | None = None) -> UniformQuantizedType:
        """Parameters of an argument, or with a scale for as many bits as arguments have, of a result."""
        bits = self.bits
        if scale is None:
            scale = float(np.exp(self.rng.uniform(np.log(0.002), np.log(0.5))))
        else:
            bits = self.result_bits
            scale *= 2.0 ** (self.bits - bits)
        # Zero points are at the ends of their range more often than not.
        zero_point = self.choice([-128, 127, 0, self.number(-128, 127)]) if bits == 8 else 0
        return uniform(bits, scale, zero_point)

    def clamp(self, kind: UniformQuantizedType) -> nn.ClampAttr | None:
        """No limits, or such as cut a part of the values off."""
        steps = self.choice([None, None, None, (0.0, np.inf), (0.0, 60.3), (-70.0, 50.2)])
        return None if steps is None else nn.ClampAttr.of(*(step * kind.scale for step in steps))

    def values(self, shape: Sequence[int], bits: int, low: int | None = None) -> Array:
        """Stored values: anything, the extremes alone, or one extreme throughout."""
        limit = 1 << (bits - 1)
        low = -limit if low is None else low
        dtype = np.dtype(f"i{max(bits, 8) // 8}")
        style = self.number(0, 11)
        if style == 0:
            return self.rng.choice([low, limit - 1], shape).astype(dtype)
        if style == 1:
            return np.full(shape, self.choice([low, limit - 1]), dtype)
        return self.rng.integers(low, limit, shape).astype(dtype)

    def input(self, *shape: int, kind: UniformQuantizedType | None = None) -> SSAValue:
        """A further argument with values for it."""
        kind = kind or self.kind()
        self.inputs.append(self.values(shape, self.bits))
        return self.block.insert_arg(TensorType(kind, shape), len(self.block.args))

    def constant(self, values: Array, kind: Any, element: Attribute) -> SSAValue:
        op = nn.ConstantOp(constant_attr("constant", values, element), TensorType(kind, values.shape))
        self.block.add_op(op)
        return op.result

    def add(self, op: Operation) -> SSAValue:
        """Add an operation whose result is compared."""
        self.block.add_op(op)
        self.results.append(op.results[0])
        return op.results[0]

    def layer_parameters(self, source: SSAValue, *shape: int) -> tuple[SSAValue, SSAValue | None, UniformQuantizedType]:
        """Weights, per channel or per tensor, a bias or none, and parameters of a result that saturates at times."""
        scale = source.type.element_type.scale
        per_channel = bool(self.number(0, 1))
        scales = self.rng.uniform(0.001, 0.03, shape[0] if per_channel else 1)
        accumulator = IntegerType(32 if self.bits == 8 else 48)
        if per_channel:
            kinds = uniform_per_axis(8, 0, scales), uniform_per_axis(accumulator.bitwidth, 0, scales * scale)
        else:
            single = float(scales[0])
            kinds = uniform(8, single), uniform(accumulator.bitwidth, single * scale)
        weight = self.constant(self.values(shape, 8, -127), kinds[0], IntegerType(8))
        reach = float(np.prod(shape[1:])) ** 0.5 * 73.0 * (1 << (self.bits - 1)) * 0.6
        bias = None
        if extreme := self.number(0, 7):
            # Now and then as large as the quantizer lets a bias be.
            reach = max(reach, float(1 << 30)) if extreme == 1 else reach
            drawn = self.rng.uniform(-reach, reach, shape[0]).astype(np.int32 if self.bits == 8 else np.int64)
            bias = self.constant(drawn, kinds[1], accumulator)
        span = reach * scale * float(np.exp(np.mean(np.log(scales)))) / (1 << (self.bits - 1))
        return weight, bias, self.kind(span * float(np.exp(self.rng.uniform(-1, 1.5))))

    def conv2d(self, *, groups: int = 1, multiplier: int = 1, depthwise: bool = False) -> None:
        channels = self.number(1, 12) if depthwise else groups * self.number(1, 6)
        groups = channels if depthwise else groups
        outputs = channels * multiplier if depthwise else groups * self.number(1, 6)
        source = self.input(self.number(1, 2), self.number(1, 11), self.number(1, 11), channels)
        n, height, width, _ = source.type.get_shape()
        pads = [self.choice([0, self.number(0, 4)]) for _ in range(4)]
        dilations, strides = [[self.choice([1, 1, 2, 3]) for _ in range(2)] for _ in range(2)]
        totals = (height + pads[0] + pads[2], width + pads[1] + pads[3])
        taps = [min(self.number(1, 5), (totals[k] - 1) // dilations[k] + 1) for k in range(2)]
        sizes = [(totals[k] - dilations[k] * (taps[k] - 1) - 1) // strides[k] + 1 for k in range(2)]
        weight, bias, kind = self.layer_parameters(source, outputs, *taps, channels // groups)
        window = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
        self.add(
            nn.Conv2dOp(source, weight, bias, TensorType(kind, [n, *sizes, outputs]), **window, clamp=self.clamp(kind))
        )

    def grouped(self) -> None:
        self.conv2d(groups=self.number(2, 4))

    def depthwise(self) -> None:
        self.conv2d(depthwise=True, multiplier=self.choice([1, 1, 2, 3]))

    def conv_transpose2d(self) -> None:
        groups = self.choice([1, 1, 2])
        channels, outputs = groups * self.number(1, 5), groups * self.number(1, 5)
        source = self.input(self.number(1, 2), self.number(1, 6), self.number(1, 6), channels)
        n, *spatial, _ = source.type.get_shape()
        strides, taps = [self.number(1, 3) for _ in range(2)], [self.number(1, 4) for _ in range(2)]
        dilations = [self.choice([1, 1, 2]) for _ in range(2)]
        fulls = [(spatial[k] - 1) * strides[k] + (taps[k] - 1) * dilations[k] + 1 for k in range(2)]
        pads = [0, 0, 0, 0]
        for k in range(2):
            pads[k] = self.number(-1, min(4, fulls[k] - 1))
            pads[k + 2] = self.number(-2, min(4, fulls[k] - 1 - max(pads[k], 0)))
        sizes = [fulls[k] - pads[k] - pads[k + 2] for k in range(2)]
        weight, bias, kind = self.layer_parameters(source, outputs, *taps, channels // groups)
        window = {"strides": strides, "pads": pads, "dilations": dilations, "groups": groups}
        self.add(
            nn.ConvTranspose2dOp(
                source, weight, bias, TensorType(kind, [n, *sizes, outputs]), **window, clamp=self.clamp(kind)
            )
        )

    def accumulated(self) -> None:
        """A layer whose result is the sum of products itself, with a scale for each channel or one."""
        source = self.input(self.number(1, 2), self.number(1, 9), self.number(1, 9), self.number(1, 8))
        outputs = self.number(1, 9)
        weight, bias, kind = self.layer_parameters(source, outputs, 1, 1, source.type.get_shape()[3])
        weight_kind, scale = weight.type.element_type, source.type.element_type.scale
        if isinstance(weight_kind, UniformQuantizedPerAxisType):
            result = uniform_per_axis(32, 3, weight_kind.scales * scale)
        else:
            result = uniform(32, weight_kind.scale * scale)
        shape = [*source.type.get_shape()[:3], outputs]
        self.add(nn.Conv2dOp(source, weight, bias, TensorType(result, shape), clamp=self.clamp(kind)))

    def dense(self) -> None:
        source = self.input(*self.shape(self.number(1, 3), 20))
        shape = source.type.get_shape()
        outputs = self.number(1, 20)
        weight, bias, kind = self.layer_parameters(source, outputs, shape[-1])
        self.add(nn.DenseOp(source, weight, bias, TensorType(kind, [*shape[:-1], outputs]), clamp=self.clamp(kind)))

    def matmul(self) -> None:
        batch = self.shape(self.number(1, 2), 3)[: self.number(0, 2)]
        rows, inner, columns = (self.number(1, 12) for _ in range(3))
        lhs, rhs = self.input(*batch, rows, inner), self.input(*batch, inner, columns)
        span = lhs.type.element_type.scale * rhs.type.element_type.scale * inner**0.5 * 73.0
        span *= 1 << (self.bits - 8)
        kind = self.kind(span * float(np.exp(self.rng.uniform(-1, 1.5))))
        self.add(nn.MatmulOp(lhs, rhs, TensorType(kind, [*batch, rows, columns]), clamp=self.clamp(kind)))

    def binary(self, op: type[nn.ElementwiseOp]) -> None:
        shape = self.shape(self.number(1, 4), 6)
        other = [self.choice([size, size, 1]) for size in shape][self.choice([0, 0, self.number(0, len(shape))]) :]
        shapes = [shape, other] if self.number(0, 1) else [other, shape]
        lhs, rhs = (self.operand(*sizes) for sizes in shapes)
        scales = [operand.type.element_type.scale for operand in (lhs, rhs)]
        span = scales[0] * scales[1] * (1 << (self.bits - 1)) * 0.7 if op is nn.MulOp else max(scales)
        kind = self.kind(span * float(np.exp(self.rng.uniform(-1, 1.5))))
        self.add(op(lhs, rhs, TensorType(kind, np.broadcast_shapes(*shapes)), clamp=self.clamp(kind)))

    def operand(self, *shape: int) -> SSAValue:
        """An argument, or now and then a constant."""
        if self.number(0, 3):
            return self.input(*shape)
        return self.constant(self.values(shape, self.bits), self.kind(), IntegerType(self.bits))

    def add_values(self) -> None:
        self.binary(nn.AddOp)

    def sub_values(self) -> None:
        self.binary(nn.SubOp)

    def mul_values(self) -> None:
        self.binary(nn.MulOp)

    def rescaled(self, make: Callable[[SSAValue, TensorType[Any]], Operation]) -> None:
        """An operation of one operand whose result has a scale near its own."""
        source = self.input(*self.shape(self.number(1, 4), 8))
        kind = self.kind(source.type.element_type.scale * float(np.exp(self.rng.uniform(-2, 2))))
        self.add(make(source, TensorType(kind, source.type.get_shape())))

    def relu(self) -> None:
        self.rescaled(nn.ReluOp)

    def clip(self) -> None:
        low, high = float(self.rng.uniform(-90, 0)), float(self.rng.uniform(0, 90))

        def limited(source: SSAValue, kind: TensorType[Any]) -> Operation:
            step = source.type.element_type.scale * 2.0 ** (self.bits - 8)
            return nn.ClipOp(source, kind, nn.ClampAttr.of(low * step, high * step))

        self.rescaled(limited)

    def requantize(self) -> None:
        self.rescaled(RequantizeOp)

    def table(self) -> None:
        """Every stored value goes through the table."""
        # Poles are too steep for tables with interpolation.
        poles = (nn.LogOp, nn.ReciprocalOp, nn.ExpOp) if self.bits == 16 else ()
        op = self.choice([op for op in nn.TABLE_OPS if op not in poles])
        properties = {
            nn.HardSigmoidOp: (0.2, 0.5),
            nn.EluOp: (1.0,),
            nn.LeakyReluOp: (0.1,),
            nn.GeluOp: (self.choice(["none", "tanh"]),),
        }.get(op, ())
        source = self.input(2, 1 << (self.bits - 1))
        everything = np.arange(-(1 << (self.bits - 1)), 1 << (self.bits - 1))
        self.inputs[-1] = self.rng.permutation(everything).reshape(2, -1).astype(self.inputs[-1].dtype)
        shape, kind = source.type.get_shape(), source.type.element_type
        draft = op(source, TensorType(self.kind(), shape), *properties)
        with np.errstate(all="ignore"):
            largest = np.abs(table_function(draft)((everything - kind.zero_point) * kind.scale))
        draft.erase()
        finite = largest[np.isfinite(largest)]
        span = float((np.median(finite) if finite.size else 1.0) + 1e-3) / (1 << (self.bits - 1))
        self.add(op(source, TensorType(self.kind(span * float(self.rng.uniform(1.1, 3))), shape), *properties))

    def window(self, source: SSAValue) -> dict[str, Any]:
        """A window of which some element always is in the input, and the size of the result."""
        _, height, width, _ = source.type.get_shape()
        kernel = [min(self.number(1, 5), size) for size in (height, width)]
        strides = [self.number(1, 3) for _ in range(2)]
        pads = [self.number(0, (size - 1) // 2) for size in (*kernel, *kernel)]
        sizes = [(size + pads[k] + pads[k + 2] - kernel[k]) // strides[k] + 1 for k, size in enumerate((height, width))]
        return {"kernel": kernel, "strides": strides, "pads": pads, "sizes": sizes}

    def max_pool2d(self) -> None:
        source = self.input(*self.shape(4))
        window = self.window(source)
        n, *_, channels = source.type.get_shape()
        result = TensorType(source.type.element_type, [n, *window.pop("sizes"), channels])
        self.add(nn.MaxPool2dOp(source, result, **window))

    def dilated_max_pool2d(self) -> None:
        source = self.input(*self.shape(4))
        n, *spatial, channels = source.type.get_shape()
        # At least the rows are apart.
        dilations = [self.number(2, 3), self.number(1, 3)]
        kernel = [min(self.number(1, 4), (size - 1) // dilations[k] + 1) for k, size in enumerate(spatial)]
        strides = [self.number(1, 3) for _ in range(2)]
        reaches = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilations, strict=True)]
        pads = [self.number(0, (reach - 1) // 2) for reach in (*reaches, *reaches)]
        sizes = [(spatial[k] + pads[k] + pads[k + 2] - reaches[k]) // strides[k] + 1 for k in range(2)]
        result = TensorType(source.type.element_type, [n, *sizes, channels])
        window = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations}
        self.add(nn.MaxPool2dOp(source, result, **window))

    def select(self) -> None:
        """By a constant condition; all three operands may broadcast."""
        kind, shape = self.kind(), self.shape(self.number(1, 4), 6)
        thin = [[self.choice([size, size, size, 1]) for size in shape][self.choice([0, 0, 1]) :] for _ in range(3)]
        condition = nn.ConstantOp(constant_attr("condition", self.rng.random(thin[0]) < 0.5, IntegerType(1)), None)
        self.block.add_op(condition)
        lhs, rhs = (self.input(*sizes, kind=kind) for sizes in thin[1:])
        self.add(nn.SelectOp(condition.result, lhs, rhs, TensorType(kind, np.broadcast_shapes(*thin))))

    def avg_pool2d(self) -> None:
        source = self.input(*self.shape(4))
        window = self.window(source)
        n, *_, channels = source.type.get_shape()
        scale = source.type.element_type.scale
        kind = self.kind(self.choice([scale, scale * float(self.rng.uniform(0.3, 2.0))]))
        include = bool(self.number(0, 1))
        result = TensorType(kind, [n, *window.pop("sizes"), channels])
        self.add(nn.AvgPool2dOp(source, result, **window, count_include_pad=include, clamp=self.clamp(kind)))

    def reduction(self) -> None:
        source = self.input(*self.shape(self.number(2, 4), 8))
        rank = len(source.type.get_shape())
        axes = sorted(self.rng.choice(rank, self.number(1, max(rank - 1, 1)), replace=False).tolist())
        op = self.choice([nn.ReduceSumOp, nn.ReduceMeanOp, nn.ReduceMaxOp, nn.ReduceMinOp])
        if op in (nn.ReduceMaxOp, nn.ReduceMinOp):
            self.add(op(source, axes))
            return
        scale = source.type.element_type.scale
        root = float(np.prod([source.type.get_shape()[axis] for axis in axes])) ** 0.5
        span = scale * root if op is nn.ReduceSumOp else self.choice([scale, scale / root])
        self.add(op(source, axes, self.kind(span)))

    def movement(self) -> None:
        source = self.input(*self.shape(self.number(1, 4), 7))
        shape, kind = list(source.type.get_shape()), source.type.element_type
        rank = len(shape)
        match self.choice(["reshape", "transpose", "concat", "pad", "slice", "broadcast", "gather"]):
            case "reshape":
                self.add(nn.ReshapeOp(source, TensorType(kind, self.rng.permutation([*shape, 1]).tolist())))
            case "transpose":
                self.add(nn.TransposeOp(source, self.rng.permutation(rank).tolist()))
            case "concat":
                axis = self.number(0, rank - 1)
                sizes = [self.number(1, 4) for _ in range(self.number(1, 3))]
                parts = [source, *(self.input(*shape[:axis], size, *shape[axis + 1 :], kind=kind) for size in sizes)]
                joined = [*shape[:axis], shape[axis] + sum(sizes), *shape[axis + 1 :]]
                self.add(nn.ConcatOp(parts, axis, TensorType(kind, joined)))
            case "pad":
                low, high = ([self.number(0, 3) for _ in shape] for _ in range(2))
                sizes = [a + b + c for a, b, c in zip(low, shape, high, strict=True)]
                value = float(self.choice([0.0, self.rng.normal(), np.inf, -np.inf]))
                self.add(nn.PadOp(source, low, high, value, TensorType(kind, sizes)))
            case "slice":
                starts, steps, counts = [], [], []
                for size in shape:
                    start, step = self.number(0, size - 1), self.choice([1, 1, 2, 3, -1, -2])
                    starts.append(start)
                    steps.append(step)
                    counts.append(self.number(1, (size - 1 - start) // step + 1 if step > 0 else start // -step + 1))
                self.add(nn.SliceOp(source, starts, steps, counts))
            case "broadcast":
                thin = [self.choice([size, 1]) for size in shape]
                thin = thin[self.number(0, rank) :] if self.number(0, 1) else thin
                self.add(nn.BroadcastOp(self.input(*thin, kind=kind), TensorType(kind, shape)))
            case _:
                axis = self.number(0, rank - 1)
                indices = self.rng.integers(-shape[axis], shape[axis], self.shape(self.number(1, 2), 4))
                op = nn.ConstantOp(constant_attr("indices", indices, IntegerType(64)), None)
                self.block.add_op(op)
                self.add(nn.GatherOp(source, op.result, axis))

    def extreme(self) -> None:
        self.binary(self.choice([nn.MaximumOp, nn.MinimumOp]))

    def interpolation(self) -> None:
        self.resize(["linear"])

    def resize(self, modes: Sequence[str] = nn.NEAREST) -> None:
        source = self.input(*self.shape(4, 6))
        n, *spatial, channels = source.type.get_shape()
        sizes = [self.number(1, 14) for _ in range(2)]
        mode = self.choice(modes)
        # Half pixel, asymmetric, aligned corners, and any other grid.
        style = self.number(0, 3 if modes is nn.NEAREST else 2)
        units, steps, offsets = [], [], []
        for size, count in zip(spatial, sizes, strict=True):
            grid = [
                (2 * count, 2 * size, size - count),
                (count, size, 0),
                (max(count - 1, 1), size - 1 if count > 1 else 0, 0),
                (self.number(1, 40), self.number(1, 60), self.number(-20, 40)),
            ][style]
            units.append(grid[0])
            steps.append(grid[1])
            offsets.append(grid[2])
        result = TensorType(source.type.element_type, [n, *sizes, channels])
        self.add(nn.ResizeOp(source, result, mode, units=units, steps=steps, offsets=offsets))

    def module(self) -> ModuleOp:
        """The function of all operations, verified."""
        self.block.add_op(func.ReturnOp(*self.results))
        types = list(self.block.arg_types), [value.type for value in self.results]
        module = ModuleOp([func.FuncOp("main", types, Region(self.block))])
        verify_module(module)
        return module

    def module_on_floats(self) -> tuple[ModuleOp, list[Array]]:
        """The function with casts at its edges, and the real values of the inputs."""
        end = func.ReturnOp(*self.results)
        self.block.add_op(end)
        reals: list[Array] = []
        for argument, stored in zip(list(self.block.args), self.inputs, strict=True):
            kind = argument.type.element_type
            reals.append(np.asarray(dequantize(stored, kind.scale, kind.zero_point)))
            cast = QuantizeCastOp(argument, argument.type)
            argument.replace_all_uses_with(cast.result)
            cast.operands[0] = self.block.insert_arg(TensorType(f32, stored.shape), len(self.block.args))
            self.block.insert_op_before(cast, self.block.first_op)
            self.block.erase_arg(argument)
        for index, result in enumerate(list(end.operands)):
            cast = DequantizeCastOp(result, TensorType(f32, result.type.get_shape()))
            self.block.insert_op_before(cast, end)
            end.operands[index] = cast.result
        types = list(self.block.arg_types), [value.type for value in end.operands]
        module = ModuleOp([func.FuncOp("main", types, Region(self.block))])
        verify_module(module)
        return module, reals

    @staticmethod
    def interpreted(module: ModuleOp, inputs: Sequence[Array]) -> list[Array]:
        return Interpreter(module).run("main", list(inputs))
