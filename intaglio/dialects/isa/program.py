"""The program op: what one accelerator region has become."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from xdsl.ir import Attribute, Block, Region
from xdsl.irdl import IRDLOperation, base, irdl_op_definition, prop_def, region_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.isa.instructions import EndOp, InstructionOp
from intaglio.dialects.quant import is_quantized, storage_tensor_type
from intaglio.dialects.weights import Constant, WeightsAttr
from intaglio.targets.instructions import REGIONS


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """The instructions of an accelerator region, and the memory they need.

    Region 0 of DRAM holds `constants`, region 1 is an arena of that many bytes; the inputs are regions 2
    upwards, the outputs follow. Tensors are of int8, int16 or bfloat16 storage, row-major, little-endian.

    Constraints:
        C1: inputs and outputs are tensors of static shape with integers of 8 or 16 bits, or bfloat16.
        C2: there are at most 16 regions: constants, arena, inputs and outputs.
        C3: `constants` is a one-dimensional tensor of i8.
        C4: the arena has 0 to 2**32 bytes.
        C5: the body holds instructions only, and ends with the only `isa.end`.

    Example:
    ```mlir
    isa.program @region_0 : (tensor<4xi8>) -> tensor<4xi8> constants dense<[1, 2]> : tensor<2xi8> arena 0 target "gen1" {
      isa.end
    }
    ```
    """

    name = "isa.program"
    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    constants = prop_def(base(DenseIntOrFPElementsAttr) | base(WeightsAttr))
    arena = prop_def(IntegerAttr.constr(i64))
    target = prop_def(StringAttr)
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), IsolatedFromAbove())

    def __init__(
        self,
        name: str,
        inputs: Sequence[Attribute],
        outputs: Sequence[Attribute],
        constants: Constant,
        arena_bytes: int,
        target: str,
        instructions: Iterable[InstructionOp],
    ) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "function_type": FunctionType.from_lists(list(inputs), list(outputs)),
                "constants": constants,
                "arena": IntegerAttr(arena_bytes, i64),
                "target": StringAttr(target),
            },
            regions=[Region(Block(list(instructions)))],
        )

    @property
    def arena_bytes(self) -> int:
        """Size of region 1 in bytes."""
        return self.arena.value.data

    @property
    def input_types(self) -> tuple[TensorType[Attribute], ...]:
        """Types of the inputs, regions 2 upwards."""
        return cast("tuple[TensorType[Attribute], ...]", self.function_type.inputs.data)

    @property
    def output_types(self) -> tuple[TensorType[Attribute], ...]:
        """Types of the outputs, whose regions follow those of the inputs."""
        return cast("tuple[TensorType[Attribute], ...]", self.function_type.outputs.data)

    @property
    def instructions(self) -> Iterable[InstructionOp]:
        """The instructions in order."""
        return cast("Iterable[InstructionOp]", self.body.block.ops)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        for kind in (*self.function_type.inputs, *self.function_type.outputs):
            if not _is_stored_tensor(kind):
                raise VerifyException(
                    f"inputs and outputs must be static tensors of elements of 8 or 16 bits, got {kind}"
                )
        # C2
        regions = 2 + len(self.input_types) + len(self.output_types)
        if regions > REGIONS:
            raise VerifyException(f"at most {REGIONS} DRAM regions can be named, got {regions}")
        # C3
        kind = cast("TensorType[Any]", self.constants.get_type())
        if kind.get_element_type() != IntegerType(8) or kind.get_num_dims() != 1:
            raise VerifyException(f"constants must be a one-dimensional tensor of i8, got {kind}")
        # C4
        if not 0 <= self.arena_bytes <= 1 << 32:
            raise VerifyException(f"the arena must have 0 to {1 << 32} bytes, got {self.arena_bytes}")
        # C5
        for op in self.body.block.ops:
            if not isinstance(op, InstructionOp):
                raise VerifyException(f"expected instructions only, got {op.name}")
            if isinstance(op, EndOp) and op is not self.body.block.last_op:
                raise VerifyException("isa.end must be the last instruction")
        if not isinstance(self.body.block.last_op, EndOp):
            raise VerifyException("the last instruction must be isa.end")

    @classmethod
    def parse(cls, parser: Parser) -> ProgramOp:
        """Parse the form shown in the example."""
        name = parser.parse_symbol_name()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_type()
        if not isinstance(kind, FunctionType):
            parser.raise_error(f"expected a function type, got {kind}", position, parser.pos)
        parser.parse_keyword("constants")
        constants = parser.parse_attribute()
        parser.parse_keyword("arena")
        arena = IntegerAttr(parser.parse_integer(allow_boolean=False), i64)
        parser.parse_keyword("target")
        target = parser.parse_str_literal()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region()
        op = cls.create(
            properties={
                "sym_name": name,
                "function_type": kind,
                "constants": constants,
                "arena": arena,
                "target": StringAttr(target),
            },
            attributes=attributes.data if attributes is not None else {},
            regions=[body],
        )
        return cast(ProgramOp, op)

    def print(self, printer: Printer) -> None:
        """Print the form that `parse` reads."""
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(" : ")
        printer.print_attribute(self.function_type)
        printer.print_string(" constants ")
        printer.print_attribute(self.constants)
        printer.print_string(f" arena {self.arena_bytes} target ")
        printer.print_string_literal(self.target.data)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body)


def _is_stored_tensor(kind: Attribute) -> bool:
    if not isinstance(kind, TensorType):
        return False
    tensor = cast("TensorType[Attribute]", kind)
    if not tensor.has_static_shape():
        return False
    stored = storage_tensor_type(tensor) if is_quantized(tensor) else tensor
    element = stored.get_element_type()
    return element == bf16 or (isinstance(element, IntegerType) and element.bitwidth in (8, 16))
