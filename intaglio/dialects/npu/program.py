"""Programs of the `npu` dialect, and the buffers that exist in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FunctionType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    bf16,
    i64,
)
from xdsl.ir import Attribute, Region
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, NoTerminator, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.types import BufferType, Space
from intaglio.dialects.quant import is_quantized, storage_tensor_type
from intaglio.dialects.weights import WeightsAttr

BYTE = IntegerType(8)
TWO_BYTES = IntegerType(16)


def tensor_bytes(kind: Attribute) -> int:
    """Bytes of a tensor in DRAM: row-major, without gaps.

    Raises:
        VerifyException: it is no static tensor of integers of 8 or 16 bits, or of bfloat16.
    """
    if isinstance(kind, TensorType):
        tensor = cast("TensorType[Any]", kind)
        stored = storage_tensor_type(tensor) if is_quantized(tensor) else tensor
        if tensor.has_static_shape() and (element := stored.get_element_type()) in (BYTE, TWO_BYTES, bf16):
            return math.prod(tensor.get_shape()) * (1 if element == BYTE else 2)
    raise VerifyException(f"programs take and return static tensors stored as i8, i16 or bf16, got {kind}")


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A region of the network as tasks of the accelerator.

    The function type is that of the region. The block's arguments are the DRAM buffers of the inputs, then those
    of the outputs; its operations are constants, allocations and tasks, in an order in which the tasks may be
    executed one after another.

    Constraints:
        C1: operands and results are static tensors of elements of 8 or 16 bits.
        C2: the block's arguments are `dram` buffers of their sizes.

    Example:
    ```mlir
    npu.program @copy : (tensor<2x4x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.program"
    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    target = prop_def(StringAttr)
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), IsolatedFromAbove(), NoTerminator())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$sym_name `:` $function_type `target` $target attr-dict-with-keyword $body"

    def __init__(self, name: str, function_type: FunctionType, target: str, body: Region):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "function_type": function_type,
                "target": StringAttr(target),
            },
            regions=[body],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        types = [*self.function_type.inputs, *self.function_type.outputs]
        sizes = [tensor_bytes(kind) for kind in types]
        # C2
        expected = [BufferType.of(Space.DRAM, size) for size in sizes]
        found = list(self.body.block.arg_types)
        if found != expected:
            raise VerifyException(
                f"the block's arguments must be {', '.join(map(str, expected))}, got {', '.join(map(str, found))}"
            )


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Bytes in the constants region: weights in the order of their tiles, parameters, tables.

    Constraints:
        C1: the value is a vector of i8, as long as the buffer, which lies in `constants`.

    Example:
    ```mlir
    %w = npu.constant dense<[1, 2, 3, 4]> : tensor<4xi8> address 64
    ```
    """

    name = "npu.constant"
    value = prop_def(DenseIntOrFPElementsAttr | WeightsAttr)
    address = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(BufferType)

    def __init__(self, value: DenseIntOrFPElementsAttr | WeightsAttr, address: int | None = None):
        super().__init__(
            properties={"value": value, "address": None if address is None else IntegerAttr(address, i64)},
            result_types=[BufferType.of(Space.CONSTANTS, math.prod(cast("TensorType[Any]", value.type).get_shape()))],
        )

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        """Parse `value (address number)? attributes?`."""
        position = parser.pos
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr | WeightsAttr):
            parser.raise_error(f"a constant is dense<...> or #nn.weights<...>, got {value}", position, parser.pos)
        address = parser.parse_integer() if parser.parse_optional_keyword("address") is not None else None
        op = cls(value, address)  # pyright: ignore[reportUnknownArgumentType]  # xDSL's type parameter
        op.attributes.update(parser.parse_optional_attr_dict())
        return op

    def print(self, printer: Printer) -> None:
        """Print the value and, once it is assigned, the address."""
        printer.print_string(" ")
        printer.print_attribute(self.value)
        if self.address is not None:
            printer.print_string(f" address {self.address.value.data}")
        printer.print_op_attributes(self.attributes)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        kind = cast("TensorType[Any]", self.value.type)
        result = self.result.type
        if kind != TensorType(BYTE, [result.size]) or result.space is not Space.CONSTANTS:
            raise VerifyException(f"a value of type {kind} is no content of {result}")


@irdl_op_definition
class AllocateOp(IRDLOperation):
    """A buffer in the scratchpad or the arena, from its first to its last task.

    Constraints:
        C1: the buffer lies in `scratchpad` or `arena`.
        C2: an address is not negative.

    Example:
    ```mlir
    %x = npu.allocate address 128 : !npu.buffer<scratchpad, 4096>
    ```
    """

    name = "npu.allocate"
    address = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(BufferType)
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "(`address` $address^)? attr-dict `:` type($result)"

    def __init__(self, kind: BufferType, address: int | None = None):
        super().__init__(
            properties={"address": None if address is None else IntegerAttr(address, i64)}, result_types=[kind]
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        kind = self.result.type
        if kind.space not in (Space.SCRATCHPAD, Space.ARENA):
            raise VerifyException(f"allocates in the scratchpad or the arena, got {kind}")
        # C2
        if self.address is not None and self.address.value.data < 0:
            raise VerifyException(f"addresses are not negative, got {self.address.value.data}")


def in_and_outputs(program: ProgramOp) -> tuple[Sequence[Any], Sequence[Any]]:
    """The block arguments of a program that are inputs, and those that are outputs."""
    count = len(program.function_type.inputs)
    arguments = program.body.block.args
    return arguments[:count], arguments[count:]
