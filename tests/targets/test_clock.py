"""The clock charges what docs/accelerator.md says; expected cycles are worked out by hand for gen1 (D = 32)."""

from __future__ import annotations

import json

import pytest

from intaglio.targets.costs import multiply_cost, vector_cost
from intaglio.targets.simulator import Profile
from intaglio.targets.target import load_target

GEN1 = load_target("gen1")
SHAPE = "load.shape level={} count={} dram_stride={} scratchpad_stride={}\n"
VECTOR = """
vector.input base=0 row_stride=32 row_bytes=32 rows=1 pad=0
vector.window columns=100 rows=10 step_x=0 step_y=0
vector.taps columns=3 rows=3 step_x=0 step_y=0
vector.output base=65536 row_stride=3200 column_stride=32
vector.clamp low=-128 high=127 double_round=0
"""
MATRIX = """
matrix.input base=0 row_stride=32 row_bytes=32 rows=1 pad=0
matrix.window columns={} rows=1 step_x=0 step_y=0
matrix.taps columns={} rows=1 step_x=0 step_y=0
matrix.weights base=0 tap_stride=0 row_stride=32
"""


@pytest.fixture
def profiled(make_case):
    def run(text: str, **kwargs) -> Profile:
        kwargs = {"inputs": [(65536,)], "arena": 65536, "target": "gen1", **kwargs}
        return make_case(text + "end", **kwargs).simulated().profile()

    return run


def times(profile: Profile, mnemonic: str) -> list[tuple[int, int]]:
    return [
        (event.start, event.finish) for event in profile.timeline if event.step.word.instruction.mnemonic == mnemonic
    ]


def load(scratchpad: int, size: int, *, masks: str = "", offset: int = 0) -> str:
    return f"load.run region=2 dram_offset={offset} scratchpad={scratchpad} bytes={size} {masks}\n"


SHAPES = "".join(SHAPE.format(level, 1, 0, 0) for level in range(3))


def test_a_load_and_a_store(profiled, transfer) -> None:
    profile = profiled(SHAPES + load(0, 128, masks="signal=0") + transfer("store", 1, 0, 128, masks="wait=0"))
    # Word 3 is dispatched at 4; 16 + 100 of setup, then 128 bytes at 16 a cycle. The store has 16 of setup.
    assert times(profile, "load.run") == [(4, 128)]
    assert times(profile, "store.run") == [(128, 152)]
    assert profile.cycles == 152
    assert profile.dram_bytes == {"read": 128, "written": 128}
    assert profile.stalls["store"] == {"dispatch": 5, "wait for load": 120}
    assert profile.stalls["load"] == {"dispatch": 1, "dram latency": 116 + 3}
    assert profile.instructions == 9


def test_runs_take_whole_aligned_bursts(profiled) -> None:
    one_burst = profiled(SHAPES + load(0, 1))
    assert one_burst.dram_bytes["read"] == 64
    assert times(one_burst, "load.run") == [(4, 4 + 116 + 4)]
    assert profiled(SHAPES + load(0, 64, offset=1)).dram_bytes["read"] == 128
    rows = SHAPE.format(0, 8, 48, 32) + SHAPE.format(1, 1, 0, 0) + SHAPE.format(2, 1, 0, 0)
    # Rows of 32 bytes at 0, 48, 96 ... 336: of each four rows only the second touches two bursts.
    assert profiled(rows + load(0, 32)).dram_bytes["read"] == 64 * (1 + 2 + 1 + 1) * 2


def test_latency_overlaps_on_two_channels_and_data_arrive_in_order(profiled) -> None:
    profile = profiled(SHAPES + load(0, 1600) + load(2000, 64) + load(4000, 64))
    # The first has its data from 120 to 220; the second begins a cycle later and has its 4 cycles after that; the
    # third begins when a channel is free.
    assert times(profile, "load.run") == [(4, 220), (5, 224), (220, 220 + 116 + 4)]


def test_a_load_and_a_store_share_the_port(profiled, transfer) -> None:
    start = SHAPES + load(0, 640, masks="signal=0") + load(1024, 16000)
    profile = profiled(start + transfer("store", 1, 0, 640, masks="wait=0"))
    # First load: data from 120 to 160. The second goes on alone until the store's setup is over at 176. Then each
    # has half the port, and bank conflicts of half a line a cycle: 40 cycles of data take 2 * 40 * (1 + 0.5/16).
    assert times(profile, "store.run") == [(160, 176 + 83)]
    # 16 of its 1000 cycles are done at 176; by 259 it has 83 / 2 / (1 + 0.5/16) = 40.24 more.
    assert times(profile, "load.run")[1] == (5, 259 + 944)
    assert profile.stalls["store"]["dram port"] == round(83 / 2)


def test_matrix_and_vector_instructions(profiled) -> None:
    profile = profiled(
        SHAPES
        + load(0, 4096, masks="signal=0,1")
        + MATRIX.format(100, 9)
        + "matrix.multiply inner=32 outer=32 x0=0 y0=0 accumulator=0 accumulate=0 wait=0 signal=2\n"
        + VECTOR
        + "vector.max channels=32 x0=0 y0=0 wait=1,2\n"
    )
    # Load: 4 + 116 + 256. Multiply: 64 fill, 32 first tile, nine taps of 100. Maximum: 8 and 1000 * (9 + 1).
    assert times(profile, "load.run") == [(4, 376)]
    assert times(profile, "matrix.multiply") == [(376, 376 + 64 + 32 + 900)]
    assert times(profile, "vector.max") == [(1372, 1372 + 8 + 10000)]
    assert profile.macs == 100 * 9 * 32 * 32
    assert profile.mac_utilization == pytest.approx(900 / 11380)


def test_few_positions_wait_for_weight_tiles() -> None:
    assert multiply_cost(10, 9, 32, 32, GEN1).cycles == 64 + 32 + 9 * 32
    assert multiply_cost(1024, 1, 32, 32, GEN1).cycles == 64 + 32 + 1024


def test_busy_banks_slow_concurrent_queues(profiled) -> None:
    profile = profiled(
        SHAPES
        + load(0, 4096, masks="signal=0,1")
        + MATRIX.format(1000, 10)
        + VECTOR
        + "matrix.multiply inner=32 outer=32 x0=0 y0=0 accumulator=0 accumulate=0 wait=0\n"
        + "vector.max channels=32 x0=0 y0=0 wait=1\n"
    )
    # The multiply reads 10 * (1000 + 32) lines in 10032 cycles, the maximum 1000 * 10 lines in 10000 cycles.
    ((start, finish),) = times(profile, "vector.max")
    slow = 8 + 10000 * (1 + 10320 / 10032 / 16)
    assert finish - start == pytest.approx(slow, abs=8)
    assert profile.stalls["vector"]["bank conflicts"] == pytest.approx(slow - 10008, abs=8)


@pytest.mark.parametrize(
    ("kind", "channels", "taps", "cycles"),
    [
        ("requantize", 32, 1, 100),
        ("convert", 33, 1, 200),
        ("lookup", 64, 1, 200),
        ("multiply", 32, 1, 200),
        ("add", 32, 1, 400),
        ("subtract", 1, 1, 400),
        ("max", 32, 9, 1000),
        ("sum", 32, 49, 5000),
        ("depthwise", 32, 9, 400),
        ("depthwise", 32, 25, 1000),
    ],
)
def test_vector_rates(kind: str, channels: int, taps: int, cycles: int) -> None:
    assert vector_cost(kind, 100, channels, taps, GEN1).cycles == 8 + cycles


def test_layers_add_up_and_none_beats_its_bounds(profiled) -> None:
    text = ""
    for number, name in enumerate(("stem", "pool", "stem")):
        body = SHAPES + load(8192 * number, 4096, masks="signal=0") + MATRIX.format(200, 3 + number)
        body += f"matrix.multiply inner=32 outer=32 x0=0 y0=0 accumulator={256 * number} accumulate=0 wait=0\n"
        text += "".join(f"{line} ; {name}\n" for line in body.splitlines() if line)
    text += SHAPES
    profile = profiled(text)
    named = {layer.name: layer for layer in profile.layers}
    assert set(named) == {None, "stem", "pool"}
    assert sum(layer.cycles for layer in profile.layers) == profile.cycles
    assert sum(layer.macs for layer in profile.layers) == profile.macs
    for layer in profile.layers:
        assert layer.cycles >= max(layer.busy["matrix"], layer.macs / 1024)
        assert layer.mac_utilization <= 1
        assert layer.finish - layer.start >= sum(layer.dram_bytes.values()) / 16
    for event in profile.timeline:
        assert event.finish - event.start >= event.cost.cycles


def test_a_profile_is_plain_data_and_a_trace(profiled) -> None:
    profile = profiled(SHAPES + load(0, 64).rstrip() + " ; input\n")
    report = json.loads(json.dumps(profile.to_dict()))
    assert report["cycles"] == profile.cycles
    assert [layer["name"] for layer in report["layers"]] == [None, "input"]
    trace = profile.chrome_trace()
    assert [event["args"]["name"] for event in trace if event["ph"] == "M"] == ["load", "store", "matrix", "vector"]
    (event,) = [event for event in trace if event["ph"] == "X"]
    assert (event["name"], event["tid"], event["ts"], event["dur"]) == ("input", 0, 4, 120)
