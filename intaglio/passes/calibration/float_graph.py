"""Running the float network in onnxruntime and looking at values inside it.

One thread and a fixed order of operations: the same module and data give the same numbers on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.weights import dtype_of
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.nn_exporter import export_float
from intaglio.passes.calibration.subsets import watch_subsets

Array = np.ndarray[Any, np.dtype[Any]]

_onnxruntime: Any = onnxruntime
"""The package has no types."""


class FloatGraph:
    """The function `@main` of a float module, ready to run.

    Attributes:
        shapes: shape of each input by its ONNX name.
        dtypes: dtype of each input by its ONNX name.
        outputs: ONNX names of the results.

    Args:
        module: `nn` operations on floats, observers, and `onnx` operations.
        watched: values whose arrays `run` returns besides the results.
        most: how many values of a sample `run` is to return at most for each watched value, None for all. That is
            kept to for feature maps, of which an evenly spaced subset is returned, and may be exceeded for others.
        is_optimized: whether onnxruntime may fuse operations and change layouts, which is faster, and which changes the
            order of sums.

    Raises:
        UserError: an operation has no ONNX form, or onnxruntime does not take the model.
    """

    def __init__(
        self,
        module: ModuleOp,
        watched: Sequence[SSAValue] = (),
        most: Sequence[int | None] | None = None,
        *,
        is_optimized: bool = True,
    ) -> None:
        model, names = export_float(module, extra_outputs=watched)
        function = main_function(module)
        self.outputs = [entry.name for entry in model.graph.output][: len(function.function_type.outputs)]
        limits = {names[value]: limit for value, limit in zip(watched, most or (), strict=False) if limit is not None}
        subsets = watch_subsets(model, {name: most for name, most in limits.items() if name not in self.outputs})
        options = _onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = _onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        options.use_deterministic_compute = True
        if not is_optimized:
            options.graph_optimization_level = _onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = _onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common public base
            raise _refused(error) from error
        arguments = function.body.block.args
        inputs = [entry.name for entry in model.graph.input]
        types = {name: nn.tensor_of(argument) for name, argument in zip(inputs, arguments, strict=True)}
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(kind.get_shape()) for name, kind in types.items()}
        self.dtypes = {name: dtype_of(kind.get_element_type()) for name, kind in types.items()}
        self._watched = [subsets.get(names[value], names[value]) for value in watched]

    def run(self, sample: Mapping[str, Array]) -> tuple[list[Array], list[Array]]:
        """Run one sample.

        Args:
            sample: one array per input, checked before.

        Returns:
            The results, and the watched values in their layout in the module.

        Raises:
            UserError: onnxruntime failed.
        """
        feeds = {name: sample[name] for name in self.shapes}
        try:
            values = cast("list[Array]", self._session.run([*self.outputs, *self._watched], feeds))
        except Exception as error:
            raise _refused(error) from error
        return values[: len(self.outputs)], values[len(self.outputs) :]


def _refused(error: Exception) -> UserError:
    message = str(error).splitlines()
    return UserError(f"onnxruntime cannot run the float network: {message[0] if message else type(error).__name__}")
