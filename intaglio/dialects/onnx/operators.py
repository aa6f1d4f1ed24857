"""One op class per ONNX operator, made from its schema when it is first asked for.

A class takes what any version of the operator takes: operands by formal position (accessor `in_<name>`),
results likewise (`out_<name>`), attributes as properties under their ONNX name (accessor `attr_<name>`) and
graph-valued attributes as regions (`graph_<name>`). The prefixes keep schema names such as `name` or `parent`
away from xDSL's own members. What the version in force demands is verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    Float32Type,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    f32,
    i32,
    i64,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    AnyOf,
    AttrConstraint,
    AttrSizedOperandSegments,
    AttrSizedRegionSegments,
    AttrSizedResultSegments,
    BaseAttr,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    opt_region_def,
    opt_result_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx.node import NodeOp, parse_node, print_node
from intaglio.dialects.onnx.schema import (
    Arity,
    AttributeKind,
    Formal,
    Operator,
    OperatorVersion,
    find_operator,
    operators,
    violation,
)
from intaglio.dialects.onnx.types import OctetsAttr, SparseTensorAttr, floats_attr, ints_attr, ints_of

_TEXT: AttrConstraint = AnyOf((BaseAttr(StringAttr), BaseAttr(OctetsAttr)))
_CONSTRAINTS: Mapping[AttributeKind, AttrConstraint] = {
    AttributeKind.FLOAT: FloatAttr.constr(Float32Type()),
    AttributeKind.INT: IntegerAttr.constr(i64),
    AttributeKind.STRING: _TEXT,
    AttributeKind.TENSOR: AnyAttr(),
    AttributeKind.FLOATS: DenseArrayBase.constr(f32),
    AttributeKind.INTS: DenseArrayBase.constr(i64),
    AttributeKind.STRINGS: ArrayAttr.constr(_TEXT),
    AttributeKind.SPARSE_TENSOR: BaseAttr(SparseTensorAttr),
    AttributeKind.TYPE_PROTO: AnyAttr(),
}
_OPERANDS = {Arity.SINGLE: operand_def, Arity.OPTIONAL: opt_operand_def, Arity.VARIADIC: var_operand_def}
_RESULTS = {Arity.SINGLE: result_def, Arity.OPTIONAL: opt_result_def, Arity.VARIADIC: var_result_def}


class OnnxOp(NodeOp):
    """Base of the generated ops.

    Constraints:
        C1: the operator exists, and is not withdrawn, at the model's opset.
        C2: the version in force has the given attributes.
        C3: the attributes that it requires are given.
        C4: it has the given inputs and outputs, and those that it requires are given.
        C5: every present output has one name, if names are kept at all.
    """

    SCHEMA: ClassVar[Operator]

    absent_inputs = opt_prop_def(DenseArrayBase.constr(i64))
    """Positions of inputs left out among those that the newest version makes variadic (`Scan` 8 has one)."""

    @property
    def domain(self) -> str:
        """ONNX domain, "" for `ai.onnx`."""
        return self.SCHEMA.domain

    @property
    def op_type(self) -> str:
        """ONNX operator name."""
        return self.SCHEMA.name

    @property
    def version(self) -> OperatorVersion:
        """The version of the operator that the model means.

        Raises:
            VerifyException: there is none at the model's opset.
        """
        opset = self.opset
        version = self.SCHEMA.at(opset)
        if version is None:
            since = self.SCHEMA.versions[0].since
            raise VerifyException(f"operator {self.op_type} exists since opset {since}, the model has {opset}")
        return version

    def node_attributes(self) -> dict[str, Attribute]:
        """The node's attributes by ONNX name, graphs excepted."""
        return {name: value for name, value in self.properties.items() if name in self.SCHEMA.attributes}

    def node_graphs(self) -> dict[str, Region]:
        """The node's graph-valued attributes by ONNX name."""
        sizes = self.properties.get(AttrSizedRegionSegments.attribute_name)
        present = [True] * len(self.regions)
        if isinstance(sizes, DenseArrayBase):
            present = np.frombuffer(sizes.data.data, "<i4").tolist()
        names = [formal.name for formal, is_there in zip(self.SCHEMA.graphs, present, strict=False) if is_there]
        return dict(zip(names, self.regions, strict=False))

    def node_inputs(self) -> list[SSAValue | None]:
        """The inputs by the node's positions, None where absent; the last one is present."""
        sizes = self.properties.get(AttrSizedOperandSegments.attribute_name)
        values = _by_position(self.SCHEMA.inputs, self.operands, sizes)
        for position in () if self.absent_inputs is None else ints_of(self.absent_inputs):
            values.insert(position, None)
        return values

    def node_outputs(self) -> list[SSAValue | None]:
        """The outputs by the node's positions, None where absent; the last one is present."""
        sizes = self.properties.get(AttrSizedResultSegments.attribute_name)
        return _by_position(self.SCHEMA.outputs, self.results, sizes)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1 to C4
        message = violation(
            self.SCHEMA,
            self.opset,
            [*self.node_attributes(), *self.node_graphs()],
            [value is not None for value in self.node_inputs()],
            [value is not None for value in self.node_outputs()],
        )
        if message is not None:
            raise VerifyException(message)
        # C5
        self.verify_result_names()

    def print(self, printer: Printer) -> None:
        """Print the readable form."""
        print_node(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> OnnxOp:
        """Parse the readable form."""
        start = parser.pos
        text = parse_node(parser, [formal.name for formal in cls.SCHEMA.graphs])
        for name, value in text.attributes.items():
            if name not in cls.SCHEMA.attributes:
                parser.raise_error(f"operator {cls.SCHEMA.name} has no attribute '{name}'", start, parser.pos)
            text.attributes[name] = _as_declared(value, cls.SCHEMA.attributes[name])
        try:
            return build(
                cls.SCHEMA,
                text.inputs,
                text.result_types,
                text.attributes,
                graphs=text.graphs,
                result_names=text.result_names,
                discardable=text.discardable,
            )
        except VerifyException as error:
            parser.raise_error(str(error), start, parser.pos)


def _as_declared(value: Attribute, kinds: frozenset[AttributeKind]) -> Attribute:
    """A value written `1`, `[1, 2]` or `[]` as the float, floats or integers that the schema declares."""
    (kind, *others) = kinds
    if others:
        return value
    if kind is AttributeKind.FLOAT and isa(value, IntegerAttr):
        return FloatAttr(float(value.value.data), f32)
    if kind is AttributeKind.FLOATS and isa(value, DenseArrayBase) and value.elt_type == i64:
        return floats_attr(ints_of(value))
    if value != ArrayAttr([]):
        return value
    match kind:
        case AttributeKind.INTS:
            return ints_attr([])
        case AttributeKind.FLOATS:
            return floats_attr([])
        case _:
            return value


def _by_position(
    formals: Sequence[Formal], values: Sequence[SSAValue], sizes: Attribute | None
) -> list[SSAValue | None]:
    found: list[SSAValue | None] = []
    if not isinstance(sizes, DenseArrayBase):
        # At most one formal is not single, so that the number of values says whether it is there.
        found += values
        if len(values) == len(formals) - 1:
            position = next(index for index, formal in enumerate(formals) if formal.arity is not Arity.SINGLE)
            found.insert(position, None)
        return found if not found or found[-1] is not None else found[:-1]
    rest = iter(values)
    for formal, size in zip(formals, np.frombuffer(sizes.data.data, "<i4").tolist(), strict=True):
        if size == 0 and formal.arity is not Arity.VARIADIC:
            found.append(None)
        else:
            found.extend(next(rest) for _ in range(size))
    while found and found[-1] is None:
        found.pop()
    return found


def operator_class(name: str, domain: str = "") -> type[OnnxOp]:
    """The op class of an operator.

    Raises:
        KeyError: no schema of the operator is known.
    """
    operator = find_operator(domain, name)
    if operator is None:
        raise KeyError(f"{domain or 'ai.onnx'}.{name}")
    return _class_of(operator.domain, operator.name)


def operator_classes() -> list[type[OnnxOp]]:
    """The op classes of all operators (about 0.2 s when none has been made yet)."""
    return [_class_of(*key) for key in operators()]


@cache
def _class_of(domain: str, name: str) -> type[OnnxOp]:
    operator = operators()[domain, name]
    namespace: dict[str, Any] = {
        "name": operator.ir_name,
        "SCHEMA": operator,
        "__doc__": operator.documentation,
        "__module__": __name__,
        "__annotations__": {"SCHEMA": ClassVar[Operator]},
    }
    for formal in operator.inputs:
        namespace[f"in_{formal.name}"] = _OPERANDS[formal.arity](AnyAttr())
    for formal in operator.outputs:
        namespace[f"out_{formal.name}"] = _RESULTS[formal.arity](AnyAttr())
    for attribute, kinds in operator.attributes.items():
        constraints = [_CONSTRAINTS[kind] for kind in sorted(kinds, key=lambda kind: kind.value)]
        constraint = constraints[0] if len(constraints) == 1 else AnyAttr()
        namespace[f"attr_{attribute}"] = opt_prop_def(constraint, prop_name=attribute)
    for graph in operator.graphs:
        define = region_def if graph.arity is Arity.SINGLE else opt_region_def
        namespace[f"graph_{graph.name}"] = define("single_block")
    options: list[Any] = []
    if _needs_segments(operator.inputs):
        options.append(AttrSizedOperandSegments(as_property=True))
    if _needs_segments(operator.outputs):
        options.append(AttrSizedResultSegments(as_property=True))
    if _needs_segments(operator.graphs):
        options.append(AttrSizedRegionSegments(as_property=True))
    namespace["irdl_options"] = tuple(options)
    if operator.graphs:
        namespace["traits"] = traits_def(RecursiveMemoryEffect())
    elif operator.deterministic:
        namespace["traits"] = traits_def(Pure())
    return irdl_op_definition(type(f"{name}Op", (OnnxOp,), namespace))


def _needs_segments(formals: Sequence[Formal]) -> bool:
    return sum(formal.arity is not Arity.SINGLE for formal in formals) > 1


def _place(
    operator: Operator, kind: str, formals: Sequence[Formal], values: Sequence[object | None]
) -> tuple[list[int], int]:
    """Sizes of the segments of values given by position; and how many positions are given.

    Raises:
        VerifyException: there are too many values, or one that cannot be absent is.
    """
    count = len(values)
    while count and values[count - 1] is None:
        count -= 1
    variadic = bool(formals) and formals[-1].arity is Arity.VARIADIC
    if count > len(formals) and not variadic:
        raise VerifyException(f"operator {operator.name} has {len(formals)} {kind}s, got {count}")
    sizes: list[int] = []
    for position, formal in enumerate(formals):
        if formal.arity is Arity.VARIADIC:
            sizes.append(sum(value is not None for value in values[position:count]))
            continue
        present = position < count and values[position] is not None
        if not present and formal.arity is Arity.SINGLE:
            raise VerifyException(f"operator {operator.name} requires the {kind} '{formal.name}'")
        sizes.append(int(present))
    return sizes, count


def _absent_among_variadic(formals: Sequence[Formal], values: Sequence[object | None]) -> list[int]:
    """Positions of values left out where the last formal takes any number, and others follow."""
    if not formals or formals[-1].arity is not Arity.VARIADIC:
        return []
    given = [position for position, value in enumerate(values) if value is not None]
    return [position for position in range(len(formals) - 1, max(given, default=0)) if values[position] is None]


def build(
    operator: Operator,
    inputs: Sequence[SSAValue | None],
    result_types: Sequence[Attribute | None],
    attributes: Mapping[str, Attribute],
    *,
    graphs: Mapping[str, Region] | None = None,
    result_names: Sequence[str] | None = None,
    discardable: Mapping[str, Attribute] | None = None,
    location: LocationAttr | None = None,
) -> OnnxOp:
    """Make the op of a node.

    Args:
        operator: what the node does.
        inputs: the node's inputs by position, None where left out.
        result_types: types of the node's outputs by position, None where left out.
        attributes: the node's attributes by ONNX name, graphs excepted.
        graphs: regions by the names in `operator.graphs`.
        result_names: ONNX names of the present outputs.
        discardable: further attributes of the op.
        location: where it comes from, as a rule the node's name.

    Raises:
        VerifyException: inputs or outputs do not fit the operator in any version.
    """
    properties = dict(attributes)
    operand_sizes, _ = _place(operator, "input", operator.inputs, inputs)
    result_sizes, _ = _place(operator, "output", operator.outputs, result_types)
    if _needs_segments(operator.inputs):
        properties[AttrSizedOperandSegments.attribute_name] = DenseArrayBase.from_list(i32, operand_sizes)
    if _needs_segments(operator.outputs):
        properties[AttrSizedResultSegments.attribute_name] = DenseArrayBase.from_list(i32, result_sizes)
    absent = _absent_among_variadic(operator.inputs, inputs)
    if absent:
        properties["absent_inputs"] = ints_attr(absent)
    if _absent_among_variadic(operator.outputs, result_types):
        raise VerifyException(f"operator {operator.name} cannot leave out one of its variadic outputs")
    graphs = graphs or {}
    if _needs_segments(operator.graphs):
        region_sizes = [int(formal.name in graphs) for formal in operator.graphs]
        properties[AttrSizedRegionSegments.attribute_name] = DenseArrayBase.from_list(i32, region_sizes)
    if result_names is not None:
        properties["result_names"] = ArrayAttr([StringAttr(name) for name in result_names])
    return _class_of(operator.domain, operator.name).create(
        operands=[value for value in inputs if value is not None],
        result_types=[kind for kind in result_types if kind is not None],
        properties=properties,
        attributes=dict(discardable or {}),
        regions=[graphs[formal.name] for formal in operator.graphs if formal.name in graphs],
        location=location,
    )
