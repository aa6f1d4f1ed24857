"""Elements of two bytes, alone and beside bytes: results worked out by hand, costs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.numerics.tables import table_int16, tanh
from intaglio.numerics.wide_requantization import wide_apply_scale
from intaglio.targets.costs import ElementBytes, multiply_cost, vector_cost
from intaglio.targets.encoding import word
from intaglio.targets.target import load_target

GEN1 = load_target("gen1")
WORDS = np.array([-32768, -700, -1, 0, 1, 129, 5000, 32767], "<i2")
VECTOR = """
vector.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0 element_bytes=2
vector.window columns=1 rows=1 step_x=0 step_y=0
vector.taps columns=1 rows=1 step_x=0 step_y=0
vector.output base=4096 row_stride=16 column_stride=16 element_bytes=2
vector.clamp low=-32768 high=32767 double_round=0
vector.scale operand=0 multiplier=1073741824 shift=30 zero_point=0
vector.scale operand=1 multiplier=1073741824 shift=30 zero_point=0
vector.scale operand=2 multiplier=1073741824 shift=30 zero_point=0
vector.operand base=0 row_stride=0 column_stride=0 channel_stride=1 element_bytes=2
vector.weights base=0 tap_stride=0 element_bytes=2
vector.parameters base=2048 wide=1
vector.table base=1024
"""


@pytest.fixture
def run_vector(make_case, transfer):
    """Run one vector instruction on eight words, and return the words that it writes."""

    def run(executed: str, settings: str = "", constants: np.ndarray | None = None) -> np.ndarray:
        content = np.zeros(2, np.int8) if constants is None else np.frombuffer(constants.tobytes(), np.int8)
        case = make_case(
            transfer("load", 0, 1024, len(content))
            + transfer("load", 2, 0, 16, masks="signal=0")
            + VECTOR
            + settings
            + f"vector.{executed} x0=0 y0=0 wait=0 signal=1\n"
            + transfer("store", 3, 4096, 16, masks="wait=1")
            + "end",
            constants=content,
            inputs=[(16,)],
            outputs=[(16,)],
        )
        (result,) = case.run(WORDS.view(np.int8))
        return result.view("<i2")

    return run


def test_widths_that_are_bytes_are_not_written() -> None:
    fields = {"base": 5, "row_stride": 0, "column_stride": 1}
    assert word("vector.output", **fields).text() == "vector.output base=5 row_stride=0 column_stride=1"
    assert word("vector.output", **fields, element_bytes=2).text().endswith("column_stride=1 element_bytes=2")
    assert word("vector.output", **fields) == word("vector.output", **fields, element_bytes=1)
    with pytest.raises(UserError, match=r"element_bytes of vector\.output must be 1 to 2, got 3"):
        word("vector.output", **fields, element_bytes=3)


def test_words_are_halved(run_vector) -> None:
    halved = "vector.scale operand=0 multiplier=1073741824 shift=31 zero_point=0\n"
    expected = np.floor(WORDS.astype(int) / 2 + 0.5)
    np.testing.assert_array_equal(run_vector("convert channels=8", halved), expected)


def test_words_become_bytes(run_vector) -> None:
    # Eight bytes, twice.
    settings = (
        "vector.output base=4096 row_stride=8 column_stride=8\nvector.clamp low=-128 high=127 double_round=0\n"
        "vector.window columns=2 rows=1 step_x=0 step_y=0\n"
    )
    found = run_vector("convert channels=8", settings).view(np.int8)
    np.testing.assert_array_equal(found, np.tile(np.clip(WORDS, -128, 127), 2))


def test_products_of_words(run_vector) -> None:
    settings = "vector.scale operand=0 multiplier=1073741824 shift=45 zero_point=0\n"
    squares = WORDS.astype(np.int64) ** 2
    expected = np.minimum((squares + (1 << 14)) >> 15, 32767)
    np.testing.assert_array_equal(run_vector("multiply channels=8", settings), expected)


def test_padding_of_words_is_the_high_byte(run_vector) -> None:
    # One tap is the word itself, the other lies outside: -32768 never wins, and 0 does where words are negative.
    for pad, expected in ((-128, WORDS), (0, np.maximum(WORDS, 0))):
        settings = (
            f"vector.input base=0 row_stride=16 row_bytes=16 rows=1 pad={pad} element_bytes=2\n"
            "vector.taps columns=1 rows=2 step_x=0 step_y=1\n"
        )
        np.testing.assert_array_equal(run_vector("max channels=8", settings), expected)


def test_interpolation_follows_the_function(run_vector) -> None:
    table = table_int16(tanh, 8 / 32768, 1 / 32768)
    settings = "vector.scale operand=0 multiplier=1073741824 shift=37 zero_point=0\n"
    found = run_vector("interpolate channels=8", settings, table)
    np.testing.assert_allclose(found / 32768, np.tanh(WORDS.astype(float) * 8 / 32768), atol=2e-4)


def test_quotients_of_words(run_vector) -> None:
    # With 30 bits after the point, of which 4 are left.
    settings = (
        "vector.operand base={} row_stride=0 column_stride=0 channel_stride=0 element_bytes=2\n"
        "vector.scale operand=0 multiplier=16384 shift=40 zero_point=0\n"
    )
    found = run_vector("divide channels=8", settings.format(10))
    np.testing.assert_array_equal(found, np.floor(WORDS / 129 * 16 + 0.5))
    by_zero = run_vector("divide channels=8", settings.format(6))
    np.testing.assert_array_equal(by_zero, [-32768, -32768, -32768, 0, 32767, 32767, 32767, 32767])


def test_logarithms_of_words(run_vector) -> None:
    settings = (
        "vector.scale operand=0 multiplier=1073741824 shift=43 zero_point=0\n"
        f"vector.offset value={round(np.log(2.0) * 2**23)}\n"
    )
    found = run_vector("logarithm channels=8", settings)
    positive = WORDS[4:].astype(float)
    np.testing.assert_allclose(found[4:], np.log(2 * positive) * 1024, atol=0.6)
    assert [int(value) for value in found[:4]] == [0, 0, 0, -32768]


def test_sums_of_48_bits(run_vector) -> None:
    # The square of the largest word, three times, and a bias beyond 32 bits.
    records = np.zeros(8, [("bias", "<i8"), ("multiplier", "<i4"), ("shift", "<i4")])
    records["bias"], records["multiplier"], records["shift"] = 1 << 40, 20_000, 42
    constants = np.concatenate([np.zeros(1024, np.int8), records.view(np.int8)])
    settings = "vector.taps columns=3 rows=1 step_x=0 step_y=0\n"
    expected = wide_apply_scale(3 * WORDS.astype(np.int64) ** 2 + (1 << 40), 20_000, 42)
    assert expected.max() > expected.min() > 1000
    np.testing.assert_array_equal(run_vector("depthwise channels=8", settings, constants), expected)


@pytest.mark.parametrize(
    ("executed", "settings", "message"),
    [
        ("convert channels=8", "vector.output base=4097 row_stride=16 column_stride=16 element_bytes=2\n", "base of"),
        ("convert channels=8", "vector.window columns=1 rows=1 step_x=3 step_y=0\n", "step_x of window must be even"),
        ("max channels=8", "vector.taps columns=1 rows=1 step_x=1 step_y=0\n", "step_x of taps must be even"),
        ("depthwise channels=8", "vector.weights base=0 tap_stride=7 element_bytes=2\n", "tap_stride of weights"),
        (
            "add channels=8",
            "vector.operand base=0 row_stride=1 column_stride=0 channel_stride=1 element_bytes=2\n",
            "row_",
        ),
        ("interpolate channels=8", "vector.table base=1025\n", "base of table must be even"),
        (
            "convert channels=8",
            "vector.output base=4096 row_stride=0 column_stride=0\n",
            "do not fit results of 8 bits",
        ),
        ("lookup channels=8", "", "a table is looked up for bytes"),
        (
            "interpolate channels=8",
            "vector.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0\n",
            "interpolation is for elements of two bytes",
        ),
        (
            "depthwise channels=8",
            "vector.clamp low=-128 high=127 double_round=1\n",
            "sums of 48 bits are rounded once",
        ),
        ("transpose channels=8", "", "it moves bytes, got elements of two bytes"),
        ("divide channels=8", "", "multiplied by at most 32767, got 1073741824"),
        (
            "logarithm channels=8",
            "vector.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0\nvector.offset value=0\n",
            "logarithms are of elements of two bytes",
        ),
        ("softmax channels=8", "vector.exponentials base=0\n", "a fraction from 1 for elements of two bytes, else 0"),
        (
            "normalize channels=8",
            "vector.normalization base=0 around_mean=1 epsilon=0\n",
            "multiplied by at most 32767, got 1073741824",
        ),
        ("depthwise channels=8", "", "need multipliers from 0 to 32767 and shifts of 2 to 62, got 1048576 to"),
    ],
)
def test_what_does_not_fit_is_refused(run_vector, executed: str, settings: str, message: str) -> None:
    records = np.full(8, 1 << 20, "<i4").repeat(4)
    with pytest.raises(UserError, match=message):
        run_vector(executed, settings, np.concatenate([np.zeros(1024, np.int8), records.view(np.int8)]))


def test_packed_words_are_refused(make_case) -> None:
    text = """
    matrix.input base=0 row_stride=16 row_bytes=16 rows=1 pad=0
    matrix.window columns=1 rows=1 step_x=0 step_y=0
    matrix.taps columns=1 rows=1 step_x=0 step_y=0
    matrix.weights base=0 tap_stride=0 row_stride=2 element_bytes=2 packed=1
    matrix.multiply inner=1 outer=1 x0=0 y0=0 accumulator=0 accumulate=0
    end"""
    with pytest.raises(UserError, match="weights of 4 bits are packed in bytes"):
        make_case(text).simulated()


def test_an_odd_origin_is_refused(make_case, transfer) -> None:
    text = transfer("load", 2, 0, 16, masks="signal=0") + VECTOR + "vector.max channels=4 x0=1 y0=0 wait=0\nend"
    with pytest.raises(UserError, match="x0 of the instruction must be even for elements of two bytes, got 1"):
        make_case(text, inputs=[(16,)]).simulated()


@pytest.mark.parametrize(("values", "weights", "rate"), [(1, 1, 1), (2, 1, 2), (2, 2, 4)])
def test_the_array_takes_a_step_for_each_pair_of_bytes(values: int, weights: int, rate: int) -> None:
    elements = ElementBytes(input=values, weights=weights)
    cost = multiply_cost(500, 9, 32, 32, GEN1, elements)
    assert cost.setup_cycles == 64
    assert cost.work_cycles == 32 * weights + 9 * 500 * rate
    assert cost.lines == 9 * (500 * values + 32 * weights)
    # Weights take as long to load as ever where positions are few.
    assert multiply_cost(3, 9, 32, 32, GEN1, elements).work_cycles == 10 * 32 * weights


def test_packed_weights_take_half_the_lines() -> None:
    cost = multiply_cost(500, 9, 31, 32, GEN1, ElementBytes(packed=True))
    assert cost.work_cycles == multiply_cost(500, 9, 31, 32, GEN1).work_cycles
    assert cost.lines == 9 * (500 + 16)


def test_lanes_take_one_element_whatever_its_width() -> None:
    wide = ElementBytes(input=2, operand=2, output=2)
    for kind, cycles in (("convert", 1), ("multiply", 2), ("add", 4), ("interpolate", 3), ("max", 10)):
        assert vector_cost(kind, 7, 64, 9, GEN1, wide).work_cycles == 7 * 2 * cycles
    assert vector_cost("add", 7, 64, 1, GEN1, wide).lines == 7 * 2 * 6
    depthwise = vector_cost("depthwise", 7, 64, 9, GEN1, ElementBytes(2, 1, 2, 2, 16))
    assert depthwise.work_cycles == 7 * 2 * (3 * 4 + 1)
    assert depthwise.lines == 7 * 2 * (2 + 18) + 2 * (16 + 18)
