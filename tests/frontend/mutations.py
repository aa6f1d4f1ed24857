"""Damaged ONNX files, made from a seed, and a process that imports them.

    python tests/frontend/mutations.py FIRST COUNT [--write FOLDER]

Prints one line for each file: its number, the kind of damage, and `imported` or the error's first line. Whatever is
neither ends the process: an exception that is no user error, ten seconds of computing, two gigabytes.
"""

from __future__ import annotations

import argparse
import resource
import signal
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper

from intaglio.compiler import run_phase
from intaglio.errors import UserError
from intaglio.frontend.exporter import export_model
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.phases import PHASES, CompileOptions

SECONDS = 10
BYTES = 2 << 30
"""Limits for one file."""

LARGEST_MODEL = 200_000

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")

# fmt: off
DIMENSIONS = [-(2**63), -2, -1, 0, 1, 2, 3, 5, 7, 255, 65536, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1]
# fmt: on


@cache
def bases() -> list[bytes]:
    """Models to damage: those of the onnx package and the examples, without the large ones."""
    folders = [Path(onnx.__file__).parent / "backend" / "test" / "data", ROOT / "examples"]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.onnx"))]
    return [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST_MODEL]


def graphs_of(graph: GraphProto) -> list[GraphProto]:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [graph, *(found for part in inner for found in graphs_of(part))]


def any_graph(model: ModelProto, random: Random) -> GraphProto:
    return random.choice(graphs_of(model.graph))


def choose(values: Sequence[T], random: Random) -> T | None:
    return random.choice(values) if values else None


def any_node(model: ModelProto, random: Random) -> NodeProto:
    node = choose(any_graph(model, random).node, random)
    return node if node is not None else model.graph.node.add(op_type="Relu", input=["none"], output=["new"])


def names_of(graph: GraphProto) -> list[str]:
    names = [value.name for value in (*graph.input, *graph.initializer)]
    return [*names, *(name for node in graph.node for name in node.output)] or ["none"]


def tensors_of(model: ModelProto) -> list[TensorProto]:
    found = [tensor for graph in graphs_of(model.graph) for tensor in graph.initializer]
    nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
    return found + [attribute.t for node in nodes for attribute in node.attribute if attribute.HasField("t")]


# Damage to bytes.


def flip_bytes(data: bytearray, random: Random) -> None:
    for _ in range(random.choice([1, 2, 8, 64])):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def truncate(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def remove_slice(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice([1, 2, 16, 100])]


def repeat_slice(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    data[start:start] = data[start : start + random.choice([1, 2, 16, 1000])]


# Damage to the model.


def cycle(model: ModelProto, random: Random) -> None:
    graph = any_graph(model, random)
    for _ in range(random.choice([1, 3])):
        node = any_node(model, random)
        if node.input:
            node.input[random.randrange(len(node.input))] = random.choice(names_of(graph))


def reorder(model: ModelProto, random: Random) -> None:
    graph = any_graph(model, random)
    nodes = list(graph.node)
    random.shuffle(nodes)
    graph.ClearField("node")
    graph.node.extend(nodes)


def change_dimensions(model: ModelProto, random: Random) -> None:
    graph = any_graph(model, random)
    value = choose([*graph.input, *graph.output, *graph.value_info], random)
    if value is None:
        return
    shape = value.type.tensor_type.shape
    for _ in range(random.choice([1, 2])):
        if not shape.dim or random.random() < 0.2:
            shape.dim.add()
        random.choice(shape.dim).dim_value = random.choice(DIMENSIONS)


def change_tensors(model: ModelProto, random: Random) -> None:
    tensor = choose(tensors_of(model), random)
    if tensor is None:
        tensor = model.graph.initializer.add(name="w", data_type=1, dims=[2])
    if tensor.dims and random.random() < 0.7:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(DIMENSIONS)
    else:
        tensor.dims.append(random.choice(DIMENSIONS))
    if random.random() < 0.3:
        tensor.ClearField("raw_data")
    if random.random() < 0.2:
        tensor.int64_data.append(7)


def external(model: ModelProto, random: Random) -> None:
    tensor = choose(tensors_of(model), random)
    if tensor is None:
        return
    tensor.data_location = TensorProto.EXTERNAL
    entries = {
        "location": random.choice(["model.onnx", "none", "/etc/passwd", "../x", "", "\0", "a" * 5000, "/dev/zero"]),
        "offset": random.choice(["0", "1", "-1", "x", str(2**63), ""]),
        "length": random.choice(["0", "4", str(2**40), "-4", "y", "1e9"]),
    }
    for key in random.sample(sorted(entries), 2):
        tensor.external_data.add(key=key, value=entries[key])


def change_types(model: ModelProto, random: Random) -> None:
    graph = any_graph(model, random)
    tensor = choose(tensors_of(model), random)
    value = choose([*graph.input, *graph.output], random)
    if tensor is not None and random.random() < 0.5:
        tensor.data_type = random.choice([0, 1, 2, 7, 8, 9, 10, 14, 16, 17, 21, 23, 24, 25, 99, -1])
    elif value is not None and random.random() < 0.5:
        value.type.tensor_type.elem_type = random.choice([0, 1, 2, 7, 8, 9, 10, 14, 16, 17, 21, 23, 99, -1])
    elif value is not None:
        kinds = [helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)), TypeProto()]
        kinds.append(helper.make_optional_type_proto(kinds[0]))
        kinds.append(helper.make_sparse_tensor_type_proto(1, [2]))
        kinds.append(helper.make_map_type_proto(7, kinds[0]))
        value.type.CopyFrom(random.choice(kinds))


def unknown_operators(model: ModelProto, random: Random) -> None:
    node = any_node(model, random)
    match random.randrange(4):
        case 0:
            node.op_type = random.choice(["Unknown", "", "relu", "A" * 10_000, "Loop", "If", "Scan", "Einsum", "Conv"])
        case 1:
            node.domain = random.choice(
                ["com.acme", "ai.onnx.ml", "com.microsoft", "\u00e4", "ai.onnx.preview.training"]
            )
            if random.random() < 0.7:
                model.opset_import.add(domain=node.domain, version=random.choice([0, 1, 5, 2**62, -1]))
        case 2:
            random.choice(model.opset_import or [model.opset_import.add()]).version = random.randrange(-1, 40)
        case _:
            schema = random.choice(onnx.defs.get_all_schemas())
            node.op_type, node.domain = schema.name, schema.domain


def duplicate_names(model: ModelProto, random: Random) -> None:
    graph = any_graph(model, random)
    name = random.choice(names_of(graph))
    match random.randrange(4):
        case 0:
            graph.initializer.add(name=name, data_type=1, dims=[1], float_data=[1])
        case 1:
            graph.input.append(ValueInfoProto(name=name))
        case 2:
            any_node(model, random).output.append(name)
        case _:
            graph.output.append(ValueInfoProto(name=name))


def change_attributes(model: ModelProto, random: Random) -> None:
    node = any_node(model, random)
    for _ in range(random.choice([1, 2, 4])):
        attribute = choose(node.attribute, random)
        if attribute is None:
            attribute = node.attribute.add(name=random.choice(["axis", "axes", "pads", "value", "to", "kernel_shape"]))
        match random.randrange(7):
            case 0:
                attribute.type = random.choice(AttributeProto.AttributeType.values())
            case 1:
                attribute.type, attribute.i = AttributeProto.INT, random.choice(DIMENSIONS)
            case 2:
                attribute.type = AttributeProto.INTS
                attribute.ints.append(random.choice(DIMENSIONS))
            case 3:
                attribute.ClearField("ints")
            case 4:
                attribute.name = random.choice(["", "x.y", "axis", "\u00e4", attribute.name + "2"])
            case 5:
                node.attribute.add().CopyFrom(attribute)
            case _:
                for index in range(len(attribute.ints)):
                    attribute.ints[index] = random.choice(DIMENSIONS)


def change_operands(model: ModelProto, random: Random) -> None:
    node = any_node(model, random)
    values = random.choice([node.input, node.output])
    match random.randrange(4):
        case 0 if values:
            values.pop(random.randrange(len(values)))
        case 1 if values:
            values[random.randrange(len(values))] = ""
        case 2:
            values.extend(random.choice([["new"], [""] * 20, ["x"] * 100]))
        case _:
            node.ClearField(random.choice(["input", "output", "attribute", "op_type"]))


def nest(model: ModelProto, random: Random) -> None:
    """Put the graph into nodes that carry graphs, many deep."""
    for _ in range(random.choice([1, 5, 20, 40])):
        outer = GraphProto(name="outer", output=model.graph.output)
        node = outer.node.add(op_type=random.choice(["If", "Loop", "Scan"]), input=["c"])
        node.output.extend(value.name for value in model.graph.output)
        for name in random.choice([["then_branch", "else_branch"], ["body"], ["then_branch"]])[:1]:
            node.attribute.add(name=name, type=AttributeProto.GRAPH).g.CopyFrom(model.graph)
        outer.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
        model.graph.CopyFrom(outer)


def functions(model: ModelProto, random: Random) -> None:
    """Nodes as calls of functions that call one another, at random."""
    model.opset_import.add(domain="local", version=1)
    count = random.choice([1, 3, 30])
    for index in range(count):
        body = [
            helper.make_node(f"f{random.randrange(count + 1)}", ["a"], [f"b{place}"], domain="local")
            for place in range(random.choice([1, 2, 10]))
        ]
        body.append(helper.make_node("Relu", ["b0"], ["b"]))
        opsets = [*model.opset_import]
        model.functions.append(helper.make_function("local", f"f{index}", ["a"], ["b"], body, opsets))
    node = any_node(model, random)
    node.op_type, node.domain = "f0", "local"


ON_BYTES: list[Callable[[bytearray, Random], None]] = [flip_bytes, truncate, remove_slice, repeat_slice]
ON_MODELS: list[Callable[[ModelProto, Random], None]] = [
    cycle,
    reorder,
    change_dimensions,
    change_tensors,
    external,
    change_types,
    unknown_operators,
    duplicate_names,
    change_attributes,
    change_operands,
    nest,
    functions,
]


def mutated(number: int) -> tuple[str, bytes]:
    """Kind and content of a damaged file."""
    random = Random(number)
    base = random.choice(bases())
    damage: Callable[[Any, Random], None] = random.choice([*ON_BYTES, *ON_MODELS, *ON_MODELS])
    if damage in ON_BYTES:
        data = bytearray(base)
        damage(data, random)
        return damage.__name__, bytes(data)
    model = ModelProto.FromString(base)
    for _ in range(random.choice([1, 1, 3])):
        damage(model, random)
    try:
        return damage.__name__, model.SerializeToString()
    except DecodeError:
        return damage.__name__, base


def outcome(path: Path) -> str:
    """Take a file through import, text, export and the graph phase."""
    try:
        module = import_model(path)
        parsed = parse_module(print_module(module))
        export_model(parsed)
        run_phase(parsed, PHASES[1], CompileOptions(target="host"))
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) <= 6, message
        return " ".join(error.what.splitlines())[:150]
    return "imported"


def main() -> None:
    parser = argparse.ArgumentParser(description="Import damaged ONNX files.")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--write", type=Path, help="write the files to this folder, and import nothing")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    with TemporaryDirectory(prefix="mutations-") as folder:
        path = Path(folder) / "model.onnx"
        for number in range(options.first, options.first + options.count):
            kind, data = mutated(number)
            if options.write is not None:
                (options.write / f"{number:05}-{kind}.onnx").write_bytes(data)
                continue
            path.write_bytes(data)
            print(f"{number} {kind}: ", end="", flush=True)
            # Nothing handles the signal, so that it ends the process also while foreign code runs.
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            print(outcome(path), flush=True)
            signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
