"""What choices cost: AIMET's bit operations, or cycles and DRAM bytes of an accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.precision import Precision
from intaglio.search.groups import Groups, grouped_operations
from intaglio.search.problem import Choice, Float64Array, Problem
from intaglio.targets.constraints import LINEAR
from intaglio.targets.estimate import estimate, supported_precisions
from intaglio.targets.target import Target, load_target

CostKind = Literal["bitops", "cycles", "dram"]

COST_KINDS: tuple[CostKind, ...] = get_args(CostKind)


def bit_operations(groups: Groups, precisions: Sequence[Precision]) -> Float64Array:
    """Multiplications times the bits of both factors, for each group and precision.

    Source: AIMET, automatic mixed precision: `MAC * activation bits * parameter bits`.

    Returns:
        Shape `(groups, precisions)`.
    """
    bits = np.array([precision.activation_bits * precision.weight_bits for precision in precisions], np.float64)
    return np.array([group.macs for group in groups.groups], np.float64)[:, None] * bits


def relative_bit_operations(problem: Problem, choice: Choice) -> float:
    """Bit operations of a choice relative to those of 16-bit activations and weights throughout."""
    everyone = np.arange(len(choice))
    total = float(bit_operations(problem.groups, problem.precisions)[everyone, choice].sum())
    widest = 256.0 * problem.groups.macs
    return total / widest if widest else 1.0


def bit_operation_problem(
    groups: Groups, precisions: Sequence[Precision], allowed: npt.NDArray[np.bool_] | None = None
) -> Problem:
    """The problem of the fewest bit operations.

    An operation without products counts its elements once in the bits they are stored in, which is next to nothing
    and makes it narrow where width does not help. Conversions count likewise: the bits on both sides.

    Args:
        groups: what precisions are chosen for.
        precisions: what there is to choose from.
        allowed: `[groups, precisions]`; None if all are.
    """
    if not precisions:
        raise UserError("there are no candidates to choose from", hint="give at least one precision")
    costs = bit_operations(groups, precisions)
    storage = np.array([precision.activation_bits for precision in precisions], np.float64)
    costs += np.array([group.elements for group in groups.groups], np.float64)[:, None] * storage
    conversions = np.array([elements * 24.0 for _, _, elements in groups.edges], np.float64)
    if allowed is None:
        allowed = np.ones(costs.shape, np.bool_)
    return Problem(groups, tuple(precisions), allowed, costs, conversions)


def make_problem(
    module: ModuleOp,
    groups: Groups,
    precisions: Sequence[Precision],
    cost: CostKind = "bitops",
    target: str | None = None,
    use_all_candidates: bool = False,
) -> Problem:
    """The problem of choosing precisions for a module.

    Args:
        module: at the end of the phase `calibrate`.
        groups: of the module.
        precisions: the candidates.
        cost: what to minimise.
        target: the accelerator whose support and costs count; None where everything is supported.
        use_all_candidates: consider candidates that the target does not support, too.

    Raises:
        UserError: there is no such cost or target, the cost needs a target, or a group has no candidate that is
            supported.
    """
    if cost not in COST_KINDS:
        raise UserError(f"there is no cost {cost!r}", hint=f"use one of {', '.join(COST_KINDS)}")
    if target is None:
        if cost != "bitops":
            raise UserError(f"{cost} are those of an accelerator", hint="name one: --target gen1")
        return bit_operation_problem(groups, precisions)
    described = load_target(target)
    allowed = None if use_all_candidates else _supported(module, precisions, described)
    problem = bit_operation_problem(groups, precisions, allowed)
    if cost == "bitops":
        return problem
    costs = np.zeros_like(problem.costs)
    for index, precision in enumerate(precisions):
        by_name = _layer_costs(module, precision, described, cost)
        costs[:, index] = [sum(by_name.get(name, 0.0) for name in group.names) for group in groups.groups]
    # A requantization passes every element through the vector unit, and through DRAM if the map does not stay inside,
    # which the cost of a choice cannot know: it is left to the estimate of the whole.
    lanes = described.array_size if cost == "cycles" else np.inf
    conversions = np.array([elements / lanes for _, _, elements in groups.edges], np.float64)
    return Problem(groups, problem.precisions, problem.allowed, costs, conversions)


def _layer_costs(module: ModuleOp, precision: Precision, target: Target, cost: CostKind) -> dict[str, float]:
    """What each layer costs when all have one precision, by the first name of its location."""
    found: dict[str, float] = {}
    for layer in estimate(main_function(module), {}, target, precision).layers:
        # How much later a layer finishes depends on its neighbours; the work that it gives to the units does not.
        work = layer.matrix_cycles + layer.vector_cycles
        value = work if cost == "cycles" else layer.read_bytes + layer.written_bytes
        name = (layer.name or "").split(", ", 1)[0]
        found[name] = found.get(name, 0.0) + value
    return found


def _supported(module: ModuleOp, precisions: Sequence[Precision], target: Target) -> npt.NDArray[np.bool_]:
    """Whether the target supports a precision for all operations of a group.

    What it does not execute in any precision is the host's, where all are supported.
    """
    rows: list[list[bool]] = []
    for operations in grouped_operations(module):
        offers = [(op, found) for op in operations if (found := supported_precisions(op, target))]
        rows.append([all(_offers(op, found, precision) for op, found in offers) for precision in precisions])
    return np.array(rows, np.bool_).reshape(len(rows), len(precisions))


def _offers(op: Operation, offered: Sequence[Precision], precision: Precision) -> bool:
    """Whether a precision is among those offered; without weights their width makes no difference."""
    if isinstance(op, LINEAR):
        return precision in offered
    return any((p.kind, p.activation_bits) == (precision.kind, precision.activation_bits) for p in offered)
