"""Whether an accelerator region computes a batch at once or in parts, whichever the clock finds faster.

A weight that is loaded serves all samples of a part, but the tensors between layers grow with it, and where they no
longer fit the scratchpad, moving them may cost more than the weights. For each region of a module with a batch, the
program is made for the whole batch and for each of its divisors, and the one that takes the fewest cycles is kept.

```mlir
%1 = npu.launch @region_0(%0)  : batch of 4        %a = nn.slice %0 ..   %b = nn.slice %0 ..
                                             ->    %2 = npu.launch @region_0(%a)   %3 = npu.launch @region_0(%b)
                                                   %1 = nn.concat %2, %3 axis 0    : batches of 2
```

The host's slices and concatenations, and the further launches, are part of the cost. A region is divided only if no
operation of it mixes samples. The result is in the module's text, at the end of the phase `partition`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, StringAttr, TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import Rewriter

from intaglio.dialects import isa, nn, npu
from intaglio.dialects.quant import RequantizeOp
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.passes.partition.boundaries import launches_of
from intaglio.passes.partition.placement import DEVICE, HOST, HOST_REASON, IN_PARTS, TARGET
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.remarks import remark
from intaglio.targets.host_costs import boundary_cycles, launch_cycles, move_cycles, stored_bytes
from intaglio.targets.simulator import Program
from intaglio.targets.target import Target, load_target

_SAMPLE_BY_SAMPLE = (
    nn.Conv2dOp,
    nn.ConvTranspose2dOp,
    nn.DenseOp,
    nn.PoolOp,
    nn.ActivationOp,
    nn.ElementwiseOp,
    nn.ReshapeOp,
    nn.ResizeOp,
    RequantizeOp,
)
"""Operations that compute a sample from the same sample, if the first dimension is the batch before and after."""


def divide_batches(module: ModuleOp, batch: int) -> None:
    """Replace launches of whole batches by launches of parts where that takes fewer cycles.

    Args:
        module: a partitioned module.
        batch: its samples, the first dimension of its inputs.
    """
    target = _target(module)
    if target is None or batch < 2:
        return
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
    for launch in list(launches_of(module)):
        function = functions[launch.callee.root_reference.data]
        if not _keeps_samples_apart(function, batch):
            continue
        costs = dict(_costs(module, launch, function, batch, target))
        part = min(costs, key=lambda size: (costs[size], -size))
        if part < batch:
            remark(
                f"a batch of {batch} takes {costs[batch]:,} cycles, in parts of {part} it takes {costs[part]:,}",
                function.sym_name.data,
            )
            _divide(launch, function, batch, part)


def _target(module: ModuleOp) -> Target | None:
    attribute = module.attributes.get(TARGET)
    return load_target(attribute.data) if isinstance(attribute, StringAttr) and attribute.data != HOST else None


def _keeps_samples_apart(function: func.FuncOp, batch: int) -> bool:
    """Whether every tensor of a function has the batch first, and no operation mixes samples."""
    tensors: list[SSAValue] = list(function.body.block.args)
    for op in function.body.block.ops:
        if isinstance(op, nn.ConstantOp | func.ReturnOp):
            continue
        if not isinstance(op, _SAMPLE_BY_SAMPLE):
            return False
        if isinstance(op, nn.ElementwiseOp) and any(_differs_by_sample(value, op.result) for value in op.operands):
            return False
        # In a tensor of one dimension the samples would be features.
        if isinstance(op, nn.DenseOp) and len(_shape(op.input)) < 2:
            return False
        tensors += op.results
    return all(len(_shape(value)) > 1 and _shape(value)[0] == batch for value in tensors)


def _differs_by_sample(value: SSAValue, result: SSAValue) -> bool:
    """Whether an operand is a constant with an entry for each sample."""
    shape = _shape(value)
    return isinstance(value.owner, nn.ConstantOp) and len(shape) == len(_shape(result)) and shape[0] != 1


def _shape(value: SSAValue) -> tuple[int, ...]:
    return tuple(nn.tensor_of(value).get_shape())


def _costs(
    module: ModuleOp, launch: npu.LaunchOp, function: func.FuncOp, batch: int, target: Target
) -> Iterator[tuple[int, int]]:
    """Each divisor of the batch for which there is a program, and the cycles that the batch takes in such parts."""
    sizes = [stored_bytes(value) for value in (*launch.operands, *launch.results)]
    for part in (part for part in range(batch, 0, -1) if batch % part == 0):
        try:
            cycles = _program(module, function, part).profile().cycles
        except UserError:
            if part == 1:
                raise
            continue
        launches = batch // part
        boundaries = launch_cycles(target) + sum(boundary_cycles(size // launches, target) for size in sizes)
        moves = sum(launches * move_cycles(size // launches, target) for size in sizes) if launches > 1 else 0
        yield part, launches * (cycles + boundaries) + moves


def _program(module: ModuleOp, function: func.FuncOp, part: int) -> Program:
    """The program of a region for some samples at once."""
    copy = function.clone()
    _set_batch(copy, part)
    alone = ModuleOp([copy], dict(module.attributes))
    for name in ("npu", "isa"):
        for step in PHASES[phase_index(name, where="batch")].steps:
            step.make(CompileOptions()).apply(make_context(), alone)
    (program,) = (op for op in alone.ops if isinstance(op, isa.ProgramOp))
    return Program(program_binary(program))


def _set_batch(function: func.FuncOp, batch: int) -> None:
    """Change the first dimension of all tensors but constants."""
    block = function.body.block
    for value in (*block.args, *(result for op in block.ops for result in op.results)):
        if not isinstance(value.owner, nn.ConstantOp):
            Rewriter.replace_value_with_new_type(value, _with_batch(value, batch))
    returned = block.last_op
    assert returned is not None
    function.function_type = FunctionType.from_lists(
        [argument.type for argument in block.args], [value.type for value in returned.operands]
    )


def _with_batch(value: SSAValue, batch: int) -> TensorType[Attribute]:
    kind = nn.tensor_of(value)
    return TensorType(kind.get_element_type(), [batch, *kind.get_shape()[1:]])


def _divide(launch: npu.LaunchOp, function: func.FuncOp, batch: int, part: int) -> None:
    """Launch a region for each part."""
    _set_batch(function, part)
    block, name = launch.parent, launch.callee.root_reference.data
    assert isinstance(block, Block)
    launches: list[npu.LaunchOp] = []
    for start in range(0, batch, part):
        slices = [
            nn.SliceOp(value, [start, *[0] * (rank - 1)], [1] * rank, [part, *_shape(value)[1:]])
            for value in launch.operands
            for rank in [len(_shape(value))]
        ]
        one = npu.LaunchOp(name, [op.result for op in slices], [_with_batch(value, part) for value in launch.results])
        launches.append(one)
        _insert(block, launch, [*slices, one])
    joined = [
        nn.ConcatOp([one.results[index] for one in launches], 0, cast("TensorType[Attribute]", value.type))
        for index, value in enumerate(launch.results)
    ]
    _insert(block, launch, joined)
    for value, op in zip(launch.results, joined, strict=True):
        op.result.name_hint = value.name_hint
        value.replace_all_uses_with(op.result)
    block.erase_op(launch)


def _insert(block: Block, launch: npu.LaunchOp, ops: Sequence[Operation]) -> None:
    for op in ops:
        op.location = launch.location
        if not isinstance(op, npu.LaunchOp):
            op.attributes[DEVICE] = StringAttr(HOST)
            op.attributes[HOST_REASON] = StringAttr(IN_PARTS)
        block.insert_op_before(op, launch)
