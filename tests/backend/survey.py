"""What becomes of each ONNX operator in the phase `graph`, found out from the node cases.

python tests/backend/survey.py

writes `operators.json` beside this file: by operator, how many node cases there are, how many of them compile and give
their expected outputs (all but those in `expected_failures.toml`), and the operations that the first cases of floats
become. `intaglio.tools.docs` makes the table of operators from it.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onnx import TensorProto

sys.path.insert(0, str(Path(__file__).parent))

from node_cases import cases

from intaglio.compiler import run_phase
from intaglio.errors import UserError
from intaglio.files import write_atomically
from intaglio.frontend.exporter import main_function
from intaglio.frontend.freezing import deciding_inputs, freeze_inputs
from intaglio.frontend.importer import import_model
from intaglio.phases import PHASES, CompileOptions

FILE = Path(__file__).parent / "operators.json"
_EXPECTED = Path(__file__).parent / "expected_failures.toml"

LARGEST = 6
"""Cases of an operator that are looked at."""

_UNINTERESTING = ("nn.constant", "func.return", "quant.scast")


def survey() -> dict[str, dict[str, Any]]:
    """The content of the file, by domain and name of operators such as `ai.onnx.ml.Binarizer`."""
    failing = tomllib.loads(_EXPECTED.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for name, case in _single_nodes():
        (node,) = case.model.graph.node
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        entry = found.setdefault(operator, {"cases": 0, "passing": 0, "becomes": []})
        entry["cases"] += 1
        if failing.get(name, {"category": "passes"})["category"] not in ("passes", "folded entirely"):
            continue
        entry["passing"] += 1
        if len(entry["becomes"]) < LARGEST and _is_float(case) and (kinds := operations(case)) not in entry["becomes"]:
            entry["becomes"].append(kinds)
    return dict(sorted(found.items()))


def _single_nodes() -> Iterator[tuple[str, Any]]:
    for name, case in cases().items():
        if len(case.model.graph.node) == 1 and "_expanded" not in name:
            yield name, case


def _is_float(case: Any) -> bool:
    """Whether the first input is one of float32, as those of networks are, if there are inputs of that type."""
    kinds = [value.type.tensor_type.elem_type for value in case.model.graph.input]
    return not kinds or kinds[0] == TensorProto.FLOAT or TensorProto.FLOAT not in kinds


def operations(case: Any) -> list[str]:
    """The kinds of operations that a case's node has become."""
    names = [value.name for value in case.model.graph.input]
    values = dict(zip(names, case.data_sets[0][0], strict=False))
    try:
        model = freeze_inputs(case.model, {key: values[key] for key in deciding_inputs(case.model)})
        module = import_model(model.SerializeToString())
        run_phase(module, PHASES[1], CompileOptions(target="host"))
    except UserError:
        return []
    kinds = Counter(op.name for op in main_function(module).body.block.ops)
    return sorted(kind for kind in kinds if kind not in _UNINTERESTING)


def main() -> None:
    """Write the file."""
    write_atomically(FILE, (json.dumps(survey(), indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
