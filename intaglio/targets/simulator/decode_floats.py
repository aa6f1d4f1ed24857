"""From words on bfloat16 to steps; what one instruction alone can get wrong is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from intaglio.numerics.bfloat16 import LARGEST_ORDINAL
from intaglio.numerics.float_lanes import COMBINATIONS, FUNCTIONS, POOLINGS, single
from intaglio.targets.encoding import ProgramError
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import AFFINE_BYTES
from intaglio.targets.simulator.geometry import Grid, Lattice, WindowRead
from intaglio.targets.simulator.steps import (
    Clamp,
    FloatCombine,
    FloatDepthwise,
    FloatMap,
    FloatNormalize,
    FloatPool,
    FloatSoftmax,
    FloatSums,
    Multiply,
    Work,
)
from intaglio.targets.target import Target

Operands = dict[str, int]
State = dict[str, dict[str, int]]
Reader = Callable[[Operands, State, int], WindowRead]
"""Reads a window of some elements, with its taps or with one, as the integer instructions do."""

WIDTH = 2
"""Bytes of an element."""


def check_precision(target: Target) -> None:
    """Refuse bfloat16 where the target has none."""
    if "bf16" not in target.precisions:
        raise ProgramError(
            f"{target.name} has no bfloat16", hint="compile for a target whose precisions list bf16, such as gen2"
        )


def check_width(state: State, *names: str) -> None:
    """Refuse elements that are not two bytes."""
    for name in names:
        if state[name]["element_bytes"] != WIDTH:
            raise ProgramError(f"bfloat16 has two bytes, {name} has elements of one")


def float_multiply(work: Multiply, state: State, target: Target) -> Multiply:
    """A multiplication whose operands are bfloat16."""
    check_precision(target)
    check_width(state, "input", "weights")
    if work.is_packed or any(work.zero_points):
        raise ProgramError("bfloat16 has no packed weights and no zero points")
    return replace(work, read=_as_floats(work.read), is_float=True)


def _as_floats(read: WindowRead) -> WindowRead:
    return replace(read, map=replace(read.map, is_float=True))


def _clamp(state: State) -> Clamp:
    low, high = (state["clamp"][name] for name in ("low", "high"))
    if max(abs(low), abs(high)) > LARGEST_ORDINAL:
        raise ProgramError(f"the bounds {low} and {high} are no ordinals of bfloat16, which end at {LARGEST_ORDINAL}")
    return Clamp(low, high, False)


def _biases(state: State, channels: int) -> Lattice:
    if state["parameters"]["wide"]:
        raise ProgramError("the biases of bfloat16 have 4 bytes", hint="set wide of vector.parameters to 0")
    return Lattice(state["parameters"]["base"], (BIAS_BYTES * channels,), (1,))


def decoders(
    read: Reader, read_taps: Reader, output: Callable[[State, int], Lattice], at_most: Callable[[str, int, int], int]
) -> Mapping[str, Callable[[Operands, State, Target], Work]]:
    """What decodes each instruction.

    Args:
        read: reads a window of elements at one tap.
        read_taps: reads it at all taps.
        output: where results are written.
        at_most: refuses what is larger than the array.
    """

    def checked(make: Callable[[Operands, State], Work], *inputs: str) -> Callable[[Operands, State, Target], Work]:
        def decode(operands: Operands, state: State, target: Target) -> Work:
            check_precision(target)
            check_width(state, *inputs, "output")
            at_most("channels", operands["channels"], target.array_size) if not inputs else None
            return make(operands, state)

        return decode

    def sums(operands: Operands, state: State) -> Work:
        channels = operands["channels"]
        window, biases = Grid(**state["window"]), _biases(state, channels)
        return FloatSums(operands["accumulator"], window, biases, output(state, channels), _clamp(state))

    def depthwise(operands: Operands, state: State) -> Work:
        channels, weights = operands["channels"], state["weights"]
        source = _as_floats(read_taps(operands, state, channels))
        shape, strides = (source.taps.count, channels), (weights["tap_stride"], WIDTH)
        tiles = Lattice(weights["base"], shape, strides, WIDTH)
        return FloatDepthwise(source, tiles, _biases(state, channels), output(state, channels), _clamp(state))

    def pool(operands: Operands, state: State) -> Work:
        channels, function = operands["channels"], tuple(POOLINGS)[operands["function"]]
        source = _as_floats(read_taps(operands, state, channels))
        return FloatPool(function, operands["divisor"], source, output(state, channels), _clamp(state))

    def combine(operands: Operands, state: State) -> Work:
        second, written = state["operand"], output(state, operands["channels"])
        strides = (second["row_stride"], second["column_stride"], second["channel_stride"] * WIDTH)
        source = _as_floats(read(operands, state, operands["channels"]))
        other = Lattice(second["base"], written.shape, strides, WIDTH)
        return FloatCombine(tuple(COMBINATIONS)[operands["function"]], source, other, written, _clamp(state))

    def map_elements(operands: Operands, state: State) -> Work:
        alpha, beta = (single(state["coefficients"][name]) for name in ("alpha", "beta"))
        source = _as_floats(read(operands, state, operands["channels"]))
        written = output(state, operands["channels"])
        return FloatMap(FUNCTIONS[operands["function"]], alpha, beta, source, written, _clamp(state))

    def softmax(operands: Operands, state: State) -> Work:
        source = _as_floats(read(operands, state, operands["channels"]))
        return FloatSoftmax(source, output(state, operands["channels"]), _clamp(state))

    def normalize(operands: Operands, state: State) -> Work:
        channels, settings = operands["channels"], state["normalization"]
        if settings["epsilon"] >= 1 << 32:
            raise ProgramError(f"epsilon has the bits of a float32, got {settings['epsilon']}")
        source = _as_floats(read(operands, state, channels))
        affine = Lattice(settings["base"], (AFFINE_BYTES * channels,), (1,))
        around_mean, epsilon = bool(settings["around_mean"]), single(settings["epsilon"])
        return FloatNormalize(source, affine, around_mean, epsilon, output(state, channels), _clamp(state))

    return {
        "vector.float_sums": checked(sums),
        "vector.float_depthwise": checked(depthwise, "input", "weights"),
        "vector.float_pool": checked(pool, "input"),
        "vector.float_combine": checked(combine, "input", "operand"),
        "vector.float_map": checked(map_elements, "input"),
        "vector.float_softmax": checked(softmax, "input"),
        "vector.float_normalize": checked(normalize, "input"),
    }
