"""The phases from an ONNX file to a package, and the passes each consists of.

Between two phases there is a module and nothing else: all that later phases need is in its text and in the weights
file beside it. `intaglio.compiler` runs phases; this module only names them, and imports a pass when it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.passes import ModulePass

from intaglio.data import Replayed
from intaglio.errors import UserError, suggestion
from intaglio.params import BiasCorrectionType, QuantizationParams, QuantizationType, default_quantization
from intaglio.passes.base import get_pass
from intaglio.passes.partition.backends import Backend, IndexToBackend, requests_of
from intaglio.passes.quantization.assign_precision import requests_text
from intaglio.precision import Precision

PHASE = "intaglio.phase"
"""Module attribute: the last phase that has been run."""

Array = np.ndarray[Any, np.dtype[Any]]

Samples = Iterable[Mapping[str, Array]]
"""One array per model input by name, of the input's shape, for each sample."""


@dataclass(frozen=True)
class CompileOptions:
    """What the phases need to know besides the model.

    Args:
        target: a preset such as `gen1`, a description file (`.toml`), or `host` for no accelerator. None: that of the
            module when resuming after `partition`, else `gen1`.
        shapes: shapes of inputs by name, for models that leave dimensions open.
        batch: the first dimension of inputs that leave it open; None where all have one.
        calibration: an `.npz` file or samples; needed when the phase `calibrate` is run.
        ranges: a file of calibrated ranges, which take the place of those from calibration data.
        tensor_names: the node that makes each tensor of the ONNX model, for ranges that name tensors; filled in when
            an ONNX file is compiled.
        params: how to quantize.
        node_files: the files that `params` has settings of nodes from, by name or pattern, for messages.
        keep_statistics: called with the statistics of calibration.
        fail_on_host: refuse a model of which the host has to compute a part. What the accelerator can run it then runs,
            whatever its boundaries cost.
        max_regions: refuse a model whose accelerator part is in more regions.
        index_to_backend: devices of operations, by index, ONNX name or pattern, which override the compiler's decision.
    """

    target: str | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])
    batch: int | None = None
    calibration: str | Path | Samples | None = None
    ranges: str | Path | None = None
    tensor_names: Mapping[str, str] = field(default_factory=dict[str, str])
    params: QuantizationParams = default_quantization
    node_files: Mapping[str, str] = field(default_factory=dict[str, str])
    keep_statistics: Callable[[Any], None] | None = None
    fail_on_host: bool = False
    max_regions: int | None = None
    index_to_backend: IndexToBackend = field(default_factory=dict[int | str, Backend | str])

    def __post_init__(self) -> None:
        if isinstance(self.calibration, Iterator):
            object.__setattr__(self, "calibration", Replayed(self.calibration))


PassOptions = Callable[[CompileOptions], dict[str, object]]


def _no_options(options: CompileOptions) -> dict[str, object]:
    return {}


def _always(options: CompileOptions) -> bool:
    return True


def needs_ranges(params: QuantizationParams) -> bool:
    """Whether any operation is to run in integers with scales known now, so that there is something to calibrate."""
    return not is_dynamic(params) and bool(_integer_precisions(params))


def is_dynamic(params: QuantizationParams) -> bool:
    """Whether layers are to quantize what they read as it comes."""
    return params.quantization_type is QuantizationType.DYNAMIC


def _is_static(options: CompileOptions) -> bool:
    return not is_dynamic(options.params)


def scales_channels(options: CompileOptions) -> bool:
    """Whether channels are to be given other units before ranges are calibrated.

    Ranges that come from a file are those of the network as it is, so that with one nothing is scaled. Where weights
    and activations have 16 bits, every channel has enough of them in any unit.
    """
    asked = options.params.channel_equalization or options.params.smooth_quant
    return (
        asked
        and options.ranges is None
        and _is_static(options)
        and any(found.weight_bits <= 8 for found in _integer_precisions(options.params))
    )


def _integer_precisions(params: QuantizationParams) -> list[Precision]:
    """The precisions asked of the network and of single nodes, without bfloat16 and float."""
    asked = [params.precision, *(config.precision for config in params.node_configs.values())]
    return [found for found in asked if found is not None and found.is_integer]


def _equalizes(options: CompileOptions) -> bool:
    """Whether channels are to be equalized: by their values and weights, or where nothing is calibrated by weights."""
    return options.params.channel_equalization and (is_dynamic(options.params) or scales_channels(options))


def corrects_bias(options: CompileOptions) -> bool:
    """Whether biases are to be corrected for what quantization does to the means of results.

    Ranges from a file alone say nothing of means.
    """
    is_observed = options.ranges is None or options.calibration is not None
    asked = options.params.bias_correction is not BiasCorrectionType.NONE
    return asked and is_observed and needs_ranges(options.params)


def _first_observers(options: CompileOptions) -> dict[str, object]:
    return {"method": "min_max", "channels": True}


def _first_calibration(options: CompileOptions) -> dict[str, object]:
    return {"data": _data(options), "channels": True}


def _data(options: CompileOptions) -> str:
    return str(options.calibration) if isinstance(options.calibration, str | Path) else "DATA.npz"


def _observers(options: CompileOptions) -> dict[str, object]:
    params = options.params
    found: dict[str, object] = {"method": str(params.calibration_method), "channels": corrects_bias(options)}
    # Nodes of other precisions get theirs later; observers that turn out to be of no use are removed then.
    return found if needs_ranges(params) else {**found, "precision": str(params.precision)}


def _calibration(options: CompileOptions) -> dict[str, object]:
    params = options.params
    return {
        "data": _data(options),
        # Observers that are there already had the channels' extrema to find.
        "method": str(params.calibration_method) if scales_channels(options) else None,
        "symmetric": not params.activation_quantization_scheme.asymmetric,
        "channels": corrects_bias(options),
    }


def _smoothing(options: CompileOptions) -> dict[str, object]:
    return {"alpha": options.params.smooth_quant_alpha}


def rounds_weights(options: CompileOptions) -> bool:
    """Whether weights are to be rounded by the error of results on data."""
    return options.params.round_weights and needs_ranges(options.params)


def _rounding(options: CompileOptions) -> dict[str, object]:
    found = _quantization(options)
    del found["requantization"]
    return {"data": _data(options), **found}


def _correction(options: CompileOptions) -> dict[str, object]:
    iterative = options.params.bias_correction is BiasCorrectionType.ITERATIVE
    return {"iterative": iterative, **_rounding(options), "data": _data(options) if iterative else None}


def _quantization(options: CompileOptions) -> dict[str, object]:
    params = options.params
    return {
        "activation_symmetric": not params.activation_quantization_scheme.asymmetric,
        "weight_per_tensor": not params.weight_quantization_scheme.per_channel,
        "precision": str(params.precision),
        "requantization": params.requantization_mode.value,
    }


def _dynamic_quantization(options: CompileOptions) -> dict[str, object]:
    return {name: value for name, value in _quantization(options).items() if name in ("weight_per_tensor", "precision")}


def _precisions(options: CompileOptions) -> dict[str, object]:
    return {"nodes": requests_text(options.params.node_configs)}


def _devices(options: CompileOptions) -> dict[str, object]:
    backends = tuple(map(str, requests_of(options.index_to_backend)))
    return {"target": options.target or "gen1", "backends": backends}


@dataclass(frozen=True)
class Step:
    """A pass of a phase.

    Args:
        name: the pass's name.
        options: gives the pass's options.
        when: whether the options ask for it.
    """

    name: str
    options: PassOptions = _no_options
    when: Callable[[CompileOptions], bool] = _always

    def make(self, options: CompileOptions) -> ModulePass:
        """The pass, configured."""
        return get_pass(self.name)(**self.options(options))


@dataclass(frozen=True)
class Phase:
    """A named stretch of the compilation.

    Args:
        name: what command lines call it.
        result: what the module is at its end.
        steps: its passes in order; `import` and `package` have none.
    """

    name: str
    result: str
    steps: tuple[Step, ...] = ()

    def pipeline(self, options: CompileOptions) -> str:
        """The phase's passes as text that `intaglio-opt -p` takes."""
        return ",".join(str(step.make(options)) for step in self.steps if step.when(options))


PHASES: tuple[Phase, ...] = (
    Phase("import", "onnx dialect: the ONNX graph, nothing lost, with static shapes"),
    Phase(
        "graph",
        "nn dialect: NHWC operators, folded and fused; float, or quantized as the model comes",
        (
            Step("upgrade-opset"),
            Step("onnx-to-quant"),
            Step("onnx-to-nn"),
            Step("fold-constants"),
            Step("inline-functions"),
            Step("onnx-to-nn"),
            Step("fold-constants"),
            Step("fuse-gelu"),
            Step("fuse-silu"),
            Step("fuse-layer-norm"),
            Step("fuse-softmax"),
            Step("fuse-root-of-squares"),
            Step("fold-transposes"),
            Step("fold-batch-norm"),
            Step("fold-affine"),
            Step("fuse-hard-swish"),
            Step("reduce-to-pool"),
            Step("fuse-activation"),
            Step("use-signed-storage"),
            Step("quantize-from-casts"),
            Step("fold-transposes"),
            Step("fuse-activation"),
            Step("fold-constants"),
            Step("eliminate-dead-code"),
        ),
    ),
    Phase(
        "calibrate",
        "nn and quant.observe with the range of every tensor to be quantized; nothing for a quantized model",
        (
            Step("insert-observers", _first_observers, when=scales_channels),
            Step("calibrate", _first_calibration, when=scales_channels),
            Step("equalize-channels", when=_equalizes),
            Step(
                "smooth-quant",
                _smoothing,
                when=lambda options: scales_channels(options) and options.params.smooth_quant,
            ),
            Step("split-tensors", when=lambda options: options.params.split_tensors and options.ranges is None),
            Step("insert-observers", _observers, when=_is_static),
            Step("calibrate", _calibration, when=lambda options: needs_ranges(options.params)),
        ),
    ),
    Phase(
        "quantize",
        "nn on quantized types, or in bfloat16, with casts at the edges",
        (
            Step("assign-precision", _precisions, when=lambda options: bool(options.params.node_configs)),
            Step("round-weights", _rounding, when=rounds_weights),
            Step("correct-bias", _correction, when=corrects_bias),
            Step("quantize-dynamic", _dynamic_quantization, when=lambda options: is_dynamic(options.params)),
            Step("quantize", _quantization, when=_is_static),
        ),
    ),
    Phase(
        "partition",
        "@main for the host, one function for each accelerator region",
        (
            Step("assign-devices", _devices),
            Step("place-by-cost", when=lambda options: not options.fail_on_host),
            Step("outline-regions"),
        ),
    ),
    Phase(
        "npu",
        "npu dialect: tiles in the scratchpad, transfers, tasks and tokens",
        (
            Step("nn-to-npu"),
            Step("interleave-layers"),
            Step("overlap-transfers"),
            Step("allocate-scratchpad"),
            Step("insert-tokens"),
        ),
    ),
    Phase("isa", "isa dialect: one operation an instruction", (Step("npu-to-isa"),)),
    Phase("package", "a file that runs: instructions, constants, host library, manifest"),
)

PHASE_NAMES: tuple[str, ...] = tuple(phase.name for phase in PHASES)


def phase_index(name: str, *, where: str) -> int:
    """Position of the phase called `name`.

    Raises:
        UserError: there is none; `where` names the option that asked for it.
    """
    if name not in PHASE_NAMES:
        hint = suggestion(name, PHASE_NAMES) or f"phases: {', '.join(PHASE_NAMES)}"
        raise UserError(f"there is no phase {name!r}", where=where, hint=hint)
    return PHASE_NAMES.index(name)
