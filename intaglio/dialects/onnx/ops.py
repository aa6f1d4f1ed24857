"""The generated op classes by name: `ops.ConvOp`, `ops.MlScalerOp`, `ops.PreviewTrainingAdamOp`.

A class is made when it is first asked for. Editors and type checkers see all of them, with their accessors, in
`ops.pyi`, which `python -m intaglio.tools.stubs` writes.
"""

from __future__ import annotations

from functools import cache

from intaglio.dialects.onnx.operators import OnnxOp, operator_class
from intaglio.dialects.onnx.schema import operators


def class_name(ir_name: str) -> str:
    """The name here of the class of an op: `MlScalerOp` for `onnx.ml.Scaler`."""
    *domain, name = ir_name.split(".")[1:]
    return "".join(part.capitalize() for part in domain) + name + "Op"


@cache
def _names() -> dict[str, tuple[str, str]]:
    """Operator and domain by class name."""
    return {class_name(operator.ir_name): (operator.name, operator.domain) for operator in operators().values()}


def __getattr__(name: str) -> type[OnnxOp]:
    key = _names().get(name)
    if key is None:
        raise AttributeError(f"no ONNX operator has the class {name}")
    return operator_class(*key)


def __dir__() -> list[str]:
    return sorted(_names())
