"""Intaglio: from a trained ONNX model to an accelerator instruction stream, every stage as textual IR.

```python
import intaglio as ig

network = ig.load("model.onnx")
model = network.quantize("calibration.npz")
model.compile("model.igpkg", target="gen1")
outputs = ig.Session("model.igpkg").run({"input": image})
```

The names below are imported when they are first used, so that `import intaglio` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intaglio.compiler import compile_model
    from intaglio.errors import UserError
    from intaglio.network import Network, QuantizedNetwork, load
    from intaglio.params import (
        CalibrationMethod,
        QuantizationParams,
        bfloat16_scheme,
        default_quantization,
        int16_quantization,
        quantization_scheme,
    )
    from intaglio.passes.partition.backends import Backend
    from intaglio.phases import CompileOptions
    from intaglio.precision import Precision
    from intaglio.runtime.session import Session

__all__ = [
    "Backend",
    "CalibrationMethod",
    "CompileOptions",
    "Network",
    "Precision",
    "QuantizationParams",
    "QuantizedNetwork",
    "Session",
    "UserError",
    "bfloat16_scheme",
    "compile_model",
    "default_quantization",
    "int16_quantization",
    "load",
    "quantization_scheme",
]

_MODULES = {
    "Backend": "passes.partition.backends",
    "CalibrationMethod": "params",
    "CompileOptions": "phases",
    "Network": "network",
    "Precision": "precision",
    "QuantizationParams": "params",
    "QuantizedNetwork": "network",
    "Session": "runtime.session",
    "UserError": "errors",
    "bfloat16_scheme": "params",
    "compile_model": "compiler",
    "default_quantization": "params",
    "int16_quantization": "params",
    "load": "network",
    "quantization_scheme": "params",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
