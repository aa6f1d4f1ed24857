"""Mixed precision by the functions of SiMa.ai's AFE: int8 first, then as few int16 nodes as the target needs.

```python
step = noise_based_mixed_precision_quantization(params, top1(), target_accuracy=0.97)
model = step(network, calibration_data, analysis_data, evaluation_data)
```

Sources: `afe.driver.passes` for names and meaning; see `intaglio.search.engine` for a search that knows costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.analysis.evaluation import Item, aggregate, labelled_samples, model_of
from intaglio.analysis.execution import float_runner
from intaglio.analysis.metrics import Criterion
from intaglio.driver import update_quantization_configs
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.interpreter.interpreter import Interpreter
from intaglio.network import Network, QuantizedNetwork
from intaglio.params import NodeConfig, QuantizationParams
from intaglio.phases import Samples
from intaglio.precision import Precision
from intaglio.search.binary_search import MIXED_PRECISION_SEARCH_LIMIT, binary_search

Array = np.ndarray[Any, np.dtype[Any]]
Data = str | Path | Samples
LabelledData = str | Path | Iterable[Item]
MixedPrecisionStep = Callable[[Network, Data, Data, LabelledData], QuantizedNetwork]
"""From a float network and its calibration, analysis and evaluation data to a quantized network."""

_PROCEDURE = "mixed precision"


def noise_based_mixed_precision_quantization(
    config: QuantizationParams,
    criterion: Criterion,
    target_accuracy: float,
    *,
    custom_quantization_configs: Mapping[str, NodeConfig | Mapping[str, Any]] | None = None,
    max_iterations: int = MIXED_PRECISION_SEARCH_LIMIT,
    fast_mode: bool = True,
    report: Callable[[str], None] | None = None,
) -> MixedPrecisionStep:
    """A step that quantizes to int8, orders the nodes by their noise, and makes as few of them int16 as it can.

    The noise of a node is what it adds by itself on the analysis data, fed float values. The number of int16 nodes is
    found by binary search, which takes accuracy to rise with it.

    Args:
        config: how to quantize; its precision must be int8.
        criterion: the metric, the higher the better.
        target_accuracy: what it must reach on the evaluation data.
        custom_quantization_configs: settings of single nodes, which the search leaves alone.
        max_iterations: the largest number of steps of the binary search.
        fast_mode: run the quantized networks by the compiled executor rather than by the interpreter; the results are
            the same.
        report: takes messages about the progress.

    Returns:
        The step. It raises UserError when all int16 nodes together do not reach the target.

    Raises:
        UserError: the precision of the parameters is not int8.
    """
    if config.precision != Precision.INT8:
        raise UserError(
            f"the search starts from int8, not from {config.precision}", hint='use params.with_precision("int8")'
        )

    def step(
        network: Network, calibration_data: Data, analysis_data: Data, evaluation_data: LabelledData
    ) -> QuantizedNetwork:
        net = update_quantization_configs(config, custom_quantization_configs=custom_quantization_configs)(network)
        net.calibrate(calibration_data, net.recorded_params)
        narrow = net.quantize()
        taken = custom_quantization_configs or {}
        noisy = [name for name in _by_noise(narrow, analysis_data) if name not in taken]

        def attempt(count: int) -> tuple[bool, QuantizedNetwork]:
            chosen = {name: NodeConfig(precision=Precision.INT16) for name in noisy[:count]}
            params = net.recorded_params
            together = {**params.custom_quantization_configs, **chosen}
            model = net.quantize(params=params.with_custom_quantization_configs(together)) if chosen else narrow
            return _score(net, model, evaluation_data, criterion, fast_mode) >= target_accuracy, model

        found = binary_search(
            attempt,
            0,
            len(noisy),
            limit=max_iterations,
            procedure_name=_PROCEDURE if report is not None else None,
            report=report or (lambda message: None),
        )
        if found is None:
            raise UserError(
                f"the target accuracy {target_accuracy:.6g} cannot be reached with {len(noisy)} nodes in int16",
                hint="lower the target, or repair the network first (equalization, SmoothQuant)",
            )
        return found

    return step


def _score(
    network: Network, model: QuantizedNetwork, data: LabelledData, criterion: Criterion, fast_mode: bool
) -> float:
    executor = Executor(model.module)
    interpreter = Interpreter(model.module)

    def answer(sample: Mapping[str, Array]) -> list[Array]:
        if fast_mode:
            return list(executor.run(sample).values())
        return interpreter.run("main", [sample[tensor.name] for tensor in model.inputs])

    reference = model_of(float_runner(network.module), network.inputs) if criterion.needs_reference else None
    return float(aggregate(answer, labelled_samples(data, model.inputs), criterion, reference=reference))


def _by_noise(model: QuantizedNetwork, data: Data) -> list[str]:
    """The names of a quantized network's nodes, the one that adds the most noise first."""
    layers = [layer for layer in model.analyze(data).layers if not layer.moves_only]
    ranked = sorted(layers, key=lambda layer: -layer.damage)
    return list(dict.fromkeys(name for layer in ranked for name in layer.name.split(", ")))


def quantize_with_accuracy_feedback(
    network: Network,
    calibration_data: Data,
    analysis_data: Data,
    evaluation_data: LabelledData,
    config: QuantizationParams,
    criterion: Criterion,
    target_accuracy: float,
    *,
    max_iterations: int = MIXED_PRECISION_SEARCH_LIMIT,
    fast_mode: bool = True,
) -> QuantizedNetwork:
    """Quantize to int8, and to mixed precision only if int8 misses the target.

    Arguments are those of `noise_based_mixed_precision_quantization` and of its step.

    Raises:
        UserError: the target cannot be reached.
    """
    step = noise_based_mixed_precision_quantization(
        config, criterion, target_accuracy, max_iterations=max_iterations, fast_mode=fast_mode
    )
    return step(network, calibration_data, analysis_data, evaluation_data)
