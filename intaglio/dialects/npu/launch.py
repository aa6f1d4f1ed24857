"""Running a region of the network on the accelerator, from host code."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import FlatSymbolRefAttr, FlatSymbolRefAttrConstr, SymbolRefAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    prop_def,
    var_operand_def,
    var_result_def,
)


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Run a region of the network on the accelerator: tensors in, tensors out, in DRAM, row-major.

    The callee is a symbol of the module: a `func.func` of quantized `nn` operations after the phase `partition`, an
    `npu.program` after `npu`, an `isa.program` after `isa`; its function type does not change on the way.

    Example:
    ```mlir
    func.func @region_0(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> attributes {intaglio.device = "accelerator"} {
      %y = nn.relu %x : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
      func.return %y : tensor<4x!quant.uniform<i8:f32, 0.5>>
    }
    func.func @main(%x: tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>> {
      %y = npu.launch @region_0(%x) : (tensor<4x!quant.uniform<i8:f32, 0.5>>) -> tensor<4x!quant.uniform<i8:f32, 0.5>>
      func.return %y : tensor<4x!quant.uniform<i8:f32, 0.5>>
    }
    ```
    """

    name = "npu.launch"
    callee = prop_def(FlatSymbolRefAttrConstr)
    inputs = var_operand_def(TensorType)
    outputs = var_result_def(TensorType)
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$callee `(` $inputs `)` attr-dict `:` functional-type(operands, results)"

    def __init__(self, callee: str | FlatSymbolRefAttr, inputs: Sequence[SSAValue], result_types: Sequence[Attribute]):
        symbol = SymbolRefAttr(callee) if isinstance(callee, str) else callee
        super().__init__(operands=[list(inputs)], properties={"callee": symbol}, result_types=[list(result_types)])
