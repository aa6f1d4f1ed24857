"""Constants of the `nn` dialect."""

from __future__ import annotations

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import IRDLOperation, ParsePropInAttrDict, irdl_op_definition, prop_def, result_def, traits_def
from xdsl.traits import Pure

from intaglio.dialects.nn.types import require, tensor_of
from intaglio.dialects.quant import is_quantized, storage_tensor_type
from intaglio.dialects.weights import WeightsAttr


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A tensor known at compile time.

    The value holds storage values when the result type is quantized: `dense<...>` up to 100 elements,
    `#nn.weights<"key", "digest">` (data in the file beside the text) above.

    Constraints:
        C1: the value's type is the result's, or its storage type when the result is quantized.

    Example:
    ```mlir
    %b = nn.constant dense<[1.0, -2.5]> : tensor<2xf32>
    ```
    """

    name = "nn.constant"
    value = prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$value attr-dict `:` type($result)"

    def __init__(self, value: DenseIntOrFPElementsAttr | WeightsAttr, result_type: Attribute | None = None):
        super().__init__(properties={"value": value}, result_types=[result_type or value.type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        result = tensor_of(self.result)
        expected = storage_tensor_type(result) if is_quantized(result) else result
        require(self.value.type == expected, f"the value must be {expected}, got {self.value.type}")
