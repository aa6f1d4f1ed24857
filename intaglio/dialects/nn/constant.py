"""Constants of the `nn` dialect."""

from __future__ import annotations

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure

from intaglio.dialects.nn.types import require, tensor_of
from intaglio.dialects.quant import UniformType, is_quantized, storage_tensor_type
from intaglio.dialects.quant.containers import check_container
from intaglio.dialects.weights import WeightsAttr

__all__ = [
    "ConstantOp",
]


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor known at compile time.

    The value holds storage values when the result type is quantized: `dense<...>` up to 100 elements,
    `#nn.weights<"key", "digest">` (data in the file beside the text) above. The text ends with the value's type;
    a quantized result's follows after `as`.

    Constraints:
        C1: the value's type is the result's, or its storage type when the result is quantized.
        C2: scales per axis or block fit the result's shape.

    Example:
    ```mlir
    func.func @main() -> tensor<2x!quant.uniform<i8:f32, 0.5:1>> {
      %b = nn.constant dense<[3, -5]> : tensor<2xi8> as tensor<2x!quant.uniform<i8:f32, 0.5:1>>
      func.return %b : tensor<2x!quant.uniform<i8:f32, 0.5:1>>
    }
    ```
    """

    name = "nn.constant"
    value = prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(self, value: DenseIntOrFPElementsAttr | WeightsAttr, result_type: Attribute | None = None):
        super().__init__(properties={"value": value}, result_types=[result_type or value.type])

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        """Parse `value (as type)? attributes?`."""
        position = parser.pos
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr | WeightsAttr):
            parser.raise_error(f"a constant is dense<...> or #nn.weights<...>, got {value}", position, parser.pos)
        result_type = parser.parse_type() if parser.parse_optional_keyword("as") is not None else None
        op = cls(value, result_type)  # pyright: ignore[reportUnknownArgumentType]  # xDSL's type parameter
        op.attributes.update(parser.parse_optional_attr_dict())
        return op

    def print(self, printer: Printer) -> None:
        """Print the value and, where it is another, the result's type."""
        printer.print_string(" ")
        printer.print_attribute(self.value)
        if self.result.type != self.value.type:
            printer.print_string(" as ")
            printer.print_attribute(self.result.type)
        printer.print_op_attributes(self.attributes)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        result = tensor_of(self.result)
        expected = storage_tensor_type(result) if is_quantized(result) else result
        require(self.value.type == expected, f"the value must be {expected}, got {self.value.type}")
        # C2
        if isinstance(kind := result.get_element_type(), UniformType):
            check_container(kind, result)
