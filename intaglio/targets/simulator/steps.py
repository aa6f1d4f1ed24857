"""Decoded instructions with all they need: operands, and the sticky state in force, resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from intaglio.targets.encoding import ProgramError, Word
from intaglio.targets.instructions import Queue
from intaglio.targets.simulator.geometry import Grid, Lattice, WindowRead


@dataclass(frozen=True)
class Scale:
    """One operand's scaling: `rescale(value, multiplier, shift)` and the zero point."""

    multiplier: int
    shift: int
    zero_point: int


@dataclass(frozen=True)
class Clamp:
    """Bounds of results, and whether rescaling rounds twice."""

    low: int
    high: int
    double_round: bool


@dataclass(frozen=True)
class Transfer:
    """`load.run` or `store.run`: `dram[i]` and `scratchpad[i]` are the two sides of byte i."""

    is_load: bool
    region: int
    dram: Lattice
    scratchpad: Lattice

    @property
    def run_bytes(self) -> int:
        """Length of a contiguous run."""
        return self.dram.shape[-1]

    @property
    def size(self) -> int:
        """Bytes moved."""
        return self.dram.size


@dataclass(frozen=True)
class Multiply:
    """`matrix.multiply`; `weights` has dimensions tap, inner, outer (half of it where weights are packed)."""

    read: WindowRead
    weights: Lattice
    outer: int
    """Columns of a weight tile."""
    is_packed: bool
    """Whether weights have 4 bits, two in a byte."""
    accumulator: int
    accumulate: bool
    zero_points: tuple[int, int] = (0, 0)
    """Subtracted from values and from weights."""
    is_float: bool = False
    """Whether values and weights are bfloat16."""

    @property
    def positions(self) -> int:
        """Output positions, one accumulator row each."""
        return self.read.window.count

    @property
    def inner(self) -> int:
        """Rows of a weight tile."""
        return self.weights.shape[1]

    @property
    def is_wide(self) -> bool:
        """Whether sums wrap at 48 bits rather than 32."""
        return max(self.read.map.element_bytes, self.weights.width) > 1


@dataclass(frozen=True)
class Parameters:
    """The bytes of the channels' bias, multiplier and shift, and whether these are for sums of 48 bits."""

    bytes: Lattice
    is_wide: bool


@dataclass(frozen=True)
class Requantize:
    """`vector.requantize`; `output` has dimensions row, column, channel."""

    accumulator: int
    window: Grid
    parameters: Parameters
    output: Lattice
    result: Scale
    clamp: Clamp


@dataclass(frozen=True)
class Depthwise:
    """`vector.depthwise`; `weights` has dimensions tap, channel."""

    read: WindowRead
    weights: Lattice
    parameters: Parameters
    output: Lattice
    result: Scale
    clamp: Clamp


class Pooling(Enum):
    """What becomes of the values at the taps."""

    MAX = "max"
    SUM = "sum"
    ROOT = "root"


@dataclass(frozen=True)
class Pool:
    """`vector.max` (which has no scales), `vector.sum` or `vector.root`."""

    kind: Pooling
    read: WindowRead
    output: Lattice
    clamp: Clamp
    result: Scale | None = None
    operand: Scale | None = None


class Binary(Enum):
    """How two operands are combined."""

    ADD = "add"
    SUBTRACT = "subtract"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


@dataclass(frozen=True)
class Elementwise:
    """An instruction with two operands; `second` has the dimensions of `output`."""

    kind: Binary
    read: WindowRead
    second: Lattice
    output: Lattice
    result: Scale
    scales: tuple[Scale, Scale]
    clamp: Clamp


@dataclass(frozen=True)
class Convert:
    """`vector.convert`."""

    read: WindowRead
    output: Lattice
    result: Scale
    operand: Scale
    clamp: Clamp


@dataclass(frozen=True)
class Lookup:
    """`vector.lookup`."""

    read: WindowRead
    table: Lattice
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class Interpolate:
    """`vector.interpolate`."""

    read: WindowRead
    table: Lattice
    output: Lattice
    result: Scale
    clamp: Clamp


@dataclass(frozen=True)
class Logarithm:
    """`vector.logarithm`."""

    read: WindowRead
    offset: int
    output: Lattice
    result: Scale
    clamp: Clamp


@dataclass(frozen=True)
class Transpose:
    """`vector.transpose`; `output` has dimensions row, column, channel, of which columns lie beside each other."""

    read: WindowRead
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class Softmax:
    """`vector.softmax`; `table` holds another table after the first, and entries `fraction` bits, for two bytes."""

    read: WindowRead
    table: Lattice
    fraction: int
    output: Lattice
    result: Scale
    clamp: Clamp


@dataclass(frozen=True)
class Normalize:
    """`vector.normalize`; `affine` holds a factor and an offset for each channel, in the order of their width."""

    read: WindowRead
    affine: Lattice
    around_mean: bool
    epsilon: int
    output: Lattice
    result: Scale
    operand: Scale
    clamp: Clamp


@dataclass(frozen=True)
class FloatSums:
    """`vector.float_sums`; `biases` has the bytes of a float32 for each channel."""

    accumulator: int
    window: Grid
    biases: Lattice
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatDepthwise:
    """`vector.float_depthwise`; `weights` has dimensions tap, channel."""

    read: WindowRead
    weights: Lattice
    biases: Lattice
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatPool:
    """`vector.float_pool`."""

    function: str
    divisor: int
    read: WindowRead
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatCombine:
    """`vector.float_combine`; `second` has the dimensions of `output`."""

    function: str
    read: WindowRead
    second: Lattice
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatMap:
    """`vector.float_map`."""

    function: str
    alpha: float
    beta: float
    read: WindowRead
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatSoftmax:
    """`vector.float_softmax`."""

    read: WindowRead
    output: Lattice
    clamp: Clamp


@dataclass(frozen=True)
class FloatNormalize:
    """`vector.float_normalize`; `affine` holds the bytes of a factor and an offset for each channel, two float32."""

    read: WindowRead
    affine: Lattice
    around_mean: bool
    epsilon: float
    output: Lattice
    clamp: Clamp


FloatRowWork = FloatSoftmax | FloatNormalize
RowWork = Transpose | Softmax | Normalize
"""What makes a result of more than one element of a row, so that it cannot take the place of its operand."""

FloatWork = FloatSums | FloatDepthwise | FloatPool | FloatCombine | FloatMap | FloatRowWork
AccumulatorWork = Requantize | FloatSums
TappedWork = Depthwise | Pool | FloatDepthwise | FloatPool
BinaryWork = Elementwise | FloatCombine
IntegerWork = Requantize | Depthwise | Pool | Elementwise | Convert | Lookup | Interpolate | Logarithm
VectorWork = IntegerWork | RowWork | FloatWork
Work = Transfer | Multiply | VectorWork


def window_read_of(work: Work | None) -> WindowRead | None:
    """Return the feature map read of an instruction that has one."""
    if work is None or isinstance(work, Transfer | AccumulatorWork):
        return None
    return work.read


@dataclass(frozen=True)
class Step:
    """One word of a program.

    Args:
        index: its number in the stream.
        word: the word.
        wait: semaphores it takes from.
        signal: semaphores it adds to.
        work: what it does; None if it configures a queue.
        name: the ONNX name it comes from, if known.
    """

    index: int
    word: Word
    wait: tuple[int, ...]
    signal: tuple[int, ...]
    work: Work | None
    name: str | None

    @property
    def queue(self) -> Queue:
        """The queue that executes it."""
        return self.word.instruction.queue

    def describe(self) -> str:
        """Return it for a message: `instruction 7 (load.run region=2 ...) of "stem/Conv"`."""
        return described(self.index, self.word, self.name)

    def error(self, what: str, hint: str | None = None) -> ProgramError:
        """Return the error that this instruction is wrong."""
        return ProgramError(what, where=self.describe(), hint=hint)


def described(index: int, word: Word, name: str | None) -> str:
    """Return an instruction for a message: `instruction 7 (load.run region=2 ...) of "stem/Conv"`."""
    return f"instruction {index} ({word.text()})" + (f' of "{name}"' if name else "")


def name_at(names: Sequence[str | None], index: int) -> str | None:
    """Return the ONNX name of a word, or None if it has none."""
    return names[index] if index < len(names) else None
