"""What the tests of the graph passes share: run a pass and hold it to the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.interpreter import Interpreter, value_dtype, value_shape
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module

ApplyChecked = Callable[..., ModuleOp]


def random_arguments(function: func.FuncOp, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arguments = []
    for parameter in function.body.block.args:
        shape, dtype = value_shape(parameter), value_dtype(parameter)
        if dtype.kind == "f":
            arguments.append(rng.normal(scale=3, size=shape).astype(dtype))
        else:
            limits = np.iinfo(dtype)
            arguments.append(rng.integers(limits.min, limits.max, shape, dtype, endpoint=True))
    return arguments


@pytest.fixture(scope="session")
def apply_checked() -> ApplyChecked:
    """Apply a pass to a module (or text); the functions must compute the same, and a second time change nothing."""

    def apply(source: ModuleOp | str, compiler_pass: ModulePass, *, rtol: float = 0.0, atol: float = 0.0) -> ModuleOp:
        before = parse_module(source) if isinstance(source, str) else source
        after = before.clone()
        compiler_pass.apply(make_context(), after)
        verify_module(after)
        for function in before.ops:
            assert isinstance(function, func.FuncOp)
            name = function.sym_name.data
            for seed in range(3):
                arguments = random_arguments(function, seed)
                expected = Interpreter(before).run(name, arguments)
                actual = Interpreter(after).run(name, arguments)
                for want, have in zip(expected, actual, strict=True):
                    assert want.dtype == have.dtype
                    np.testing.assert_allclose(
                        have.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol, err_msg=f"@{name}"
                    )
        text = print_module(after)
        compiler_pass.apply(make_context(), after)
        assert print_module(after) == text
        return after

    return apply
