"""Random regions of one operation, for every operation that the accelerator executes, and the targets to run them on.

A family makes one operation on random shapes, windows and parameters. Edges occur often: dimensions of 1, channels that
fill no lane or just one, dilations, strides beyond the kernel, windows in the padding alone, zero points at the ends of
their range, broadcasting in any dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import isa, nn
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.lowering.npu_to_isa import NpuToIsa
from intaglio.passes.base import get_pass
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.targets.simulator import Program
from intaglio.targets.target import load_target
from tests.lowering.test_attention_layers import FAMILIES as ATTENTION
from tests.lowering.test_movement import FAMILIES as MOVEMENT
from tests.lowering.test_reshaping_layers import FAMILIES as RESHAPING
from tests.lowering.test_resizing import FAMILIES as RESIZING

Builder = Any
"""`RegionBuilder` of the folder above."""

Family = Callable[[Builder], SSAValue]

ARRAYS = (16, 32, 64)
SCRATCHPADS = (256 << 10, 1 << 20, 4 << 20)
MACHINES = tuple((array, scratchpad) for array in ARRAYS for scratchpad in SCRATCHPADS)
"""All combinations of array size and bytes of scratchpad."""


def machine_file(folder: Path, array: int, scratchpad: int, generation: str = "gen1") -> Path:
    """The description of a machine, which is written to `folder` if it is not there."""
    path = folder / f"{generation}_d{array}_{scratchpad >> 10}k.toml"
    if not path.exists():
        base = load_target({16: f"{generation}-d16", 32: generation, 64: f"{generation}-d64"}[array])
        path.write_text(replace(base, name=path.stem, scratchpad_bytes=scratchpad).to_toml())
    return path


def size(b: Builder, largest: int) -> int:
    """A dimension; 1 more often than chance has it."""
    return b.choice([1, b.number(1, largest), b.number(1, largest)])


def channels(b: Builder) -> int:
    """A number of channels: a few, some that fill lanes just so, or any."""
    return b.choice([b.number(1, 8), b.choice([15, 16, 17, 31, 32, 33, 63, 64, 65]), b.number(1, 140)])


def image(b: Builder, depth: int | None = None) -> SSAValue:
    return b.input(b.choice([1, 1, 1, 2, 3]), size(b, 19), size(b, 19), depth or channels(b))


def tensor(b: Builder) -> SSAValue:
    """A tensor of any rank that elementwise operations take."""
    shape = (b.choice([1, 2]), size(b, 19), size(b, 19), channels(b))
    return b.input(*shape[b.number(0, 3) :])


def grouped(b: Builder) -> SSAValue:
    source = image(b)
    depth = source.type.get_shape()[3]
    groups = b.choice([count for count in range(1, depth + 1) if depth % count == 0])
    return b.conv2d(source, groups * b.number(1, 4), groups=groups)


def binary(kind: type[nn.ElementwiseOp]) -> Family:
    def make(b: Builder) -> SSAValue:
        source = tensor(b)
        shape = [1 if b.number(0, 2) == 0 else extent for extent in source.type.get_shape()]
        if b.number(0, 3) == 0:
            # Neither has the shape of the result.
            source = b.input(*(1 if b.number(0, 2) == 0 else extent for extent in source.type.get_shape()))
        shape = shape[b.choice([0, 0, 0, b.number(0, len(shape) - 1)]) :]
        other = b.input(*shape) if b.number(0, 2) else b.stored_constant(*shape)
        return b.binary(kind, *((other, source) if b.number(0, 1) else (source, other)))

    return make


def unary(make: Callable[[SSAValue, TensorType[Any], Builder], nn.ActivationOp]) -> Family:
    def family(b: Builder) -> SSAValue:
        source = tensor(b)
        return b.add(make(source, TensorType(b.activation(), source.type.get_shape()), b))

    return family


def reshape(b: Builder) -> SSAValue:
    source = tensor(b)
    shape = source.type.get_shape()
    flat = b.reshape(source, int(np.prod(shape)))
    # A region does more than move elements.
    return b.add(nn.TanhOp(flat, TensorType(b.activation(), flat.type.get_shape())))


def _table(kind: type[nn.ActivationOp]) -> Family:
    def make(source: SSAValue, result: TensorType[Any], b: Builder) -> nn.ActivationOp:
        fields = {nn.HardSigmoidOp: (0.2, 0.5), nn.EluOp: (1.5,), nn.LeakyReluOp: (0.1,), nn.GeluOp: ("none",)}
        return kind(source, result, *fields.get(kind, ()))

    return unary(make)


_IN_8_BITS = (nn.ReciprocalOp,)
"""A reciprocal is too steep for a 16-bit table at most random scales."""

FAMILIES: dict[str, Family] = {
    "conv2d": lambda b: b.conv2d(image(b), channels(b)),
    "pointwise": lambda b: b.conv2d(image(b), channels(b), kernel=(1, 1), pads=(0, 0, 0, 0)),
    "grouped": grouped,
    "depthwise": lambda b: b.depthwise(image(b)),
    "dense": lambda b: b.dense(tensor(b), channels(b)),
    "max_pool2d": lambda b: b.pool(image(b), largest=True),
    "avg_pool2d": lambda b: b.pool(image(b), largest=False),
    "global_average": lambda b: b.global_average(image(b)),
    "add": binary(nn.AddOp),
    "sub": binary(nn.SubOp),
    "mul": binary(nn.MulOp),
    "div": binary(nn.DivOp),
    "relu": unary(lambda source, result, b: nn.ReluOp(source, result)),
    "clip": unary(
        lambda source, result, b: nn.ClipOp(source, result, nn.ClampAttr.of(-0.5, float(b.rng.uniform(0, 6))))
    ),
    **{kind.name.removeprefix("nn."): _table(kind) for kind in nn.TABLE_OPS if kind not in _IN_8_BITS},
    "reshape": reshape,
    "requantize": lambda b: b.requantized(tensor(b)),
    **{kind.name.removeprefix("nn."): _table(kind) for kind in _IN_8_BITS},
    **MOVEMENT,
    **RESHAPING,
    **RESIZING,
    **ATTENTION,
}
"""By operation, convolutions by how they are computed."""

IN_16_BITS = tuple(name for name in FAMILIES if name not in {kind.name.removeprefix("nn.") for kind in _IN_8_BITS})
"""Those of which there are cases of 16 bits."""

WIDTHS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "a8w8": ((8,), (8,)),
    "a16w8": ((16,), (8,)),
    "a16w16": ((16,), (16,)),
}
"""Bits of activations and of weights."""


def lower_to_npu(module: ModuleOp, scratchpad: int | None = None) -> None:
    """Take a module with one region from the end of phase `partition` to that of phase `npu`.

    Args:
        module: it is changed.
        scratchpad: how many bytes of the scratchpad may be used, when not all.
    """
    for step in PHASES[phase_index("npu", where="the test")].steps:
        made = step.make(CompileOptions())
        lowering = get_pass("nn-to-npu")(scratchpad=scratchpad) if step.name == "nn-to-npu" else made
        lowering.apply(make_context(), module)


def program_of(module: ModuleOp) -> Program:
    """The region of a module at the end of phase `npu`, which is changed, as the simulator executes it."""
    NpuToIsa().apply(make_context(), module)
    (program,) = (op for op in module.ops if isinstance(op, isa.ProgramOp))
    return Program(program_binary(program))


def simulated(module: ModuleOp, scratchpad: int | None = None) -> Program:
    """Both, one after the other."""
    lower_to_npu(module, scratchpad)
    return program_of(module)


def check_bits(module: ModuleOp, target: Path, inputs: Sequence[Any], scratchpad: int | None = None) -> None:
    """Hold what the simulator computes for a region to what the interpreter does."""
    module.attributes["intaglio.target"] = StringAttr(str(target))
    expected = Interpreter(module).run("main", list(inputs))
    found = simulated(module, scratchpad).run(list(inputs))
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_array_equal(have, want)
