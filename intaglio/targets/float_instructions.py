"""Instructions of the vector queue on bfloat16, which targets whose precisions list `bf16` have.

They are given windows, outputs and operands as those on integers are. Lanes compute in float32; results are rounded to
bfloat16, and the bounds of `vector.clamp` are ordinals (`intaglio.numerics.bfloat16`).
"""

from __future__ import annotations

from intaglio.numerics.float_lanes import COMBINATIONS, FUNCTIONS, POOLINGS
from intaglio.targets.instruction_format import CHANNELS, ORIGIN, Field, Instruction, Queue, count_field, vector_states


def _function(bits: int, names: tuple[str, ...]) -> Field:
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    return Field("function", bits, listed, most=len(names) - 1)


FLOAT_INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction(
        "vector.coefficients",
        0x4D,
        Queue.VECTOR,
        "Set the coefficients of functions that have some.",
        (
            Field("alpha", 32, "the bits of a float32"),
            Field("beta", 32, "likewise"),
        ),
        configures="vector.coefficients",
    ),
    Instruction(
        "vector.float_sums",
        0x62,
        Queue.VECTOR,
        "Accumulators of bfloat16 products plus the bias of each channel, 4 bytes of a float32.",
        (
            Field("accumulator", 11, "accumulator row of the first output position"),
            count_field("channels", 6, "channels, at most D"),
        ),
        uses=vector_states("parameters"),
    ),
    Instruction(
        "vector.float_depthwise",
        0x63,
        Queue.VECTOR,
        "Depthwise convolution of bfloat16, plus the bias of each channel, 4 bytes of a float32.",
        (CHANNELS, *ORIGIN),
        uses=vector_states("input", "taps", "weights", "parameters"),
    ),
    Instruction(
        "vector.float_pool",
        0x64,
        Queue.VECTOR,
        "The largest or smallest bfloat16 over the taps, or their sum over a divisor.",
        (
            CHANNELS,
            *ORIGIN,
            _function(2, tuple(POOLINGS)),
            count_field("divisor", 24, "what a sum is divided by"),
        ),
        uses=vector_states("input", "taps"),
    ),
    Instruction(
        "vector.float_combine",
        0x65,
        Queue.VECTOR,
        "Two bfloat16 operands combined.",
        (CHANNELS, *ORIGIN, _function(4, tuple(COMBINATIONS))),
        uses=vector_states("input", "operand"),
    ),
    Instruction(
        "vector.float_map",
        0x66,
        Queue.VECTOR,
        "A function of bfloat16.",
        (CHANNELS, *ORIGIN, _function(6, FUNCTIONS)),
        uses=vector_states("input", "coefficients"),
    ),
    Instruction(
        "vector.float_softmax",
        0x67,
        Queue.VECTOR,
        "Softmax of bfloat16 over the channels of each position.",
        (CHANNELS, *ORIGIN),
        uses=vector_states("input"),
    ),
    Instruction(
        "vector.float_normalize",
        0x68,
        Queue.VECTOR,
        "Channels of each position, of bfloat16, over their deviation, times a factor plus an offset each.",
        (CHANNELS, *ORIGIN),
        uses=vector_states("input", "normalization"),
    ),
)
