"""The steps of quantization one by one, with the names and the meaning of SiMa.ai's AFE driver passes.

Each function makes a step: a function of a network, and of data where it needs any. Steps that configure change the
network that they are given and return it; quantization returns a quantized network and leaves the float one alone.

```python
net = update_quantization_configs(params, custom_quantization_configs={"head/Gemm": {"output_int32": True}})(net)
net = calibration(params)(net, calibration_data)
model = quantization()(net)
accuracy = evaluation(top1())(model, evaluation_data)
```

Global parameters never override what a node has already; custom configurations do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from intaglio.analysis.evaluation import Item
from intaglio.analysis.metrics import Statistic
from intaglio.analysis.report import NoiseReport
from intaglio.calibration_methods import CalibrationMethod
from intaglio.compiler import write_text
from intaglio.errors import UserError
from intaglio.files import plain_file_name
from intaglio.network import Network, PartitionedNetwork, QuantizedNetwork
from intaglio.params import NodeConfig, QuantizationParams
from intaglio.params_file import write_params
from intaglio.passes.partition.backends import IndexToBackend
from intaglio.phases import Samples

Data = str | Path | Samples
Net = TypeVar("Net", Network, QuantizedNetwork)
CustomConfigs = Mapping[str, NodeConfig | Mapping[str, Any]]
"""Settings of nodes by ONNX name or pattern; see `NodeConfig`."""


def update_quantization_configs(
    quantization_config: QuantizationParams, *, custom_quantization_configs: CustomConfigs | None = None
) -> Callable[[Network], Network]:
    """A step that records quantization parameters on each node of a network.

    Args:
        quantization_config: parameters for all nodes; they do not override what was recorded before.
        custom_quantization_configs: settings of single nodes, which do.

    Returns:
        The step; it changes and returns its network.
    """
    params = quantization_config
    if custom_quantization_configs is not None:
        own = QuantizationParams().with_custom_quantization_configs(custom_quantization_configs)
        together = {**params.custom_quantization_configs, **own.custom_quantization_configs}
        params = params.with_custom_quantization_configs(together)

    def step(network: Network) -> Network:
        network.record_params(params)
        return network

    return step


def calibration(calibration_config: QuantizationParams | CalibrationMethod) -> Callable[[Network, Data], Network]:
    """A step that calibrates a network.

    Args:
        calibration_config: the calibration method, alone or in a set of parameters; the rest of the parameters of the
            network is what was recorded on it.

    Returns:
        The step; it changes and returns its network.
    """
    method = _method(calibration_config)

    def step(network: Network, data: Data) -> Network:
        return network.calibrate(data, network.recorded_params.with_calibration(method))

    return step


def equalization(
    calibration_config: QuantizationParams | CalibrationMethod, quantization_config: QuantizationParams
) -> Callable[[Network, Data], Network]:
    """A step that equalizes channels and smooths activations where the parameters enable it; before quantization.

    What it changes needs ranges of its own, so that the network is calibrated in the same run over the data.

    Args:
        calibration_config: the calibration method, alone or in a set of parameters.
        quantization_config: `channel_equalization` and `smooth_quant` are read.

    Returns:
        The step; it changes and returns its network.
    """
    method = _method(calibration_config)

    def step(network: Network, data: Data) -> Network:
        params = replace(
            network.recorded_params,
            calibration_method=method,
            channel_equalization=quantization_config.channel_equalization,
            smooth_quant=quantization_config.smooth_quant,
            smooth_quant_alpha=quantization_config.smooth_quant_alpha,
        )
        return network.calibrate(data, params)

    return step


def _method(config: QuantizationParams | CalibrationMethod) -> CalibrationMethod:
    return config if isinstance(config, CalibrationMethod) else config.calibration_method


def quantization(input_dataset: Data | None = None) -> Callable[[Network], QuantizedNetwork]:
    """A step that quantizes a network as was recorded on it.

    Args:
        input_dataset: calibration data, for a network that has not been calibrated.

    Returns:
        The step; it leaves its network alone.
    """
    return lambda network: network.quantize(input_dataset)


def calibration_quantization(
    config: QuantizationParams, *, custom_quantization_configs: CustomConfigs | None = None
) -> Callable[[Network, Data], QuantizedNetwork]:
    """A step that records parameters, calibrates and quantizes, with what the parameters enable in between.

    Args:
        config: parameters for all nodes.
        custom_quantization_configs: settings of single nodes.

    Returns:
        The step; it records on its network, and leaves it uncalibrated.
    """
    record = update_quantization_configs(config, custom_quantization_configs=custom_quantization_configs)
    return lambda network, data: record(network).quantize(data)


def evaluation(
    criterion: Statistic[Any, Any], *, fast_mode: bool = False
) -> Callable[[Network | QuantizedNetwork, str | Path | Iterable[Item]], Any]:
    """A step that runs a network on labelled samples and computes an aggregate of its answers.

    Args:
        criterion: what to compute.
        fast_mode: run a quantized network in onnxruntime, where results may differ by a step of quantization; a float
            one always runs there.

    Returns:
        The step; it returns what the criterion results in.
    """

    def step(network: Network | QuantizedNetwork, data: str | Path | Iterable[Item]) -> Any:
        if isinstance(network, Network):
            return network.evaluate(data, criterion)
        return network.evaluate(data, criterion, fast_mode=fast_mode)

    return step


def partitioning(
    target: str | Path = "gen1", *, index_to_backend: IndexToBackend | None = None
) -> Callable[[QuantizedNetwork], PartitionedNetwork]:
    """A step that divides a quantized network between the accelerator and the host.

    Args:
        target: a preset such as `gen1`, a description file, or `host` for no accelerator.
        index_to_backend: assignment of operations to devices, which overrides the compiler's decision; by index, ONNX
            name or pattern, see `QuantizedNetwork.partition`.

    Returns:
        The step; it leaves its network alone.
    """
    return lambda network: network.partition(target, index_to_backend=index_to_backend)


def noise_analysis() -> Callable[[Network, QuantizedNetwork, Data], NoiseReport]:
    """A step that measures the noise of quantization at each layer.

    Returns:
        The step; it takes the float network, the one quantized from it, and evaluation data. The float network is used
        when the quantized one does not know what it was made from, and then as it was calibrated: equalization has
        given channels other units.
    """

    def step(network: Network, quantized: QuantizedNetwork, data: Data) -> NoiseReport:
        if quantized.float_module is None:
            quantized = QuantizedNetwork(quantized.module, network.float_module, quantized.remarks)
        return quantized.analyze(data)

    return step


def dump_diagnostic_files(
    folder: str | Path, name: str, params: QuantizationParams | None = None, *, prefix: str = "", suffix: str = ""
) -> Callable[[Network | QuantizedNetwork], None]:
    """A step that saves a network and its parameters for diagnosis.

    Written are `{prefix}{name}{suffix}.mlir`, the weights beside it in `.safetensors`, and `{name}.toml`.

    Args:
        folder: an existing folder.
        name: of the model.
        params: what to write as parameters; by default what was recorded on the network, if it is a float one.
        prefix: before the name of the module's files.
        suffix: behind it.

    Returns:
        The step.

    Raises:
        UserError: a name has separators, or the folder does not exist.
    """
    stem = plain_file_name(f"{prefix}{name}{suffix}", where="dump_diagnostic_files")
    target = Path(folder)
    if not target.is_dir():
        raise UserError("the folder does not exist", where=str(target))

    def step(network: Network | QuantizedNetwork) -> None:
        write_text(network.module, target / f"{stem}.mlir")
        known = params if params is not None or isinstance(network, QuantizedNetwork) else network.recorded_params
        if known is not None:
            write_params(target / f"{name}.toml", known)

    return step


def dump_diagnostic_files_after(
    step: Callable[..., Net],
    folder: str | Path,
    name: str,
    params: QuantizationParams | None = None,
    *,
    condition: bool = True,
    prefix: str = "",
    suffix: str = "",
) -> Callable[..., Net]:
    """A step that runs another one, and then saves what it returns.

    Args:
        step: any step that returns a network.
        folder: see `dump_diagnostic_files`, also for `name`, `params`, `prefix` and `suffix`.
        name: see there.
        params: see there.
        condition: whether files are saved; if not, only the step runs.
        prefix: see there.
        suffix: see there.

    Returns:
        The extended step.
    """
    if not condition:
        return step
    dump = dump_diagnostic_files(folder, name, params, prefix=prefix, suffix=suffix)

    def extended(*arguments: Any) -> Net:
        network = step(*arguments)
        dump(network)
        return network

    return extended
