"""Write ranges from a file into the text, instead of running the network.

```mlir
%1 = quant.observe %0 {method = "mse"}  ->  %1 = quant.observe %0 {method = "mse", range = array<f64: 0.0, 5.9>}
```

The file is one that `intaglio calibrate` has written, perhaps edited since, or AIMET's encodings (see `ranges_file`).
A method named in it replaces the observer's. Weights are not touched: encodings of parameters are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from intaglio.errors import UserError
from intaglio.passes.calibration.calibrate import write_ranges
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.ranges_file import read_ranges, select_ranges
from intaglio.passes.calibration.tensor_names import read_tensor_names


@dataclass(frozen=True)
class ApplyRanges(ModulePass):
    """Give the observed tensors the ranges in a file.

    Options:
        file: JSON, as `intaglio calibrate` writes it, or AIMET's encodings.
        model: the ONNX model, with which names of its tensors are understood besides those of its nodes.
        partial: accept a file without ranges for some tensors, which keep what they have.
    """

    name = "apply-ranges"
    file: str
    model: str | None = None
    partial: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Write the ranges.

        Raises:
            UserError: the file cannot be read, names a tensor that there is not, or lacks one.
        """
        apply_ranges(op, self.file, read_tensor_names(self.model) if self.model else None, partial=self.partial)


def apply_ranges(
    module: ModuleOp, file: str | Path, tensor_names: Mapping[str, str] | None = None, *, partial: bool = False
) -> None:
    """Write the ranges in a file into the observers of `@main`.

    Args:
        module: a float module with observers in `@main`.
        file: a file of ranges.
        tensor_names: name of the node that makes each tensor of the ONNX model, by the tensor's name.
        partial: accept that some tensors have no range in the file.

    Raises:
        UserError: the file cannot be read, names a tensor that there is not, or lacks one.
    """
    observers = observers_of(module)
    if not observers:
        raise UserError("there is nothing to give ranges to: @main has no observers", hint="run insert-observers first")
    selected = select_ranges(read_ranges(file), list(observers), tensor_names, where=str(file))
    missing = [name for name in observers if name not in selected]
    if missing and not partial:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"the file has no range for {missing[0]!r}{more}",
            where=str(file),
            hint="add it, or calibrate with data as well",
        )
    for name, found in selected.items():
        if found.method:
            observers[name].properties["method"] = StringAttr(found.method)
    extrema = {name: found.extrema for name, found in selected.items() if found.extrema is not None}
    write_ranges(module, {name: found.bounds for name, found in selected.items()}, extrema)
