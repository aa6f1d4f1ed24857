"""From words to steps: sticky state is resolved, and what one instruction alone can get wrong is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from intaglio.numerics.fixed_point import LONGEST_SUM_OF_SQUARES
from intaglio.numerics.normalization import LONGEST_ROW
from intaglio.targets.encoding import ProgramError, Word, decode, semaphores_of
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
from intaglio.targets.simulator.decode_floats import decoders, float_multiply
from intaglio.targets.simulator.geometry import ONE_TAP, FeatureMap, Grid, Lattice, WindowRead
from intaglio.targets.simulator.steps import (
    Binary,
    Clamp,
    Convert,
    Depthwise,
    Elementwise,
    Interpolate,
    Logarithm,
    Lookup,
    Multiply,
    Normalize,
    Parameters,
    Pool,
    Pooling,
    Requantize,
    Scale,
    Softmax,
    Step,
    Transfer,
    Transpose,
    Work,
    described,
    name_at,
)
from intaglio.targets.target import Target

MAX_TAPS = 65536
"""Taps of one instruction."""

MAX_SPAN = 16 << 20
"""Rows times row bytes that the windows of one instruction span, padding included."""

LARGEST_WIDE_MULTIPLIER = 32_767
"""Of values of 48 bits."""

State = dict[str, dict[str, int]]
"""Operands of the configuring words in force, by the name of the state."""


def decode_steps(stream: bytes, names: Sequence[str | None], target: Target) -> list[Step]:
    """Decode a program, without the final `end`.

    Args:
        stream: the instruction words.
        names: for each word the ONNX name it comes from, or None; may be shorter.
        target: the accelerator.

    Raises:
        ProgramError: the stream does not decode or does not end with its only `end`; state is used that was not
            set; an operand is out of range for this accelerator.
    """
    words = decode(stream)
    _check_end(words, names)
    state: State = {}
    steps: list[Step] = []
    for index, word in enumerate(words[:-1]):
        name = name_at(names, index)
        instruction = word.instruction
        work: Work | None = None
        try:
            if instruction.configures is None:
                work = _WORK[instruction.mnemonic](word.operands, _used(word, state), target)
            else:
                operands = word.operands
                if instruction.mnemonic == "vector.clamp" and operands["low"] > operands["high"]:
                    raise ProgramError(f"low {operands['low']} is above high {operands['high']}")
                state[state_key(instruction, word.values)] = operands
        except ProgramError as error:
            raise ProgramError(error.what, where=described(index, word, name), hint=error.hint) from error
        steps.append(Step(index, word, semaphores_of(word.wait), semaphores_of(word.signal), work, name))
    return steps


def _check_end(words: Sequence[Word], names: Sequence[str | None]) -> None:
    if not words:
        raise ProgramError("the program is empty", hint="the last instruction must be end")
    for index, word in enumerate(words):
        if word.instruction.mnemonic != "end":
            continue
        where = described(index, word, name_at(names, index))
        if index + 1 < len(words):
            raise ProgramError("instructions follow the end", where=where)
        if word.wait or word.signal:
            raise ProgramError("end has no semaphores", where=where)
        return
    last = len(words) - 1
    raise ProgramError("the last instruction must be end", where=described(last, words[last], name_at(names, last)))


def _used(word: Word, state: State) -> State:
    """The states that an instruction works with, under their names without the queue."""
    used: State = {}
    for key in word.instruction.uses:
        if key not in state:
            setter = key.partition("[")[0]
            raise ProgramError(f"the state {key} is undefined", hint=f"set it with {setter} before")
        used[key.partition(".")[2]] = state[key]
    return used


Operands = dict[str, int]


def _transfer(is_load: bool) -> Callable[[Operands, State, Target], Work]:
    def make(operands: Operands, state: State, target: Target) -> Work:
        levels = [state[f"shape[{level}]"] for level in (2, 1, 0)]
        shape = (*(level["count"] for level in levels), operands["bytes"])
        return Transfer(
            is_load,
            operands["region"],
            Lattice(operands["dram_offset"], shape, (*(level["dram_stride"] for level in levels), 1)),
            Lattice(operands["scratchpad"], shape, (*(level["scratchpad_stride"] for level in levels), 1)),
        )

    return make


def _check_even(element_bytes: int, state: str, operands: Operands, *names: str) -> None:
    """Refuse odd addresses and strides of elements of two bytes."""
    if element_bytes == 1:
        return
    for name in names:
        if operands[name] % 2:
            raise ProgramError(f"{name} of {state} must be even for elements of two bytes, got {operands[name]}")


_FEATURE_MAP = ("base", "row_stride", "row_bytes", "rows", "pad", "element_bytes")


def _feature_map(state: State) -> FeatureMap:
    base, row_stride, row_bytes, rows, pad, size = (state["input"][name] for name in _FEATURE_MAP)
    return FeatureMap(base, row_stride, row_bytes, rows, pad, size)


def _window_read(operands: Operands, state: State, elements: int, *, taps: bool) -> WindowRead:
    source, window, kernel = _feature_map(state), Grid(**state["window"]), ONE_TAP
    size = source.element_bytes
    _check_even(size, "input", state["input"], "base", "row_stride", "row_bytes")
    _check_even(size, "window", state["window"], "step_x")
    if taps:
        kernel = Grid(**state["taps"])
        _check_even(size, "taps", state["taps"], "step_x")
    _check_even(size, "the instruction", operands, "x0")
    read = WindowRead(source, window, kernel, operands["x0"], operands["y0"], elements * size)
    if read.taps.count > MAX_TAPS:
        raise ProgramError(f"at most {MAX_TAPS} taps are possible, got {read.taps.rows} x {read.taps.columns}")
    if read.height_spanned * read.width_spanned > MAX_SPAN:
        raise ProgramError(
            f"the windows span {read.height_spanned} rows of {read.width_spanned} bytes, more than {MAX_SPAN} bytes"
        )
    return read


def _at_most_array(name: str, value: int, most: int) -> int:
    if value > most:
        raise ProgramError(f"{name} must be at most {most}, the size of the array, got {value}")
    return value


def _multiply(operands: Operands, state: State, target: Target) -> Work:
    inner = _at_most_array("inner", operands["inner"], target.array_rows)
    outer = _at_most_array("outer", operands["outer"], target.array_size)
    read = _window_read(operands, state, inner, taps=True)
    weights = state["weights"]
    size = weights["element_bytes"]
    _check_even(size, "weights", weights, "base", "tap_stride", "row_stride")
    packed = bool(weights["packed"])
    if packed and size > 1:
        raise ProgramError(
            "weights of 4 bits are packed in bytes", hint="set element_bytes of matrix.weights to 1, or packed to 0"
        )
    columns = -(-outer // 2) if packed else outer
    strides = (weights["tap_stride"], weights["row_stride"], size)
    tile = Lattice(weights["base"], (read.taps.count, inner, columns), strides, size)
    zero_points = (weights["input_zero_point"], weights["zero_point"])
    for zero_point, width in zip(zero_points, (read.map.element_bytes, size), strict=True):
        if zero_point and width > 1:
            raise ProgramError(f"elements of two bytes have the zero point 0, got {zero_point}")
    accumulate = bool(operands["accumulate"])
    work = Multiply(read, tile, outer, packed, operands["accumulator"], accumulate, zero_points)
    return float_multiply(work, state, target) if weights["bfloat16"] else work


def _output(state: State, channels: int) -> Lattice:
    window, output = state["window"], state["output"]
    size = output["element_bytes"]
    _check_even(size, "output", output, "base", "row_stride", "column_stride")
    shape = (window["rows"], window["columns"], channels)
    return Lattice(output["base"], shape, (output["row_stride"], output["column_stride"], size), size)


def _clamp(state: State) -> Clamp:
    clamp, size = state["clamp"], state["output"]["element_bytes"]
    limit = 1 << (8 * size - 1)
    if clamp["low"] < -limit or clamp["high"] >= limit:
        raise ProgramError(
            f"the bounds {clamp['low']} to {clamp['high']} do not fit results of {8 * size} bits",
            hint="set vector.clamp and vector.output for the same width",
        )
    return Clamp(clamp["low"], clamp["high"], bool(clamp["double_round"]))


def _scale(state: State, operand: int) -> Scale:
    scale = state[f"scale[{operand}]"]
    return Scale(scale["multiplier"], scale["shift"], scale["zero_point"])


def _wide_scale(state: State) -> Scale:
    """The result's scale for values of 48 bits."""
    scale = _scale(state, 0)
    if scale.multiplier > LARGEST_WIDE_MULTIPLIER or state["clamp"]["double_round"]:
        raise ProgramError(
            f"values of 48 bits are rounded once, and multiplied by at most {LARGEST_WIDE_MULTIPLIER}, "
            f"got {scale.multiplier}"
        )
    return scale


def _logarithm(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=False)
    if read.map.element_bytes != 2:
        raise ProgramError("logarithms are of elements of two bytes", hint="bytes are for vector.lookup")
    return Logarithm(read, state["offset"]["value"], _output(state, channels), _scale(state, 0), _clamp(state))


def _read_of_row(operands: Operands, state: State) -> WindowRead:
    return _window_read(operands, state, operands["channels"], taps=False)


def _parameters(state: State, channels: int) -> Parameters:
    wide = bool(state["parameters"]["wide"])
    if wide and state["clamp"]["double_round"]:
        raise ProgramError("sums of 48 bits are rounded once", hint="set double_round of vector.clamp to 0")
    size = channels * (WIDE_PARAMETER_BYTES if wide else PARAMETER_BYTES)
    return Parameters(Lattice(state["parameters"]["base"], (size,), (1,)), wide)


def _requantize(operands: Operands, state: State, target: Target) -> Work:
    channels = _at_most_array("channels", operands["channels"], target.array_size)
    return Requantize(
        operands["accumulator"],
        Grid(**state["window"]),
        _parameters(state, channels),
        _output(state, channels),
        _scale(state, 0),
        _clamp(state),
    )


def _depthwise(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=True)
    weights = state["weights"]
    size = weights["element_bytes"]
    _check_even(size, "weights", weights, "base", "tap_stride")
    return Depthwise(
        read,
        Lattice(weights["base"], (read.taps.count, channels), (weights["tap_stride"], size), size),
        _parameters(state, channels),
        _output(state, channels),
        _scale(state, 0),
        _clamp(state),
    )


def _maximum(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=True)
    return Pool(Pooling.MAX, read, _output(state, channels), _clamp(state))


def _sum(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=True)
    return Pool(Pooling.SUM, read, _output(state, channels), _clamp(state), _scale(state, 0), _scale(state, 1))


def _root(operands: Operands, state: State, target: Target) -> Work:
    work = _sum(operands, state, target)
    assert isinstance(work, Pool)
    if work.read.taps.count > LONGEST_SUM_OF_SQUARES:
        raise ProgramError(f"a root is of at most {LONGEST_SUM_OF_SQUARES} squares, got {work.read.taps.count} taps")
    return replace(work, kind=Pooling.ROOT)


def _elementwise(kind: Binary) -> Callable[[Operands, State, Target], Work]:
    def make(operands: Operands, state: State, target: Target) -> Work:
        output = _output(state, operands["channels"])
        second = state["operand"]
        size = second["element_bytes"]
        _check_even(size, "operand", second, "base", "row_stride", "column_stride")
        strides = (second["row_stride"], second["column_stride"], second["channel_stride"] * size)
        read = _window_read(operands, state, operands["channels"], taps=False)
        is_wide = kind is Binary.DIVIDE and max(read.map.element_bytes, size) > 1
        return Elementwise(
            kind,
            read,
            Lattice(second["base"], output.shape, strides, size),
            output,
            _wide_scale(state) if is_wide else _scale(state, 0),
            (_scale(state, 1), _scale(state, 2)),
            _clamp(state),
        )

    return make


def _convert(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=False)
    return Convert(read, _output(state, channels), _scale(state, 0), _scale(state, 1), _clamp(state))


def _lookup(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=False)
    if read.map.element_bytes != 1:
        raise ProgramError("a table is looked up for bytes", hint="elements of two bytes are for vector.interpolate")
    output = _output(state, channels)
    _check_even(output.width, "table", state["table"], "base")
    table = Lattice(state["table"]["base"], (TABLE_ENTRIES,), (output.width,), output.width)
    return Lookup(read, table, output, _clamp(state))


def _interpolate(operands: Operands, state: State, target: Target) -> Work:
    channels = operands["channels"]
    read = _window_read(operands, state, channels, taps=False)
    if read.map.element_bytes != 2:
        raise ProgramError("interpolation is for elements of two bytes", hint="bytes are for vector.lookup")
    _check_even(2, "table", state["table"], "base")
    table = Lattice(state["table"]["base"], (INTERPOLATED_ENTRIES,), (2,), 2)
    return Interpolate(read, table, _output(state, channels), _scale(state, 0), _clamp(state))


def _transpose(operands: Operands, state: State, target: Target) -> Work:
    read, window, output = _read_of_row(operands, state), state["window"], state["output"]
    if read.map.element_bytes != 1 or output["element_bytes"] != 1:
        raise ProgramError("it moves bytes, got elements of two bytes")
    shape = (window["rows"], window["columns"], operands["channels"])
    lattice = Lattice(output["base"], shape, (output["row_stride"], 1, output["column_stride"]))
    return Transpose(read, lattice, _clamp(state))


def _softmax(operands: Operands, state: State, target: Target) -> Work:
    read, tables = _read_of_row(operands, state), state["exponentials"]
    width, fraction = read.map.element_bytes, tables["fraction"]
    if (fraction == 0) != (width == 1):
        raise ProgramError(
            f"exponentials have a fraction from 1 for elements of two bytes, else 0, got {fraction}",
            hint="set fraction of vector.exponentials for the elements of vector.input",
        )
    table = Lattice(tables["base"], (EXPONENTIAL_BYTES * width,), (1,))
    return Softmax(read, table, fraction, _output(state, operands["channels"]), _scale(state, 0), _clamp(state))


def _normalize(operands: Operands, state: State, target: Target) -> Work:
    read, settings, channels = _read_of_row(operands, state), state["normalization"], operands["channels"]
    output = _output(state, channels)
    record = AFFINE_BYTES if output.width == 1 else WIDE_AFFINE_BYTES
    longest = LONGEST_ROW[8 * read.map.element_bytes]
    if channels > longest:
        raise ProgramError(f"at most {longest} elements of this width are normalized together, got {channels}")
    return Normalize(
        read,
        Lattice(settings["base"], (channels * record,), (1,)),
        bool(settings["around_mean"]),
        settings["epsilon"],
        output,
        _wide_scale(state) if output.width > 1 else _scale(state, 0),
        _scale(state, 1),
        _clamp(state),
    )


_WORK: dict[str, Callable[[Operands, State, Target], Work]] = {
    "load.run": _transfer(True),
    "store.run": _transfer(False),
    "matrix.multiply": _multiply,
    "vector.requantize": _requantize,
    "vector.depthwise": _depthwise,
    "vector.max": _maximum,
    "vector.sum": _sum,
    "vector.add": _elementwise(Binary.ADD),
    "vector.subtract": _elementwise(Binary.SUBTRACT),
    "vector.multiply": _elementwise(Binary.MULTIPLY),
    "vector.convert": _convert,
    "vector.lookup": _lookup,
    "vector.interpolate": _interpolate,
    "vector.transpose": _transpose,
    "vector.minimum": _elementwise(Binary.MINIMUM),
    "vector.maximum": _elementwise(Binary.MAXIMUM),
    "vector.divide": _elementwise(Binary.DIVIDE),
    "vector.root": _root,
    "vector.softmax": _softmax,
    "vector.normalize": _normalize,
    "vector.logarithm": _logarithm,
    **decoders(
        partial(_window_read, taps=False),
        partial(_window_read, taps=True),
        _output,
        _at_most_array,
    ),
}
