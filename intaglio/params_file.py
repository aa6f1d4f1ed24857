"""Parameters of quantization as a TOML file.

Every key is optional and has the name and default of the attribute of `QuantizationParams`:

```toml
calibration_method = "mse{num_bins=4096}"
requantization_mode = "shift"
unquantized_nodes = ["head/Softmax"]
bias_correction = "regular"
channel_equalization = true
smooth_quant_alpha = "search"

[activation_quantization_scheme]
asymmetric = true
bits = 16

[weight_quantization_scheme]
per_channel = true

[custom_quantization_configs."stem/*"]
precision = "a8w8"
```

`precision = "a16w8"` (or `"bf16"`) at the top sets the bits of both schemes at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import tomli_w

from intaglio.calibration_methods import CalibrationMethod
from intaglio.errors import UserError, suggestion
from intaglio.files import read_document, write_atomically
from intaglio.params import QuantizationParams, QuantizationScheme, bfloat16_scheme, default_quantization
from intaglio.precision import NodeConfig

_LARGEST_FILE = 16 << 20
_SEARCH = "search"
"""How the file says that `smooth_quant_alpha` is None; TOML has no word for nothing."""

_SWITCHES = ("channel_equalization", "smooth_quant", "split_tensors", "round_weights")
_KEYS = ("precision", *(field.name for field in dataclasses.fields(QuantizationParams)))


def read_params(path: str | Path) -> QuantizationParams:
    """Read a parameter set.

    Raises:
        UserError: the file cannot be read, is no TOML, or holds a key or value that does not exist.
    """
    return parse_params(read_toml(Path(path)), where=str(path))


def write_params(path: str | Path, params: QuantizationParams) -> None:
    """Write a parameter set in one step; all of it, so that a default that changes later does not change it.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomically(path, params_text(params))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a small TOML file.

    Raises:
        UserError: it cannot be read, is too large, or is no TOML.
    """
    return cast("dict[str, Any]", read_document(path, "TOML", largest=_LARGEST_FILE))


def params_text(params: QuantizationParams) -> str:
    """A parameter set as TOML; `parse_params` of it gives an equal one."""
    content: dict[str, Any] = {
        "calibration_method": str(params.calibration_method),
        "requantization_mode": params.requantization_mode.value,
        "quantization_type": params.quantization_type.value,
        "unquantized_nodes": sorted(params.unquantized_nodes),
        "bias_correction": params.bias_correction.value,
        **{name: getattr(params, name) for name in _SWITCHES},
        "smooth_quant_alpha": _SEARCH if params.smooth_quant_alpha is None else params.smooth_quant_alpha,
        "activation_quantization_scheme": _scheme_table(params.activation_quantization_scheme, "asymmetric"),
        "weight_quantization_scheme": _scheme_table(params.weight_quantization_scheme, "per_channel"),
    }
    if params.custom_quantization_configs:
        configs = {name: config.settings() for name, config in params.custom_quantization_configs.items()}
        content["custom_quantization_configs"] = configs
    return tomli_w.dumps(content)


def _scheme_table(scheme: QuantizationScheme, choice: str) -> dict[str, bool | int]:
    return {"bf16": True} if scheme.bf16 else {choice: getattr(scheme, choice), "bits": scheme.bits}


def parse_params(content: Mapping[str, Any], where: str | None = None) -> QuantizationParams:
    """The parameter set in the content of a TOML file.

    Args:
        content: as `tomllib` reads it.
        where: the file, for messages.

    Raises:
        UserError: a key or value does not exist.
    """
    for key in content:
        if key not in _KEYS:
            hint = suggestion(key, _KEYS) or f"parameters: {', '.join(_KEYS)}"
            raise UserError(f"there is no parameter {key!r}", where=where, hint=hint)
    try:
        return _params_of(content)
    except UserError as error:
        if error.where is not None and where is not None:
            raise UserError(error.what, where=f"{where}: {error.where}", hint=error.hint) from error
        raise UserError(error.what, where=where or error.where, hint=error.hint) from error


def _params_of(content: Mapping[str, Any]) -> QuantizationParams:
    params = default_quantization
    schemes = {
        key: _scheme(content, key, getattr(params, key))
        for key in ("activation_quantization_scheme", "weight_quantization_scheme")
    }
    params = dataclasses.replace(params, **schemes)
    if "precision" in content:
        params = params.with_precision(_typed(content, "precision", str))
    if "calibration_method" in content:
        params = params.with_calibration(CalibrationMethod.from_str(_typed(content, "calibration_method", str)))
    if "requantization_mode" in content:
        params = params.with_requantization_mode(_typed(content, "requantization_mode", str))
    if "quantization_type" in content:
        params = params.with_quantization_type(_typed(content, "quantization_type", str))
    if "unquantized_nodes" in content:
        names = cast("list[object]", _typed(content, "unquantized_nodes", list))
        if not all(isinstance(name, str) for name in names):
            raise UserError(f"unquantized_nodes must be a list of names, got {names!r}")
        params = params.with_unquantized_nodes(cast("list[str]", names))
    if "custom_quantization_configs" in content:
        tables = cast("dict[str, object]", _typed(content, "custom_quantization_configs", dict))
        params = params.with_custom_quantization_configs(
            {name: NodeConfig.of(_table(table, name), where=name) for name, table in tables.items()}
        )
    if "bias_correction" in content:
        params = params.with_bias_correction(_typed(content, "bias_correction", (str, bool)))
    kept = _SEARCH if params.smooth_quant_alpha is None else params.smooth_quant_alpha
    alpha = _typed(content, "smooth_quant_alpha", (float, int, str)) if "smooth_quant_alpha" in content else kept
    if isinstance(alpha, str) and alpha != _SEARCH:
        raise UserError(f"smooth_quant_alpha must be a number or {_SEARCH!r}, got {alpha!r}")
    switches = {name: _typed(content, name, bool) for name in _SWITCHES if name in content}
    return dataclasses.replace(params, **switches, smooth_quant_alpha=None if alpha == _SEARCH else alpha)


def _typed(content: Mapping[str, Any], key: str, kinds: type[Any] | tuple[type[Any], ...]) -> Any:
    value = content[key]
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    # In Python a bool is an int, in TOML it is not.
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        names = {
            str: "text",
            bool: "true or false",
            list: "a list",
            dict: "a table",
            float: "a number",
            int: "a number",
        }
        expected = " or ".join(dict.fromkeys(names[kind] for kind in allowed))
        raise UserError(f"{key} must be {expected}, got {value!r}")
    return value


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"the settings of {name!r} must be a table, got {value!r}")
    return cast("dict[str, Any]", value)


def _scheme(content: Mapping[str, Any], key: str, default: QuantizationScheme) -> QuantizationScheme:
    if key not in content:
        return default
    table = _table(content[key], key)
    known = {field.name: int if field.name == "bits" else bool for field in dataclasses.fields(QuantizationScheme)}
    for name in table:
        if name not in known:
            raise UserError(f"a scheme has no setting {name!r}", where=key, hint=f"it has {', '.join(known)}")
    settings = {name: _typed(table, name, known[name]) for name in table}
    return bfloat16_scheme() if settings.get("bf16") else dataclasses.replace(default, **settings)
