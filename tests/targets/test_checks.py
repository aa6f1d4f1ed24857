"""Programs that are wrong in some timing are refused, and the message names the instruction."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.encoding import ProgramError
from intaglio.targets.simulator import Program

COPY = """
vector.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0
vector.window columns=1 rows=1 step_x=0 step_y=0
vector.taps columns=1 rows=1 step_x=0 step_y=0
vector.output base={output} row_stride=0 column_stride=16
vector.clamp low=-128 high=127 double_round=0
"""
MULTIPLY = """
matrix.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0
matrix.window columns=4 rows=1 step_x=4 step_y=0
matrix.taps columns=1 rows=1 step_x=0 step_y=0
matrix.weights base=0 tap_stride=0 row_stride=2
"""
REQUANTIZE = """
vector.window columns=4 rows=1 step_x=0 step_y=0
vector.output base=64 row_stride=0 column_stride=2
vector.clamp low=-128 high=127 double_round=0
vector.scale operand=0 multiplier=1 shift=2 zero_point=0
vector.parameters base=0
"""


@pytest.fixture
def refused(make_case):
    """Simulate a program and return the error it is refused with."""

    def check(text: str, **kwargs) -> ProgramError:
        kwargs = {"inputs": [(64,)], "outputs": [(16,)], "arena": 256, **kwargs}
        with pytest.raises(ProgramError) as error:
            make_case(text + "end", **kwargs).simulated()
        assert error.value.where is not None
        return error.value

    return check


def maximum(masks: str = "") -> str:
    return f"vector.max channels=16 x0=0 y0=0 {masks} ; pool\n"


def test_a_missing_wait_is_a_race(refused, transfer) -> None:
    text = transfer("load", 2, 0, 16) + COPY.format(output=64) + maximum("signal=1")
    error = refused(text + transfer("store", 3, 64, 16, masks="wait=1"))
    assert "reads byte 0 of the scratchpad" in error.what
    assert "instruction 3 (load.run" in error.what
    assert error.where is not None and error.where.startswith("instruction 9 (vector.max channels=16 x0=0 y0=0")
    assert error.where.endswith('of "pool"')


def test_overwriting_what_is_still_read_is_a_race(refused, transfer) -> None:
    text = transfer("load", 2, 0, 16, masks="signal=0") + COPY.format(output=64) + maximum("wait=0 signal=1")
    text += transfer("load", 2, 15, 1) + transfer("store", 3, 64, 16, masks="wait=1")
    error = refused(text)
    assert "writes byte 15 of the scratchpad, which instruction 9 (vector.max" in error.what
    assert "reads, with no order" in error.what


def test_two_queues_writing_the_same_byte_race(refused, transfer) -> None:
    text = transfer("load", 2, 0, 16, masks="signal=0") + COPY.format(output=64) + maximum("wait=0 signal=1")
    text += transfer("load", 2, 79, 1) + transfer("store", 3, 64, 16, masks="wait=1")
    error = refused(text)
    assert "writes byte 79 of the scratchpad, which instruction 9 (vector.max" in error.what
    assert "writes, with no order" in error.what


def test_an_order_through_a_third_queue_counts(make_case, transfer) -> None:
    # load -> vector -> store: the store needs no semaphore of the load for the bytes that were loaded.
    text = transfer("load", 2, 0, 16, masks="signal=0") + COPY.format(output=64) + maximum("wait=0 signal=1")
    text += transfer("store", 3, 0, 16, masks="wait=1") + "end"
    case = make_case(text, inputs=[(16,)], outputs=[(16,)])
    np.testing.assert_array_equal(case.run(np.arange(16, dtype=np.int8))[0], np.arange(16))


def test_an_early_signal_does_not_order_a_later_load(refused, transfer) -> None:
    text = transfer("load", 2, 16, 16, masks="signal=0") + transfer("load", 2, 0, 16)
    error = refused(text + COPY.format(output=64) + maximum("wait=0 signal=1"))
    assert "reads byte 0 of the scratchpad, which instruction 7 (load.run" in error.what


def test_a_race_in_the_arena(refused, transfer) -> None:
    text = transfer("load", 2, 0, 16, masks="signal=0") + transfer("store", 1, 0, 16, offset=8, masks="wait=0")
    error = refused(text + transfer("load", 1, 64, 4, offset=20))
    assert "reads byte 20 of region 1 (arena), which instruction 7 (store.run" in error.what


def test_a_race_on_accumulators(refused, transfer) -> None:
    text = transfer("load", 2, 0, 64, masks="signal=0,2") + MULTIPLY
    text += "matrix.multiply inner=4 outer=2 x0=0 y0=0 accumulator=10 accumulate=0 wait=0\n" + REQUANTIZE
    error = refused(text + "vector.requantize accumulator=10 channels=2 wait=2\n")
    assert "reads row 10 of the accumulators, which instruction 8 (matrix.multiply" in error.what


def test_uninitialised_scratchpad(refused, transfer) -> None:
    error = refused(transfer("load", 2, 0, 15, masks="signal=0") + transfer("store", 3, 0, 16, masks="wait=0"))
    assert error.what == "reads byte 15 of the scratchpad, which nothing has written before"
    assert error.where is not None and error.where.startswith("instruction 7 (store.run")


def test_uninitialised_arena(refused, transfer) -> None:
    assert "reads byte 4 of region 1 (arena)" in refused(transfer("load", 1, 0, 16, offset=4)).what


def test_uninitialised_accumulators(refused, transfer) -> None:
    text = transfer("load", 2, 0, 64, masks="signal=0") + MULTIPLY
    text += "matrix.multiply inner=4 outer=2 x0=0 y0=0 accumulator=10 accumulate={} wait=0 signal=1\n"
    assert "lanes 0 to 1 of accumulator row 10, of which 0" in refused(text.format(1)).what
    text += REQUANTIZE + "vector.requantize accumulator=10 channels=3 wait=1\n"
    wide = text.format(0).replace("column_stride=2", "column_stride=4")
    assert "lanes 0 to 2 of accumulator row 10, of which 2" in refused(wide).what


def test_outputs_must_be_written(refused, transfer) -> None:
    text = transfer("load", 2, 0, 16, masks="signal=0") + transfer("store", 3, 0, 15, masks="wait=0")
    assert refused(text).what == "byte 15 of region 3 (output 0) is never written"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load.run region=2 dram_offset=49 scratchpad=0 bytes=16", "DRAM side: byte 64 is out of range"),
        ("load.run region=2 dram_offset=0 scratchpad=262140 bytes=5", "scratchpad side: byte 262144 is out of range"),
        ("load.run region=4 dram_offset=0 scratchpad=0 bytes=1", "region 4 does not exist, the program has 4"),
    ],
)
def test_transfers_out_of_range(refused, transfer, line: str, message: str) -> None:
    shapes = transfer("load", 2, 0, 1).rsplit("load.run", 1)[0]
    assert message in refused(shapes + line + "\n").what


def test_negative_strides_below_the_memory(refused) -> None:
    shape = "load.shape level={} count={} dram_stride={} scratchpad_stride={}\n"
    text = shape.format(1, 1, 0, 0) + shape.format(2, 1, 0, 0)
    run = "load.run region=2 dram_offset=4 scratchpad=4 bytes=1\n"
    assert "scratchpad side: byte -1 is out" in refused(text + shape.format(0, 6, 0, -1) + run).what
    assert "DRAM side: byte -1 is out" in refused(text + shape.format(0, 6, -1, 1) + run).what


def test_feature_maps_weights_and_rows_out_of_range(refused, transfer) -> None:
    multiply = "matrix.multiply inner=4 outer=2 x0=0 y0=0 accumulator={} accumulate=0 wait=0\n"
    start = transfer("load", 2, 0, 64, masks="signal=0") + MULTIPLY
    assert "accumulators: row 2048 is out of range" in refused(start + multiply.format(2045)).what
    weights = "matrix.weights base=262140 tap_stride=0 row_stride=2\n"
    assert "weights: byte 262147 is out of range" in refused(start + weights + multiply.format(0)).what
    far = "matrix.input base=262140 row_stride=16 row_bytes=16 rows=1 pad=0\n"
    assert "input: byte 262155 is out of range" in refused(start + far + multiply.format(0)).what


def test_reading_only_padding_needs_no_memory(make_case, transfer) -> None:
    text = COPY.format(output=0).replace("pad=0", "pad=9").replace("base=0", "base=262143", 1)
    text += "vector.max channels=16 x0=16 y0=0 signal=1\n" + transfer("store", 2, 0, 16, masks="wait=1") + "end"
    assert make_case(text, outputs=[(16,)]).run()[0].tolist() == [9] * 16


@pytest.mark.parametrize(("region", "name"), [(0, "region 0 (constants)"), (2, "region 2 (input 0)")])
def test_constants_and_inputs_are_read_only(refused, transfer, region: int, name: str) -> None:
    text = transfer("load", 2, 0, 4, masks="signal=0") + transfer("store", region, 0, 4, masks="wait=0")
    assert refused(text, constants=np.zeros(8, np.int8)).what == f"writes to {name}, which is read-only"


def test_undefined_state_names_what_sets_it(refused) -> None:
    error = refused("load.run region=2 dram_offset=0 scratchpad=0 bytes=1\n")
    assert error.what == "the state load.shape[0] is undefined"
    assert error.hint == "set it with load.shape before"
    error = refused(COPY.format(output=0).replace("vector.clamp low=-128 high=127 double_round=0", "") + maximum())
    assert error.what == "the state vector.clamp is undefined"


def test_inner_outer_and_channels_are_at_most_the_array(refused, transfer) -> None:
    multiply = "matrix.multiply inner={} outer={} x0=0 y0=0 accumulator=0 accumulate=0\n"
    assert "inner must be at most 16" in refused(MULTIPLY + multiply.format(17, 1)).what
    assert "outer must be at most 16" in refused(MULTIPLY + multiply.format(1, 17)).what
    requantize = "vector.requantize accumulator=0 channels=17\n"
    assert "channels must be at most 16" in refused(REQUANTIZE + requantize).what


def test_clamp_bounds_must_be_ordered(refused) -> None:
    assert refused("vector.clamp low=3 high=2 double_round=0\n").what == "low 3 is above high 2"


def test_taps_and_spans_are_limited(refused) -> None:
    text = COPY.format(output=0)
    taps = "vector.taps columns=65536 rows=2 step_x=0 step_y=0\n"
    assert "at most 65536 taps are possible, got 2 x 65536" in refused(text + taps + maximum()).what
    window = "vector.window columns=65536 rows=65536 step_x=1000 step_y=1000\n"
    assert "the windows span" in refused(text + window + maximum()).what


def test_a_byte_is_written_once(refused, transfer) -> None:
    shape = "load.shape level={} count={} dram_stride={} scratchpad_stride={}\n"
    text = shape.format(0, 3, 4, 3) + shape.format(1, 1, 0, 0) + shape.format(2, 1, 0, 0)
    error = refused(text + "load.run region=2 dram_offset=0 scratchpad=0 bytes=4\n")
    assert error.what == "writes a byte of the scratchpad more than once"
    huge = "".join(shape.format(level, 65536, 0, 0) for level in range(3))
    error = refused(huge + "load.run region=2 dram_offset=0 scratchpad=0 bytes=4\n")
    assert error.what == "writes a byte of the scratchpad more than once"
    overlapping = COPY.format(output=64).replace("columns=1 rows=1", "columns=2 rows=1", 1).replace("=16\n", "=8\n")
    error = refused(transfer("load", 2, 0, 16, masks="signal=0") + overlapping + maximum("wait=0"))
    assert error.what == "writes a byte of the scratchpad more than once"


def test_results_over_other_operands_are_refused(refused, transfer) -> None:
    start = transfer("load", 2, 0, 64, masks="signal=0")
    error = refused(start + COPY.format(output=15) + maximum("wait=0"))
    assert error.what == "writes scratchpad byte 15, which it also reads"
    scales = "".join(f"vector.scale operand={operand} multiplier=1 shift=2 zero_point=0\n" for operand in range(3))
    convert = COPY.format(output=1) + scales + "vector.convert channels=16 x0=0 y0=0 wait=0\n"
    assert "writes scratchpad byte 1, which it also reads for another" in refused(start + convert).what
    operand = "vector.operand base=20 row_stride=0 column_stride=0 channel_stride=0\n"
    add = COPY.format(output=16) + scales + operand + "vector.add channels=16 x0=0 y0=0 wait=0\n"
    assert "writes scratchpad byte 20, which it also reads for another" in refused(start + add).what
    table = COPY.format(output=48) + "vector.table base=40\nvector.lookup channels=16 x0=0 y0=0 wait=0\n"
    assert "reads byte 64 of the scratchpad, which nothing" in refused(start + table).what


def test_a_wait_without_a_signal_is_a_deadlock(refused, transfer) -> None:
    error = refused(transfer("load", 2, 0, 4, masks="wait=7"))
    assert error.what.startswith("deadlock: waits for semaphore 7")
    error = refused(
        transfer("load", 2, 0, 4, masks="wait=1 signal=0") + transfer("store", 3, 0, 4, masks="wait=0 signal=1")
    )
    assert error.what.startswith("deadlock: waits for semaphore 1")
    assert error.where is not None and error.where.startswith("instruction 3 (load.run")


def test_a_semaphore_has_one_signaller_and_one_waiter(refused, transfer) -> None:
    load = transfer("load", 2, 0, 4, masks="signal=0")
    window = "{}.window columns=1 rows=1 step_x=0 step_y=0 {}\n"
    error = refused(load * 2 + window.format("vector", "wait=0") + window.format("matrix", "wait=0"))
    assert error.what == "waits for semaphore 0, as the vector queue does"
    error = refused(load + window.format("vector", "signal=0"))
    assert error.what == "signals semaphore 0, as the load queue does"
    error = refused(window.format("vector", "signal=0") + window.format("vector", "wait=0"))
    assert error.what == "waits for semaphore 0, which its own queue signals"


def test_counts_beyond_255_in_some_timing_are_refused(refused, make_case, transfer) -> None:
    signal = "matrix.window columns=1 rows=1 step_x=0 step_y=0 signal=0\n"
    wait = "vector.window columns=1 rows=1 step_x=0 step_y=0 wait=0\n"
    error = refused((signal + wait) * 256)
    assert error.what == "semaphore 0 can reach 256, its limit is 255"
    # An acknowledgement bounds the lead of the signalling queue.
    acknowledged = signal.replace("signal=0", "wait=1 signal=0") + wait.replace("wait=0", "wait=0 signal=1")
    text = signal + wait.replace("wait=0", "wait=0 signal=1") + acknowledged * 300
    make_case(text + "matrix.window columns=1 rows=1 step_x=0 step_y=0 wait=1\nend").simulated()
    make_case((signal + wait) * 255 + "end").simulated()


def test_signals_that_nothing_takes_are_refused(refused, transfer) -> None:
    error = refused(transfer("load", 2, 0, 4, masks="signal=0"))
    assert error.what == "signals semaphore 0, and nothing takes that signal"
    assert error.where is not None and error.where.startswith("instruction 3 (load.run")


def binary(words: bytes) -> ProgramBinary:
    return ProgramBinary("region", words, b"", 0, (), (), (), "gen1")


def test_streams_must_end_with_their_only_end() -> None:
    end = b"\x01" + bytes(15)
    table = b"\x49" + bytes(15)
    Program.from_binary(binary(table + end))
    for words, message in (
        (b"", "the program is empty"),
        (table, "the last instruction must be end"),
        (end + table, "instructions follow the end"),
        (b"\x01\x01" + bytes(14), "end has no semaphores"),
        (end[:-1], "truncated"),
        (b"\x02" + bytes(15) + end, "unknown opcode 0x02"),
    ):
        with pytest.raises(ProgramError, match=message):
            Program.from_binary(binary(words))


def test_memory_is_checked_before_it_is_allocated() -> None:
    end = b"\x01" + bytes(15)
    with pytest.raises(ProgramError, match="needs 2 DRAM regions of 4294967296 bytes"):
        Program.from_binary(ProgramBinary("r", end, b"", 1 << 32, (), (), (), "gen1"))
    with pytest.raises(ProgramError, match="needs 18 DRAM regions"):
        Program.from_binary(ProgramBinary("r", end, b"", 0, ((1,),) * 16, (), (), "gen1"))


def test_inputs_must_fit(make_case, transfer) -> None:
    case = make_case(
        transfer("load", 2, 0, 4, masks="signal=0") + transfer("store", 3, 0, 4, masks="wait=0") + "end",
        inputs=[(2, 2)],
        outputs=[(4,)],
    )
    program = case.simulated()
    with pytest.raises(UserError, match="the program has 1 inputs, got 0"):
        program.run([])
    with pytest.raises(UserError, match=r"input 0 must be int8 of shape \[2, 2\], got int8 of \[4\]"):
        program.run([np.zeros(4, np.int8)])
    with pytest.raises(UserError, match="got int16"):
        program.run([np.zeros((2, 2), np.int16)])


def test_invalid_parameters_in_memory_are_found_when_they_are_used(make_case, transfer) -> None:
    text = transfer("load", 2, 0, 64, masks="signal=0,2") + MULTIPLY
    text += "matrix.multiply inner=4 outer=2 x0=0 y0=0 accumulator=0 accumulate=0 wait=0 signal=1\n" + REQUANTIZE
    text += "vector.requantize accumulator=0 channels=2 wait=1,2 signal=3\n"
    case = make_case(text + transfer("store", 3, 64, 8, masks="wait=3") + "end", inputs=[(64,)], outputs=[(8,)])
    with pytest.raises(ProgramError, match="need multipliers from 0 and shifts of 2 to 62, got 0 and 0 to 0"):
        case.simulated().run([np.zeros(64, np.int8)])
    with pytest.raises(UserError, match="a multiplier from 0 and a shift of 2 to 62"):
        case.interpreted([np.zeros(64, np.int8)])
