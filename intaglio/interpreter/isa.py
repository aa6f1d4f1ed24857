"""The meaning of the accelerator's instructions, one after another in program order.

This is `docs/accelerator.md` in code: memories, sticky state and one method an instruction, position by
position. Queues, semaphores and cycles play no part, because a program that the simulator's checks accept gives
the same results in every timing. The machine here is the largest one that the instructions can address, so
programs of every target run on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.dialects import isa
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array, value_dtype, value_shape
from intaglio.ir.locations import describe
from intaglio.numerics.requantization import apply_scale
from intaglio.targets.instructions import state_key

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
Operands = dict[str, int]

SCRATCHPAD_BYTES = 4 << 20
ACCUMULATOR_ROWS = 2048
LANES = 64


@rule(isa.ProgramOp)
def program(op: isa.ProgramOp, operands: list[Array]) -> list[Array]:
    """The outputs of a program, given its inputs by what launches it."""
    machine = Machine(op, operands)
    for instruction in op.instructions:
        machine.execute(instruction)
    return machine.outputs()


class Machine:
    """Memories and sticky state of an accelerator that runs one program.

    Args:
        op: the program.
        inputs: one int8 array per input.
    """

    def __init__(self, op: isa.ProgramOp, inputs: Sequence[Array]) -> None:
        self._program = op
        self._current: isa.InstructionOp | None = None
        self._scratchpad = np.zeros(SCRATCHPAD_BYTES, np.int8)
        self._accumulators = np.zeros((ACCUMULATOR_ROWS, LANES), np.int32)
        self._state: dict[str, Operands] = {}
        self._regions = [array_of(op.constants).astype(np.int8), np.zeros(op.arena_bytes, np.int8)]
        self._regions += [array.astype(np.int8).reshape(-1) for array in inputs]
        self._first_output = len(self._regions)
        self._regions += [np.zeros(math.prod(value_shape(kind)), np.int8) for kind in op.output_types]
        self._instructions: dict[str, Callable[[Operands], None]] = {
            "load.run": self._load,
            "store.run": self._store,
            "matrix.multiply": self._matrix_multiply,
            "vector.requantize": self._requantize,
            "vector.depthwise": self._depthwise,
            "vector.max": self._maximum,
            "vector.sum": self._sum,
            "vector.add": self._add,
            "vector.subtract": self._subtract,
            "vector.multiply": self._vector_multiply,
            "vector.convert": self._convert,
            "vector.lookup": self._lookup,
        }

    def outputs(self) -> list[Array]:
        """The contents of the output regions, in the shapes and dtypes of the program's results."""
        regions = self._regions[self._first_output :]
        return [
            region.reshape(value_shape(kind)).astype(value_dtype(kind))
            for region, kind in zip(regions, self._program.output_types, strict=True)
        ]

    def execute(self, op: isa.InstructionOp) -> None:
        """Execute one instruction.

        Raises:
            UserError: it uses state that is not set, or memory that does not exist; the message names it.
        """
        self._current = op
        instruction = op.INSTRUCTION
        operands = {field.name: value for field, value in zip(instruction.fields, op.values, strict=True)}
        if instruction.configures is not None:
            self._state[state_key(instruction, op.values)] = operands
        elif instruction.mnemonic != "end":
            self._instructions[instruction.mnemonic](operands)

    def _error(self, what: str) -> UserError:
        assert self._current is not None
        return UserError(what, where=describe(self._current))

    def _get(self, key: str) -> Operands:
        if key not in self._state:
            raise self._error(f"the state {key} is undefined")
        return self._state[key]

    def _slice(self, memory: npt.NDArray[Any], first: int, count: int, what: str) -> npt.NDArray[Any]:
        """The part of a memory from `first` on; NumPy by itself would shorten it silently."""
        if first < 0 or first + count > len(memory):
            raise self._error(f"{what} {first} to {first + count - 1} is out of range, there are {len(memory)}")
        return memory[first : first + count]

    def _bytes(self, first: int, count: int) -> Int8Array:
        return self._slice(self._scratchpad, first, count, "scratchpad byte")

    def _row(self, number: int) -> npt.NDArray[np.int32]:
        return self._slice(self._accumulators, number, 1, "accumulator row")[0]

    def _runs(self, queue: str, operands: Operands) -> Iterator[tuple[Int8Array, Int8Array]]:
        """For each run of a transfer its bytes in DRAM and in the scratchpad."""
        if operands["region"] >= len(self._regions):
            raise self._error(f"region {operands['region']} does not exist")
        region = self._regions[operands["region"]]
        inner, middle, outer = (self._get(f"{queue}.shape[{level}]") for level in range(3))
        for i2 in range(outer["count"]):
            for i1 in range(middle["count"]):
                for i0 in range(inner["count"]):
                    dram, scratchpad = (
                        first + i0 * inner[stride] + i1 * middle[stride] + i2 * outer[stride]
                        for first, stride in (
                            (operands["dram_offset"], "dram_stride"),
                            (operands["scratchpad"], "scratchpad_stride"),
                        )
                    )
                    in_dram = self._slice(region, dram, operands["bytes"], "DRAM byte")
                    yield in_dram, self._bytes(scratchpad, operands["bytes"])

    def _load(self, operands: Operands) -> None:
        for dram, scratchpad in self._runs("load", operands):
            scratchpad[:] = dram

    def _store(self, operands: Operands) -> None:
        for dram, scratchpad in self._runs("store", operands):
            dram[:] = scratchpad

    def _positions(self, queue: str) -> Iterator[tuple[int, int, int]]:
        """The output positions: their number, row and column."""
        window = self._get(f"{queue}.window")
        for oy in range(window["rows"]):
            for ox in range(window["columns"]):
                yield oy * window["columns"] + ox, oy, ox

    def _value(
        self, queue: str, operands: Operands, oy: int, ox: int, width: int, tap: tuple[int, int] = (0, 0)
    ) -> Int64Array:
        """The bytes of a feature map at an output position and a tap, padding included."""
        feature_map, window = self._get(f"{queue}.input"), self._get(f"{queue}.window")
        y, x = operands["y0"] + oy * window["step_y"], operands["x0"] + ox * window["step_x"]
        if tap != (0, 0):
            taps = self._get(f"{queue}.taps")
            y, x = y + tap[0] * taps["step_y"], x + tap[1] * taps["step_x"]
        values = np.full(width, feature_map["pad"], np.int64)
        if 0 <= y < feature_map["rows"]:
            first, last = max(x, 0), min(x + width, feature_map["row_bytes"])
            if first < last:
                start = feature_map["base"] + y * feature_map["row_stride"] + first
                values[first - x : last - x] = self._bytes(start, last - first)
        return values

    def _taps(self, queue: str) -> Iterator[tuple[int, int, int]]:
        """The kernel taps: their number, row and column."""
        taps = self._get(f"{queue}.taps")
        for ky in range(taps["rows"]):
            for kx in range(taps["columns"]):
                yield ky * taps["columns"] + kx, ky, kx

    def _matrix_multiply(self, operands: Operands) -> None:
        weights = self._get("matrix.weights")
        inner, outer = operands["inner"], operands["outer"]
        tiles: dict[int, Int64Array] = {}
        for t, _, _ in self._taps("matrix"):
            first = weights["base"] + t * weights["tap_stride"]
            rows = [self._bytes(first + j * weights["row_stride"], outer) for j in range(inner)]
            tiles[t] = np.stack(rows).astype(np.int64)
        for m, oy, ox in self._positions("matrix"):
            total = np.zeros(outer, np.int64)
            for t, ky, kx in self._taps("matrix"):
                total += self._value("matrix", operands, oy, ox, inner, (ky, kx)) @ tiles[t]
            row = self._row(operands["accumulator"] + m)
            if operands["accumulate"]:
                total += row[:outer]
            row[:outer] = total.astype(np.int32)

    def _scale(self, operand: int) -> Operands:
        return self._get(f"vector.scale[{operand}]")

    def _rescale(self, values: Int64Array, multiplier: int | Int64Array, shift: int | Int64Array) -> Int64Array:
        """APPLY_SCALE_32 with the rounding in force, saturated to 32 bits."""
        if np.any(np.asarray(multiplier) < 0) or np.any((np.asarray(shift) < 2) | (np.asarray(shift) > 62)):
            raise self._error("rescaling needs a multiplier from 0 and a shift of 2 to 62")
        double_round = bool(self._get("vector.clamp")["double_round"])
        scaled = apply_scale(values, multiplier, shift, double_round)
        return np.clip(scaled, np.iinfo(np.int32).min, np.iinfo(np.int32).max)

    def _scaled(self, values: Int64Array, operand: int) -> Int64Array:
        scale = self._scale(operand)
        return self._rescale(values, scale["multiplier"], scale["shift"])

    def _write(self, oy: int, ox: int, values: Int64Array) -> None:
        """Clamp the results of a position and write them."""
        clamp, output = self._get("vector.clamp"), self._get("vector.output")
        first = output["base"] + oy * output["row_stride"] + ox * output["column_stride"]
        self._bytes(first, len(values))[:] = np.clip(values, clamp["low"], clamp["high"])

    def _write_result(self, oy: int, ox: int, values: Int64Array) -> None:
        """Rescale the results of a position, add the zero point, clamp and write them."""
        self._write(oy, ox, self._scale(0)["zero_point"] + self._scaled(values, 0))

    def _parameters(self, channels: int) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Bias, multiplier and shift of each channel."""
        base = self._get("vector.parameters")["base"]
        values = np.frombuffer(self._bytes(base, 12 * channels).tobytes(), "<i4").reshape(channels, 3)
        bias, multiplier, shift = values.astype(np.int64).T
        return bias, multiplier, shift

    def _write_channels(self, oy: int, ox: int, values: Int64Array) -> None:
        """Add the bias of each channel to a position's sums, rescale them and write them."""
        bias, multiplier, shift = self._parameters(len(values))
        scaled = self._rescale(_wrapped(values + bias), multiplier, shift)
        self._write(oy, ox, self._scale(0)["zero_point"] + scaled)

    def _requantize(self, operands: Operands) -> None:
        for m, oy, ox in self._positions("vector"):
            row = self._row(operands["accumulator"] + m)
            self._write_channels(oy, ox, row[: operands["channels"]].astype(np.int64))

    def _depthwise(self, operands: Operands) -> None:
        weights, channels = self._get("vector.weights"), operands["channels"]
        for _, oy, ox in self._positions("vector"):
            total = np.zeros(channels, np.int64)
            for t, ky, kx in self._taps("vector"):
                tile = self._bytes(weights["base"] + t * weights["tap_stride"], channels)
                total += self._value("vector", operands, oy, ox, channels, (ky, kx)) * tile
            self._write_channels(oy, ox, _wrapped(total))

    def _maximum(self, operands: Operands) -> None:
        channels = operands["channels"]
        for _, oy, ox in self._positions("vector"):
            taps = [self._value("vector", operands, oy, ox, channels, (ky, kx)) for _, ky, kx in self._taps("vector")]
            self._write(oy, ox, np.max(taps, axis=0))

    def _sum(self, operands: Operands) -> None:
        channels, zero_point = operands["channels"], self._scale(1)["zero_point"]
        for _, oy, ox in self._positions("vector"):
            total = np.zeros(channels, np.int64)
            for _, ky, kx in self._taps("vector"):
                total += self._value("vector", operands, oy, ox, channels, (ky, kx)) - zero_point
            self._write_result(oy, ox, _wrapped(total))

    def _first(self, operands: Operands, oy: int, ox: int) -> Int64Array:
        """The first operand's elements less its zero point."""
        return self._value("vector", operands, oy, ox, operands["channels"]) - self._scale(1)["zero_point"]

    def _second(self, operands: Operands, oy: int, ox: int) -> Int64Array:
        """The second operand's elements less its zero point."""
        second = self._get("vector.operand")
        first = second["base"] + oy * second["row_stride"] + ox * second["column_stride"]
        if second["channel_stride"]:
            values = self._bytes(first, operands["channels"])
        else:
            values = np.repeat(self._bytes(first, 1), operands["channels"])
        return values.astype(np.int64) - self._scale(2)["zero_point"]

    def _add(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            a = self._scaled(self._first(operands, oy, ox), 1)
            b = self._scaled(self._second(operands, oy, ox), 2)
            self._write_result(oy, ox, _saturated(a + b))

    def _subtract(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            a = self._scaled(self._first(operands, oy, ox), 1)
            b = self._scaled(self._second(operands, oy, ox), 2)
            self._write_result(oy, ox, _saturated(a - b))

    def _vector_multiply(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            self._write_result(oy, ox, self._first(operands, oy, ox) * self._second(operands, oy, ox))

    def _convert(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            self._write_result(oy, ox, self._first(operands, oy, ox))

    def _lookup(self, operands: Operands) -> None:
        table = self._bytes(self._get("vector.table")["base"], 256).astype(np.int64)
        for _, oy, ox in self._positions("vector"):
            self._write(oy, ox, table[self._value("vector", operands, oy, ox, operands["channels"]) + 128])


def _wrapped(values: Int64Array) -> Int64Array:
    """Sums as the 32-bit lanes hold them."""
    return values.astype(np.int32).astype(np.int64)


def _saturated(values: Int64Array) -> Int64Array:
    return np.clip(values, np.iinfo(np.int32).min, np.iinfo(np.int32).max)
