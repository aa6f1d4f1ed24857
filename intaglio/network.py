"""The Python interface: load, quantize, compile, run.

```python
import intaglio as ig

network = ig.load("model.onnx", shapes={"input": (1, 3, 224, 224)})
model = network.quantize(calibration_data)             # any iterable of {input: array}, or an .npz file
model.compile("model.igpkg", target="gen1")
outputs = ig.Session("model.igpkg").run({"input": image})
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import import_phase, package_phase, run_phase
from intaglio.errors import UserError
from intaglio.files import check_output
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.interpreter import Interpreter
from intaglio.params import QuantizationParams, default_quantization
from intaglio.passes.partition.placement import Placement, placement
from intaglio.passes.quantization.quantized_models import is_quantized
from intaglio.phases import PHASES, CompileOptions, Phase, Samples, phase_index
from intaglio.runtime.package import Package, TensorSpec
from intaglio.runtime.packaging import interface
from intaglio.runtime.session import checked_feeds

Array = np.ndarray[Any, np.dtype[Any]]


def load(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None, *, batch: int | None = None) -> Network:
    """Load an ONNX model and optimise its graph.

    Args:
        path: the model.
        shapes: shapes of inputs by name, for models that leave dimensions open.
        batch: the first dimension of inputs that leave it open and are given no shape.

    Raises:
        UserError: the file is no ONNX model that can be compiled, a shape is open, or the model has another batch
            size.
    """
    options = CompileOptions(shapes=shapes or {}, batch=batch)
    return Network(_loaded(path, options), path, options)


def _loaded(path: str | Path, options: CompileOptions) -> ModuleOp:
    module = import_phase(path, options)
    run_phase(module, _phase("graph"), options)
    return module


def _phase(name: str) -> Phase:
    return PHASES[phase_index(name, where="phase")]


class _Runnable:
    """A module with named inputs and outputs that the interpreter runs.

    Args:
        module: the module; it belongs to this object from now on.
    """

    def __init__(self, module: ModuleOp) -> None:
        self._take(module)

    def _take(self, module: ModuleOp) -> None:
        self.module = module
        self._inputs, self._outputs = interface(main_function(module))
        self._interpreter = Interpreter(module)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each input."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each output."""
        return self._outputs

    def run(self, feeds: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Run the model once in the interpreter.

        Args:
            feeds: one array for each input by name.

        Returns:
            One array for each output by name.

        Raises:
            UserError: names, shapes or types do not fit the inputs.
        """
        results = self._interpreter.run("main", checked_feeds(feeds, self.inputs))
        return {tensor.name: result for tensor, result in zip(self.outputs, results, strict=True)}


class Network(_Runnable):
    """A network as it was loaded, float as a rule: the module at the end of the phase `graph`.

    Args:
        module: the module; it belongs to this object from now on.
        source: the model that it was loaded from, None when it comes from elsewhere.
        options: what it was loaded with.
    """

    def __init__(
        self, module: ModuleOp, source: str | Path | None = None, options: CompileOptions | None = None
    ) -> None:
        super().__init__(module)
        self._source = source
        self._options = options or CompileOptions()

    def set_batch_size(self, batch: int) -> None:
        """Load the model again with another batch size; samples then have `batch` entries on their first axis.

        Args:
            batch: the first dimension of inputs that leave it open and were given no shape.

        Raises:
            UserError: the model has another batch size, or can no longer be loaded, or the network was not loaded
                from a model.
        """
        if self._source is None:
            raise UserError("the batch size of a network that was not loaded from a model is fixed")
        options = replace(self._options, batch=batch)
        self._take(_loaded(self._source, options))
        self._options = options

    @property
    def is_quantized(self) -> bool:
        """Whether the model came quantized; `quantize` then needs no data."""
        return is_quantized(self.module)

    def quantize(
        self,
        calibration_data: str | Path | Samples | None = None,
        params: QuantizationParams = default_quantization,
    ) -> QuantizedNetwork:
        """Calibrate and quantize; this network does not change.

        A network that came quantized is taken as it is, what is float in it included.

        Args:
            calibration_data: an `.npz` file, or samples: one array per input by name, of the input's shape. Needed
                for a float network.
            params: how to quantize a float network.

        Raises:
            UserError: the data is missing, does not fit the model, is empty, or holds NaN.
        """
        options = CompileOptions(calibration=calibration_data, params=params)
        module = self.module.clone()
        for name in ("calibrate", "quantize"):
            run_phase(module, _phase(name), options)
        return QuantizedNetwork(module)


class QuantizedNetwork(_Runnable):
    """A quantized network: the module at the end of the phase `quantize`."""

    def compile(self, path: str | Path, target: str | Path = "gen1", *, fail_on_host: bool = False) -> Package:
        """Compile to a package file; this network does not change.

        Args:
            path: the package to write.
            target: a preset such as `gen1`, a description file, or `host` for no accelerator.
            fail_on_host: refuse a model of which the host has to compute a part.

        Returns:
            What the package holds.

        Raises:
            UserError: there is no such target, an operation can run nowhere, or the file cannot be written.
        """
        options = CompileOptions(target=str(target), fail_on_host=fail_on_host)
        check_output(path)
        module = self.module.clone()
        for name in ("partition", "npu", "isa"):
            run_phase(module, _phase(name), options)
        return package_phase(module, path)

    def placement(self, target: str | Path = "gen1") -> list[Placement]:
        """Where each operation would run, and on the host why.

        Raises:
            UserError: there is no such target.
        """
        module = self.module.clone()
        run_phase(module, _phase("partition"), CompileOptions(target=str(target)))
        return placement(module)
