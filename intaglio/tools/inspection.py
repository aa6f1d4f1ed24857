"""What is in a file: an ONNX model, the text of a module, a package or a file of samples."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from onnx import GraphProto, TensorProto, ValueInfoProto
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation

from intaglio.data import array_headers
from intaglio.dialects.isa import ProgramOp
from intaglio.errors import UserError
from intaglio.frontend.model_file import byte_count, read_model
from intaglio.frontend.shapes import true_inputs
from intaglio.ir.parsing import read_module
from intaglio.ir.printing import weights_in
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.passes.partition.placement import refuse_fallbacks
from intaglio.phases import PHASE, PHASES, CompileOptions
from intaglio.runtime.package import read_package
from intaglio.targets.assembler import disassemble
from intaglio.tools.package_report import print_disassembly, print_package, print_placement, report_of_package
from intaglio.tools.placing import expected_placement
from intaglio.tools.tables import print_table

Report = dict[str, Any]


def report_of(path: str | Path, placing: CompileOptions | None = None, with_disassembly: bool = False) -> Report:
    """Describe a file.

    Args:
        path: the file.
        placing: add where each operation runs, or would with these options; of models, modules and packages.
        with_disassembly: add the instructions; of packages, and of modules after the phase `isa`.

    Raises:
        UserError: the file cannot be read or is of no kind known here, or has not what is asked for.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no such file", where=str(path))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            is_samples = any(name.endswith(".npy") for name in archive.namelist())
        report = _samples(path) if is_samples else report_of_package(read_package(path), with_disassembly)
    elif path.suffix == ".mlir" or _looks_like_text(path):
        report = _module(read_module(path), with_disassembly)
    else:
        report = _onnx(path)
    if with_disassembly and "disassembly" not in report:
        raise UserError(
            f"a file of kind {report['kind']} has no instructions", where=str(path), hint="compile it first"
        )
    if placing is not None:
        if report["kind"] == "samples":
            raise UserError("a file of kind samples has no placement", where=str(path))
        report |= _placement(path, placing)
    return report


def _placement(path: Path, options: CompileOptions) -> Report:
    expectation = expected_placement(path, options)
    if options.fail_on_host:
        refuse_fallbacks(expectation.places)
    report: Report = {
        "placement_basis": expectation.basis,
        "placement": [
            {"name": place.name, "operation": place.kind, "device": place.device, "reason": place.reason}
            for place in expectation.places
        ],
    }
    if expectation.nodes:
        report["nodes"] = [vars(node) for node in expectation.nodes]
    return report


def _looks_like_text(path: Path) -> bool:
    if path.is_dir() or path.suffix == ".onnx":
        return False
    with path.open("rb") as stream:
        return b"\0" not in stream.read(4096) and path.stat().st_size > 0


def _samples(path: Path) -> Report:
    return {
        "kind": "samples",
        "arrays": [
            {"name": name, "dtype": dtype.name, "shape": list(shape)}
            for name, (shape, dtype) in array_headers(path).items()
        ],
    }


def _onnx(path: Path) -> Report:
    model = read_model(path).proto
    constants = [*model.graph.initializer, *_constant_nodes(model.graph)]
    return {
        "kind": "onnx",
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "inputs": [_value(value) for value in true_inputs(model.graph)],
        "outputs": [_value(value) for value in model.graph.output],
        "operators": dict(Counter(node.op_type for node in model.graph.node).most_common()),
        "constants": len(constants),
        "constant_bytes": sum(byte_count(tensor) for tensor in constants),
    }


def _constant_nodes(graph: GraphProto) -> list[TensorProto]:
    nodes = (node for node in graph.node if node.op_type == "Constant")
    return [attribute.t for node in nodes for attribute in node.attribute if attribute.name == "value"]


def _value(value: ValueInfoProto) -> Report:
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
    return {"name": value.name, "dtype": TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}


def _module(module: ModuleOp, with_disassembly: bool) -> Report:
    phase = module.attributes.get(PHASE)
    weights = weights_in(module)
    report: Report = {
        "kind": "module",
        "phase": phase.data if isinstance(phase, StringAttr) else None,
        "attributes": {name: str(value) for name, value in module.attributes.items()},
        "symbols": [_symbol(op) for op in module.ops],
        "weights": len(weights),
        "weight_elements": sum(math.prod(attribute.type.get_shape()) for attribute in weights),
    }
    programs = [program_binary(op) for op in module.ops if isinstance(op, ProgramOp)]
    if with_disassembly and programs:
        report["disassembly"] = {
            program.name: disassemble(program.words, program.debug).splitlines() for program in programs
        }
    return report


def _symbol(op: Operation) -> Report:
    name = op.get_attr_or_prop("sym_name")
    operations = Counter(inner.name for region in op.regions for inner in region.walk())
    return {
        "name": name.data if isinstance(name, StringAttr) else None,
        "kind": op.name,
        "operations": dict(operations.most_common()),
    }


def phases_report() -> Report:
    """Describe the phases and the passes of each, with their default options."""
    options = CompileOptions()
    return {
        "kind": "phases",
        "phases": [
            {"name": phase.name, "result": phase.result, "passes": [str(step.make(options)) for step in phase.steps]}
            for phase in PHASES
        ],
    }


def print_report(report: Report) -> None:
    """Print what `report_of` or `phases_report` gave."""
    _PRINTERS[report["kind"]](report)


def _print_samples(report: Report) -> None:
    rows = [(array["name"], array["dtype"], str(array["shape"])) for array in report["arrays"]]
    print_table("Samples", ("array", "type", "shape"), rows)


def _print_onnx(report: Report) -> None:
    opset = ", ".join(f"{domain} {version}" for domain, version in report["opset"].items())
    rows = [
        (label, tensor["name"], tensor["dtype"], str(tensor["shape"]).replace("'", ""))
        for label in ("input", "output")
        for tensor in report[f"{label}s"]
    ]
    print_table(
        f"ONNX model, opset {opset}, by {report['producer'] or 'unknown'}", ("", "tensor", "type", "shape"), rows
    )
    print_table("\nOperators", ("operator", "count"), list(report["operators"].items()))
    print(f"\n{report['constants']:,} constants of {report['constant_bytes']:,} bytes")
    if "placement" in report:
        print_placement(report)


def _print_module(report: Report) -> None:
    rows = [
        (symbol["kind"], symbol["name"], operation, count)
        for symbol in report["symbols"]
        for operation, count in symbol["operations"].items()
    ]
    print_table(
        f"Module at the end of phase {report['phase'] or 'unknown'}", ("symbol", "name", "operation", "count"), rows
    )
    print(f"\n{report['weights']:,} weights of {report['weight_elements']:,} elements beside the text")
    if "placement" in report:
        print_placement(report)
    print_disassembly(report)


def _print_phases(report: Report) -> None:
    rows = [(phase["name"], phase["result"], ", ".join(phase["passes"])) for phase in report["phases"]]
    print_table(None, ("phase", "what there is at its end", "passes"), rows)


_PRINTERS = {
    "package": print_package,
    "samples": _print_samples,
    "onnx": _print_onnx,
    "module": _print_module,
    "phases": _print_phases,
}
