"""The `onnx` dialect: an ONNX model as IR, without loss.

There is one op per operator, made from the schemas of the installed `onnx` package (`operators`), with a
common readable text (`node`); `onnx.initializer`, `onnx.custom` and `onnx.yield` are ours (`structural`). An op
means what the operator means in the model's opset, which is a module attribute:

```mlir
builtin.module attributes {onnx.opset_import = {"" = 17 : i64}} {
  func.func @main(%x: tensor<1x4xf32> {onnx.name = "x"}) -> (tensor<1x4xf32> {onnx.name = "y"}) {
    %y = onnx.LeakyRelu(%x) as "y" {alpha = 0.1} : (tensor<1x4xf32>) -> tensor<1x4xf32>
    func.return %y : tensor<1x4xf32>
  }
}
```
"""

from collections.abc import Iterator

from xdsl.ir import Dialect, Operation

from intaglio.dialects.onnx.node import OPSET_IMPORT, NodeOp, opset_of
from intaglio.dialects.onnx.operators import OnnxOp, build, operator_class, operator_classes
from intaglio.dialects.onnx.structural import CustomOp, InitializerOp, YieldOp
from intaglio.dialects.onnx.types import (
    UNKNOWN_TYPE,
    MapType,
    OctetsAttr,
    OptionalType,
    SequenceType,
    SparseTensorAttr,
    StringsAttr,
    StringType,
    constant_type,
    floats_attr,
    floats_of,
    ints_attr,
    ints_of,
)


class _OnnxDialect(Dialect):
    """The dialect, whose generated classes are made when a context first asks for its ops."""

    @property
    def operations(self) -> Iterator[type[Operation]]:
        """All op classes."""
        yield from super().operations
        yield from operator_classes()


Onnx = _OnnxDialect(
    "onnx",
    [InitializerOp, CustomOp, YieldOp],
    [StringType, SequenceType, OptionalType, MapType, OctetsAttr, StringsAttr, SparseTensorAttr],
)

__all__ = [
    "OPSET_IMPORT",
    "UNKNOWN_TYPE",
    "CustomOp",
    "InitializerOp",
    "MapType",
    "NodeOp",
    "OctetsAttr",
    "Onnx",
    "OnnxOp",
    "OptionalType",
    "SequenceType",
    "SparseTensorAttr",
    "StringType",
    "StringsAttr",
    "YieldOp",
    "build",
    "constant_type",
    "floats_attr",
    "floats_of",
    "ints_attr",
    "ints_of",
    "operator_class",
    "operator_classes",
    "opset_of",
]
