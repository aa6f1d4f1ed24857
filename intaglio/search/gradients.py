"""Sensitivity from gradients: how much the loss moves with what each precision rounds away, without an evaluation.

To second order, noise of variance `v` on a tensor whose gradient has the mean square `g` changes the loss by `g v / 2`
for each element: the diagonal of the Fisher information takes the place of the Hessian. The gradients come from where
the network was trained, since an ONNX file has none; the noise of every operand and weight is measured here, on float
values rounded as each precision would.

A file of gradients is an `.npz` with one entry a tensor. `NODE` is that of a node's output by the node's ONNX name (or
of an input of the model by its name), and `NODE:weight` that of its weight. An entry is the mean over samples of the
squared gradient of the loss: one number, or an array whose mean is taken, so that layouts do not matter.

Source: Dong et al., HAWQ-V2 (2019), and Theis et al., Faster gaze prediction with dense networks and Fisher pruning
(2018), for the two approximations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import BlockArgument, Operation, SSAValue

from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import names_in
from intaglio.numerics.bfloat16 import round_to_bfloat16
from intaglio.numerics.quantization import choose_parameters, choose_weight_scales, dequantize, quantize
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.pipeline import suggestion
from intaglio.passes.quantization.coverage import LAYERS, MOVES_ELEMENTS, activations, constant_of
from intaglio.precision import Precision
from intaglio.search.groups import grouped_operations
from intaglio.search.network import EvaluationData
from intaglio.search.problem import Float64Array, Problem

Array = np.ndarray[Any, np.dtype[Any]]

_WEIGHT = ":weight"
_MOST_SAMPLES = 16
"""Noise of rounding is the same on all samples, more or less."""


def read_gradients(source: str | Path | Mapping[str, Any]) -> dict[str, float]:
    """The mean squared gradient of each tensor.

    Args:
        source: an `.npz` file, or arrays by name.

    Raises:
        UserError: the file cannot be read, or an entry is negative, not finite or empty.
    """
    if isinstance(source, Mapping):
        arrays = {name: np.asarray(value) for name, value in source.items()}
        place = "gradients"
    else:
        place = str(source)
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the gradients: {error}", where=place) from error
    for name, array in arrays.items():
        is_real = array.dtype.kind in "fiu" and array.size > 0
        if not is_real or not bool(np.all(np.isfinite(array) & (array >= 0))):
            raise UserError(
                f"the entry {name!r} is no mean square",
                where=place,
                hint="each entry is the mean over samples of squared gradients: finite and not negative",
            )
    return {name: float(array.astype(np.float64).mean()) for name, array in arrays.items()}


def fisher_sensitivities(
    module: ModuleOp, problem: Problem, data: EvaluationData, gradients: Mapping[str, float], per_channel: bool
) -> Float64Array:
    """What each precision of each group adds to the loss, by the Fisher information.

    Args:
        module: at the end of the phase `calibrate`.
        problem: groups and precisions of the module.
        data: samples that noise is measured on.
        gradients: from `read_gradients`.
        per_channel: whether each output channel of a weight has its own scale.

    Returns:
        `[groups, precisions]`, at least 0, relative to the group's widest precision.

    Raises:
        UserError: a tensor has no gradient, or a name in the gradients is none of the network.
    """
    groups = grouped_operations(module)
    values = list(dict.fromkeys(value for group in groups for op in group for value in _operands(op)))
    weights: list[Operation] = [
        op for group in groups for op in group if isinstance(op, LAYERS) and constant_of(op.weight)
    ]
    _check_names(module, values, weights, gradients)
    of_values = _noise_of_values(module, values, problem.precisions, data)
    of_weights = {op: [_noise_of_weight(op, p, per_channel) for p in problem.precisions] for op in weights}
    result = np.zeros(problem.costs.shape)
    for number, group in enumerate(groups):
        for op in group:
            for value in _operands(op):
                result[number] += _gradient(_names(value), gradients) * of_values[value]
            if op in of_weights:
                result[number] += _gradient(_weight_names(op), gradients) * np.array(of_weights[op])
    everyone = np.arange(len(groups))
    result -= result[everyone, list(problem.widest())][:, None]
    return np.where(problem.allowed, np.maximum(result / 2, 0.0), 0.0)


def _operands(op: Operation) -> list[SSAValue]:
    """The activations that an operation reads."""
    return [value for value in activations(op) if constant_of(value) is None]


def _names(value: SSAValue) -> list[str]:
    """The names that a tensor's gradient may have, the first that counts first."""
    owner = value.owner
    if isinstance(owner, Operation):
        # Of several nodes that became one operation, the last made its result.
        names = list(names_in(owner.location))[::-1]
        sources = activations(owner) if isinstance(owner, MOVES_ELEMENTS) else []
        # What only moves elements, as for another layout, hands gradients back as they are.
        return [*(_names(sources[0]) if len(sources) == 1 else []), *names]
    function = owner.parent_op()
    assert isinstance(value, BlockArgument)
    attributes = function.arg_attrs if isinstance(function, func.FuncOp) else None
    name = None if attributes is None else attributes.data[value.index].data.get("onnx.name")
    return [name.data] if isinstance(name, StringAttr) else []


def _weight_names(op: Operation) -> list[str]:
    return [f"{name}{_WEIGHT}" for name in names_in(op.location)]


def _gradient(names: Sequence[str], gradients: Mapping[str, float]) -> float:
    return next(gradients[name] for name in names if name in gradients)


def _check_names(
    module: ModuleOp, values: Sequence[SSAValue], weights: Sequence[Operation], gradients: Mapping[str, float]
) -> None:
    wanted = [*(_names(value) for value in values), *(_weight_names(op) for op in weights)]
    missing = [names[0] for names in wanted if names and not any(name in gradients for name in names)]
    known = {name for names in wanted for name in names} | set(_all_names(module))
    if unknown := [name for name in gradients if name not in known]:
        hint = suggestion(unknown[0], known) or "entries are called NODE, or NODE:weight, by the names in the ONNX file"
        raise UserError(f"the network has no tensor {unknown[0]!r}", where="gradients", hint=hint)
    if missing:
        raise UserError(
            f"there is no gradient of {missing[0]!r}"
            + (f" and of {len(missing) - 1} other tensors" if len(missing) > 1 else ""),
            where="gradients",
        )


def _all_names(module: ModuleOp) -> Iterator[str]:
    for op in module.walk():
        for name in names_in(op.location):
            yield name
            yield f"{name}{_WEIGHT}"


def _noise_of_values(
    module: ModuleOp, values: Sequence[SSAValue], precisions: Sequence[Precision], data: EvaluationData
) -> dict[SSAValue, Float64Array]:
    """The squared error that each precision puts into a tensor of a sample, summed over its elements."""
    ranges = {op.input: op.calibrated_range for op in module.walk() if isinstance(op, ObserveOp)}
    arguments = main_function(module).body.block.args
    inside = [value for value in values if not isinstance(value, BlockArgument)]
    graph = FloatGraph(module, inside)
    count = min(len(data), _MOST_SAMPLES)
    noise = {value: np.zeros(len(precisions)) for value in values}
    for k in range(count):
        feeds = {name: data.feeds[name][k] for name in graph.shapes}
        _, found = graph.run(feeds)
        known = dict(zip(arguments, feeds.values(), strict=True)) | dict(zip(inside, found, strict=True))
        for value in values:
            x = known[value].astype(np.float32)
            low, high = ranges.get(value) or (float(x.min()), float(x.max()))
            noise[value] += [_noise(x, precision, low, high) / count for precision in precisions]
    return noise


def _noise(x: Array, precision: Precision, low: float, high: float) -> float:
    if not precision.is_integer:
        rounded = round_to_bfloat16(x).astype(np.float32) if precision.is_bfloat16 else x
    else:
        bits = precision.activation_bits
        scale, zero_point = choose_parameters(min(low, 0.0), max(high, 0.0), bits, bits > 8)
        limit = 1 << (bits - 1)
        dtype = np.dtype(np.int8 if bits <= 8 else np.int16)
        rounded = dequantize(quantize(x, scale, zero_point, -limit, limit - 1, dtype), scale, zero_point)
    return float(np.square(x.astype(np.float64) - rounded).sum())


def _noise_of_weight(op: Operation, precision: Precision, per_channel: bool) -> float:
    assert isinstance(op, LAYERS)
    constant = constant_of(op.weight)
    assert constant is not None
    weight = array_of(constant.value)
    if not precision.is_integer:
        rounded = round_to_bfloat16(weight).astype(np.float32) if precision.is_bfloat16 else weight
    else:
        scales = choose_weight_scales(weight, 0 if per_channel else None, precision.weight_bits)
        steps = np.asarray(scales, np.float64).reshape(-1, *[1] * (weight.ndim - 1))
        limit = (1 << (precision.weight_bits - 1)) - 1
        rounded = np.clip(np.rint(weight / steps), -limit, limit) * steps
    return float(np.square(weight.astype(np.float64) - rounded).sum())
