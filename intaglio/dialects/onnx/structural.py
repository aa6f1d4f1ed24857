"""Ops of the `onnx` dialect that are ours: initializers, nodes of unknown operators, ends of graph bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, DictionaryAttr, IntegerAttr, LocationAttr, StringAttr, i64
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_region_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.onnx.node import NodeOp, parse_node, print_node
from intaglio.dialects.onnx.types import constant_type, ints_attr, ints_of


@irdl_op_definition
class InitializerOp(IRDLOperation):
    """A tensor that the ONNX graph holds, with its name.

    In models of IR version 3 an initializer is also an input of the graph; `input` is its position there. The
    compiler takes it as a constant in any case.

    Constraints:
        C1: the value is a constant tensor and the result has its type.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %w = onnx.initializer "stem.weight" = dense<[1.0, 2.0]> : tensor<2xf32>
      %b = onnx.initializer "stem.bias" input 3 = dense<0.5> : tensor<1xf32>
      %y = onnx.Add(%w, %b) as "y" : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "onnx.initializer"
    tensor_name = prop_def(StringAttr)
    value = prop_def()
    input = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def()
    traits = traits_def(Pure())

    def __init__(self, tensor_name: str, value: Attribute, *, graph_input: int | None = None):
        super().__init__(
            properties={
                "tensor_name": StringAttr(tensor_name),
                "value": value,
                "input": None if graph_input is None else IntegerAttr(graph_input, i64),
            },
            result_types=[constant_type(value)],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        if self.result.type != constant_type(self.value):
            raise VerifyException(f"result must be {constant_type(self.value)}, got {self.result.type}")

    def print(self, printer: Printer) -> None:
        """Print the readable form."""
        printer.print_string(" ")
        printer.print_attribute(self.tensor_name)
        if self.input is not None:
            printer.print_string(f" input {self.input.value.data}")
        printer.print_string(" = ")
        printer.print_attribute(self.value)
        printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> InitializerOp:
        """Parse the readable form."""
        tensor_name = parser.parse_str_literal(" for the tensor's name")
        graph_input = None
        if parser.parse_optional_keyword("input") is not None:
            graph_input = parser.parse_integer(allow_negative=False, allow_boolean=False)
        parser.parse_punctuation("=", " before the value")
        start = parser.pos
        value = parser.parse_attribute()
        try:
            op = cls(tensor_name, value, graph_input=graph_input)
        except VerifyException as error:
            parser.raise_error(str(error), start, parser.pos)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        if attributes is not None:
            op.attributes.update(attributes.data)
        return op


@irdl_op_definition
class CustomOp(NodeOp):
    """A node whose operator no schema describes, carried with all that the model says of it.

    Positions of inputs or outputs that the node leaves out are in `absent_inputs` and `absent_outputs`.

    Constraints:
        C1: there is one name for each graph-valued attribute.
        C2: positions left out are ascending, and each is below the last position in use.
        C3: every present output has one name, if names are kept at all.

    Example:
    ```mlir
    func.func @main(%x: tensor<4xf32>, %k: tensor<2xf32>) -> tensor<*xnone> {
      %y = onnx.custom "com.acme" "Blur"(%x, _, %k) as "y" {radius = 2} : (tensor<4xf32>, tensor<2xf32>) -> tensor<*xnone>
      func.return %y : tensor<*xnone>
    }
    ```
    """

    name = "onnx.custom"
    domain_attr = prop_def(StringAttr, prop_name="domain")
    op_type_attr = prop_def(StringAttr, prop_name="op_type")
    attrs = prop_def(DictionaryAttr)
    graph_names = opt_prop_def(ArrayAttr[StringAttr])
    absent_inputs = opt_prop_def(DenseArrayBase.constr(i64))
    absent_outputs = opt_prop_def(DenseArrayBase.constr(i64))
    arguments = var_operand_def(AnyAttr())
    outputs = var_result_def(AnyAttr())
    graphs = var_region_def("single_block")

    def __init__(
        self,
        domain: str,
        op_type: str,
        inputs: Sequence[SSAValue | None],
        result_types: Sequence[Attribute | None],
        attributes: Mapping[str, Attribute],
        *,
        graphs: Mapping[str, Region] | None = None,
        result_names: Sequence[str] | None = None,
        discardable: Mapping[str, Attribute] | None = None,
        location: LocationAttr | None = None,
    ):
        absent_inputs = _absent_positions(inputs)
        absent_outputs = _absent_positions(result_types)
        graphs = graphs or {}
        super().__init__(
            operands=[[value for value in inputs if value is not None]],
            properties={
                "domain": StringAttr(domain),
                "op_type": StringAttr(op_type),
                "attrs": DictionaryAttr(dict(sorted(attributes.items()))),
                "graph_names": ArrayAttr([StringAttr(name) for name in graphs]) if graphs else None,
                "absent_inputs": ints_attr(absent_inputs) if absent_inputs else None,
                "absent_outputs": ints_attr(absent_outputs) if absent_outputs else None,
                "result_names": None
                if result_names is None
                else ArrayAttr([StringAttr(name) for name in result_names]),
            },
            attributes=discardable or {},
            result_types=[[kind for kind in result_types if kind is not None]],
            regions=[list(graphs.values())],
        )
        if location is not None:
            self.location = location

    @property
    def domain(self) -> str:
        """ONNX domain."""
        return self.domain_attr.data

    @property
    def op_type(self) -> str:
        """ONNX operator name."""
        return self.op_type_attr.data

    def node_attributes(self) -> Mapping[str, Attribute]:
        """The node's attributes by ONNX name, graphs excepted."""
        return self.attrs.data

    def node_graphs(self) -> dict[str, Region]:
        """The node's graph-valued attributes by ONNX name."""
        names = () if self.graph_names is None else self.graph_names.data
        return {name.data: region for name, region in zip(names, self.regions, strict=False)}

    def node_inputs(self) -> list[SSAValue | None]:
        """The inputs by the node's positions, None where absent; the last one is present."""
        return _spread(self.operands, self.absent_inputs)

    def node_outputs(self) -> list[SSAValue | None]:
        """The outputs by the node's positions, None where absent; the last one is present."""
        return _spread(self.results, self.absent_outputs)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        names = 0 if self.graph_names is None else len(self.graph_names)
        if names != len(self.regions):
            raise VerifyException(f"{len(self.regions)} graphs have {names} names")
        # C2
        for positions, present in ((self.absent_inputs, self.operands), (self.absent_outputs, self.results)):
            if positions is None:
                continue
            values = ints_of(positions)
            total = len(values) + len(present)
            if values != sorted(set(values)) or not all(0 <= value < total - 1 for value in values):
                raise VerifyException(f"positions left out must be ascending and below {total - 1}, got {values}")
        # C3
        self.verify_result_names()

    def print(self, printer: Printer) -> None:
        """Print the readable form."""
        printer.print_string(" ")
        printer.print_attribute(self.domain_attr)
        printer.print_string(" ")
        printer.print_attribute(self.op_type_attr)
        print_node(printer, self)

    @classmethod
    def parse(cls, parser: Parser) -> CustomOp:
        """Parse the readable form."""
        domain = parser.parse_str_literal(" for the domain")
        op_type = parser.parse_str_literal(" for the operator")
        text = parse_node(parser, None)
        return cls(
            domain,
            op_type,
            text.inputs,
            text.result_types,
            text.attributes,
            graphs=text.graphs,
            result_names=text.result_names,
            discardable=text.discardable,
        )


def _absent_positions(values: Sequence[object | None]) -> list[int]:
    count = len(values)
    while count and values[count - 1] is None:
        count -= 1
    return [position for position in range(count) if values[position] is None]


def _spread(values: Sequence[SSAValue], absent: DenseArrayBase | None) -> list[SSAValue | None]:
    spread: list[SSAValue | None] = list(values)
    for position in () if absent is None else ints_of(absent):
        spread.insert(position, None)
    return spread


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The end of a graph-valued attribute: its outputs, and what else the graph says of itself.

    `input_names` are the ONNX names of the block's arguments, `output_names` those of the outputs, `graph_name`
    and `doc_string` the graph's own.

    Constraints:
        C1: there are as many output names as outputs, and as many input names as block arguments, if any are kept.

    Example:
    ```mlir
    func.func @main(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
      %y = onnx.If(%c) as "y" else_branch {
        %a = onnx.Neg(%x) as "a" : (tensor<2xf32>) -> tensor<2xf32>
        onnx.yield %a {graph_name = "else", input_names = [], output_names = ["a"]} : tensor<2xf32>
      } then_branch {
        %b = onnx.Abs(%x) as "b" : (tensor<2xf32>) -> tensor<2xf32>
        onnx.yield %b {graph_name = "then", input_names = [], output_names = ["b"]} : tensor<2xf32>
      } : (tensor<i1>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "onnx.yield"
    values = var_operand_def(AnyAttr())
    graph_name = opt_prop_def(StringAttr)
    doc_string = opt_prop_def(StringAttr)
    input_names = opt_prop_def(ArrayAttr[StringAttr])
    output_names = opt_prop_def(ArrayAttr[StringAttr])
    traits = traits_def(IsTerminator(), Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "($values^)? attr-dict (`:` type($values)^)?"

    def __init__(
        self,
        values: Sequence[SSAValue],
        *,
        graph_name: str | None = None,
        doc_string: str | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ):
        super().__init__(
            operands=[list(values)],
            properties={
                "graph_name": None if graph_name is None else StringAttr(graph_name),
                "doc_string": None if doc_string is None else StringAttr(doc_string),
                "input_names": _names(input_names),
                "output_names": _names(output_names),
            },
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        if self.output_names is not None and len(self.output_names) != len(self.values):
            raise VerifyException(f"{len(self.values)} outputs have {len(self.output_names)} names")
        block = self.parent
        if self.input_names is not None and block is not None and len(self.input_names) != len(block.args):
            raise VerifyException(f"{len(block.args)} inputs have {len(self.input_names)} names")


def _names(names: Sequence[str] | None) -> ArrayAttr[StringAttr] | None:
    return None if names is None else ArrayAttr([StringAttr(name) for name in names])
