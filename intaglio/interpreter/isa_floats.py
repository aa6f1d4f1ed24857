"""The meaning of the accelerator's instructions on bfloat16, and the rule of programs.

This is the section Bfloat16 of `docs/accelerator.md` in code, position by position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from intaglio.dialects import isa
from intaglio.interpreter.isa import ACCUMULATOR_ROWS, LANES, Machine, Operands
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array
from intaglio.numerics.bfloat16 import floats_of
from intaglio.numerics.float_lanes import (
    COMBINATIONS,
    FUNCTIONS,
    POOLINGS,
    clamped,
    mapped,
    normalized,
    single,
    softmax,
)
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import AFFINE_BYTES

FloatArray = npt.NDArray[np.float32]

MINUS_INFINITY = -128
"""The bits 0xFF80, for which 0xFF in the high byte of a padding stands."""


@rule(isa.ProgramOp)
def program(op: isa.ProgramOp, operands: list[Array]) -> list[Array]:
    """The outputs of a program, given its inputs by what launches it."""
    machine = FloatMachine(op, operands)
    for instruction in op.instructions:
        machine.execute(instruction)
    return machine.outputs()


class FloatMachine(Machine):
    """A machine with accumulators and lanes for floats, too."""

    def __init__(self, op: isa.ProgramOp, inputs: Sequence[Array]) -> None:
        super().__init__(op, inputs)
        self._float_accumulators = np.zeros((ACCUMULATOR_ROWS, LANES), np.float32)
        instructions: dict[str, Callable[[Operands], None]] = {
            "vector.float_sums": self._float_sums,
            "vector.float_depthwise": self._float_depthwise,
            "vector.float_pool": self._float_pool,
            "vector.float_combine": self._float_combine,
            "vector.float_map": self._float_map,
            "vector.float_softmax": self._float_softmax,
            "vector.float_normalize": self._float_normalize,
        }
        self._instructions.update(instructions)

    def _floats(
        self, queue: str, operands: Operands, oy: int, ox: int, width: int, tap: tuple[int, int] = (0, 0)
    ) -> FloatArray:
        """The elements of a feature map at an output position and a tap."""
        outside = MINUS_INFINITY if self._get(f"{queue}.input")["pad"] == -1 else None
        return floats_of(self._value(queue, operands, oy, ox, width, tap, outside))

    def _matrix_multiply(self, operands: Operands) -> None:
        weights = self._get("matrix.weights")
        if not weights["bfloat16"]:
            super()._matrix_multiply(operands)
            return
        inner, outer = operands["inner"], operands["outer"]
        tiles: dict[int, FloatArray] = {}
        for t, _, _ in self._taps("matrix"):
            first = weights["base"] + t * weights["tap_stride"]
            rows = [self._elements(first + j * weights["row_stride"], outer, 2) for j in range(inner)]
            tiles[t] = floats_of(np.stack(rows))
        for m, oy, ox in self._positions("matrix"):
            row = self._slice(self._float_accumulators, operands["accumulator"] + m, 1, "accumulator row")[0]
            total = row[:outer] if operands["accumulate"] else np.zeros(outer, np.float32)
            for t, ky, kx in self._taps("matrix"):
                values = self._floats("matrix", operands, oy, ox, inner, (ky, kx)).astype(np.float64)
                # The products of a tap are one number, of which an accumulator takes what a float32 holds.
                with np.errstate(over="ignore", invalid="ignore"):
                    total = (total.astype(np.float64) + values @ tiles[t].astype(np.float64)).astype(np.float32)
            row[:outer] = total

    def _write_floats(self, oy: int, ox: int, values: FloatArray) -> None:
        """Round the results of a position to bfloat16, limit them and write them."""
        clamp, output = self._get("vector.clamp"), self._get("vector.output")
        first = output["base"] + oy * output["row_stride"] + ox * output["column_stride"]
        self._bytes(first, len(values) * 2)[:] = clamped(values, clamp["low"], clamp["high"]).view(np.int8)

    def _biases(self, channels: int) -> FloatArray:
        """The bias of each channel."""
        stored = self._bytes(self._get("vector.parameters")["base"], BIAS_BYTES * channels)
        return np.frombuffer(stored.tobytes(), "<f4")

    def _float_sums(self, operands: Operands) -> None:
        channels = operands["channels"]
        for m, oy, ox in self._positions("vector"):
            row = self._slice(self._float_accumulators, operands["accumulator"] + m, 1, "accumulator row")[0]
            self._write_floats(oy, ox, row[:channels] + self._biases(channels))

    def _float_depthwise(self, operands: Operands) -> None:
        weights, channels = self._get("vector.weights"), operands["channels"]
        for _, oy, ox in self._positions("vector"):
            total = np.zeros(channels, np.float32)
            for t, ky, kx in self._taps("vector"):
                tile = floats_of(self._elements(weights["base"] + t * weights["tap_stride"], channels, 2))
                total = total + self._floats("vector", operands, oy, ox, channels, (ky, kx)) * tile
            self._write_floats(oy, ox, total + self._biases(channels))

    def _float_pool(self, operands: Operands) -> None:
        channels, function = operands["channels"], tuple(POOLINGS)[operands["function"]]
        for _, oy, ox in self._positions("vector"):
            taps = [self._floats("vector", operands, oy, ox, channels, (ky, kx)) for _, ky, kx in self._taps("vector")]
            total = taps[0]
            for values in taps[1:]:
                total = POOLINGS[function](total, values)
            self._write_floats(oy, ox, total / np.float32(operands["divisor"]) if function == "sum" else total)

    def _float_combine(self, operands: Operands) -> None:
        second, channels = self._get("vector.operand"), operands["channels"]
        combine = tuple(COMBINATIONS.values())[operands["function"]]
        for _, oy, ox in self._positions("vector"):
            first = second["base"] + oy * second["row_stride"] + ox * second["column_stride"]
            count = channels if second["channel_stride"] else 1
            b = np.broadcast_to(floats_of(self._elements(first, count, 2)), channels)
            with np.errstate(all="ignore"):
                self._write_floats(oy, ox, combine(self._floats("vector", operands, oy, ox, channels), b))

    def _float_map(self, operands: Operands) -> None:
        function, coefficients = FUNCTIONS[operands["function"]], self._get("vector.coefficients")
        alpha, beta = single(coefficients["alpha"]), single(coefficients["beta"])
        for _, oy, ox in self._positions("vector"):
            bits = self._value("vector", operands, oy, ox, operands["channels"])
            self._write_floats(oy, ox, floats_of(mapped(function, bits, alpha, beta)))

    def _float_softmax(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            self._write_floats(oy, ox, softmax(self._floats("vector", operands, oy, ox, operands["channels"])))

    def _float_normalize(self, operands: Operands) -> None:
        settings, channels = self._get("vector.normalization"), operands["channels"]
        stored = self._bytes(settings["base"], AFFINE_BYTES * channels)
        factors, offsets = np.frombuffer(stored.tobytes(), "<f4").reshape(-1, 2).T
        epsilon, around_mean = single(settings["epsilon"]), bool(settings["around_mean"])
        for _, oy, ox in self._positions("vector"):
            row = self._floats("vector", operands, oy, ox, channels)
            self._write_floats(oy, ox, normalized(row, factors, offsets, epsilon, around_mean=around_mean))
