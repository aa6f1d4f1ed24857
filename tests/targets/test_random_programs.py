"""Simulator and interpreter agree on random configurations of every instruction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Pick = Callable[[int, int], int]

DATA = 6000
"""Random bytes at the start of the scratchpad: feature maps, weights, tables."""
PARAMETERS = 8192
OUTPUT = 16384
SETTINGS = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def grid(name: str, columns: int, rows: int, step_x: int, step_y: int) -> str:
    return f"{name} columns={columns} rows={rows} step_x={step_x} step_y={step_y}\n"


def multiple(pick: Pick, low: int, high: int, size: int) -> int:
    """A number of bytes that elements of `size` bytes allow."""
    return pick(-(-low // size), high // size) * size


def feature_map(pick: Pick, queue: str, size: int) -> str:
    rows, row_bytes = pick(1, 9), multiple(pick, 1, 70, size)
    stride = multiple(pick, 0, 90, size)
    base = multiple(pick, 0, 3000, size)
    return (
        f"{queue}.input base={base} row_stride={stride} row_bytes={row_bytes} rows={rows} pad={pick(-128, 127)} "
        f"element_bytes={size}\n"
    )


def scale(pick: Pick, operand: int, bits: int = 31) -> str:
    return (
        f"vector.scale operand={operand} multiplier={pick(0, 2**bits - 1)} shift={pick(2, 62)} "
        f"zero_point={pick(-300, 300)}\n"
    )


def clamp(pick: Pick, size: int, double_round: int | None = None) -> str:
    limit = 1 << (8 * size - 1)
    low = pick(-limit, limit - 1)
    rounding = pick(0, 1) if double_round is None else double_round
    return f"vector.clamp low={low} high={pick(low, limit - 1)} double_round={rounding}\n"


def output(channels: int, columns: int, spare: int, size: int) -> str:
    stride = (channels + spare) * size
    return f"vector.output base={OUTPUT} row_stride={columns * stride} column_stride={stride} element_bytes={size}\n"


def wide_parameter_bytes(rng: np.random.Generator, channels: int) -> np.ndarray:
    records = np.zeros(channels, [("bias", "<i8"), ("multiplier", "<i4"), ("shift", "<i4")])
    records["bias"] = rng.integers(-(2**47), 2**47, channels)
    records["multiplier"] = rng.integers(0, 2**15, channels)
    records["shift"] = rng.integers(2, 63, channels)
    records["shift"][::2] = rng.integers(20, 40, len(records[::2]))
    records["bias"][::2] = rng.integers(-100_000, 100_000, len(records[::2]))
    return records.view(np.int8)


def parameter_bytes(rng: np.random.Generator, channels: int) -> np.ndarray:
    values = np.stack(
        [rng.integers(-(2**31), 2**31, channels), rng.integers(0, 2**31, channels), rng.integers(2, 63, channels)],
        axis=1,
    )
    # Shifts near 31 + 14 give results that are not all clamped.
    values[::2, 2] = rng.integers(36, 50, len(values[::2]))
    values[::2, 0] = rng.integers(-1000, 1000, len(values[::2]))
    return values.astype("<i4").reshape(-1).view(np.int8)


def check_equal(
    make_case,
    transfer,
    seed: int,
    channels: int,
    body: str,
    written: int,
    wide: int = 0,
    parameters: np.ndarray | None = None,
) -> None:
    """Load random data and parameters, run the body (waits on 0 and 1, signals 3), store all that it may write."""
    rng = np.random.default_rng(seed)
    if parameters is None:
        parameters = (wide_parameter_bytes if wide else parameter_bytes)(rng, channels)
    # The output area is loaded first, so that gaps between results are defined.
    loads = transfer("load", 0, OUTPUT, written, offset=len(parameters))
    loads += transfer("load", 0, PARAMETERS, len(parameters)) + transfer("load", 2, 0, DATA, masks="signal=0,1")
    case = make_case(
        loads + body + transfer("store", 3, OUTPUT, written, masks="wait=3") + "end",
        constants=np.concatenate([parameters, np.zeros(written, np.int8)]),
        inputs=[(DATA,)],
        outputs=[(written,)],
    )
    case.run(rng.integers(-128, 128, DATA).astype(np.int8))


@SETTINGS
@given(data=st.data())
def test_multiply_and_requantize(make_case, transfer, data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    inner, outer = pick(1, 16), pick(1, 16)
    columns, rows = pick(1, 8), pick(1, 5)
    result, wide = pick(1, 2), pick(0, 1)
    body = ""
    accumulator = pick(0, 2048 - columns * rows)
    for accumulate in (0, 1):
        # The two multiplications may have different widths: the second one then adds to sums of the first one's.
        size, width = pick(1, 2), pick(1, 2)
        body += feature_map(pick, "matrix", size)
        body += grid("matrix.window", columns, rows, multiple(pick, 0, 20, size), pick(0, 3))
        taps = grid("matrix.taps", pick(1, 4), pick(1, 4), multiple(pick, 0, 20, size), pick(0, 2))
        base, tap, row = (multiple(pick, 0, most, width) for most in (2000, 200, 40))
        packed = pick(0, 1) if width == 1 else 0
        weights = f"matrix.weights base={base} tap_stride={tap} row_stride={row} element_bytes={width} packed={packed}"
        if pick(0, 1):
            zero_points = [pick(-256, 255) if element == 1 else 0 for element in (width, size)]
            weights += " zero_point={} input_zero_point={}".format(*zero_points)
        weights += "\n"
        body += taps + weights
        masks = "signal=2" if accumulate else "wait=0"
        body += (
            f"matrix.multiply inner={inner} outer={outer} x0={multiple(pick, -20, 40, size)} y0={pick(-4, 6)} "
            f"accumulator={accumulator} accumulate={accumulate} {masks}\n"
        )
    spare = pick(0, 3)
    body += grid("vector.window", columns, rows, 0, 0) + output(outer, columns, spare, result) + scale(pick, 0)
    body += clamp(pick, result, 0 if wide else None) + f"vector.parameters base={PARAMETERS} wide={wide}\n"
    body += f"vector.requantize accumulator={accumulator} channels={outer} wait=1,2 signal=3\n"
    check_equal(make_case, transfer, pick(0, 9999), outer, body, rows * columns * (outer + spare) * result, wide)


@SETTINGS
@given(data=st.data())
@pytest.mark.parametrize("kind", ["depthwise", "max", "sum", "root"])
def test_instructions_with_taps(make_case, transfer, kind: str, data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    channels, columns, rows, spare = pick(1, 40), pick(1, 8), pick(1, 5), pick(0, 3)
    size, width, result, wide = pick(1, 2), pick(1, 2), pick(1, 2), pick(0, 1)
    body = feature_map(pick, "vector", size)
    body += grid("vector.window", columns, rows, multiple(pick, 0, 20, size), pick(0, 3))
    body += grid("vector.taps", pick(1, 12), pick(1, 8), multiple(pick, 0, 20, size), pick(0, 2))
    body += output(channels, columns, spare, result)
    base, stride = multiple(pick, 0, 1000, width), multiple(pick, 0, 50, width)
    body += f"vector.weights base={base} tap_stride={stride} element_bytes={width}\n"
    body += f"vector.parameters base={PARAMETERS} wide={wide}\n"
    body += scale(pick, 0) + scale(pick, 1) + clamp(pick, result, 0 if wide else None)
    body += "matrix.window columns=1 rows=1 step_x=0 step_y=0 wait=0\n"
    x0 = multiple(pick, -20, 40, size)
    body += f"vector.{kind} channels={channels} x0={x0} y0={pick(-4, 6)} wait=1 signal=3\n"
    check_equal(make_case, transfer, pick(0, 9999), channels, body, rows * columns * (channels + spare) * result, wide)


@SETTINGS
@given(data=st.data())
@pytest.mark.parametrize(
    "kind",
    [
        *("add", "subtract", "minimum", "maximum", "multiply", "divide"),
        *("convert", "lookup", "interpolate", "logarithm"),
    ],
)
def test_instructions_without_taps(make_case, transfer, kind: str, data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    channels, columns, rows, spare = pick(1, 40), pick(1, 8), pick(1, 5), pick(0, 3)
    needed = {"lookup": 1, "interpolate": 2, "logarithm": 2}
    size, second, result = needed.get(kind) or pick(1, 2), pick(1, 2), pick(1, 2)
    body = feature_map(pick, "vector", size)
    body += grid("vector.window", columns, rows, multiple(pick, 0, 40, size), pick(0, 2))
    body += output(channels, columns, spare, result)
    wide = kind == "divide" and max(size, second) == 2
    body += clamp(pick, result, 0 if wide else None)
    body += "".join(scale(pick, operand, 15 if wide else 31) for operand in range(3))
    body += f"vector.offset value={pick(-(2**30), 2**30)}\n"
    base, row, column = (multiple(pick, 0, most, second) for most in (2000, 100, 50))
    body += (
        f"vector.operand base={base} row_stride={row} column_stride={column} channel_stride={pick(0, 1)} "
        f"element_bytes={second}\nvector.table base={multiple(pick, 0, 4900, 2)}\n"
    )
    body += "matrix.window columns=1 rows=1 step_x=0 step_y=0 wait=0\n"
    x0 = multiple(pick, -20, 40, size)
    body += f"vector.{kind} channels={channels} x0={x0} y0={pick(-2, 4)} wait=1 signal=3\n"
    check_equal(make_case, transfer, pick(0, 9999), channels, body, rows * columns * (channels + spare) * result)


@SETTINGS
@given(data=st.data())
@pytest.mark.parametrize("kind", ["transpose", "softmax", "normalize"])
def test_instructions_on_rows(make_case, transfer, kind: str, data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    channels, columns, rows, spare = pick(1, 40), pick(1, 8), pick(1, 5), pick(0, 3)
    size, result = (1, 1) if kind == "transpose" else (pick(1, 2), pick(1, 2))
    wide = kind == "normalize" and result == 2
    body = feature_map(pick, "vector", size)
    body += grid("vector.window", columns, rows, multiple(pick, 0, 40, size), pick(0, 2))
    if kind == "transpose":
        stride = columns + spare
        body += f"vector.output base={OUTPUT} row_stride={channels * stride} column_stride={stride}\n"
        written = rows * channels * stride
    else:
        body += output(channels, columns, spare, result)
        written = rows * columns * (channels + spare) * result
    body += clamp(pick, result, 0 if wide else None) + scale(pick, 1)
    body += scale(pick, 0, 15) if wide else scale(pick, 0)
    fraction = pick(1, 20)
    body += f"vector.exponentials base={PARAMETERS} fraction={fraction if size == 2 else 0}\n"
    epsilon = pick(0, 1 << pick(0, 61))
    body += f"vector.normalization base={PARAMETERS} around_mean={pick(0, 1)} epsilon={epsilon}\n"
    body += "matrix.window columns=1 rows=1 step_x=0 step_y=0 wait=0\n"
    body += f"vector.{kind} channels={channels} x0={multiple(pick, -20, 40, size)} y0={pick(-2, 4)} wait=1 signal=3\n"
    rng = np.random.default_rng(pick(0, 9999))
    if kind == "softmax":
        # The exponential of no difference is at least 1, so that no sum is 0; with two tables it is their product.
        most = [1 << pick(1, 20), 1 << fraction][:size]
        stored = np.concatenate([np.sort(rng.integers(0, largest, 256))[::-1] for largest in most])
        stored[::256] = 1 if size == 1 else 1 << fraction
    else:
        count = 2 * channels * (2 if wide else 1)
        stored = rng.integers(-(2**31), 2**31, count) >> rng.integers(0, 31, count)
        if wide:
            # The upper half of an offset of 48 bits.
            stored[1::4] >>= 16
    parameters = stored.astype("<i4").view(np.int8)
    check_equal(make_case, transfer, pick(0, 9999), channels, body, written, parameters=parameters)


@SETTINGS
@given(data=st.data())
def test_transfers(make_case, transfer, data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    size = pick(1, 9)
    counts = [pick(1, 4) for _ in range(3)]
    # Strides in the scratchpad keep the runs apart, in a random order of the levels and of either direction.
    distance, strides = size, [0, 0, 0]
    for level in data.draw(st.permutations(range(3))):
        distance += pick(0, 5)
        strides[level] = distance * data.draw(st.sampled_from([-1, 1]))
        distance *= counts[level]
    low = sum(min(0, (count - 1) * stride) for count, stride in zip(counts, strides, strict=True))
    high = sum(max(0, (count - 1) * stride) for count, stride in zip(counts, strides, strict=True)) + size
    dram_strides = [pick(-40, 40) for _ in range(3)]
    shape = "".join(
        f"load.shape level={level} count={counts[level]} dram_stride={dram_strides[level]} "
        f"scratchpad_stride={strides[level]}\n"
        for level in range(3)
    )
    span = high - low
    body = transfer("load", 0, OUTPUT, span, offset=12) + shape
    offset = pick(500, 2000)
    body += f"load.run region=2 dram_offset={offset} scratchpad={OUTPUT - low} bytes={size} signal=3\n"
    case = make_case(
        body + transfer("store", 3, OUTPUT, span, masks="wait=3") + "end",
        constants=np.zeros(span + 12, np.int8),
        inputs=[(4000,)],
        outputs=[(span,)],
    )
    x = np.random.default_rng(pick(0, 9999)).integers(-128, 128, 4000).astype(np.int8)
    expected = np.zeros(span, np.int8)
    for index in np.ndindex(*counts):
        source = offset + int(np.dot(index, dram_strides))
        destination = int(np.dot(index, strides)) - low
        expected[destination : destination + size] = x[source : source + size]
    np.testing.assert_array_equal(case.run(x)[0], expected)
