"""The instruction set, defined once: encoder, decoder, assembler, `isa` dialect and documentation follow from it.

A word has 128 bits, little endian: `opcode` in bits 0-7, `wait` in 8-23, `signal` in 24-39, operands from bit 40
upwards in the order given here, the rest zero. The meaning of each instruction is specified in `docs/accelerator.md`.
"""

from __future__ import annotations

from intaglio.targets.float_instructions import FLOAT_INSTRUCTIONS
from intaglio.targets.instruction_format import CHANNELS as _CHANNELS
from intaglio.targets.instruction_format import OPERAND_BITS, WORD_BITS, Field, Instruction, Queue
from intaglio.targets.instruction_format import ORIGIN as _ORIGIN
from intaglio.targets.instruction_format import count_field as _count
from intaglio.targets.instruction_format import element_bytes_field as _element_bytes
from intaglio.targets.instruction_format import scratchpad_field as _scratchpad
from intaglio.targets.instruction_format import vector_states as _vector

WORD_BYTES = WORD_BITS // 8
SEMAPHORES = 16
REGIONS = 16
"""DRAM regions that a program can name: constants, arena, inputs and outputs."""

PARAMETER_BYTES = 12
"""Bytes of one channel's bias, multiplier and shift, little-endian i32 each."""

WIDE_PARAMETER_BYTES = 16
"""The same with a bias of i64."""

TABLE_ENTRIES = 256
"""Entries of a table that is looked up, as many as a byte has values."""

EXPONENTIAL_BYTES = 1024
"""Bytes of a table of exponentials, of which elements of two bytes need two: for each byte of a difference."""

AFFINE_BYTES = 8
"""Bytes of one channel's factor and offset, little-endian i32 each."""

WIDE_AFFINE_BYTES = 16
"""The same for results of two bytes: an offset of i64, a factor of i32, and four bytes that are not read."""

INTERPOLATED_ENTRIES = 513
"""Entries of two bytes of a table that is interpolated: one for each 128 values of two bytes, and one more."""


def _shape_fields(direction: str) -> tuple[Field, ...]:
    return (
        Field("level", 2, "loop level, 0 the innermost of three around the contiguous run", most=2),
        _count("count", 16, "number of repetitions"),
        Field("dram_stride", 32, f"bytes between repetitions in DRAM ({direction})", signed=True),
        Field("scratchpad_stride", 23, "bytes between repetitions in the scratchpad", signed=True),
    )


_TRANSFER = (
    Field("region", 4, "number of the DRAM region"),
    Field("dram_offset", 32, "first byte, relative to the region"),
    _scratchpad("scratchpad", "first byte in the scratchpad"),
    _count("bytes", 22, "length of the contiguous run"),
)

_FEATURE_MAP = (
    _scratchpad("base", "address of row 0, byte 0"),
    Field("row_stride", 20, "bytes between rows"),
    _count("row_bytes", 20, "valid bytes in a row: a byte outside reads as `pad`"),
    _count("rows", 16, "valid rows: a row outside reads as `pad`"),
    Field("pad", 8, "value read outside; of two-byte elements the high byte, the low one is 0", signed=True),
    _element_bytes("bytes of an element"),
)

_WINDOW = (
    _count("columns", 16, "output positions in a row"),
    _count("rows", 16, "output rows"),
    Field("step_x", 20, "bytes from an output position to the next, in the input"),
    Field("step_y", 16, "input rows from an output row to the next"),
)

_TAPS = (
    _count("columns", 16, "taps in a kernel row"),
    _count("rows", 16, "kernel rows"),
    Field("step_x", 20, "bytes from a tap to the next, in the input"),
    Field("step_y", 16, "input rows from a kernel row to the next"),
)


def _levels(queue: str) -> tuple[str, ...]:
    return tuple(f"{queue}.shape[{level}]" for level in range(3))


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction("end", 0x01, Queue.SEQUENCER, "End of the program; all queues run empty."),
    Instruction(
        "load.shape",
        0x10,
        Queue.LOAD,
        "Set one loop level of loads.",
        _shape_fields("read"),
        configures="load.shape",
        selector="level",
    ),
    Instruction("load.run", 0x11, Queue.LOAD, "Copy from DRAM to the scratchpad.", _TRANSFER, uses=_levels("load")),
    Instruction(
        "store.shape",
        0x20,
        Queue.STORE,
        "Set one loop level of stores.",
        _shape_fields("written"),
        configures="store.shape",
        selector="level",
    ),
    Instruction("store.run", 0x21, Queue.STORE, "Copy from the scratchpad to DRAM.", _TRANSFER, uses=_levels("store")),
    Instruction(
        "matrix.input",
        0x30,
        Queue.MATRIX,
        "Set the feature map that multiplications read.",
        _FEATURE_MAP,
        configures="matrix.input",
    ),
    Instruction(
        "matrix.window",
        0x31,
        Queue.MATRIX,
        "Set the output positions of multiplications.",
        _WINDOW,
        configures="matrix.window",
    ),
    Instruction(
        "matrix.taps", 0x32, Queue.MATRIX, "Set the kernel taps of multiplications.", _TAPS, configures="matrix.taps"
    ),
    Instruction(
        "matrix.weights",
        0x33,
        Queue.MATRIX,
        "Set where weight tiles lie: `inner` rows of `outer` weights for each tap.",
        (
            _scratchpad("base", "address of the first tap's tile"),
            Field("tap_stride", 22, "bytes between the tiles of consecutive taps"),
            Field("row_stride", 16, "bytes between the rows of a tile"),
            _element_bytes("bytes of a weight"),
            Field("packed", 1, "1: weights of 4 bits, two in a byte, the lower bits first", default=0),
            Field("zero_point", 9, "subtracted from weights", signed=True, default=0),
            Field("input_zero_point", 9, "subtracted from what is read of the input", signed=True, default=0),
            Field("bfloat16", 1, "1: values and weights are bfloat16, sums float32", default=0),
        ),
        configures="matrix.weights",
    ),
    Instruction(
        "matrix.multiply",
        0x34,
        Queue.MATRIX,
        "Multiply each window position's elements with the weight tile of each tap, into the accumulators.",
        (
            _count("inner", 6, "elements read at a position: rows of the weight tile, at most D"),
            _count("outer", 6, "columns of the weight tile, at most D"),
            *_ORIGIN,
            Field("accumulator", 11, "accumulator row of the first output position"),
            Field("accumulate", 1, "add to the accumulators rather than overwrite them"),
        ),
        uses=("matrix.input", "matrix.window", "matrix.taps", "matrix.weights"),
    ),
    Instruction(
        "vector.input",
        0x40,
        Queue.VECTOR,
        "Set the feature map of the first operand.",
        _FEATURE_MAP,
        configures="vector.input",
    ),
    Instruction("vector.window", 0x41, Queue.VECTOR, "Set the output positions.", _WINDOW, configures="vector.window"),
    Instruction(
        "vector.taps",
        0x42,
        Queue.VECTOR,
        "Set the window taps of pooling and depthwise convolution.",
        _TAPS,
        configures="vector.taps",
    ),
    Instruction(
        "vector.output",
        0x43,
        Queue.VECTOR,
        "Set where results are written.",
        (
            _scratchpad("base", "address of the first output position's first channel"),
            Field("row_stride", 22, "bytes between output rows"),
            Field("column_stride", 22, "bytes between output positions in a row"),
            _element_bytes("bytes of a result"),
        ),
        configures="vector.output",
    ),
    Instruction(
        "vector.operand",
        0x44,
        Queue.VECTOR,
        "Set the second operand; a stride of 0 broadcasts.",
        (
            _scratchpad("base", "address of the element for the first output position and channel"),
            Field("row_stride", 22, "bytes between output rows"),
            Field("column_stride", 22, "bytes between output positions in a row"),
            Field("channel_stride", 1, "1, or 0 to use one element for all channels"),
            _element_bytes("bytes of an element"),
        ),
        configures="vector.operand",
    ),
    Instruction(
        "vector.weights",
        0x45,
        Queue.VECTOR,
        "Set the weights of depthwise convolution: one a channel for each tap.",
        (
            _scratchpad("base", "address of the first tap's first channel"),
            Field("tap_stride", 22, "bytes between consecutive taps"),
            _element_bytes("bytes of a weight"),
        ),
        configures="vector.weights",
    ),
    Instruction(
        "vector.parameters",
        0x46,
        Queue.VECTOR,
        "Set the per-channel requantization: bias, multiplier and shift of each channel, little-endian.",
        (
            _scratchpad("base", "address of the first channel's parameters"),
            Field("wide", 1, "0: three i32, sums of 32 bits; 1: an i64 and two i32, sums of 48 bits", default=0),
        ),
        configures="vector.parameters",
    ),
    Instruction(
        "vector.scale",
        0x47,
        Queue.VECTOR,
        "Set the scaling of one operand.",
        (
            Field("operand", 2, "0 result, 1 first operand, 2 second operand", most=2),
            Field("multiplier", 31, "integer multiplier; 2**30 or more keeps full precision"),
            Field("shift", 6, "right shift after the multiplication", least=2, most=62),
            Field("zero_point", 16, "zero point", signed=True),
        ),
        configures="vector.scale",
        selector="operand",
    ),
    Instruction(
        "vector.clamp",
        0x48,
        Queue.VECTOR,
        "Set the bounds of results, and the rounding of every rescale.",
        (
            Field("low", 16, "smallest result, which the output's elements hold", signed=True),
            Field("high", 16, "largest result, likewise, not below `low`", signed=True),
            Field("double_round", 1, "0: one rounding; 1: TOSA DOUBLE_ROUND"),
        ),
        configures="vector.clamp",
    ),
    Instruction(
        "vector.table",
        0x49,
        Queue.VECTOR,
        "Set the table: 256 entries, that of stored value v at v + 128, or 513 to interpolate between.",
        (_scratchpad("base", "address of the first entry"),),
        configures="vector.table",
    ),
    Instruction(
        "vector.exponentials",
        0x4A,
        Queue.VECTOR,
        "Set the table of `vector.softmax`: 256 little-endian i32, the exponential of difference d at 4 * d; for "
        "elements of two bytes 256 more, that of 256 * d at 1024 + 4 * d.",
        (
            _scratchpad("base", "address of the first entry"),
            Field("fraction", 5, "bits after the point of the entries, for elements of two bytes", default=0),
        ),
        configures="vector.exponentials",
    ),
    Instruction(
        "vector.normalization",
        0x4B,
        Queue.VECTOR,
        "Set what `vector.normalize` divides by, and what it multiplies by and adds: 8 bytes a channel, as two i32; "
        "for results of two bytes 16, as an i64 to add, an i32 to multiply by, and 4 bytes that are not read.",
        (
            _scratchpad("base", "address of the first channel's factor and offset"),
            Field("around_mean", 1, "1: subtract the mean first; 0: do not"),
            Field("epsilon", 62, "added to the squared deviation times the channels squared", most=1 << 61),
        ),
        configures="vector.normalization",
    ),
    Instruction(
        "vector.offset",
        0x4C,
        Queue.VECTOR,
        "Set what `vector.logarithm` adds.",
        (Field("value", 32, "the logarithm of the first operand's scale, with 23 bits after the point", signed=True),),
        configures="vector.offset",
    ),
    Instruction(
        "vector.requantize",
        0x50,
        Queue.VECTOR,
        "Rescale accumulators with the per-channel parameters.",
        (
            Field("accumulator", 11, "accumulator row of the first output position"),
            _count("channels", 6, "channels, at most D"),
        ),
        uses=_vector("parameters", "scale[0]"),
    ),
    Instruction(
        "vector.depthwise",
        0x51,
        Queue.VECTOR,
        "Depthwise convolution, rescaled per channel.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "taps", "weights", "parameters", "scale[0]"),
    ),
    Instruction(
        "vector.max",
        0x52,
        Queue.VECTOR,
        "Largest element over the taps.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "taps"),
    ),
    Instruction(
        "vector.sum",
        0x53,
        Queue.VECTOR,
        "Sum over the taps less the first operand's zero point, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "taps", "scale[0]", "scale[1]"),
    ),
    Instruction(
        "vector.add",
        0x54,
        Queue.VECTOR,
        "Both operands rescaled and added, the sum rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.subtract",
        0x55,
        Queue.VECTOR,
        "Both operands rescaled and subtracted, the difference rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.multiply",
        0x56,
        Queue.VECTOR,
        "Product of both operands less their zero points, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.convert",
        0x57,
        Queue.VECTOR,
        "First operand less its zero point, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "scale[0]", "scale[1]"),
    ),
    Instruction(
        "vector.lookup",
        0x58,
        Queue.VECTOR,
        "First operand, of bytes, through a table of 256 results.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "table"),
    ),
    Instruction(
        "vector.interpolate",
        0x59,
        Queue.VECTOR,
        "First operand, of two bytes, between the entries of a table of 513, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "table", "scale[0]"),
    ),
    Instruction(
        "vector.transpose",
        0x5A,
        Queue.VECTOR,
        "Columns and channels of the first operand, of bytes, exchanged: those of a row are a matrix.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input"),
    ),
    Instruction(
        "vector.minimum",
        0x5B,
        Queue.VECTOR,
        "The smaller of both operands rescaled, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.maximum",
        0x5C,
        Queue.VECTOR,
        "The larger of both operands rescaled, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.divide",
        0x5D,
        Queue.VECTOR,
        "First operand less its zero point over the second one less its own, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "operand", "scale[0]", "scale[1]", "scale[2]"),
    ),
    Instruction(
        "vector.root",
        0x5E,
        Queue.VECTOR,
        "Root of the sum of squares over the taps less the first operand's zero point, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "taps", "scale[0]", "scale[1]"),
    ),
    Instruction(
        "vector.softmax",
        0x5F,
        Queue.VECTOR,
        "Softmax over the channels of each position, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "exponentials", "scale[0]"),
    ),
    Instruction(
        "vector.normalize",
        0x60,
        Queue.VECTOR,
        "Channels of each position over their deviation, times a factor plus an offset each, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "normalization", "scale[0]", "scale[1]"),
    ),
    Instruction(
        "vector.logarithm",
        0x61,
        Queue.VECTOR,
        "Natural logarithm of the first operand, of two bytes, plus an offset, rescaled.",
        (_CHANNELS, *_ORIGIN),
        uses=_vector("input", "offset", "scale[0]"),
    ),
    *FLOAT_INSTRUCTIONS,
)

__all__ = [
    "AFFINE_BYTES",
    "BY_MNEMONIC",
    "BY_OPCODE",
    "EXPONENTIAL_BYTES",
    "INSTRUCTIONS",
    "INTERPOLATED_ENTRIES",
    "OPERAND_BITS",
    "PARAMETER_BYTES",
    "REGIONS",
    "SEMAPHORES",
    "TABLE_ENTRIES",
    "WIDE_PARAMETER_BYTES",
    "WORD_BITS",
    "WORD_BYTES",
    "Field",
    "Instruction",
    "Queue",
    "state_key",
]

BY_MNEMONIC = {instruction.mnemonic: instruction for instruction in INSTRUCTIONS}
BY_OPCODE = {instruction.opcode: instruction for instruction in INSTRUCTIONS}


def state_key(instruction: Instruction, values: tuple[int, ...]) -> str:
    """Return the name of the state that a configuring instruction sets, `vector.clamp` or `load.shape[1]`."""
    assert instruction.configures is not None
    if instruction.selector is None:
        return instruction.configures
    return f"{instruction.configures}[{values[instruction.positions[instruction.selector]]}]"
