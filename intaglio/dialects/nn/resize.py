"""Resampling of images in the `nn` dialect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import BoolAttr, FloatAttr, IntegerAttr, StringAttr, TensorType, f64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import (
    I64Array,
    ints,
    is_float,
    require,
    same_element_types,
    tensor_of,
    verify_pure_movement,
)
from intaglio.numerics.resampling import resampling_taps

__all__ = [
    "NEAREST",
    "ResizeOp",
]

NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
"""The modes that take one element, named by how its position is rounded."""

INTERPOLATING = ("linear", "cubic")
"""The modes that mix two or four elements in each direction."""


@irdl_op_definition
class ResizeOp(IRDLOperation):
    """Resampling of the rows and columns of `[N, H, W, C]`.

    Position `p` of the result reads the input at `(p * step + offset) / unit`, a fraction of integers for each of
    rows and columns: scale, offset and border of TOSA's RESIZE. ONNX's coordinate modes are all of this form.

    The modes floor, ceil, round_prefer_floor and round_prefer_ceil take the element at the rounded position (the two
    last differ halfway between elements). `linear` mixes the two elements around the position, `cubic` four by
    Keys' kernel with parameter `cubic_coefficient`; its elements outside the input are left out and the weights made
    to sum to 1 if `exclude_outside`. Positions outside mean the nearest element of the border.

    Quantized: the nearest modes take stored values. `linear` sums stored values times integer weights, which are the
    fractions times the units, and multiplies by `apply_scale` with one over the product of both units (TOSA 1.0 RESIZE
    and RESCALE).

    Constraints:
        C1: input and result have rank 4, equal batches and channels, and no dimension of 0.
        C2: `steps`, `offsets` and `units` hold two integers, units above 0.
        C3: `mode` is one of those above.
        C4: input and result have one element type, a float for cubic, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main() -> tensor<1x1x4x1xf32> {
      %x = nn.constant dense<[[[[1.0], [2.0]]]]> : tensor<1x1x2x1xf32>
      %y = nn.resize %x mode "linear" steps [1, 2] offsets [0, -1] units [1, 4] cubic_coefficient -7.5e-01 : f64 exclude_outside false : (tensor<1x1x2x1xf32>) -> tensor<1x1x4x1xf32>
      func.return %y : tensor<1x1x4x1xf32>
    }
    ```
    """

    name = "nn.resize"
    input = operand_def(TensorType)
    mode = prop_def(StringAttr)
    steps = prop_def(I64Array)
    offsets = prop_def(I64Array)
    units = prop_def(I64Array)
    cubic_coefficient = prop_def(FloatAttr)
    exclude_outside = prop_def(BoolAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$input `mode` $mode `steps` $steps `offsets` $offsets `units` $units `cubic_coefficient` $cubic_coefficient "
        "`exclude_outside` $exclude_outside attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        result_type: Attribute,
        mode: str,
        *,
        steps: Sequence[int],
        offsets: Sequence[int],
        units: Sequence[int],
        cubic_coefficient: float = -0.75,
        exclude_outside: bool = False,
    ):
        super().__init__(
            operands=[source],
            properties={
                "mode": StringAttr(mode),
                "steps": ints(steps),
                "offsets": ints(offsets),
                "units": ints(units),
                "cubic_coefficient": FloatAttr(cubic_coefficient, f64),
                "exclude_outside": IntegerAttr.from_bool(exclude_outside),
            },
            result_types=[result_type],
        )

    def taps(self, direction: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Indices and weights `[positions, k]` of the elements mixed in rows (0) or columns (1)."""
        return resampling_taps(
            self.mode.data,
            tensor_of(self.input).get_shape()[1 + direction],
            tensor_of(self.result).get_shape()[1 + direction],
            *(int(values.get_values()[direction]) for values in (self.steps, self.offsets, self.units)),
            cubic_coefficient=self.cubic_coefficient.value.data,
            exclude_outside=bool(self.exclude_outside.value.data),
        )

    def integer_taps(self, direction: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Indices and weights times the unit, of linear resampling: weights that are integers."""
        indices, weights = self.taps(direction)
        return indices, np.rint(weights * int(self.units.get_values()[direction])).astype(np.int64)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        # C1
        require(
            len(source) == len(result) == 4
            and (source[0], source[3]) == (result[0], result[3])
            and 0 not in (*source, *result),
            f"input {list(source)} and result {list(result)} must be of rank 4 and differ in rows and columns only",
        )
        # C2
        values = [list(attribute.get_values()) for attribute in (self.steps, self.offsets, self.units)]
        require(
            all(len(pair) == 2 for pair in values) and min(values[2]) > 0,
            f"steps, offsets and units must hold two integers, units above 0, got {values}",
        )
        # C3
        mode = self.mode.data
        require(
            mode in NEAREST + INTERPOLATING, f'mode must be one of {", ".join(NEAREST + INTERPOLATING)}, got "{mode}"'
        )
        # C4
        if mode == "cubic":
            require(
                is_float(self.input) and same_element_types(self.input, self.result),
                f"{mode} resampling is defined on one float type",
            )
        verify_pure_movement(self.result, self.input)
