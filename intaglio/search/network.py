"""Evaluating a network in many precisions, bit for bit as the accelerator computes it.

The calibrated module is quantized anew for every choice and run by the executor. Values that an earlier evaluation has
computed for the same samples are not computed again (`intaglio.search.values`), so that a change near the output costs
little. An evaluation whose score can no longer reach what is wanted stops early; where the metric says how close a
sample is to scoring worse, the closest come first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from intaglio.analysis.metrics import Criterion, GroundTruth
from intaglio.dialects.quant import QuantizeCastOp
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.frontend.exporter import main_function
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.quantization.memory import Memory, remembering
from intaglio.passes.quantization.node_settings import set_config
from intaglio.precision import NodeConfig, Precision
from intaglio.remarks import collecting
from intaglio.search.evaluations import Outcome, Task
from intaglio.search.groups import grouped_operations
from intaglio.search.problem import Choice
from intaglio.search.values import ArrayCache, ValueNumbers
from intaglio.search.work import macs_of

Array = np.ndarray[Any, np.dtype[Any]]

Quantize = Callable[[ModuleOp], None]
"""Quantizes a calibrated module in place, by the precisions written on its operations."""

_PART = 64
"""Samples that are run together, after which an evaluation may stop; as many as the executor takes at once."""

_CACHE_SHARE = 8
"""One part of so many of the machine's memory is what values may take."""


@dataclass(frozen=True)
class EvaluationData:
    """Samples to evaluate on.

    Attributes:
        feeds: `[N, *shape]` for each input by name.
        labels: `[N, ...]`, or None where there are none.
    """

    feeds: Mapping[str, Array]
    labels: Array | None = None

    def __len__(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.feeds.values())))

    def part(self, samples: slice | Array) -> dict[str, Array]:
        """The inputs of some samples, given by their places."""
        return {name: array[samples] for name, array in self.feeds.items()}


class NetworkEvaluator:
    """Carries out evaluations of a network.

    Args:
        module: at the end of the phase `calibrate`; it must not change afterwards.
        quantize: makes a quantized module of a clone of it.
        precisions: what indices in a choice stand for.
        data: for scores.
        analysis_data: for noise.
        criterion: makes a score, the higher the better.
        cache_bytes: how much memory to keep values in; None for a share of the machine's.

    Raises:
        UserError: there is no data, or it does not fit the inputs.
    """

    def __init__(
        self,
        module: ModuleOp,
        quantize: Quantize,
        precisions: Sequence[Precision],
        data: EvaluationData,
        analysis_data: EvaluationData,
        criterion: Criterion,
        cache_bytes: int | None = None,
    ) -> None:
        self._module = module
        self._quantize = quantize
        self._precisions = tuple(precisions)
        self._places = places_of_groups(module)
        self._data, self._analysis = data, analysis_data
        self._criterion = criterion
        self._numbers = ValueNumbers()
        self._memory: Memory = {}
        self._cache = ArrayCache(_usual_cache() if cache_bytes is None else cache_bytes)
        self._float = FloatGraph(module)
        self._references: dict[int, list[Array]] = {}
        self._order: Array | None = None
        for samples in (data, analysis_data):
            if not samples.feeds or not len(samples):
                raise UserError("there are no samples to evaluate on")
            if missing := set(self._float.shapes) ^ set(samples.feeds):
                raise UserError(
                    f"the data and the model differ in their inputs: {', '.join(sorted(missing))}",
                    hint=f"the model takes {', '.join(self._float.shapes)}",
                )

    def __call__(self, task: Task) -> Outcome:
        """Carry a task out.

        Raises:
            UserError: the choice cannot be quantized, or the metric failed.
        """
        # What quantization has to say is said once, of the network that is found.
        with collecting():
            module = self.quantized(task.choice)
        variant = _Variant(module, self._numbers, self._cache)
        return self._noise(variant) if task.kind == "noise" else self._score(variant, task.at_least)

    def quantized(self, choice: Choice) -> ModuleOp:
        """The network with a precision for each group."""
        module = with_precisions(self._module, [self._precisions[index] for index in choice], self._places)
        with remembering(self._memory):
            self._quantize(module)
        return module

    def float_score(self) -> float:
        """The score of the float network."""
        references = self._reference(self._data)
        with self._about_metric():
            return float(
                self._criterion.of(
                    ([output[k] for output in references], self._truth(k, references)) for k in range(len(self._data))
                )
            )

    @contextmanager
    def _about_metric(self) -> Generator[None]:
        """Say that it was the metric which failed."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # whatever a user's function may raise
            raise UserError(
                f"metric {self._criterion.name} failed: {type(error).__name__}: {error}",
                hint="what was evaluated before is kept in the results folder",
            ) from error

    def _reference(self, data: EvaluationData) -> list[Array]:
        """What the float network answers, `[N, *shape]` for each output."""
        if id(data) not in self._references:
            rows = [self._float.run(_sample(data, k))[0] for k in range(len(data))]
            self._references[id(data)] = [np.stack(column) for column in zip(*rows, strict=True)]
        return self._references[id(data)]

    def _truth(self, index: int, references: list[Array] | None) -> GroundTruth:
        label = None if self._data.labels is None else self._data.labels[index]
        return GroundTruth(label, None if references is None else [output[index] for output in references])

    def _noise(self, variant: _Variant) -> Outcome:
        """Mean squared error of the outputs, each relative to the mean square of the float one."""
        references = self._reference(self._analysis)
        errors = np.zeros(len(references))
        powers = [float(np.square(reference, dtype=np.float64).sum()) or 1.0 for reference in references]
        for start in range(0, len(self._analysis), _PART):
            stop = start + _PART
            outputs = variant.run(("noise", start), self._analysis.part(slice(start, stop)))
            for index, (output, reference) in enumerate(zip(outputs, references, strict=True)):
                difference = output.astype(np.float64) - reference[start:stop]
                errors[index] += float(np.square(difference).sum())
        return Outcome(float((errors / powers).mean()), macs=variant.macs)

    def _ordered(self) -> Array:
        """The places of the samples for scores in the order they are run: the smallest margins first."""
        if self._order is None:
            self._order = np.arange(len(self._data))
            if (margin := self._criterion.margin) is not None:
                references = self._reference(self._data)
                margins: list[float] = []
                with self._about_metric():
                    for k in range(len(self._data)):
                        truth = self._truth(k, references)
                        self._criterion.check(truth, k)
                        margins.append(float(margin([output[k] for output in references], truth)))
                self._order = np.argsort(np.array(margins), kind="stable")
        return self._order

    def _score(self, variant: _Variant, at_least: float | None) -> Outcome:
        criterion, count, order = self._criterion, len(self._data), self._ordered()
        references = self._reference(self._data) if criterion.needs_reference else None
        state = criterion.start()
        for start in range(0, count, _PART):
            places = order[start : start + _PART]
            outputs = variant.run(("score", start), self._data.part(places))
            with self._about_metric():
                for k, place in enumerate(places.tolist()):
                    truth = self._truth(place, references)
                    criterion.check(truth, place)
                    state = criterion.update(state, [output[k] for output in outputs], truth)
            left = count - start - len(places)
            if at_least is not None and criterion.highest is not None and left:
                bound = float(criterion.highest(state, left))
                if bound < at_least:
                    return Outcome(bound, is_bound=True, macs=variant.macs)
        with self._about_metric():
            return Outcome(float(criterion.finish(state)), macs=variant.macs)


def _usual_cache() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _CACHE_SHARE


def _sample(data: EvaluationData, index: int) -> dict[str, Array]:
    return {name: array[index] for name, array in data.feeds.items()}


def places_of_groups(module: ModuleOp) -> list[list[int]]:
    """Where the operations of each group stand in the module's walk, which clones repeat."""
    place_of: dict[Operation, int] = {op: place for place, op in enumerate(module.walk())}
    return [[place_of[op] for op in operations] for operations in grouped_operations(module)]


def with_precisions(
    module: ModuleOp, precisions: Sequence[Precision], places: Sequence[Sequence[int]] | None = None
) -> ModuleOp:
    """A clone of a calibrated module with the precision of each group written on its operations.

    Args:
        module: the module.
        precisions: one for each group.
        places: from `places_of_groups`, where it is known already.
    """
    clone = module.clone()
    operations = list(clone.walk())
    for group, precision in zip(places or places_of_groups(module), precisions, strict=True):
        for place in group:
            set_config(operations[place], NodeConfig(precision=precision))
    return clone


class _Variant:
    """A quantized module, run from what is known of it.

    Attributes:
        macs: multiplications with accumulation carried out so far.
    """

    def __init__(self, module: ModuleOp, numbers: ValueNumbers, cache: ArrayCache) -> None:
        self._executor = Executor(module)
        self._function: func.FuncOp = main_function(module)
        self._numbers = numbers.of(self._function)
        self._cache = cache
        self.macs = 0

    def run(self, part: tuple[str, int], feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs for some samples, `[n, *shape]` in the order of the function.

        Args:
            part: which samples these are.
            feeds: `[n, *shape]` by name.
        """
        block = self._function.body.block
        returned = block.last_op
        assert returned is not None
        given: dict[SSAValue, Array] = {}
        computed: dict[Operation, None] = {}
        waiting = list(returned.operands)
        while waiting:
            value = waiting.pop()
            if value in given:
                continue
            key = (part, self._numbers[value])
            owner = value.owner
            if key in self._cache:
                given[value] = self._cache[key]
            elif isinstance(owner, Operation):
                if owner not in computed:
                    computed[owner] = None
                    waiting.extend(owner.operands)
            else:
                given[value] = self._feed(value, feeds)
        kept = [op.results[0] for op in computed if len(op.operands) > 1 or isinstance(op, QuantizeCastOp)]
        count = len(next(iter(feeds.values())))
        self.macs += count * sum(map(macs_of, computed))
        result = self._executor.run_from({**given}, watched=kept) if computed else None
        if result is not None:
            for value in kept:
                self._cache[part, self._numbers[value]] = result.stored[value]
            for value, array in zip(returned.operands, result.outputs.values(), strict=True):
                self._cache[part, self._numbers[value]] = array
            return list(result.outputs.values())
        return [given[value] for value in returned.operands]

    def _feed(self, value: SSAValue, feeds: Mapping[str, Array]) -> Array:
        arguments = self._function.body.block.args
        name = next(name for name, argument in zip(self._executor.inputs, arguments, strict=True) if argument is value)
        return np.ascontiguousarray(feeds[name])
