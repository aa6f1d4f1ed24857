"""Layers of any size on the smallest scratchpads: refused with a reason, or computed in parts with the right result."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType

from intaglio.compiler import run_phase
from intaglio.dialects import isa, nn
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.partition.assign_devices import AssignDevices
from intaglio.passes.partition.placement import placement
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.targets.constraints import check
from intaglio.targets.target import load_target
from tests.lowering.large_layers import LARGE
from tests.lowering.operator_cases import ARRAYS, check_bits, machine_file, simulated

SMALLEST = 256 << 10
COMPARED = 200_000
"""Largest number of elements for which the interpreter runs, too."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


def check_layer(family: str, seed: int, elements: int, folder: Path, regions: Any) -> None:
    builder = regions.builder(seed, *family.encode())
    result = LARGE[family](builder, elements)
    target = machine_file(folder, builder.choice(ARRAYS), SMALLEST)
    module = builder.module(result)
    violations = check(result.owner, load_target(target))
    assert all(", got " in str(violation) for violation in violations)
    if violations:
        return
    try:
        if elements <= COMPARED:
            check_bits(module, target, regions.inputs_of(module, seed))
        else:
            module.attributes["intaglio.target"] = StringAttr(str(target))
            simulated(module)
    except Exception as error:
        error.add_note(f"{family}, seed {seed}, {elements} elements, {target.stem}")
        raise


def main_types(module: ModuleOp) -> list[TensorType]:
    """The inputs and results of `@main`."""
    main = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")
    return [*main.function_type.inputs, *main.function_type.outputs]


@pytest.mark.parametrize("family", LARGE)
def test_layers_are_refused_or_computed(family: str, machines: Path, regions: Any) -> None:
    for seed in range(4):
        check_layer(family, seed, 50_000, machines, regions)


@pytest.mark.slow
@pytest.mark.parametrize("family", LARGE)
@pytest.mark.parametrize(("elements", "seeds"), [(50_000, 100), (COMPARED, 20), (1_000_000, 5)])
def test_more_layers_are_refused_or_computed(
    family: str, elements: int, seeds: int, machines: Path, regions: Any
) -> None:
    for seed in range(100, 100 + seeds):
        check_layer(family, seed, elements, machines, regions)


def test_steps_of_one_position_are_of_no_account(machines: Path, regions: Any) -> None:
    """A stride of 153 times 8,766 channels is more than an address generator takes, but there is no second window."""
    builder = regions.builder(2)
    source = builder.input(1, 1, 1, 8766)
    largest = builder.add(nn.MaxPool2dOp(source, source.type, kernel=(1, 1), strides=(1, 153)))
    convolved = builder.conv2d(largest, 3, kernel=(1, 1), strides=(200, 200), dilations=(200, 200), pads=(0, 0, 0, 0))
    module = builder.module(convolved)
    check_bits(module, machine_file(machines, 32, SMALLEST), regions.inputs_of(module))


@pytest.mark.parametrize("bits", [(8,), (16,)])
@pytest.mark.parametrize("channels", [1, 16, 34, 200])
def test_depthwise_with_one_tap(channels: int, bits: tuple[int, ...], machines: Path, regions: Any) -> None:
    """Positions need no neighbours, but are not channels: each channel keeps its weight and its parameters."""
    for seed, pads in enumerate([(0, 0, 0, 0), (0, 0, 2, 1)]):
        builder = regions.builder(seed, channels, bits=bits)
        source = builder.input(2, 3, 6, channels)
        result = builder.depthwise(source, kernel=(1, 1), strides=(1, 1), dilations=(1, 1), pads=pads)
        module = builder.module(result)
        check_bits(
            module, machine_file(machines, 16, SMALLEST), regions.inputs_of(module), builder.choice([None, 4096])
        )


@pytest.mark.parametrize(("channels", "kernel"), [(39_564, (1, 1)), (9_000, (3, 3)), (30_001, (2, 1))])
def test_parameters_of_many_channels_come_with_their_channels(
    channels: int, kernel: tuple[int, int], machines: Path, regions: Any
) -> None:
    """Those of all channels exceed the scratchpad; each is loaded once, and tasks are few."""
    builder = regions.builder(channels)
    source = builder.input(1, 3, 2, channels)
    module = builder.module(builder.depthwise(source, kernel=kernel, strides=(1, 1), dilations=(1, 1)))
    target = machine_file(machines, 32, SMALLEST)
    copy = module.clone()
    check_bits(copy, target, regions.inputs_of(module))
    module.attributes["intaglio.target"] = StringAttr(str(target))
    profile = simulated(module).profile()
    assert profile.instructions < 2_000
    values = sum(prod(kind.get_shape()) for kind in main_types(module))
    constants = channels * (12 + prod(kernel))
    assert sum(profile.dram_bytes.values()) < 1.1 * (values + constants)


@pytest.mark.parametrize("pads", [(0, 0, 0, 16), (0, 0, 3, 0), (0, 0, 2, 2)])
def test_padding_behind_the_image_alone(pads: tuple[int, ...], machines: Path, regions: Any) -> None:
    builder = regions.builder(*pads)
    source = builder.input(2, 9, 5, 3)
    result = builder.conv2d(source, 4, kernel=(1, 1), strides=(1, 1), dilations=(1, 1), pads=pads)
    module = builder.module(result)
    check_bits(module, machine_file(machines, 16, SMALLEST), regions.inputs_of(module))


@pytest.mark.parametrize("strides", [(2, 2), (1, 7), (3, 1)])
def test_strides_of_one_window(strides: tuple[int, int], machines: Path, regions: Any) -> None:
    builder = regions.builder(*strides)
    source = builder.input(3, strides[0], strides[1], 5)
    result = builder.conv2d(source, 4, kernel=(1, 1), strides=strides, dilations=(1, 1), pads=(0, 0, 0, 0))
    module = builder.module(result)
    check_bits(module, machine_file(machines, 16, SMALLEST), regions.inputs_of(module))


Q = "!quant.uniform<i8:f32, 0.5>"
REFUSED = {
    "a row that no scratchpad holds": (
        f"nn.relu %x : (tensor<1x1x60000x20x{Q}>) -> tensor<1x1x60000x20x{Q}>",
        "at most 1048575 bytes, got shape [1, 1, 60000, 20]",
    ),
    "a stride beyond the instruction": (
        "nn.max_pool2d %x kernel [1, 1] strides [300, 1] pads [0, 0, 0, 0] dilations [1, 1] : "
        f"(tensor<1x301x4x4x{Q}>) -> tensor<1x2x4x4x{Q}>",
        "at most 255, got strides [300, 1]",
    ),
    "five dimensions": (f"nn.tanh %x : (tensor<2x2x2x2x2x{Q}>) -> tensor<2x2x2x2x2x{Q}>", "got rank 5"),
    "a window that half of the scratchpad does not hold": (
        "nn.max_pool2d %x kernel [200, 200] strides [1, 1] pads [0, 0, 0, 0] dilations [4, 4] : "
        f"(tensor<1x800x800x4x{Q}>) -> tensor<1x4x4x4x{Q}>",
        "got 635209 bytes of 262144",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_goes_to_the_host_and_says_why(case: str, machines: Path) -> None:
    line, reason = REFUSED[case]
    source, result = (part.strip(" ()") for part in line.split(":", 1)[1].rsplit("->", 1)[0:2])
    text = f"func.func @main(%x: {source}) -> {result} {{ %0 = {line} func.return %0 : {result} }}"
    module = parse_module(text)
    AssignDevices(target=str(machine_file(machines, 64, SMALLEST))).apply(make_context(), module)
    (place,) = placement(module)
    assert place.device == "host" and place.reason is not None and reason in place.reason


def test_what_fits_stays_on_the_accelerator_beside_what_does_not(machines: Path) -> None:
    kind, wide = f"tensor<1x4x4x8x{Q}>", f"tensor<4x4x2x2x2x{Q}>"
    module: ModuleOp = parse_module(
        f"""
        func.func @main(%x: {kind}) -> {kind} {{
          %0 = nn.tanh %x : ({kind}) -> {kind} loc("a")
          %1 = nn.reshape %0 : ({kind}) -> {wide} loc("b")
          %2 = nn.sigmoid %1 : ({wide}) -> {wide} loc("c")
          %3 = nn.reshape %2 : ({wide}) -> {kind} loc("d")
          %4 = nn.tanh %3 : ({kind}) -> {kind} loc("e")
          func.return %4 : {kind}
        }}
        """
    )
    options = CompileOptions(target=str(machine_file(machines, 16, SMALLEST)), index_to_backend={"*": "accelerator"})
    for name in ("partition", "npu", "isa"):
        run_phase(module, PHASES[phase_index(name, where="the test")], options)
    programs = [op for op in module.ops if isinstance(op, isa.ProgramOp)]
    assert [place.kind for place in placement(module)] == ["nn.sigmoid"] and len(programs) == 2
