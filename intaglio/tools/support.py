"""The page `docs/operators.md`: what happens to every operator of ONNX and every operation of `nn`, and what tests it.

Nothing of it is typed in. What is quantized, runs on the accelerator or on the host is read from the definitions that
decide it: the classes in `passes.quantization.coverage`, the constraints, the tables of rules. What an ONNX operator
becomes, and how many node cases of ONNX's backend test it passes, is read from `tests/backend/operators.json`, which
`tests/backend/survey.py` finds out by running them. What tests an operation is looked for in the tests.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.onnx.quantized_forms import FORMS
from intaglio.dialects.onnx.schema import Operator, operators
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp
from intaglio.frontend.dynamic_nodes import has_dynamic_form
from intaglio.lowering.host_to_relax.registry import host_kinds, host_operators
from intaglio.lowering.onnx_node import lowered_operators
from intaglio.lowering.onnx_to_quant import INTEGER_PRODUCTS
from intaglio.passes.quantization.coverage import KEEPS_RANGE, MOVES_ELEMENTS, OWN_RANGE
from intaglio.targets.constraints import SUPPORTED, Constraint, all_constraints

ROOT = Path(__file__).resolve().parents[2]
SURVEY = ROOT / "tests" / "backend" / "operators.json"

_LAYOUT = ("nn.reshape", "nn.transpose")
"""What may stand around an operation without being what the node computes."""

_BY_NAME: Mapping[str, type[Operation]] = {kind.name: kind for kind in nn.Nn.operations}
_CASTS: Mapping[str, str] = {"QuantizeLinear": QuantizeCastOp.name, "DequantizeLinear": DequantizeCastOp.name}


def operators_sections() -> list[str]:
    """The page after its heading, in paragraphs."""
    return [
        "What the compiler does with every operator. Whatever the accelerator does not run is left to the host, with "
        "the constraint that it broke and the offending values as the reason; `intaglio inspect --placement "
        "MODEL.onnx` shows both for each node of a model. A model with an operator that the host does not run either "
        "is refused, naming the node.\n",
        "## Operators of ONNX\n",
        "*import*: opsets that brought a version of the operator into the `onnx` dialect. *nn*: operations that nodes "
        "become, in floats; an operator on quantized tensors is computed as the float operator named. *quantized* "
        "and *accelerator*: whether these operations compute on integers, and whether the accelerator knows them "
        "(`in part`: some of them). *host*: by a rule of its own, as operations of `nn` or `quant`, or by its "
        "definition in terms of other operators. *tested by*: node cases of ONNX's backend test that compile and "
        "give the expected outputs, or tests that name the operator.\n",
        _table(
            ("operator", "import", "nn", "quantized", "accelerator", "host", "tested by"),
            [_onnx_row(operator) for operator in operators().values()],
        ),
        "## Operations of nn\n",
        "*quantized*: with parameters of its own, with those of its input, or with those of its input where that is "
        "quantized anyway. *tested by*: FileCheck files and modules of `tests/interpreter` that name the operation.\n",
        _table(
            ("operation", "quantized", "accelerator", "host", "tested by", "what it is"),
            [_nn_row(kind) for kind in sorted(nn.Nn.operations, key=lambda kind: kind.name)],
        ),
        *_constraint_sections(all_constraints()),
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def quantization_kind(kind: type[Operation]) -> str:
    """How an operation is quantized, in words; empty for one that stays in floats."""
    groups = ((OWN_RANGE, "own"), (KEEPS_RANGE, "input's"), (MOVES_ELEMENTS, "input's, if quantized"))
    return next((text for kinds, text in groups if issubclass(kind, kinds)), "")


def _nn_row(kind: type[Operation]) -> tuple[str, ...]:
    summary = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return (
        f"`{kind.name}`",
        quantization_kind(kind),
        "yes" if issubclass(kind, SUPPORTED) else "",
        "yes" if kind is nn.ConstantOp or issubclass(kind, tuple(host_kinds())) else "",
        ", ".join(_tests_of_operation(kind.name)),
        summary,
    )


def _onnx_row(operator: Operator) -> tuple[str, ...]:
    stands_for = _float_operator(operator)
    found = survey().get(_key(operator), {})
    becomes = survey().get(stands_for, {}).get("becomes", []) if stands_for else found.get("becomes", [])
    alternatives = [_computing(kinds) for kinds in becomes if kinds]
    whole = [] if operator.graphs else [kinds for kinds in alternatives if all(kind in _BY_NAME for kind in kinds)]
    cast = _CASTS.get(operator.name)
    shown = f"as `{stands_for}`" if stands_for else f"`{cast}`" if cast else _names(whole, len(alternatives))
    return (
        f"`{_key(operator)}`",
        ", ".join(str(version.since) for version in operator.versions if not version.deprecated) or "deprecated",
        "the nodes of its graphs" if operator.graphs and found.get("passing") else shown,
        "yes" if cast else _share(whole, _is_quantized),
        _share(whole, _is_supported),
        _host(operator, bool(whole), bool(found.get("passing"))),
        _tests_of_operator(operator, found),
    )


def _float_operator(operator: Operator) -> str | None:
    """The operator of floats that one on quantized tensors is computed as, None for other operators."""
    form = FORMS.get((operator.domain, operator.name))
    if form is not None:
        return form.operator
    return None if operator.domain else INTEGER_PRODUCTS.get(operator.name)


def _key(operator: Operator) -> str:
    return f"{operator.domain}.{operator.name}" if operator.domain else operator.name


def _computing(kinds: Sequence[str]) -> list[str]:
    """Without changes of layout, where there is more."""
    return [kind for kind in kinds if kind not in _LAYOUT] or list(kinds)


def _names(whole: Sequence[Sequence[str]], count: int) -> str:
    """The operations of the shortest of the alternatives that are all `nn`, and whether there are others."""
    if not whole:
        return ""
    text = ", ".join(f"`{kind.removeprefix('nn.')}`" for kind in min(whole, key=len))
    return text + (", or stays" if len(whole) < count else "")


def _is_quantized(kind: type[Operation]) -> bool:
    return bool(quantization_kind(kind))


def _is_supported(kind: type[Operation]) -> bool:
    return issubclass(kind, SUPPORTED)


def _share(alternatives: Sequence[Sequence[str]], holds: Callable[[type[Operation]], bool]) -> str:
    """`yes` when something holds for all operations of an alternative, `in part` when for one of them."""
    answers = [[holds(_BY_NAME[kind]) for kind in kinds] for kinds in alternatives]
    if any(all(answer) for answer in answers):
        return "yes"
    return "in part" if any(any(answer) for answer in answers) else ""


def _host(operator: Operator, is_nn: bool, passes: bool) -> str:
    key = (operator.domain, operator.name)
    if key in host_operators():
        return "rule"
    if is_nn or key in lowered_operators() or key in FORMS:
        return "nn"
    if operator.name in _CASTS:
        return "quant"
    return "definition" if passes or has_dynamic_form(*key) else ""


@cache
def survey() -> Mapping[str, Mapping[str, Any]]:
    """What the node cases say about ONNX's operators, by name with the domain."""
    return cast("Mapping[str, Mapping[str, Any]]", json.loads(SURVEY.read_text(encoding="utf-8")))


def _tests_of_operator(operator: Operator, found: Mapping[str, Any]) -> str:
    if found.get("cases"):
        passing, count = found["passing"], found["cases"]
        return f"{passing} of {count} node cases" if passing < count else f"{count} node case{'s' * (count > 1)}"
    folders = ("", "interpreter", "frontend", "lowering")
    pattern = f'"{operator.name}"'
    return ", ".join(file for name in folders for file in _files_with(ROOT / "tests" / name, "test_*.py", pattern))


@cache
def _tests_of_operation(name: str) -> list[str]:
    pattern = rf"\b{re.escape(name)}\b"
    checks = _files_with(ROOT / "filecheck" / "dialects" / "nn", "*.mlir", pattern)
    own = [file for file in checks if file.removesuffix(".mlir").removesuffix("-invalid") == name.removeprefix("nn.")]
    modules = _files_with(ROOT / "tests" / "interpreter", "test_*.py", pattern)
    return (own or checks[:2]) + modules


def _files_with(folder: Path, glob: str, pattern: str) -> list[str]:
    """Names of files in which a pattern occurs, sorted."""
    return sorted(path.name for path in folder.glob(glob) if re.search(pattern, _text(path)))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _constraint_sections(constraints: Sequence[Constraint]) -> list[str]:
    general = "".join(f"- {_joined(item.text)}\n" for item in constraints if item.kinds is None)
    sections = ["## Constraints of all operations on the accelerator\n", general, "## Constraints by operation\n"]
    by_text: dict[str, list[str]] = {}
    for kind in sorted(nn.Nn.operations, key=lambda kind: kind.name):
        if issubclass(kind, SUPPORTED):
            own = [item for item in constraints if item.kinds is not None and item.applies_to(kind)]
            text = "".join(f"- {_joined(item.text)}\n" for item in own)
            by_text.setdefault(text or "Nothing beyond what all operations need.\n", []).append(f"`{kind.name}`")
    return [*sections, *(f"### {', '.join(kinds)}\n\n{text}" for text, kinds in by_text.items())]


def _joined(text: str) -> str:
    return " ".join(text.split())
