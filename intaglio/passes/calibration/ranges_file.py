"""Files of calibrated ranges: ours, made to be read and edited, and AIMET's encodings.

Ours maps each tensor, under the name that `observers` gives it, to its range:

```json
{
  "input": {"min": -2.1, "max": 2.6, "method": "mse"},
  "stem/Relu": {"min": 0.0, "max": 5.9, "method": "mse", "extrema": [0.0, 6.3]}
}
```

The extrema are those of the values seen, for tensors of 16 bits; they need not be there.

AIMET's encodings give scale and offset instead, a stored value `q` from 0 to `2^bits - 1` standing for
`scale * (q + offset)`, and name tensors as the ONNX model does. Versions 0.4 to 0.6.1 (which state the range as well),
1.0.0 and 2.0.0 are read, 1.0.0 and 0.6.1 written.

Source of the format: AIMET documentation, "Encoding format specification".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from intaglio.errors import UserError, suggestion
from intaglio.files import read_document, write_atomically
from intaglio.numerics.quantization import choose_parameters, integer_range
from intaglio.passes.calibration.statistics import Grid, Range

_LARGEST_FILE = 256 << 20


@dataclass(frozen=True)
class CalibratedRange:
    """The range of a tensor.

    Attributes:
        low: smallest real value.
        high: largest real value.
        method: how it was found, as text; empty when that is not known.
        extrema: the smallest and the largest value seen, where the range may leave some out.
    """

    low: float
    high: float
    method: str = ""
    extrema: Range | None = None

    @property
    def bounds(self) -> Range:
        """Both limits."""
        return self.low, self.high

    def entry(self) -> dict[str, object]:
        """What our file says of the tensor."""
        entry: dict[str, object] = {"min": self.low, "max": self.high}
        entry |= {"method": self.method} if self.method else {}
        return entry | ({"extrema": list(self.extrema)} if self.extrema else {})


@dataclass(frozen=True)
class RangesFile:
    """What a file of ranges holds.

    Attributes:
        ranges: the ranges by name, in the file's order.
        is_encodings: the file is one of AIMET's, so that its names are those of tensors in the ONNX model.
    """

    ranges: dict[str, CalibratedRange]
    is_encodings: bool = False


def read_ranges(path: str | Path) -> RangesFile:
    """Read a file of ranges, ours or AIMET's.

    Raises:
        UserError: the file cannot be read, is no such file, or has a range that is not finite and ordered.
    """
    content = read_document(path, "JSON", largest=_LARGEST_FILE)
    if not isinstance(content, dict):
        raise UserError("expected a JSON object of ranges by tensor name", where=str(path))
    content = cast("dict[str, Any]", content)
    if "activation_encodings" in content or ("encodings" in content and "version" in content):
        return RangesFile(_read_encodings(content, str(path)), is_encodings=True)
    return RangesFile({name: _read_range(name, entry, str(path)) for name, entry in content.items()})


def write_ranges_file(path: str | Path, ranges: Mapping[str, CalibratedRange]) -> None:
    """Write our file of ranges in one step.

    Raises:
        UserError: the file cannot be written.
    """
    lines = [f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(found.entry())}" for name, found in ranges.items()]
    write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")


def write_encodings(
    path: str | Path, ranges: Mapping[str, CalibratedRange], grid: Grid | None = None, version: str = "1.0.0"
) -> None:
    """Write a file of AIMET's encodings of activations.

    Args:
        path: the file.
        ranges: by name of the tensor in the ONNX model.
        grid: the integers that the encodings are for; by default 8 bits, asymmetric.
        version: of the format, `1.0.0` or `0.6.1`.

    Raises:
        UserError: there is no such version, or the file cannot be written.
    """
    grid = grid or Grid()
    if version not in {"1.0.0", "0.6.1"}:
        raise UserError(f"encodings of version {version!r} cannot be written", hint="use 1.0.0 or 0.6.1")
    activations: list[dict[str, object]] | dict[str, object]
    if version == "1.0.0":
        activations = [_encoding(name, found, grid) for name, found in ranges.items()]
    else:
        activations = {name: [_old_encoding(name, found, grid)] for name, found in ranges.items()}
    params: list[object] | dict[str, object] = [] if version == "1.0.0" else {}
    content = {"version": version, "activation_encodings": activations, "param_encodings": params}
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def select_ranges(
    file: RangesFile,
    names: Sequence[str],
    tensor_names: Mapping[str, str] | None = None,
    *,
    where: str,
) -> dict[str, CalibratedRange]:
    """The ranges of a network's observed tensors.

    Args:
        file: what was read.
        names: the observed tensors.
        tensor_names: name of the node that makes each tensor of the ONNX model, by the tensor's name. With it, the
            names of the model are understood, and those of tensors that are not observed, for instance because
            they are inside of a fused operation, are passed over.
        where: the file, for messages.

    Raises:
        UserError: the file names a tensor that there is not, or has no range for any.
    """
    tensor_names = tensor_names or {}
    observed = set(names)
    selected: dict[str, CalibratedRange] = {}
    unknown: list[str] = []
    for name, found in file.ranges.items():
        node = name if name in observed else tensor_names.get(name)
        if node in observed:
            selected[node] = found
        elif name not in tensor_names and not (file.is_encodings and not tensor_names):
            unknown.append(name)
    if unknown:
        raise _unknown_tensors(unknown, [*names, *tensor_names], where)
    if not selected:
        raise UserError(
            "the file has no range for any tensor that is to be quantized",
            where=where,
            hint="encodings name tensors of the ONNX model; give the model as well",
        )
    return selected


def _unknown_tensors(unknown: Sequence[str], known: Iterable[str], where: str) -> UserError:
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return UserError(
        f"there is no tensor {unknown[0]!r} to quantize{more}",
        where=where,
        hint=suggestion(unknown[0], dict.fromkeys(known)) or "intaglio calibrate lists all",
    )


def _read_range(name: str, entry: object, where: str) -> CalibratedRange:
    fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    low, high, method = fields.get("min"), fields.get("max"), fields.get("method", "")
    extra = [key for key in fields if key not in {"min", "max", "method", "extrema"}]
    if low is None or high is None or extra or not isinstance(method, str):
        what = f"has {extra[0]!r}" if extra else "is not complete"
        raise UserError(
            f"the range of {name!r} {what}", where=where, hint='{"min": -1.0, "max": 2.5, "method": "mse"} is one'
        )
    found = _checked(name, low, high, method, where)
    if (extrema := fields.get("extrema")) is None:
        return found
    pair = cast("list[object]", extrema) if isinstance(extrema, list) else []
    if len(pair) != 2:
        raise UserError(f"the extrema of {name!r} are not two numbers", where=where, hint='"extrema": [-1.5, 2.75]')
    least, most = pair
    return replace(found, extrema=_checked(name, least, most, "", where).bounds)


def _checked(name: str, low: object, high: object, method: str, where: str) -> CalibratedRange:
    if not (_is_number(low) and _is_number(high)):
        raise UserError(f"the limits of {name!r} are not numbers: {low!r} to {high!r}", where=where)
    low, high = _float(low), _float(high)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UserError(f"the range of {name!r} is not finite and ordered: {low} to {high}", where=where)
    return CalibratedRange(low, high, method)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(number: object) -> float:
    try:
        return float(cast(float, number))
    except OverflowError:
        return math.inf


def _encoding(name: str, found: CalibratedRange, grid: Grid) -> dict[str, object]:
    scale, offset = _scale_and_offset(found, grid)
    return {
        "name": name,
        "enc_type": "PER_TENSOR",
        "dtype": "INT",
        "bw": grid.bits,
        "is_sym": grid.symmetric,
        "scale": [scale],
        "offset": [offset],
    }


def _old_encoding(name: str, found: CalibratedRange, grid: Grid) -> dict[str, object]:
    scale, offset = _scale_and_offset(found, grid)
    return {
        "bitwidth": grid.bits,
        "dtype": "int",
        "is_symmetric": str(grid.symmetric),
        "max": scale * (offset + (1 << grid.bits) - 1),
        "min": scale * offset,
        "offset": offset,
        "scale": scale,
    }


def _scale_and_offset(found: CalibratedRange, grid: Grid) -> tuple[float, int]:
    """Scale, and the offset of a grid that starts at 0: 8 bits symmetric is -128."""
    scale, zero_point = choose_parameters(found.low, found.high, grid.bits, grid.symmetric)
    return scale, integer_range(grid.bits)[0] - zero_point


def _read_encodings(content: Mapping[str, Any], where: str) -> dict[str, CalibratedRange]:
    groups = content.get("activation_encodings", content.get("encodings"))
    entries: list[tuple[str, object]]
    if isinstance(groups, dict):
        entries = list(cast("dict[str, object]", groups).items())
    elif isinstance(groups, list):
        listed = cast("list[object]", groups)
        entries = [
            (str(cast("dict[str, object]", entry).get("name")), entry) for entry in listed if isinstance(entry, dict)
        ]
        if len(entries) < len(listed):
            raise UserError("an encoding is no JSON object", where=where)
    else:
        raise UserError("the encodings of activations are neither a list nor an object", where=where)
    ranges: dict[str, CalibratedRange] = {}
    for name, entry in entries:
        single: object = _single(entry)
        if not isinstance(single, dict):
            raise UserError(f"the encoding of {name!r} is not that of a whole tensor", where=where)
        found = _decoded(name, cast("dict[str, object]", single), where)
        if found is not None:
            ranges[name] = found
    return ranges


def _decoded(name: str, entry: Mapping[str, object], where: str) -> CalibratedRange | None:
    """The range of an encoding, None for a tensor that stays float."""
    kind = str(entry.get("dtype", entry.get("output_dtype", "int"))).lower()
    if kind.startswith("float"):
        return None
    if entry.get("min") is not None and entry.get("max") is not None:
        return _checked(name, _single(entry["min"]), _single(entry["max"]), "", where)
    scale = _single(entry.get("scale", entry.get("y_scale")))
    if "y_scale" in entry:
        bits = int("".join(filter(str.isdigit, kind)) or 8)
        lowest = integer_range(bits, not kind.startswith("u"))[0]
        zero_point = _single(entry.get("y_zero_point", 0))
        offset = lowest - zero_point if _is_number(zero_point) else None
    else:
        width = entry.get("bw", entry.get("bitwidth", 8))
        bits = width if isinstance(width, int) and 1 <= width <= 32 else 8
        offset = _single(entry.get("offset"))
    if not (_is_number(scale) and _is_number(offset)):
        raise UserError(f"the encoding of {name!r} is not that of a whole tensor", where=where)
    scale, offset = _float(scale), _float(offset)
    return _checked(name, scale * offset, scale * (offset + (1 << bits) - 1), "", where)


def _single(value: object) -> Any:
    if isinstance(value, list):
        values = cast("list[object]", value)
        return values[0] if len(values) == 1 else None
    return value
