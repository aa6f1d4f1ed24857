"""ONNX operator schemas, read from the installed `onnx` package and merged over the history of each operator.

Those of onnxruntime's quantized operators are ours (`contributed`).

The `onnx` dialect has one op class per operator. An operator changes over the versions of its operator set
(attributes become inputs, optional inputs appear), so a class accepts what any version accepts, and what
holds for a given model is the `OperatorVersion` in force at that model's opset. Nothing here depends on xDSL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

from onnx import AttributeProto, defs

from intaglio.dialects.onnx import contributed

AttributeValue = int | float | str | list[int] | list[float] | list[str]
"""A number, a text, or a list of them, as `OperatorVersion` gives defaults."""

DOMAIN_PREFIXES: Mapping[str, str] = {
    "": "onnx.",
    "ai.onnx.ml": "onnx.ml.",
    "ai.onnx.preview": "onnx.preview.",
    "ai.onnx.preview.training": "onnx.preview.training.",
    contributed.DOMAIN: "onnx.microsoft.",
}
"""Prefix of the IR op name for every ONNX domain that the dialect generates classes for."""

_RANDOM = frozenset(
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"]
)


class Arity(Enum):
    """How many values stand at one formal position of an operator."""

    SINGLE = "single"
    OPTIONAL = "optional"
    VARIADIC = "variadic"


class AttributeKind(Enum):
    """Kind of an ONNX attribute, with the values of `AttributeProto.AttributeType`."""

    FLOAT = AttributeProto.FLOAT
    INT = AttributeProto.INT
    STRING = AttributeProto.STRING
    TENSOR = AttributeProto.TENSOR
    GRAPH = AttributeProto.GRAPH
    FLOATS = AttributeProto.FLOATS
    INTS = AttributeProto.INTS
    STRINGS = AttributeProto.STRINGS
    SPARSE_TENSOR = AttributeProto.SPARSE_TENSOR
    TYPE_PROTO = AttributeProto.TYPE_PROTO


@dataclass(frozen=True)
class Formal:
    """A formal input or output: its name in the schema and how many values it takes."""

    name: str
    arity: Arity


@dataclass(frozen=True)
class AttributeSchema:
    """An attribute as one version of an operator declares it; `default` is None when there is none."""

    name: str
    kind: AttributeKind
    required: bool
    default: AttributeValue | None


@dataclass(frozen=True)
class OperatorVersion:
    """One version of an operator: what a node may say in a model of that opset.

    Args:
        since: the opset in which this version came into force.
        inputs: the formal inputs in order.
        outputs: the formal outputs in order.
        attributes: the attributes by name.
        deprecated: the operator was withdrawn with this version.
    """

    since: int
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    attributes: Mapping[str, AttributeSchema]
    deprecated: bool

    @cached_property
    def required_attributes(self) -> tuple[str, ...]:
        """Names of the attributes that a node must give."""
        return tuple(name for name, attribute in self.attributes.items() if attribute.required)


@dataclass(frozen=True)
class Operator:
    """An operator over all its versions.

    Args:
        domain: ONNX domain, "" for `ai.onnx`.
        name: ONNX operator name, such as `Conv`.
        versions: all versions, oldest first.
        inputs: formal inputs merged over the versions by position; the newest version names them.
        outputs: formal outputs merged likewise.
        attributes: kinds that an attribute has had, by name; graph attributes are not among them.
        graphs: graph-valued attributes, which become regions, and whether they may be absent.
        documentation: text of the newest version.
        deterministic: equal inputs give equal outputs, so that nodes may be merged.
    """

    domain: str
    name: str
    versions: tuple[OperatorVersion, ...]
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    attributes: Mapping[str, frozenset[AttributeKind]]
    graphs: tuple[Formal, ...]
    documentation: str
    deterministic: bool

    @property
    def ir_name(self) -> str:
        """Name of the op in the dialect, such as `onnx.Conv` or `onnx.ml.Scaler`."""
        return DOMAIN_PREFIXES[self.domain] + self.name

    def at(self, opset: int) -> OperatorVersion | None:
        """The version in force at an opset of the operator's domain; None before its first version."""
        found = None
        for version in self.versions:
            if version.since > opset:
                break
            found = version
        return found


def violation(
    operator: Operator,
    opset: int,
    attributes: Collection[str],
    inputs: Sequence[bool],
    outputs: Sequence[bool],
) -> str | None:
    """What is wrong with a node of an operator at an opset, None if nothing is.

    Args:
        operator: what the node does.
        opset: of the operator's domain, in the model.
        attributes: names of the attributes that the node gives.
        inputs: for each position in the node's list of inputs, whether it is there.
        outputs: likewise.
    """
    name, version = operator.name, operator.at(opset)
    # C1
    if version is None:
        return f"operator {name} exists since opset {operator.versions[0].since}, the model has {opset}"
    if version.deprecated and operator.versions[-1].deprecated:
        return f"operator {name} was withdrawn in opset {version.since}"
    # C2
    for attribute in attributes:
        if attribute not in version.attributes:
            return f"operator {name} has no attribute '{attribute}' in opset {opset}"
    # C3
    for attribute in version.required_attributes:
        if attribute not in attributes:
            return f"operator {name} requires the attribute '{attribute}' in opset {opset}"
    # C4
    for kind, formals, present in (("input", version.inputs, inputs), ("output", version.outputs, outputs)):
        variadic = bool(formals) and formals[-1].arity is Arity.VARIADIC
        if any(present[len(formals) :]) and not variadic:
            return f"operator {name} has {len(formals)} {kind}s in opset {opset}, got {len(present)}"
        count = max((position + 1 for position, there in enumerate(present) if there), default=0)
        if variadic and not all(present[len(formals) - 1 : count]):
            return f"operator {name} cannot leave out one of the {kind}s '{formals[-1].name}' in opset {opset}"
        for position, formal in enumerate(formals):
            if formal.arity is Arity.SINGLE and not (position < len(present) and present[position]):
                return f"operator {name} requires the {kind} '{formal.name}' in opset {opset}"
    return None


def canonical_domain(domain: str) -> str:
    """The domain as the tables here spell it: `ai.onnx` is an alias of the empty domain."""
    return "" if domain == "ai.onnx" else domain


def newest_opset(domain: str = "") -> int:
    """The newest opset of a domain that the installed `onnx` package knows (0 for an unknown domain)."""
    return max((op.versions[-1].since for op in operators().values() if op.domain == domain), default=0)


@cache
def operators() -> Mapping[tuple[str, str], Operator]:
    """All operators that have a class in the dialect, by (domain, operator name)."""
    history: dict[tuple[str, str], list[defs.OpSchema]] = {}
    for schema in defs.get_all_schemas_with_history():
        domain = canonical_domain(schema.domain)
        if domain in DOMAIN_PREFIXES:
            history.setdefault((domain, schema.name), []).append(schema)
    found = {key: _operator(*key, schemas) for key, schemas in sorted(history.items())}
    found.update({(contributed.DOMAIN, name): _contributed_operator(name) for name in sorted(contributed.TABLE)})
    return found


def find_operator(domain: str, name: str) -> Operator | None:
    """The operator, or None when no schema of it is known."""
    return operators().get((canonical_domain(domain), name))


def _operator(domain: str, name: str, schemas: list[defs.OpSchema]) -> Operator:
    schemas = sorted(schemas, key=lambda schema: schema.since_version)
    versions = tuple(_version(schema) for schema in schemas)
    kinds: dict[str, set[AttributeKind]] = {}
    for version in versions:
        for attribute in version.attributes.values():
            kinds.setdefault(attribute.name, set()).add(attribute.kind)
    graphs = sorted(key for key, value in kinds.items() if AttributeKind.GRAPH in value)
    return Operator(
        domain=domain,
        name=name,
        versions=versions,
        inputs=_merge([version.inputs for version in versions]),
        outputs=_merge([version.outputs for version in versions]),
        attributes={key: frozenset(kinds[key]) for key in sorted(kinds) if key not in graphs},
        graphs=tuple(Formal(graph, _graph_arity(graph, versions)) for graph in graphs),
        documentation=schemas[-1].doc or "",
        deterministic=name not in _RANDOM,
    )


def _contributed_operator(name: str) -> Operator:
    signature, attributes = contributed.TABLE[name]
    inputs, _, outputs = signature.partition("->")
    version = OperatorVersion(
        since=1,
        inputs=_contributed_formals(inputs),
        outputs=_contributed_formals(outputs),
        attributes={
            attribute: AttributeSchema(attribute, AttributeKind[kind], required, default)
            for attribute, kind, required, default in contributed.attributes(attributes)
        },
        deprecated=False,
    )
    return Operator(
        domain=contributed.DOMAIN,
        name=name,
        versions=(version,),
        inputs=version.inputs,
        outputs=version.outputs,
        attributes={key: frozenset([schema.kind]) for key, schema in sorted(version.attributes.items())},
        graphs=(),
        documentation="See `docs/ContribOperators.md` of onnxruntime.",
        deterministic=True,
    )


def _contributed_formals(text: str) -> tuple[Formal, ...]:
    arities = {"": Arity.SINGLE, "?": Arity.OPTIONAL, "*": Arity.VARIADIC}
    return tuple(Formal(name, arities[mark]) for name, mark in contributed.formals(text))


def _version(schema: defs.OpSchema) -> OperatorVersion:
    return OperatorVersion(
        since=schema.since_version,
        inputs=tuple(Formal(_plain(formal.name), _arity(formal)) for formal in schema.inputs),
        outputs=tuple(Formal(_plain(formal.name), _arity(formal)) for formal in schema.outputs),
        attributes={name: _attribute(schema.attributes[name]) for name in sorted(schema.attributes)},
        deprecated=schema.deprecated,
    )


def _graph_arity(graph: str, versions: tuple[OperatorVersion, ...]) -> Arity:
    required = all(graph in version.required_attributes for version in versions)
    return Arity.SINGLE if required else Arity.OPTIONAL


def _plain(name: str) -> str:
    """A formal's name without the `...` that `Split` version 1 carries."""
    return name.rstrip(".")


def _arity(formal: defs.OpSchema.FormalParameter) -> Arity:
    match formal.option:
        case defs.OpSchema.FormalParameterOption.Single:
            return Arity.SINGLE
        case defs.OpSchema.FormalParameterOption.Optional:
            return Arity.OPTIONAL
        case _:
            return Arity.VARIADIC


def _attribute(attribute: defs.OpSchema.Attribute) -> AttributeSchema:
    kind = AttributeKind[str(attribute.type).rpartition(".")[2]]
    return AttributeSchema(attribute.name, kind, attribute.required, _default(attribute.default_value))


def _default(proto: AttributeProto) -> AttributeValue | None:
    match proto.type:
        case AttributeProto.INT:
            return proto.i
        case AttributeProto.FLOAT:
            return proto.f
        case AttributeProto.STRING:
            return proto.s.decode()
        case AttributeProto.INTS:
            return list(proto.ints)
        case AttributeProto.FLOATS:
            return list(proto.floats)
        case AttributeProto.STRINGS:
            return [text.decode() for text in proto.strings]
        case _:
            return None


def _merge(versions: list[tuple[Formal, ...]]) -> tuple[Formal, ...]:
    """Formals by position, as general as all versions together; a variadic one ends the list.

    The newest version gives the names and, where an older one has more positions after what is now
    variadic (`Scan` 8), the layout.
    """
    merged: list[Formal] = []
    newest = versions[-1]
    for position in range(max(len(version) for version in versions)):
        present = [version[position] for version in versions if position < len(version)]
        arities = {formal.arity for formal in present}
        if Arity.VARIADIC in arities:
            arity = Arity.VARIADIC
        elif len(present) == len(versions) and arities == {Arity.SINGLE}:
            arity = Arity.SINGLE
        else:
            arity = Arity.OPTIONAL
        name = newest[position].name if position < len(newest) else present[-1].name
        merged.append(Formal(name, arity))
        if arity is Arity.VARIADIC:
            break
    return tuple(merged)
