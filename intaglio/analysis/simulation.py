"""The quantized network against the simulated instruction stream, tensor by tensor, equal in every bit.

A program keeps only what it returns. Each accelerator region is therefore compiled again, with the results of some
of its layers as outputs at a time, and at last as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from intaglio.analysis.report import Divergence, SimulatorReport
from intaglio.compiler import run_phase
from intaglio.dialects import isa, nn, npu
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.locations import names_in
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.passes.partition.outline_regions import LARGEST_INTERFACE
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.targets.simulator import Program
from intaglio.targets.target import load_target

Array = np.ndarray[Any, np.dtype[Any]]

_AT_ONCE = 10
"""Layers whose results a program returns at a time; more make it spill what the network itself would not."""


def compare_with_simulator(
    quantized: ModuleOp, samples: Sequence[Sequence[Array]], target: str = "gen1"
) -> SimulatorReport:
    """Run a network exactly and on the simulator, and find the first tensor that differs.

    Args:
        quantized: a module of the phase `quantize`; it does not change.
        samples: for each sample, one array per argument of `@main`. All are kept in memory, with all tensors of one
            region: a few samples do.
        target: the accelerator.

    Raises:
        UserError: there is no such target, or the network cannot be compiled for it.
    """
    module = quantized.clone()
    options = CompileOptions(target=target)
    run_phase(module, PHASES[phase_index("partition", where="phase")], options)
    launches = [op for op in main_function(module).body.block.ops if isinstance(op, npu.LaunchOp)]
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
    tensors = 0
    for launch in launches:
        region = functions[launch.callee.string_value()]
        inputs, computed = _computed(module, launch, region, samples)
        for values in _portions(region):
            program = _program(module, region, values, options)
            for feeds, known in zip(inputs, computed, strict=True):
                for value, result in zip(values, program.run(feeds), strict=True):
                    divergence = _difference(value, known[value], result)
                    if divergence is not None:
                        return SimulatorReport(target, tensors, len(samples), divergence)
            tensors += len(values)
    return SimulatorReport(target, tensors, len(samples), None)


def _computed(
    module: ModuleOp, launch: npu.LaunchOp, region: func.FuncOp, samples: Sequence[Sequence[Array]]
) -> tuple[list[list[Array]], list[dict[SSAValue, Array]]]:
    """The inputs of a region and what its operations compute, for each sample."""
    found: dict[SSAValue, Array] = {}
    wanted = set(launch.operands)

    def listen(op: Operation, results: Sequence[Array]) -> None:
        if op.parent_op() is region or any(result in wanted for result in op.results):
            found.update(zip(op.results, results, strict=True))

    interpreter = Interpreter(module, listeners=[listen])
    arguments = main_function(module).body.block.args
    inputs: list[list[Array]] = []
    computed: list[dict[SSAValue, Array]] = []
    for sample in samples:
        found = dict(zip(arguments, sample, strict=True))
        interpreter.run("main", sample)
        inputs.append([found[operand] for operand in launch.operands])
        computed.append(found)
    return inputs, computed


def _portions(region: func.FuncOp) -> Iterator[Sequence[SSAValue]]:
    """The results of a region's layers, some at a time, and at last what it returns."""
    block = region.body.block
    terminator = block.last_op
    assert terminator is not None
    values = (op.results[0] for op in block.ops if op.results and not isinstance(op, nn.ConstantOp))
    size = max(min(_AT_ONCE, LARGEST_INTERFACE - len(block.args)), 1)
    while portion := list(islice(values, size)):
        yield portion
    yield list(terminator.operands)


def _program(module: ModuleOp, region: func.FuncOp, values: Sequence[SSAValue], options: CompileOptions) -> Program:
    """The program of a region that returns some of its values."""
    mapping: dict[SSAValue, SSAValue] = {}
    copy = ModuleOp([region.clone(mapping)], attributes=dict(module.attributes))
    (function,) = copy.ops
    assert isinstance(function, func.FuncOp)
    terminator = function.body.block.last_op
    assert terminator is not None
    terminator.operands = [mapping[value] for value in values]
    function.update_function_type()
    for name in ("npu", "isa"):
        run_phase(copy, PHASES[phase_index(name, where="phase")], options)
    (program,) = (op for op in copy.ops if isinstance(op, isa.ProgramOp))
    return Program(program_binary(program), load_target(options.target or "gen1"))


def _difference(value: SSAValue, expected: Array, result: Array) -> Divergence | None:
    """How two arrays of stored values differ, None when they are equal."""
    unequal = expected != result
    if not unequal.any():
        return None
    first = tuple(int(index) for index in np.argwhere(unequal)[0])
    owner = value.owner
    names = names_in(owner.location) if isinstance(owner, Operation) else []
    kind = owner.name if isinstance(owner, Operation) else "input"
    return Divergence(
        names[-1] if names else kind,
        "quantized and simulator",
        f"element {list(first)} of {kind} is {expected[first]} and {result[first]}; "
        f"{int(unequal.sum()):,} of {unequal.size:,} elements differ",
    )
