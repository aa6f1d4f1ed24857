"""The house rules of the repository, each as a test: CONTRIBUTING.md says what they are for."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from xdsl.ir import Attribute, Dialect, Operation

from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.context import dialect_names, get_dialect
from intaglio.ir.filecheck import run_lines
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.passes.base import get_pass, help_of, pass_modules

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "intaglio"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILECHECKS = sorted(path for path in (ROOT / "filecheck").rglob("*.mlir") if "Inputs" not in path.parts)

LAYERS = (
    ("errors", "compat", "files", "remarks"),
    ("data", "calibration_methods", "precision", "params", "params_file", "assignment"),
    ("numerics",),
    (
        "targets.instruction_format",
        "targets.float_instructions",
        "targets.instructions",
        "targets.encoding",
    ),  # the tables that the isa dialect is made from
    ("dialects",),
    ("ir",),
    ("targets",),
    ("frontend",),
    ("interpreter",),
    ("executor",),
    ("passes",),
    ("lowering",),
    ("targets.simulator",),
    ("runtime",),
    ("",),  # the modules of the package itself: phases and the Python interface
    ("search",),
    ("tools",),
)
"""A module imports from its own layer and the ones before it. The longest prefix counts."""

OWN_DIALECTS = [name for name in dialect_names() if name != "onnx"]
MAX_LINES = 550


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# Layers and the map.


def layer_of(module: str) -> int:
    inner = module.removeprefix("intaglio").removeprefix(".")
    lengths = {
        len(prefix): index
        for index, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if not prefix or inner == prefix or inner.startswith(prefix + ".")
    }
    return lengths[max(lengths)]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("intaglio."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "intaglio":
            # `from intaglio.targets import encoding` imports a module.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if (ROOT / (name.replace(".", "/") + ".py")).exists()}
            yield from modules or {node.module}


def test_layers_cover_known_modules() -> None:
    assert layer_of("intaglio.targets.simulator.memory") > layer_of("intaglio.targets.target")
    assert layer_of("intaglio.dialects.nn") < layer_of("intaglio.passes.graph.fold_constants")
    assert layer_of("intaglio.phases") == layer_of("intaglio")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_go_one_way(path: Path) -> None:
    layer = layer_of(module_name(path))
    upward = [name for name in imports_of(path) if name != "intaglio" and layer_of(name) > layer]
    assert upward == [], f"{relative(path)} is in layer {LAYERS[layer]}"


def test_the_readme_map_lists_the_packages_in_the_order_data_flows() -> None:
    rows = re.findall(r"^\| `intaglio/([\w/]+)/?` \| (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = [name for name, _ in rows]
    assert sorted(listed) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert all(text.strip() for _, text in rows)
    flow = [name for name in ("frontend", "passes", "lowering", "runtime", "tools") if name in listed]
    assert [name for name in listed if name in flow] == flow


# Files.


@pytest.mark.parametrize("path", [*SOURCES, *TESTS, *FILECHECKS], ids=relative)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


# What files of the user's may do: docs/trust.md.

CODE_FROM_DATA = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
WRITERS = {
    "intaglio/files.py": "write_atomically is here",
    "intaglio/ir/filecheck.py": "redirections of RUN lines",
    "intaglio/runtime/host_library.py": "into a temporary folder",
    "intaglio/search/exact.py": "to the null device",
    "intaglio/search/journal.py": "appends, a line at a time",
    "intaglio/search/study.py": "what `replacing` gives it",
    "intaglio/tools/running.py": "into an archive in memory",
}
"""Files that write without `intaglio.files`, and why they may."""


def calls_of(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def dangers(path: Path) -> list[str]:
    """Return what in a file could run data as code."""
    found = [
        name
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
        if name and name.split(".")[0] in CODE_FROM_DATA
    ]
    for name, call in calls_of(path):
        true = {item.arg for item in call.keywords if isinstance(item.value, ast.Constant) and item.value.value is True}
        if name in {"eval", "exec", "os.system", "os.popen", "__import__"} or true & {"shell", "allow_pickle"}:
            found.append(name)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_data_is_run_as_code(path: Path) -> None:
    assert dangers(path) == []


def writes(path: Path) -> list[str]:
    """Return the calls of a file that write other files themselves."""
    found: list[str] = []
    for name, call in calls_of(path):
        method = name.rpartition(".")[2]
        modes = [*call.args, *(item.value for item in call.keywords if item.arg == "mode")]
        texts = [item.value for item in modes if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        opens = method == "open" and any(re.fullmatch(r"[rbt]*[wax+][rwabt+]*", text) for text in texts)
        if opens or ("." in name and method in {"write_bytes", "write_text", "savez", "savez_compressed"}):
            found.append(name)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_are_written_in_one_step(path: Path) -> None:
    assert relative(path) in WRITERS or writes(path) == []


def test_dangers_and_writes_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(
        "from pickle import load\nnp.load(f, allow_pickle=True)\nopen(p, 'w')\nq.open(mode='ab')\nq.open('r')"
    )
    assert dangers(path) == ["pickle", "np.load"]
    assert writes(path) == ["open", "q.open"]
    assert all(writes(ROOT / name) for name in WRITERS)


# Passes.


def filecheck_of(name: str) -> Path:
    parts = pass_modules()[name].split(".")[1:-1]
    return ROOT.joinpath("filecheck", *parts, f"{name}.mlir")


@pytest.mark.parametrize("name", pass_modules())
def test_a_pass_has_the_name_of_its_file_and_of_its_test(name: str) -> None:
    assert get_pass(name).name == name
    assert filecheck_of(name).exists()
    assert re.search(rf"intaglio-opt .*\b{name}\b", filecheck_of(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", pass_modules())
def test_a_pass_and_its_options_are_documented(name: str) -> None:
    pass_help = help_of(get_pass(name))
    assert re.fullmatch(r"[A-Z].{15,}\.", pass_help.summary), pass_help.summary
    assert [option.name for option in pass_help.options if not option.text] == []


@pytest.mark.parametrize("name", pass_modules())
def test_a_pass_with_patterns_is_tested_where_they_must_not_fire(name: str) -> None:
    path = ROOT / (pass_modules()[name].replace(".", "/") + ".py")
    patterns = re.findall(r"^class (\w+)\(.*RewritePattern", path.read_text(encoding="utf-8"), re.MULTILINE)
    text = "".join(test.read_text(encoding="utf-8") for test in filecheck_of(name).parent.glob(f"{name}*.mlir"))
    assert not patterns or "@negative_" in text, f"{patterns} have no @negative_ case"


def test_filecheck_files_of_passes_are_named_after_one() -> None:
    folders = {filecheck_of(name).parent for name in pass_modules()}
    strays = [
        relative(path)
        for path in FILECHECKS
        if path.parent in folders
        and not any(path.stem == name or path.stem.startswith(f"{name}-") for name in pass_modules())
    ]
    assert strays == []


# FileCheck tests.

KINDS = {"", "NEXT", "SAME", "NOT", "DAG", "LABEL", "EMPTY"}
DIRECTIVE = re.compile(r"//\s*([A-Z][A-Z0-9_]*)((?:-[A-Z0-9_]+)*)(?:\{LITERAL\})?:")
DIAGNOSTICS = {"error", "warning", "remark", "note"}


def prefixes_of(text: str) -> set[str]:
    prefixes = set[str]()
    for line in run_lines(text):
        for command in re.findall(r"\bfilecheck\b([^|;&]*)", line.text):
            named = re.findall(r"--?check-prefix(?:es)?[= ](\S+)", command)
            prefixes |= {prefix for names in named for prefix in names.split(",")} or {"CHECK"}
    return prefixes


def vacuities(text: str) -> list[str]:
    """Return what in a test checks nothing although it looks as if it did."""
    problems: list[str] = []
    prefixes = prefixes_of(text)
    used = set[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if "RUN:" in line:
            continue
        for first, rest in DIRECTIVE.findall(line):
            words = first + rest
            prefix = max(
                (item for item in prefixes if words == item or words.startswith(item + "-")), key=len, default=""
            )
            kind = words[len(prefix) :].removeprefix("-")
            used.add(prefix)
            if not prefix or not (kind in KINDS or re.fullmatch(r"COUNT-\d+", kind)):
                problems.append(f"line {number}: {words} is no directive of {sorted(prefixes)}")
        for severity in re.findall(r"//.*\bexpected-(\w+)", line):
            if severity not in DIAGNOSTICS:
                problems.append(f"line {number}: expected-{severity} is no diagnostic")
    problems += [f"no line has the prefix {prefix}" for prefix in sorted(prefixes - used)]
    commands = " ".join(line.text for line in run_lines(text))
    if not re.search(r"\bfilecheck\b|--verify-diagnostics\b|\bdiff\b", commands):
        problems.append("no RUN line compares anything")
    if ("expected-" in text) != ("--verify-diagnostics" in commands) and "Inputs" not in commands:
        problems.append("--verify-diagnostics and expected-error come together")
    return problems


@pytest.mark.parametrize("path", FILECHECKS, ids=relative)
def test_filecheck_tests_are_not_vacuous(path: Path) -> None:
    assert vacuities(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "// RUN: intaglio-opt %s\n// CHECK: x",
        "// RUN: intaglio-opt %s | filecheck %s\n// CHECK: x\n// CHECK-NXT: y",
        "// RUN: intaglio-opt %s | filecheck %s\n// CHECK: x\n// CHEKC: y",
        "// RUN: intaglio-opt %s | filecheck %s --check-prefix=A\n// CHECK: x\n// A: y",
        "// RUN: intaglio-opt %s | filecheck %s --check-prefixes=A,B\n// A: y",
        "// RUN: intaglio-opt %s\n// expected-error {{x}}",
        "// RUN: intaglio-opt %s --verify-diagnostics\n",
        "// RUN: intaglio-opt %s --verify-diagnostics\n// expected-eror {{x}}\n// expected-error {{y}}",
        "",
    ],
)
def test_vacuous_tests_are_found(text: str) -> None:
    assert vacuities(text)


# Python tests.

ASSERTING = re.compile(r"assert|raises|warns|fail|check|verify|expect")


def asserting_functions(tree: ast.Module) -> set[str]:
    """Return the functions of a file that assert, directly or through others of the file or of the tests' modules."""
    calls: dict[str, set[str]] = {}
    found = set[str]()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            helpers = asserting_functions(tree_of(ROOT.joinpath(*str(node.module).split(".")).with_suffix(".py")))
            found |= helpers & {alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            called = {
                item.func.attr if isinstance(item.func, ast.Attribute) else getattr(item.func, "id", "")
                for item in ast.walk(node)
                if isinstance(item, ast.Call)
            }
            calls[node.name] = called
            keywords = {item.arg for item in ast.walk(node) if isinstance(item, ast.keyword)}
            asserts = any(isinstance(item, ast.Assert) for item in ast.walk(node))
            # subprocess.run(..., check=True) is an assertion on the exit code.
            if asserts or "check" in keywords or any(map(ASSERTING.search, called)):
                found.add(node.name)
    while more := {name for name, called in calls.items() if called & found} - found:
        found |= more
    return found


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=relative)
def test_every_test_asserts_something(path: Path) -> None:
    tests = {
        node.name
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    assert tests - asserting_functions(tree_of(path)) == set()


# Dialects.


def ops_of(dialect: Dialect) -> list[type[Operation]]:
    return sorted(dialect.operations, key=lambda op: op.name)


OPS = [op for name in OWN_DIALECTS for op in ops_of(get_dialect(name))]
DOCUMENTED: list[type[Operation] | type[Attribute]] = [
    *OPS,
    *(attribute for name in OWN_DIALECTS for attribute in get_dialect(name).attributes),
]


def examples_of(op: type[Operation]) -> list[str]:
    blocks = re.findall(r"```mlir\n(.*?)```", op.__dict__.get("__doc__") or "", re.DOTALL)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks]


def clauses_of(definition: type[Operation] | type[Attribute]) -> list[str]:
    doc = definition.__dict__.get("__doc__") or ""
    _, heading, section = doc.partition("Constraints:\n")
    return re.findall(r"^\s+(C\d+): ", section.split("\n\n", 1)[0], re.MULTILINE) if heading else []


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_an_op_has_examples_that_parse_verify_and_round_trip(op: type[Operation]) -> None:
    examples = examples_of(op)
    assert examples, f"{op.name} has no example in its docstring"
    for example in examples:
        module = parse_module(example, f"example of {op.name}")
        assert any(isinstance(item, op) for item in module.walk())
        text = print_module(module)
        assert print_module(parse_module(text)) == text


def has_runnable_main(example: str) -> bool:
    return "func.func @main()" in example


@pytest.mark.parametrize(
    "op", [op for op in OPS if any(map(has_runnable_main, examples_of(op)))], ids=lambda op: op.name
)
def test_examples_that_compute_run(op: type[Operation]) -> None:
    for example in filter(has_runnable_main, examples_of(op)):
        module = parse_module(example, f"example of {op.name}")
        results = Interpreter(module).run("main", [])
        returned = [item for item in module.walk() if item.name == "func.return"][-1]
        assert len(results) == len(returned.operands)


def source_of(definition: type[Operation] | type[Attribute]) -> str:
    """Return the source of a class, its bases of ours, and the other classes that share its name in the IR."""
    bases = [base for base in definition.__mro__ if base.__module__.startswith("intaglio.")]
    siblings = [
        member
        for member in vars(sys.modules[definition.__module__]).values()
        if isinstance(member, type) and getattr(member, "name", None) == definition.name
    ]
    return "".join(inspect.getsource(item) for item in dict.fromkeys([*bases, *siblings]))


@pytest.mark.parametrize(
    "definition", [item for item in DOCUMENTED if clauses_of(item)], ids=lambda definition: definition.name
)
def test_every_clause_is_numbered_in_the_verifier_and_has_a_negative_test(
    definition: type[Operation] | type[Attribute],
) -> None:
    clauses = clauses_of(definition)
    assert clauses == [f"C{index}" for index in range(1, len(clauses) + 1)]
    source = source_of(definition)
    assert [clause for clause in clauses if not re.search(rf"# .*\b{clause}\b", source)] == []
    dialect = definition.name.split(".")[0]
    tests = "".join(path.read_text(encoding="utf-8") for path in FILECHECKS if path.parent.name == dialect)
    untested = [
        clause
        for clause in clauses
        if not re.search(rf"// {clause} of {re.escape(definition.name)}\b[^\n]*\n\s*// expected-error", tests)
    ]
    assert untested == [], f"no negative test of {untested} of {definition.name}"
