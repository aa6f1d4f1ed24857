"""The meaning of the accelerator's instructions, one after another in program order.

This is `docs/accelerator.md` in code: memories, sticky state and one method an instruction, position by
position. Queues, semaphores and cycles play no part, because a program that the simulator's checks accept gives
the same results in every timing. The machine here is the largest one that the instructions can address, so
programs of every target run on it. What instructions on bfloat16 do is in `isa_floats`, and the rule of programs.
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
from intaglio.interpreter.values import Array, value_dtype, value_shape
from intaglio.ir.locations import describe
from intaglio.numerics.fixed_point import (
    LARGEST_SQUARES,
    ROOT_FRACTION_BITS,
    quotient,
    square_root,
    stored_logarithm,
)
from intaglio.numerics.normalization import normalized_by
from intaglio.numerics.requantization import apply_scale
from intaglio.numerics.softmax import probabilities, wide_exponentials
from intaglio.numerics.wide_requantization import wide_apply_scale
from intaglio.targets.instructions import (
    AFFINE_BYTES,
    EXPONENTIAL_BYTES,
    INTERPOLATED_ENTRIES,
    PARAMETER_BYTES,
    TABLE_ENTRIES,
    WIDE_AFFINE_BYTES,
    WIDE_PARAMETER_BYTES,
    state_key,
)

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
Operands = dict[str, int]

SCRATCHPAD_BYTES = 4 << 20
ACCUMULATOR_ROWS = 2048
LANES = 64

WIDE_BITS = 48
"""Of sums of products of which an operand has two bytes."""


class Machine:
    """Memories and sticky state of an accelerator that runs one program.

    Args:
        op: the program.
        inputs: one array per input, of one- or two-byte elements.
    """

    def __init__(self, op: isa.ProgramOp, inputs: Sequence[Array]) -> None:
        self._program = op
        self._current: isa.InstructionOp | None = None
        self._scratchpad = np.zeros(SCRATCHPAD_BYTES, np.int8)
        self._accumulators = np.zeros((ACCUMULATOR_ROWS, LANES), np.int64)
        self._state: dict[str, Operands] = {}
        self._regions = [array_of(op.constants).astype(np.int8), np.zeros(op.arena_bytes, np.int8)]
        self._regions += [
            np.ascontiguousarray(array, value_dtype(kind)).reshape(-1).view(np.int8)
            for array, kind in zip(inputs, op.input_types, strict=True)
        ]
        self._first_output = len(self._regions)
        sizes = [math.prod(value_shape(kind)) * value_dtype(kind).itemsize for kind in op.output_types]
        self._regions += [np.zeros(size, np.int8) for size in sizes]
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
            "vector.interpolate": self._interpolate,
            "vector.transpose": self._transpose,
            "vector.minimum": self._minimum,
            "vector.maximum": self._elementwise_maximum,
            "vector.divide": self._divide,
            "vector.root": self._root,
            "vector.softmax": self._softmax,
            "vector.normalize": self._normalize,
            "vector.logarithm": self._logarithm,
        }

    def outputs(self) -> list[Array]:
        """The contents of the output regions, in the shapes and dtypes of the program's results."""
        regions = self._regions[self._first_output :]
        return [
            region.view(value_dtype(kind)).reshape(value_shape(kind))
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

    def _elements(self, first: int, count: int, element_bytes: int) -> Int64Array:
        """Consecutive signed integers of the scratchpad, little-endian."""
        return self._decoded(self._bytes(first, count * element_bytes), element_bytes)

    def _nibbles(self, first: int, count: int) -> Int64Array:
        """Signed integers of 4 bits, two in a byte, the lower bits first."""
        stored = self._elements(first, -(-count // 2), 1) & 0xFF
        values = np.stack((stored & 15, stored >> 4), axis=1).reshape(-1)[:count]
        return np.where(values < 8, values, values - 16)

    def _decoded(self, data: Int8Array, element_bytes: int) -> Int64Array:
        return np.frombuffer(data.tobytes(), f"<i{element_bytes}").astype(np.int64)

    def _row(self, number: int) -> Int64Array:
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
        self,
        queue: str,
        operands: Operands,
        oy: int,
        ox: int,
        width: int,
        tap: tuple[int, int] = (0, 0),
        outside: int | None = None,
    ) -> Int64Array:
        """The elements of a feature map at an output position and a tap, padding included: `outside`, or as it says."""
        feature_map, window = self._get(f"{queue}.input"), self._get(f"{queue}.window")
        y, x = operands["y0"] + oy * window["step_y"], operands["x0"] + ox * window["step_x"]
        if tap != (0, 0):
            taps = self._get(f"{queue}.taps")
            y, x = y + tap[0] * taps["step_y"], x + tap[1] * taps["step_x"]
        size = feature_map["element_bytes"]
        # Of an element outside, `pad` is the high byte.
        pad = feature_map["pad"] << 8 * (size - 1) if outside is None else outside
        values = np.full(width, pad, np.int64)
        for j in range(width):
            first = x + j * size
            if 0 <= y < feature_map["rows"] and 0 <= first < feature_map["row_bytes"]:
                values[j] = self._elements(feature_map["base"] + y * feature_map["row_stride"] + first, 1, size)[0]
        return values

    def _taps(self, queue: str) -> Iterator[tuple[int, int, int]]:
        """The kernel taps: their number, row and column."""
        taps = self._get(f"{queue}.taps")
        for ky in range(taps["rows"]):
            for kx in range(taps["columns"]):
                yield ky * taps["columns"] + kx, ky, kx

    def _matrix_multiply(self, operands: Operands) -> None:
        weights = self._get("matrix.weights")
        inner, outer, size = operands["inner"], operands["outer"], weights["element_bytes"]
        bits = 32 if size == self._get("matrix.input")["element_bytes"] == 1 else WIDE_BITS
        tiles: dict[int, Int64Array] = {}
        for t, _, _ in self._taps("matrix"):
            first = weights["base"] + t * weights["tap_stride"]
            starts = [first + j * weights["row_stride"] for j in range(inner)]
            if weights["packed"]:
                rows = [self._nibbles(start, outer) for start in starts]
            else:
                rows = [self._elements(start, outer, size) for start in starts]
            tiles[t] = np.stack(rows) - weights["zero_point"]
        for m, oy, ox in self._positions("matrix"):
            total = np.zeros(outer, np.int64)
            for t, ky, kx in self._taps("matrix"):
                values = self._value("matrix", operands, oy, ox, inner, (ky, kx))
                total += (values - weights["input_zero_point"]) @ tiles[t]
            row = self._row(operands["accumulator"] + m)
            if operands["accumulate"]:
                total += row[:outer]
            row[:outer] = _wrapped(total, bits)

    def _scale(self, operand: int) -> Operands:
        return self._get(f"vector.scale[{operand}]")

    def _rescale(
        self, values: Int64Array, multiplier: int | Int64Array, shift: int | Int64Array, *, wide: bool = False
    ) -> Int64Array:
        """APPLY_SCALE_32 with the rounding in force, saturated to 32 bits; for sums of 48 bits APPLY_SCALE_16."""
        if np.any(np.asarray(multiplier) < 0) or np.any((np.asarray(shift) < 2) | (np.asarray(shift) > 62)):
            raise self._error("rescaling needs a multiplier from 0 and a shift of 2 to 62")
        if wide:
            if np.any(np.asarray(multiplier) > 32_767):
                raise self._error("rescaling sums of 48 bits needs multipliers to 32767")
            return wide_apply_scale(values, multiplier, shift)
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
        size = output["element_bytes"]
        results = np.clip(values, clamp["low"], clamp["high"]).astype(f"<i{size}")
        self._bytes(first, len(values) * size)[:] = results.view(np.int8)

    def _write_result(self, oy: int, ox: int, values: Int64Array, *, wide: bool = False) -> None:
        """Rescale the results of a position, add the zero point, clamp and write them."""
        scale = self._scale(0)
        scaled = self._rescale(values, scale["multiplier"], scale["shift"], wide=wide)
        self._write(oy, ox, scale["zero_point"] + scaled)

    def _parameters(self, channels: int) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Bias, multiplier and shift of each channel."""
        state = self._get("vector.parameters")
        if state["wide"]:
            records = self._bytes(state["base"], WIDE_PARAMETER_BYTES * channels).reshape(channels, -1)
            fields = (records[:, :8], 8), (records[:, 8:12], 4), (records[:, 12:], 4)
        else:
            records = self._bytes(state["base"], PARAMETER_BYTES * channels).reshape(channels, -1)
            fields = (records[:, :4], 4), (records[:, 4:8], 4), (records[:, 8:], 4)
        bias, multiplier, shift = (self._decoded(column, size) for column, size in fields)
        return bias, multiplier, shift

    def _write_channels(self, oy: int, ox: int, values: Int64Array) -> None:
        """Add the bias of each channel to a position's sums, rescale them and write them."""
        bias, multiplier, shift = self._parameters(len(values))
        wide = bool(self._get("vector.parameters")["wide"])
        bits = WIDE_BITS if wide else 32
        sums = _wrapped(_wrapped(values, bits) + bias, bits)
        self._write(oy, ox, self._scale(0)["zero_point"] + self._rescale(sums, multiplier, shift, wide=wide))

    def _requantize(self, operands: Operands) -> None:
        for m, oy, ox in self._positions("vector"):
            row = self._row(operands["accumulator"] + m)
            self._write_channels(oy, ox, row[: operands["channels"]])

    def _depthwise(self, operands: Operands) -> None:
        weights, channels = self._get("vector.weights"), operands["channels"]
        for _, oy, ox in self._positions("vector"):
            total = np.zeros(channels, np.int64)
            for t, ky, kx in self._taps("vector"):
                tile = self._elements(weights["base"] + t * weights["tap_stride"], channels, weights["element_bytes"])
                total += self._value("vector", operands, oy, ox, channels, (ky, kx)) * tile
            self._write_channels(oy, ox, total)

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
            self._write_result(oy, ox, _wrapped(total, 32))

    def _root(self, operands: Operands) -> None:
        channels, zero_point = operands["channels"], self._scale(1)["zero_point"]
        bits = 8 * self._get("vector.input")["element_bytes"]
        for _, oy, ox in self._positions("vector"):
            total = np.zeros(channels, np.int64)
            for _, ky, kx in self._taps("vector"):
                total += (self._value("vector", operands, oy, ox, channels, (ky, kx)) - zero_point) ** 2
            root = square_root(np.minimum(total, LARGEST_SQUARES[bits]), ROOT_FRACTION_BITS[bits])
            self._write_result(oy, ox, _saturated(root))

    def _first(self, operands: Operands, oy: int, ox: int) -> Int64Array:
        """The first operand's elements less its zero point."""
        return self._value("vector", operands, oy, ox, operands["channels"]) - self._scale(1)["zero_point"]

    def _second(self, operands: Operands, oy: int, ox: int) -> Int64Array:
        """The second operand's elements less its zero point."""
        second = self._get("vector.operand")
        first = second["base"] + oy * second["row_stride"] + ox * second["column_stride"]
        if second["channel_stride"]:
            values = self._elements(first, operands["channels"], second["element_bytes"])
        else:
            values = np.repeat(self._elements(first, 1, second["element_bytes"]), operands["channels"])
        return values - self._scale(2)["zero_point"]

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

    def _divide(self, operands: Operands) -> None:
        width = max(self._get(f"vector.{name}")["element_bytes"] for name in ("input", "operand"))
        for _, oy, ox in self._positions("vector"):
            ratio = quotient(self._first(operands, oy, ox), self._second(operands, oy, ox), 8 * width)
            wide = width > 1
            self._write_result(oy, ox, _saturated(ratio, WIDE_BITS if wide else 32), wide=wide)

    def _logarithm(self, operands: Operands) -> None:
        offset = self._get("vector.offset")["value"]
        for _, oy, ox in self._positions("vector"):
            values = self._value("vector", operands, oy, ox, operands["channels"])
            self._write_result(oy, ox, _saturated(stored_logarithm(values, offset)))

    def _convert(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            self._write_result(oy, ox, self._first(operands, oy, ox))

    def _lookup(self, operands: Operands) -> None:
        size = self._get("vector.output")["element_bytes"]
        table = self._elements(self._get("vector.table")["base"], TABLE_ENTRIES, size)
        for _, oy, ox in self._positions("vector"):
            self._write(oy, ox, table[self._value("vector", operands, oy, ox, operands["channels"]) + 128])

    def _interpolate(self, operands: Operands) -> None:
        table = self._elements(self._get("vector.table")["base"], INTERPOLATED_ENTRIES, 2)
        for _, oy, ox in self._positions("vector"):
            values = self._value("vector", operands, oy, ox, operands["channels"])
            entry = (values + 32768) >> 7
            between = (table[entry + 1] - table[entry]) * (values & 127)
            self._write_result(oy, ox, (table[entry] << 7) + between)

    def _transpose(self, operands: Operands) -> None:
        clamp, output = self._get("vector.clamp"), self._get("vector.output")
        for _, oy, ox in self._positions("vector"):
            values = np.clip(self._value("vector", operands, oy, ox, operands["channels"]), clamp["low"], clamp["high"])
            for c, value in enumerate(values):
                first = output["base"] + oy * output["row_stride"] + c * output["column_stride"] + ox
                self._bytes(first, 1)[:] = value

    def _minimum(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            a = self._scaled(self._first(operands, oy, ox), 1)
            b = self._scaled(self._second(operands, oy, ox), 2)
            self._write_result(oy, ox, np.minimum(a, b))

    def _elementwise_maximum(self, operands: Operands) -> None:
        for _, oy, ox in self._positions("vector"):
            a = self._scaled(self._first(operands, oy, ox), 1)
            b = self._scaled(self._second(operands, oy, ox), 2)
            self._write_result(oy, ox, np.maximum(a, b))

    def _softmax(self, operands: Operands) -> None:
        state, width = self._get("vector.exponentials"), self._get("vector.input")["element_bytes"]
        entries = self._elements(state["base"], width * EXPONENTIAL_BYTES // 4, 4).reshape(width, -1)
        for _, oy, ox in self._positions("vector"):
            values = self._value("vector", operands, oy, ox, operands["channels"])
            distance = np.max(values) - values
            if width == 1:
                exponentials = entries[0, distance]
            else:
                exponentials = wide_exponentials(distance, entries[0], entries[1], state["fraction"])
            if np.any(exponentials < 0) or not 0 < exponentials.sum() <= np.iinfo(np.int32).max:
                raise self._error("softmax needs exponentials from 0 with a sum of 1 to 2^31 - 1")
            self._write_result(oy, ox, probabilities(exponentials))

    def _normalize(self, operands: Operands) -> None:
        settings, channels = self._get("vector.normalization"), operands["channels"]
        width = self._get("vector.output")["element_bytes"]
        if width == 1:
            records = self._bytes(settings["base"], AFFINE_BYTES * channels).reshape(channels, -1)
            factor, offset = self._decoded(records[:, :4], 4), self._decoded(records[:, 4:], 4)
        else:
            records = self._bytes(settings["base"], WIDE_AFFINE_BYTES * channels).reshape(channels, -1)
            factor, offset = self._decoded(records[:, 8:12], 4), self._decoded(records[:, :8], 8)
        for _, oy, ox in self._positions("vector"):
            fixed = normalized_by(
                self._first(operands, oy, ox),
                settings["epsilon"],
                result_bits=8 * width,
                around_mean=bool(settings["around_mean"]),
            )
            total = _saturated(fixed * factor + offset, 32 if width == 1 else WIDE_BITS)
            self._write_result(oy, ox, total, wide=width > 1)


def _wrapped(values: Int64Array, bits: int) -> Int64Array:
    """Sums as lanes of some bits hold them, in two's complement."""
    above = 64 - bits
    return values << above >> above


def _saturated(values: Int64Array, bits: int = 32) -> Int64Array:
    limit = 1 << (bits - 1)
    return np.clip(values, -limit, limit - 1)
