"""Running a module fast, one sample or many, with exactly the results of the interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.ir import SSAValue

from intaglio.dialects.quant import is_quantized
from intaglio.errors import UserError
from intaglio.executor.plan import Plan, Step
from intaglio.interpreter.interpreter import Interpreter
from intaglio.interpreter.quant import parameters, uniform_type
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape
from intaglio.ir.locations import names_in
from intaglio.numerics.quantization import dequantize

Array = np.ndarray[Any, np.dtype[Any]]
Value = SSAValue | str
"""A value of the module, or the name of a node of the ONNX model for its (last) result, or of an input."""

_BATCH_BYTES = 4 << 20
_MOST_SAMPLES = 64


@dataclass(frozen=True)
class BatchResult:
    """What a batch gives when values inside are watched.

    Attributes:
        outputs: `[N, *shape]` for each output by name.
        stored: `[N, *shape]` for each watched value, as it is stored.
    """

    outputs: dict[str, Array]
    stored: dict[Value, Array]


class Executor:
    """The function of a module, prepared to run.

    Results equal the interpreter's bit for bit. A batch is not a dimension of the model: its samples stand on a new
    first axis of all arrays, and run together.

    Args:
        module: a verified module, which must not change afterwards.
        function: the function to run.

    Attributes:
        inputs: ONNX names of the arguments; those without one are called `input_0` and so on by their place.
        outputs: names of the results, `output_0` and so on without one.

    Raises:
        UserError: there is no such function, or an operation has no rule.
    """

    def __init__(self, module: ModuleOp, function: str = "main") -> None:
        interpreter = Interpreter(module)
        self._function = interpreter.function(function)
        self._plan = Plan(interpreter, self._function)
        self.inputs = _names(self._plan.arguments, self._function.arg_attrs, "input")
        self.outputs = _names(self._plan.results, self._function.res_attrs, "output")
        self._steps: dict[tuple[tuple[SSAValue, ...], frozenset[SSAValue]], list[Step]] = {}
        self._by_name = self._index()
        self._at_once = self._samples_at_once()

    def run(self, feeds: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Run one sample.

        Args:
            feeds: one array for each input by name, of its shape and dtype.

        Returns:
            One array for each output by name.

        Raises:
            UserError: names, shapes or types do not fit the inputs, or an operation cannot be computed.
        """
        arrays = self._checked({name: np.asarray(array)[None] for name, array in feeds.items()})
        return {name: array[0] for name, array in self._outputs(self._execute(arrays, ())).items()}

    def run_batch(self, samples: Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]]) -> dict[str, Array]:
        """Run many samples.

        Args:
            samples: arrays of shape `[N, *shape]` by name, or one mapping for each sample.

        Returns:
            Arrays of shape `[N, *shape]` by name.

        Raises:
            UserError: as `run`; or there are no samples.
        """
        return self.watch_batch(samples, ()).outputs

    def watch_batch(
        self, samples: Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]], watched: Sequence[Value]
    ) -> BatchResult:
        """Run many samples and return values inside, too.

        Args:
            samples: see `run_batch`.
            watched: values of the function, or names of nodes.

        Raises:
            UserError: as `run_batch`; or a name is unknown.
        """
        values = [self.value(value) for value in watched]
        parts = [self._execute(part, values) for part in self._parts(samples)]
        if not parts:
            raise UserError("there are no samples to run")
        joined = _joined(parts)
        return BatchResult(
            self._outputs(joined), {key: joined[value] for key, value in zip(watched, values, strict=True)}
        )

    def run_from(self, given: Mapping[Value, ArrayLike], watched: Sequence[Value] = ()) -> BatchResult:
        """Run from values inside on: only what is not given, and what the outputs need, is computed.

        Args:
            given: arrays `[N, *shape]`, as stored, of values or inputs, among them all that outputs and watched values
                depend on in the end.
            watched: values to return besides the outputs.

        Raises:
            UserError: a name is unknown, an array does not fit, or something that is needed is not given.
        """
        known = {self.value(key): np.asarray(array) for key, array in given.items()}
        for value, array in known.items():
            if array.shape[1:] != value_shape(value) or array.dtype != value_dtype(value):
                raise UserError(
                    f"a value of type {value.type} cannot be {array.dtype} of shape {list(array.shape)}",
                    hint="give stored values, with the samples on a new first axis",
                )
        counts = {len(array) for array in known.values()}
        if len(counts) != 1 or 0 in counts:
            raise UserError("the given values differ in their number of samples, or have none")
        (count,) = counts
        values = [self.value(value) for value in watched]
        parts = [
            self._execute({value: array[k : k + self._at_once] for value, array in known.items()}, values)
            for k in range(0, count, self._at_once)
        ]
        joined = _joined(parts)
        return BatchResult(
            self._outputs(joined), {key: joined[value] for key, value in zip(watched, values, strict=True)}
        )

    def value(self, value: Value) -> SSAValue:
        """The value that is meant.

        Raises:
            UserError: no node and no input has that name.
        """
        if isinstance(value, SSAValue):
            return value
        found = self._by_name.get(value)
        if found is None:
            raise UserError(f"the function has no value called {value!r}")
        return found

    @staticmethod
    def real(value: SSAValue, stored: Array) -> Array:
        """The real numbers that stored values of a batch stand for; other values as they are.

        Args:
            value: the value.
            stored: `[N, *shape]`.
        """
        if not is_quantized(tensor_type(value)):
            return stored
        scale, zero_point, axis = parameters(uniform_type(value), value_shape(value))
        return dequantize(stored, scale, zero_point, axis=None if axis is None else axis + 1)

    def _execute(self, given: Mapping[SSAValue, Array], watched: Sequence[SSAValue]) -> dict[SSAValue, Array]:
        wanted = tuple(dict.fromkeys((*self._plan.results, *watched)))
        constants = self._plan.constants
        key = (wanted, frozenset(given))
        steps = self._steps.get(key)
        if steps is None:
            whole = all(argument in given for argument in self._plan.arguments)
            steps = self._plan.needed(wanted, given, checks=whole and len(given) == len(self._plan.arguments))
            self._check_given(steps, wanted, given)
            self._steps[key] = steps
        count = len(next(iter(given.values()))) if given else 1
        values = self._plan.run(steps, given, [value for value in wanted if value not in constants])
        for value in wanted:
            if value in constants:
                values[value] = np.broadcast_to(constants[value], (count, *constants[value].shape))
        return values

    def _check_given(self, steps: Sequence[Step], wanted: Sequence[SSAValue], given: Mapping[SSAValue, Array]) -> None:
        made = {result for step in steps for result in step.op.results} | set(given) | set(self._plan.constants)
        for value in (*wanted, *(operand for step in steps for operand in step.op.operands)):
            if value not in made:
                index = self._plan.arguments.index(value) if value in self._plan.arguments else None
                name = repr(self.inputs[index]) if index is not None else str(value)
                raise UserError(f"the value {name} is needed and not given")

    def _outputs(self, values: Mapping[SSAValue, Array]) -> dict[str, Array]:
        return {name: values[value] for name, value in zip(self.outputs, self._plan.results, strict=True)}

    def _parts(
        self, samples: Mapping[str, ArrayLike] | Iterable[Mapping[str, ArrayLike]]
    ) -> Iterator[dict[SSAValue, Array]]:
        """The samples, as many at once as are run together."""
        if isinstance(samples, Mapping):
            stacked = cast("Mapping[str, ArrayLike]", samples)
            arrays = self._checked({name: np.asarray(array) for name, array in stacked.items()})
            count = len(next(iter(arrays.values()))) if arrays else 0
            for start in range(0, count, self._at_once):
                yield {value: array[start : start + self._at_once] for value, array in arrays.items()}
            return
        iterator = iter(samples)
        while part := list(itertools.islice(iterator, self._at_once)):
            names = set(part[0])
            if any(set(sample) != names for sample in part):
                raise UserError("samples differ in the names of their arrays")
            shapes = {name: {np.shape(sample[name]) for sample in part} for name in names}
            for name, found in shapes.items():
                if len(found) > 1:
                    raise UserError(f"samples differ in the shape of {name!r}")
            yield self._checked({name: np.stack([np.asarray(sample[name]) for sample in part]) for name in names})

    def _checked(self, feeds: Mapping[str, Array]) -> dict[SSAValue, Array]:
        """Arrays with an axis of samples for all inputs, in their types."""
        wanted = ", ".join(
            f"{name} {value_dtype(value)}{list(value_shape(value))}"
            for name, value in zip(self.inputs, self._plan.arguments, strict=True)
        )
        if set(feeds) != set(self.inputs):
            missing, unknown = sorted(set(self.inputs) - set(feeds)), sorted(set(feeds) - set(self.inputs))
            what = f"no array for input {missing[0]!r}" if missing else f"the model has no input {unknown[0]!r}"
            raise UserError(what, hint=f"give {wanted}")
        arrays: dict[SSAValue, Array] = {}
        for name, value in zip(self.inputs, self._plan.arguments, strict=True):
            array, shape, dtype = feeds[name], value_shape(value), value_dtype(value)
            if array.shape[1:] != shape:
                raise UserError(
                    f"input {name!r} has shape {list(array.shape[1:])}, expected {list(shape)}", hint=f"give {wanted}"
                )
            if not np.can_cast(array.dtype, dtype, "same_kind"):
                raise UserError(f"input {name!r} has type {array.dtype}, expected {dtype}", hint=f"give {wanted}")
            arrays[value] = np.ascontiguousarray(array, dtype)
        if len({len(array) for array in arrays.values()}) > 1:
            raise UserError("the inputs differ in their number of samples")
        return arrays

    def _index(self) -> dict[str, SSAValue]:
        values: dict[str, SSAValue] = {}
        for op in self._function.body.block.ops:
            if op.results:
                values.update(dict.fromkeys(names_in(op.location), op.results[0]))
        return values | dict(zip(self.inputs, self._plan.arguments, strict=True))

    def _samples_at_once(self) -> int:
        """As many as keep the largest value in cache, more or less."""
        largest = max(
            (
                int(np.prod(value_shape(value))) * value_dtype(value).itemsize
                for step in self._plan.steps
                for value in step.op.results
                if isinstance(value.type, TensorType)
            ),
            default=1,
        )
        return min(max(_BATCH_BYTES // max(largest, 1), 1), _MOST_SAMPLES)


def _joined(parts: Sequence[Mapping[SSAValue, Array]]) -> dict[SSAValue, Array]:
    if len(parts) == 1:
        return dict(parts[0])
    return {value: np.concatenate([part[value] for part in parts]) for value in parts[0]}


def _names(values: Sequence[SSAValue], attributes: ArrayAttr[DictionaryAttr] | None, label: str) -> tuple[str, ...]:
    names: list[str] = []
    for index in range(len(values)):
        name = attributes.data[index].data.get("onnx.name") if attributes is not None else None
        names.append(name.data if isinstance(name, StringAttr) else f"{label}_{index}")
    return tuple(names)
