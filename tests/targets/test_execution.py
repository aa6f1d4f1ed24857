"""The interpreter of the isa dialect and the simulator of encoded words compute the same, and the right, numbers."""

from __future__ import annotations

import numpy as np
import pytest

PASS_THROUGH = "vector.clamp low=-128 high=127 double_round=0\n"
UNIT = "vector.scale operand={} multiplier=1073741824 shift=30 zero_point={}\n"


def parameters(bias: list[int], multiplier: int = 1 << 30, shift: int = 30) -> np.ndarray:
    return np.array([[value, multiplier, shift] for value in bias], "<i4").reshape(-1).view(np.int8)


def test_a_loaded_byte_is_stored(make_case, transfer) -> None:
    case = make_case(
        transfer("load", 2, 100, 6, masks="signal=0") + transfer("store", 3, 100, 6, masks="wait=0") + "end",
        inputs=[(2, 3)],
        outputs=[(6,)],
    )
    x = np.array([[1, -2, 3], [-4, 127, -128]], np.int8)
    np.testing.assert_array_equal(case.run(x)[0], [1, -2, 3, -4, 127, -128])


def test_three_loop_levels_transpose(make_case, transfer) -> None:
    # scratchpad[i0*6 + i1*3 + i2] = input[i2][i1][i0] for a 3 x 2 x 4 input: all axes reversed.
    case = make_case(
        """
        load.shape level=0 count=4 dram_stride=1 scratchpad_stride=6
        load.shape level=1 count=2 dram_stride=4 scratchpad_stride=3
        load.shape level=2 count=3 dram_stride=8 scratchpad_stride=1
        load.run region=2 dram_offset=0 scratchpad=0 bytes=1 signal=2
        """
        + transfer("store", 3, 0, 24, masks="wait=2")
        + "end",
        inputs=[(3, 2, 4)],
        outputs=[(4, 2, 3)],
    )
    x = np.arange(24, dtype=np.int8).reshape(3, 2, 4)
    np.testing.assert_array_equal(case.run(x)[0], x.transpose(2, 1, 0))


def test_negative_strides_reverse_and_zero_strides_broadcast(make_case, transfer) -> None:
    case = make_case(
        """
        load.shape level=0 count=3 dram_stride=2 scratchpad_stride=-2
        load.shape level=1 count=2 dram_stride=0 scratchpad_stride=6
        load.shape level=2 count=1 dram_stride=0 scratchpad_stride=0
        load.run region=2 dram_offset=0 scratchpad=4 bytes=2 signal=2
        """
        + transfer("store", 3, 0, 12, masks="wait=2")
        + "end",
        inputs=[(6,)],
        outputs=[(12,)],
    )
    x = np.array([1, 2, 3, 4, 5, 6], np.int8)
    np.testing.assert_array_equal(case.run(x)[0], [5, 6, 3, 4, 1, 2] * 2)


def test_convolution_of_packed_kernel_rows_with_padding(make_case, transfer) -> None:
    # A 3x3 convolution of a 4x5x2 map, padded by one with the value 7, kernel rows (6 bytes) read at once; two
    # output channels, bias, requantization by 1/4 with rounding, zero point 3. Expected: NumPy on the padded map.
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (4, 5, 2)).astype(np.int8)
    w = rng.integers(-128, 128, (2, 3, 3, 2)).astype(np.int8)
    bias = [1000, -37]
    tiles = w.transpose(1, 2, 3, 0).reshape(3, 6, 2)
    constants = np.concatenate([tiles.reshape(-1), parameters(bias, shift=38)])
    case = make_case(
        transfer("load", 2, 0, 40)
        + transfer("load", 0, 64, 36 + 24, masks="signal=0,1")
        + f"""
        matrix.input base=0 row_stride=10 row_bytes=10 rows=4 pad=7
        matrix.window columns=5 rows=4 step_x=2 step_y=1
        matrix.taps columns=1 rows=3 step_x=0 step_y=1
        matrix.weights base=64 tap_stride=12 row_stride=2
        matrix.multiply inner=6 outer=2 x0=-2 y0=-1 accumulator=100 accumulate=0 wait=0 signal=2
        vector.window columns=5 rows=4 step_x=0 step_y=0
        vector.parameters base=100
        vector.output base=200 row_stride=10 column_stride=2
        {PASS_THROUGH}{UNIT.format(0, 3)}
        vector.requantize accumulator=100 channels=2 wait=1,2 signal=3
        """
        + transfer("store", 3, 200, 40, masks="wait=3")
        + "end",
        constants=constants,
        inputs=[(1, 4, 5, 2)],
        outputs=[(1, 4, 5, 2)],
    )
    padded = np.full((6, 7, 2), 7, np.int64)
    padded[1:5, 1:6] = x
    sums = np.array(
        [
            [[(padded[y : y + 3, c : c + 3] * w[o]).sum() + bias[o] for o in range(2)] for c in range(5)]
            for y in range(4)
        ]
    )
    expected = np.clip(3 + np.floor(sums / 256 + 0.5), -128, 127)
    np.testing.assert_array_equal(case.run(x[None])[0][0], expected)


def test_accumulators_keep_their_lanes_and_add(make_case, transfer) -> None:
    # Row 5 = [1*2, 1*3] from the first product, then lane 0 only gets 1*2 more.
    case = make_case(
        transfer("load", 0, 0, 30, masks="signal=0,1")
        + f"""
        matrix.input base=0 row_stride=1 row_bytes=1 rows=1 pad=0
        matrix.window columns=1 rows=1 step_x=0 step_y=0
        matrix.taps columns=1 rows=1 step_x=0 step_y=0
        matrix.weights base=1 tap_stride=0 row_stride=0
        matrix.multiply inner=1 outer=2 x0=0 y0=0 accumulator=5 accumulate=0 wait=0
        matrix.multiply inner=1 outer=1 x0=0 y0=0 accumulator=5 accumulate=1 signal=2
        vector.window columns=1 rows=1 step_x=0 step_y=0
        vector.parameters base=6
        vector.output base=64 row_stride=0 column_stride=0
        {PASS_THROUGH}{UNIT.format(0, 0)}
        vector.requantize accumulator=5 channels=2 wait=1,2 signal=3
        """
        + transfer("store", 2, 64, 2, masks="wait=3")
        + "end",
        constants=np.concatenate([np.array([1, 2, 3, 0, 0, 0], np.int8), parameters([0, 0])]),
        outputs=[(2,)],
    )
    np.testing.assert_array_equal(case.run()[0], [4, 3])


VECTOR = """
vector.input base=0 row_stride=6 row_bytes=6 rows=2 pad=-5
vector.window columns={columns} rows={rows} step_x={step_x} step_y={step_y}
vector.taps columns={tap_columns} rows={tap_rows} step_x=2 step_y=1
vector.output base=512 row_stride={row} column_stride=2
vector.operand base=32 row_stride=6 column_stride=2 channel_stride=1
vector.weights base=64 tap_stride=2
vector.parameters base=128
vector.table base=256
"""


def vector_case(make_case, transfer, instruction: str, state: str, constants: np.ndarray, **window: int):
    """One vector instruction on a 2x3x2 map at 0, constants from byte 32 on, and the output at 512."""
    values = {"columns": 3, "rows": 2, "step_x": 2, "step_y": 1, "tap_columns": 1, "tap_rows": 1, **window}
    size = values["columns"] * values["rows"] * 2
    return make_case(
        transfer("load", 2, 0, 12)
        + transfer("load", 0, 32, len(constants), masks="signal=0")
        + VECTOR.format(row=2 * values["columns"], **values)
        + state
        + f"vector.{instruction} wait=0 signal=1\n"
        + transfer("store", 3, 512, size, masks="wait=1")
        + "end",
        constants=constants,
        inputs=[(2, 3, 2)],
        outputs=[(values["rows"], values["columns"], 2)],
    )


X = np.array([[[1, -2], [3, -4], [5, -6]], [[7, -8], [9, -10], [120, -128]]], np.int8)


def test_maximum_reads_the_padding_value(make_case, transfer) -> None:
    case = vector_case(
        make_case,
        transfer,
        "max channels=2 x0=-2 y0=0",
        "vector.clamp low=-4 high=100 double_round=0\n",
        np.zeros(1, np.int8),
        columns=2,
        rows=1,
        step_x=4,
        tap_columns=2,
        tap_rows=2,
    )
    # Columns -1 and 0, then 1 and 2: channel 1 is at best -2 (clamped to -4 at least), then -4.
    np.testing.assert_array_equal(case.run(X)[0], [[[7, -2], [100, -4]]])


def test_sum_subtracts_the_zero_point_of_every_tap(make_case, transfer) -> None:
    case = vector_case(
        make_case,
        transfer,
        "sum channels=2 x0=0 y0=0",
        PASS_THROUGH + UNIT.format(0, 1).replace("shift=30", "shift=32") + UNIT.format(1, 2),
        np.zeros(1, np.int8),
        columns=1,
        rows=1,
        tap_columns=3,
        tap_rows=2,
    )
    # (145 - 6*2)/4 = 33.25; (-158 - 12)/4 = -42.5, halves up: -42. Plus 1.
    np.testing.assert_array_equal(case.run(X)[0], [[[34, -41]]])


def test_depthwise_convolution(make_case, transfer) -> None:
    constants = np.zeros(128, np.int8)
    constants[32:36] = [1, 2, -1, 3]
    constants[96:120] = parameters([10, -20])
    case = vector_case(
        make_case,
        transfer,
        "depthwise channels=2 x0=0 y0=0",
        PASS_THROUGH + UNIT.format(0, 0),
        constants,
        columns=2,
        rows=1,
        tap_columns=2,
    )
    # Channel 0: x0 - x1 + 10; channel 1: 2*x0 + 3*x1 - 20.
    np.testing.assert_array_equal(case.run(X)[0], [[[8, -36], [8, -46]]])


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [("add", lambda a, b: a - 1 + b - 2 + 3), ("subtract", lambda a, b: a - 1 - b + 2 + 3)],
)
def test_sums_of_two_operands_at_equal_scales(make_case, transfer, instruction: str, expected) -> None:
    b = np.arange(-6, 6, dtype=np.int8)
    scales = PASS_THROUGH + UNIT.format(0, 3) + UNIT.format(1, 1) + UNIT.format(2, 2)
    case = vector_case(make_case, transfer, f"{instruction} channels=2 x0=0 y0=0", scales, b)
    wide = expected(X.astype(int), b.reshape(2, 3, 2).astype(int))
    np.testing.assert_array_equal(case.run(X)[0], np.clip(wide, -128, 127))


def test_product_with_a_broadcast_operand(make_case, transfer) -> None:
    scales = PASS_THROUGH + UNIT.format(0, 0).replace("shift=30", "shift=31") + UNIT.format(1, 1) + UNIT.format(2, 2)
    broadcast = "vector.operand base=33 row_stride=0 column_stride=0 channel_stride=0\n"
    case = vector_case(
        make_case, transfer, "multiply channels=2 x0=0 y0=0", scales + broadcast, np.array([9, 5], np.int8)
    )
    expected = np.clip(np.floor((X.astype(int) - 1) * (5 - 2) / 2 + 0.5), -128, 127)
    np.testing.assert_array_equal(case.run(X)[0], expected)


def test_double_rounding_differs_where_tosa_says(make_case, transfer) -> None:
    # 1 * 2^30 / 2^32 = 1/4 rounds to 0; double rounding adds 2^30 first, which makes it 1/2 and so 1. -2 gives
    # -1/2, which a single rounding takes to 0; double rounding subtracts 2^30 below 0, so it becomes -1.
    for double_round, expected in ((0, [0, 0]), (1, [1, -1])):
        scales = UNIT.format(0, 0).replace("shift=30", "shift=32") + UNIT.format(1, 0)
        clamp = f"vector.clamp low=-128 high=127 double_round={double_round}\n"
        case = vector_case(make_case, transfer, "convert channels=2 x0=0 y0=0", clamp + scales, np.zeros(1, np.int8))
        np.testing.assert_array_equal(case.run(X)[0][0, 0], expected)


def test_lookup_is_indexed_from_minus_128(make_case, transfer) -> None:
    constants = np.zeros(480, np.int8)
    constants[224:480] = np.arange(256) // 2 - 60
    case = vector_case(make_case, transfer, "lookup channels=2 x0=0 y0=0", PASS_THROUGH, constants)
    np.testing.assert_array_equal(case.run(X)[0], (X.astype(int) + 128) // 2 - 60)


def test_results_may_replace_their_own_operand(make_case, transfer) -> None:
    scales = (
        PASS_THROUGH + UNIT.format(0, 0) + UNIT.format(1, -1) + "vector.output base=0 row_stride=6 column_stride=2\n"
    )
    case = make_case(
        transfer("load", 2, 0, 12, masks="signal=0")
        + VECTOR.format(row=6, columns=3, rows=2, step_x=2, step_y=1, tap_columns=1, tap_rows=1)
        + scales
        + "vector.convert channels=2 x0=0 y0=0 wait=0 signal=1\n"
        + transfer("store", 3, 0, 12, masks="wait=1")
        + "end",
        inputs=[(12,)],
        outputs=[(12,)],
    )
    np.testing.assert_array_equal(case.run(X.reshape(-1))[0], X.reshape(-1) + 1)


def test_the_arena_holds_what_is_stored(make_case, transfer) -> None:
    case = make_case(
        transfer("load", 2, 0, 8, masks="signal=0")
        + transfer("store", 1, 0, 8, offset=3, masks="wait=0 signal=1")
        + transfer("load", 1, 64, 4, offset=5, masks="wait=1 signal=0")
        + transfer("store", 3, 64, 4, masks="wait=0")
        + "end",
        arena=11,
        inputs=[(8,)],
        outputs=[(4,)],
    )
    np.testing.assert_array_equal(case.run(np.arange(8, dtype=np.int8))[0], [2, 3, 4, 5])


@pytest.mark.parametrize(("columns", "taps"), [(40, 3), (7, 47)])
def test_products_too_large_for_one_call(make_case, transfer, columns: int, taps: int) -> None:
    # Many positions are multiplied in blocks, many terms in exact chunks (47 taps of 32 bytes are 1,504 terms).
    rng = np.random.default_rng(2)
    rows, size = 25, 60_000
    w = np.full((taps * 32, 32), -128, np.int8)
    w[:, 1:] = rng.integers(-128, 128, (taps * 32, 31))
    case = make_case(
        transfer("load", 0, 131072, w.size + 384)
        + transfer("load", 2, 0, size, masks="signal=0,1")
        + f"""
        matrix.input base=0 row_stride=2000 row_bytes=1990 rows=30 pad=0
        matrix.window columns={columns} rows={rows} step_x=32 step_y=1
        matrix.taps columns={taps} rows=1 step_x=32 step_y=0
        matrix.weights base=131072 tap_stride=1024 row_stride=32
        matrix.multiply inner=32 outer=32 x0=0 y0=2 accumulator=0 accumulate=0 wait=0 signal=2
        vector.window columns={columns} rows={rows} step_x=0 step_y=0
        vector.parameters base={131072 + w.size}
        vector.output base=262144 row_stride={32 * columns} column_stride=32
        {PASS_THROUGH}{UNIT.format(0, 0)}
        vector.requantize accumulator=0 channels=32 wait=1,2 signal=3
        """
        + transfer("store", 3, 262144, rows * columns * 32, masks="wait=3")
        + "end",
        constants=np.concatenate([w.reshape(-1), parameters([0] * 32, shift=48)]),
        inputs=[(size,)],
        outputs=[(rows * columns, 32)],
        target="gen1",
    )
    x = rng.integers(-128, 128, size).astype(np.int8)
    x[:20_000] = -128
    image = np.zeros((30, 4000), np.int64)
    image[:, :1990] = x.reshape(30, 2000)[:, :1990]
    patches = [image[2 + y, 32 * c : 32 * (c + taps)] for y in range(rows) for c in range(columns)]
    sums = np.stack(patches) @ w.astype(np.int64)
    assert np.abs(sums).max() > 1 << 20
    expected = np.clip(np.floor(sums / 2**18 + 0.5), -128, 127)
    np.testing.assert_array_equal(case.run(x)[0], expected)
