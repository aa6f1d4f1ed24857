"""What the command `intaglio export` does: a quantized module in the formats of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from intaglio.errors import UserError
from intaglio.files import check_output, write_atomically
from intaglio.frontend.encodings_exporter import export_encodings
from intaglio.frontend.qdq_exporter import export_qdq
from intaglio.ir.parsing import read_module
from intaglio.lowering.nn_to_tosa import Port, export_tosa

FORMATS = ("tosa", "qdq", "aimet")
"""TOSA text, an ONNX model with QuantizeLinear and DequantizeLinear, and AIMET's encodings."""


def export_module(
    source: str, output: str, file_format: str, *, model: str | None = None, cuts: bool = False
) -> dict[str, Any]:
    """Write a quantized module in another format.

    Args:
        source: the text of a module after the phase `quantize`.
        output: the file to write.
        file_format: one of `FORMATS`.
        model: the ONNX model that the module comes from, for the names in encodings.
        cuts: see `export_tosa`.

    Returns:
        The report: `output`, `format`, and what there is in it.

    Raises:
        UserError: something is wrong with the module or the options, or it has no form in the format.
    """
    if Path(source).suffix == ".onnx":
        raise UserError(
            "this is an ONNX model, not the text of a quantized module",
            where=source,
            hint="intaglio compile MODEL --compile-to quantize -o MODULE.mlir makes one",
        )
    if model is not None and file_format != "aimet":
        raise UserError("--model gives the names in AIMET's encodings", where="intaglio export")
    if cuts and file_format != "tosa":
        raise UserError("--cuts is for TOSA, which has no casts", where="intaglio export")
    check_output(output)
    module = read_module(source)
    report: dict[str, Any] = {"output": output, "format": file_format}
    return report | _WRITERS[file_format](module, output, model, cuts)


def _write_tosa(module: ModuleOp, output: str, model: str | None, cuts: bool) -> dict[str, Any]:
    exported = export_tosa(module, cuts=cuts)
    write_atomically(output, exported.text)
    return {
        "inputs": [_described(port) for port in exported.inputs],
        "outputs": [_described(port) for port in exported.outputs],
        "outside": [op.name for op in exported.outside],
    }


def _described(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": list(port.shape),
        "type": str(port.type.storage_type),
        "scale": port.type.scales.tolist(),
        "zero_point": port.type.zero_points.tolist(),
    }


def _write_qdq(module: ModuleOp, output: str, model: str | None, cuts: bool) -> dict[str, Any]:
    proto = export_qdq(module)
    write_atomically(output, proto.SerializeToString())
    return {
        "opset": next(entry.version for entry in proto.opset_import if not entry.domain),
        "nodes": len(proto.graph.node),
    }


def _write_encodings(module: ModuleOp, output: str, model: str | None, cuts: bool) -> dict[str, Any]:
    encodings = export_encodings(module, model)
    write_atomically(output, json.dumps(encodings.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return {"activations": len(encodings.activations), "parameters": len(encodings.parameters)}


_WRITERS = {"tosa": _write_tosa, "qdq": _write_qdq, "aimet": _write_encodings}
