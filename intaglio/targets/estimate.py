"""What a function would cost on an accelerator in given precisions, without compiling it.

```python
found = estimate(function, {"conv1": Precision.parse("a16w8")}, load_target("gen1"))
found.cycles, found.read_bytes, found.layers[0].name
```

The formulas are those of the clock (`intaglio.targets.costs`), for whole layers. The units are taken as busy with one
layer after another, each as soon as the first part of its operands is there, and a layer finishes a last part
after its operands have: what a good schedule achieves, conflicts over banks and transfers in between left out. The
clock takes up to a third longer on networks that fit; tests bound the difference.

Widths beyond eight bits take the array longer, a step for each pair of bytes, and depthwise convolution likewise; other
work of the vector unit takes the same time. An operation that the accelerator does not execute, or not
in its precision, is the host's: it costs nothing here but the transfer of what crosses the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Block, Operation, SSAValue
from xdsl.utils.hints import isa

from intaglio.dialects import nn, quant
from intaglio.ir.locations import name_of
from intaglio.precision import Precision
from intaglio.targets.constraints import IN_BFLOAT16, LINEAR, NORMALIZATIONS, REDUCTIONS, SUPPORTED
from intaglio.targets.costs import ElementBytes, multiply_cost, vector_cost
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import PARAMETER_BYTES, WIDE_PARAMETER_BYTES
from intaglio.targets.movement import MOVEMENT, is_movement, movement_cycles
from intaglio.targets.resampling import mixtures_of
from intaglio.targets.target import Target

_FEW_CHANNELS = 16
"""Up to as many, the column of an image is read like a row, so that several taps fill the array at once."""

_PARTS = 8
"""In how many parts a layer hands its results on."""

_ELEMENTWISE: Mapping[type[Operation], str] = {
    nn.AddOp: "add",
    nn.SubOp: "subtract",
    nn.MulOp: "multiply",
    nn.DivOp: "divide",
    nn.MinimumOp: "minimum",
    nn.MaximumOp: "maximum",
    nn.ReluOp: "convert",
    nn.ClipOp: "convert",
    quant.RequantizeOp: "convert",
    **dict.fromkeys(nn.TABLE_OPS, "lookup"),
}
"""The vector instruction of each operation without windows."""

_ON_BFLOAT16: Mapping[str, str] = {
    **dict.fromkeys(("add", "subtract", "multiply", "minimum", "maximum"), "float_combine"),
    "convert": "float_pool",
    "lookup": "float_map",
    "softmax": "float_softmax",
    "normalize": "float_normalize",
    "divide": "float_divide",
}
"""The instruction that does the same on bfloat16, where it takes another time."""

_FREE = (nn.ReshapeOp, quant.ObserveOp)
"""Operations that move nothing."""


@dataclass(frozen=True)
class LayerEstimate:
    """What an operation costs.

    Args:
        name: its ONNX name, None if it has none.
        kind: the operation, `nn.conv2d`.
        precision: in which it computes.
        device: `accelerator` or `host`.
        cycles: its part of the total: by how much it finishes after the layers before it.
        matrix_cycles: of the matrix unit.
        vector_cycles: of the vector unit, changes of precision included.
        read_bytes: weights, and what comes from DRAM.
        written_bytes: what goes to DRAM.
        macs: multiply-accumulate operations.
    """

    name: str | None
    kind: str
    precision: Precision
    device: str
    cycles: int
    matrix_cycles: int
    vector_cycles: int
    read_bytes: int
    written_bytes: int
    macs: int


@dataclass(frozen=True)
class Estimate:
    """What a function costs: the sums over its layers.

    Args:
        layers: in program order.
    """

    layers: tuple[LayerEstimate, ...]

    @property
    def cycles(self) -> int:
        """Cycles from start to end."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def read_bytes(self) -> int:
        """Bytes read from DRAM."""
        return sum(layer.read_bytes for layer in self.layers)

    @property
    def written_bytes(self) -> int:
        """Bytes written to DRAM."""
        return sum(layer.written_bytes for layer in self.layers)

    @property
    def dram_bytes(self) -> int:
        """Bytes over the DRAM port."""
        return self.read_bytes + self.written_bytes


def supported_precisions(op: Operation, target: Target) -> tuple[Precision, ...]:
    """The precisions in which an accelerator is able to execute an operation; none if it cannot at all.

    Args:
        op: an operation of the `nn` dialect, quantized or not yet.
        target: the accelerator.
    """
    if not isinstance(op, (*SUPPORTED, *IN_BFLOAT16)):
        return ()
    offered = [Precision.parse(text) for text in target.precisions]
    if not isinstance(op, IN_BFLOAT16):
        offered = [precision for precision in offered if not precision.is_bfloat16]
    if not isinstance(op, SUPPORTED):
        offered = [precision for precision in offered if precision.is_bfloat16]
    if isinstance(op, LINEAR):
        return tuple(offered)
    # Without weights, their width makes no difference: one precision for each width of activations.
    seen: dict[tuple[str, int], Precision] = {}
    for precision in offered:
        if precision.weight_bits <= 8 or precision.is_bfloat16:
            seen.setdefault((precision.kind, precision.activation_bits), precision)
    return tuple(seen.values())


def estimate(
    function: func.FuncOp | Block,
    assignment: Mapping[str, Precision],
    target: Target,
    default: Precision = Precision.INT8,
) -> Estimate:
    """Estimate the cost of a function.

    Args:
        function: `nn` operations, quantized or not; their constants are weights.
        assignment: precisions of operations by ONNX name.
        target: the accelerator.
        default: the precision of operations that are not named.
    """
    block = function.body.block if isinstance(function, func.FuncOp) else function
    return _Estimator(block, assignment, target, default).run()


def accelerator_cycles(op: Operation, target: Target) -> int:
    """What an operation takes on the accelerator by itself: the busiest of matrix unit, vector unit and DRAM port.

    What it reads and writes besides weights is not counted.

    Args:
        op: an operation of the `nn` dialect after quantization.
        target: the accelerator.
    """
    if isinstance(op, _FREE):
        return 0
    work = _work(op, _stored_precision(op), target)
    return max(work.matrix, work.vector, math.ceil(work.weights / target.dram_bytes_per_cycle))


def _stored_precision(op: Operation) -> Precision:
    """The precision in which the types of an operation's operands say that it computes."""
    activations = _stored_bits(op.operands[0])
    weights = _stored_bits(op.weight) if isinstance(op, LINEAR) else min(activations or 8, 8)
    if activations is None or weights is None:
        return Precision.BF16
    return Precision("int", 16 if activations > 8 else 8, min(weights, activations))


def _stored_bits(value: SSAValue) -> int | None:
    """The width of the integers that a tensor is stored as; None for floats."""
    kind = nn.tensor_of(value)
    element = (
        quant.storage_tensor_type(kind).get_element_type() if quant.is_quantized(kind) else kind.get_element_type()
    )
    return element.bitwidth if isa(element, IntegerType) else None


@dataclass
class _Value:
    """A tensor: how it is stored, and when its first and last part are there."""

    elements: int
    precision: Precision
    on_chip: bool
    is_input: bool = False
    first: float = 0.0
    last: float = 0.0
    uses: int = 0

    @property
    def bytes(self) -> int:
        return math.ceil(self.elements * min(self.precision.activation_bits, 16) / 8)


@dataclass
class _Work:
    """What a layer asks of the units."""

    matrix: int = 0
    vector: int = 0
    weights: int = 0
    macs: int = 0


@dataclass
class _Clock:
    matrix: float = 0.0
    vector: float = 0.0
    port: float = 0.0
    finished: float = 0.0


@dataclass
class _Estimator:
    block: Block
    assignment: Mapping[str, Precision]
    target: Target
    default: Precision
    clock: _Clock = field(default_factory=_Clock)
    values: dict[SSAValue, _Value] = field(default_factory=dict[SSAValue, _Value])

    def run(self) -> Estimate:
        for argument in self.block.args:
            self.values[argument] = _Value(_elements(argument), self.default, on_chip=False, is_input=True)
        layers: list[LayerEstimate] = []
        for op in self.block.ops:
            if isinstance(op, nn.ConstantOp | func.ReturnOp) or not op.results:
                continue
            if isinstance(op, _FREE) and op.operands[0] in self.values:
                self.values[op.results[0]] = self.values[op.operands[0]]
                continue
            layers.append(self._layer(op))
        return Estimate(tuple(layers))

    def _layer(self, op: Operation) -> LayerEstimate:
        name = name_of(op)
        precision = self.assignment.get(name, self.default) if name is not None else self.default
        on_chip = isinstance(op, quant.RequantizeOp) or _supports(op, precision, self.target)
        operands = op.operands[:1] if isinstance(op, LINEAR) else op.operands
        sources = [self.values[operand] for operand in operands if operand in self.values]
        work = _work(op, precision, self.target) if on_chip else _Work()
        distinct = list({id(value): value for value in sources}.values())
        read, written = work.weights, 0
        for value in distinct:
            crosses = value.on_chip != on_chip
            if on_chip and value.precision.activation_bits != precision.activation_bits and not value.is_input:
                work.vector += vector_cost("convert", 1, value.elements, 1, self.target).work_cycles
            if crosses and value.uses == 0:
                read, written = (read + value.bytes, written) if on_chip else (read, written + value.bytes)
            value.uses += 1
        first, last = self._play(work, sources, read + written)
        for result in op.results:
            self.values[result] = _Value(_elements(result), precision, on_chip, first=first, last=last)
        if on_chip and any(isinstance(use.operation, func.ReturnOp) for use in op.results[0].uses):
            written += self.values[op.results[0]].bytes
        before, self.clock.finished = self.clock.finished, max(self.clock.finished, last)
        return LayerEstimate(
            name,
            op.name,
            precision,
            "accelerator" if on_chip else "host",
            round(self.clock.finished) - round(before),
            work.matrix,
            work.vector,
            read,
            written,
            work.macs,
        )

    def _play(self, work: _Work, sources: list[_Value], moved: int) -> tuple[float, float]:
        """When a layer's first and its last part are done."""
        clock = self.clock
        first = max((source.first for source in sources), default=0.0)
        last = max((source.last for source in sources), default=0.0)
        # Weights are loaded ahead, as far as the scratchpad has room for them.
        ahead = self.target.scratchpad_bytes / 2 / self.target.dram_bytes_per_cycle
        arrives = max(clock.port, first - ahead) + moved / self.target.dram_bytes_per_cycle
        clock.port = arrives
        last = max(last, arrives)
        for unit, cycles in (("matrix", work.matrix), ("vector", work.vector)):
            if cycles:
                begun = max(getattr(clock, unit), first)
                setattr(clock, unit, begun + cycles)
                last = max(begun + cycles, last + cycles / _PARTS)
                first = begun + cycles / _PARTS
        return first, max(first, last)


def _supports(op: Operation, precision: Precision, target: Target) -> bool:
    """Whether the accelerator executes an operation so; without weights their width makes no difference."""
    if isinstance(op, LINEAR):
        return precision in supported_precisions(op, target)
    widths = {(found.kind, found.activation_bits) for found in supported_precisions(op, target)}
    return (precision.kind, precision.activation_bits) in widths


def _element_bytes(precision: Precision) -> ElementBytes:
    """Bytes of what an operation in some precision works on, its results as wide as its operands."""
    activations, weights = (math.ceil(min(bits, 16) / 8) for bits in (precision.activation_bits, precision.weight_bits))
    parameters = PARAMETER_BYTES if activations == 1 else WIDE_PARAMETER_BYTES
    if precision.is_bfloat16:
        parameters = BIAS_BYTES
    return ElementBytes(activations, activations, weights, activations, parameters)


def _elements(value: SSAValue) -> int:
    return math.prod(nn.tensor_of(value).get_shape())


def _kind(kind: str, precision: Precision) -> str:
    return _ON_BFLOAT16.get(kind, kind) if precision.is_bfloat16 else kind


def _work(op: Operation, precision: Precision, target: Target) -> _Work:
    shape = nn.tensor_of(op.results[0]).get_shape()
    positions, channels = math.prod(shape[:-1]), shape[-1] if shape else 1
    elements = _element_bytes(precision)
    if isinstance(op, NORMALIZATIONS):
        count = nn.tensor_of(op.operands[0]).get_shape()[op.axis.value.data]
        kind = _kind("softmax" if isinstance(op, nn.SoftmaxOp) else "normalize", precision)
        return _Work(0, vector_cost(kind, positions * channels // max(1, count), count, 1, target, elements).cycles)
    if isinstance(op, nn.MatmulOp):
        *batches, rows, depth = nn.tensor_of(op.lhs).get_shape()
        return _matmul_work(
            math.prod(batches), rows, depth, channels, replace(elements, weights=elements.input), target
        )
    if isinstance(op, nn.ResizeOp) and not is_movement(op):
        cycles = 0
        for mixture in mixtures_of(op):
            mixed = sum(run.count for run in mixture.rows) * sum(run.count for run in mixture.columns)
            wide = replace(elements, weights=mixture.weight_bytes)
            taps = math.prod(mixture.taps)
            cycles += vector_cost("depthwise", shape[0] * mixed, channels, taps, target, wide).cycles
        return _Work(0, cycles)
    if isinstance(op, MOVEMENT):
        return _Work(0, movement_cycles(op, target) if is_movement(op) else positions * channels)
    if isinstance(op, REDUCTIONS):
        kind = "max" if isinstance(op, nn.ReduceMaxOp | nn.ReduceMinOp) else "sum"
        kind = "root" if isinstance(op, nn.ReduceL2Op) else kind
        taps = math.prod(nn.tensor_of(op.operands[0]).get_shape()) // max(1, positions * channels)
        return _Work(0, vector_cost(kind, positions, channels, taps, target).cycles)
    if isinstance(op, LINEAR):
        weight = nn.tensor_of(op.weight).get_shape()
        if isinstance(op, nn.ConvTranspose2dOp):
            positions, weight = _phases(op, positions)
        stored = math.prod(weight) * precision.weight_bits // 8 + elements.parameters * weight[0]
        taps = math.prod(weight[1:-1])
        if isinstance(op, nn.Conv2dOp) and op.is_depthwise:
            cost = vector_cost("depthwise", positions, channels, taps, target, elements)
            return _Work(0, cost.work_cycles, stored, positions * taps * channels)
        groups = op.groups.value.data if isinstance(op, nn.Conv2dOp) else 1
        return _matrix_work(positions, _along_rows(op, weight), groups, elements, stored, target)
    if isinstance(op, nn.PoolOp):
        kind = "max" if isinstance(op, nn.MaxPool2dOp) else "sum"
        taps = math.prod(op.kernel.get_values())
        return _Work(0, vector_cost(kind, positions, channels, taps, target).cycles)
    kind = _kind(_ELEMENTWISE.get(type(op), "convert"), precision)
    if channels % target.array_size:
        positions, channels = 1, positions * channels
    return _Work(0, vector_cost(kind, positions, channels, 1, target).cycles)


def _matmul_work(count: int, rows: int, depth: int, columns: int, elements: ElementBytes, target: Target) -> _Work:
    """A product of two activations, in each of whose batches every `D` columns are a multiplication."""
    taps = math.ceil(depth / target.array_rows)
    passes = count * math.ceil(columns / target.array_size)
    tiles = math.ceil(rows / (target.accumulator_rows // 2))
    one = multiply_cost(math.ceil(rows / tiles), taps, target.array_rows, target.array_size, target, elements)
    requantize = vector_cost("requantize", rows, target.array_size, 1, target, elements)
    return _Work(passes * tiles * one.cycles, passes * requantize.cycles, 0, count * rows * depth * columns)


def _phases(op: nn.ConvTranspose2dOp, positions: int) -> tuple[int, tuple[int, ...]]:
    """Positions and weights of a transposed convolution as one of step 1 to all its phases."""
    outputs, rows, columns, _ = nn.tensor_of(op.weight).get_shape()
    strides = op.strides.get_values()
    phases = math.prod(strides)
    taps = [math.ceil(size / step) for size, step in zip((rows, columns), strides, strict=True)]
    return math.ceil(positions / phases), (phases * outputs, *taps, nn.tensor_of(op.input).get_shape()[3])


def _along_rows(op: Operation, weight: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of weights, with the kernel along the rows of an image of one column and few channels as one row."""
    if not isinstance(op, nn.Conv2dOp) or weight[2] > 1 or weight[3] > _FEW_CHANNELS:
        return weight
    widths = {nn.tensor_of(value).get_shape()[2] for value in (op.input, op.result)}
    return (weight[0], 1, weight[1], weight[3]) if widths == {1} else weight


def _matrix_work(
    positions: int, weight: tuple[int, ...], groups: int, elements: ElementBytes, stored: int, target: Target
) -> _Work:
    inner, size = target.array_rows, target.array_size
    outputs, (rows, columns, depth) = weight[0], weight[1:] if len(weight) == 4 else (1, 1, weight[1])
    bundle = max(1, min(inner // depth, size // max(1, outputs // groups), groups)) if groups > 1 else 1
    passes = math.ceil(groups / bundle) * math.ceil(outputs // groups * bundle / size)
    taps = rows * math.ceil(columns * depth * bundle / inner)
    tiles = math.ceil(positions / (target.accumulator_rows // 2))
    one = multiply_cost(math.ceil(positions / tiles), taps, inner, size, target, elements)
    cycles = passes * tiles * one.cycles
    requantize = passes * vector_cost("requantize", positions, size, 1, target).cycles
    return _Work(cycles, requantize, stored, positions * math.prod(weight))
