"""A model with its data, and command lines on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from intaglio.tools.cli import run_cli

Array = np.ndarray[Any, np.dtype[Any]]


Capture = pytest.CaptureFixture[str]


def make_model(
    path: Path, *, shape: tuple[Any, ...] = (1, 2, 6, 6), dtype: int = TensorProto.FLOAT, head: bool = True
) -> Path:
    """A convolution, a global mean, a softmax, and a division of its results by their sum, which stays on the host."""
    weight = np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(helper.tensor_dtype_to_np_dtype(dtype))
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], name="stem/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="stem/Relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["m"], name="pool"),
        helper.make_node("Flatten", ["m"], ["f"], name="flat"),
    ]
    if head:
        nodes.append(helper.make_node("Softmax", ["f"], ["s"], name="head/Softmax"))
        nodes.append(helper.make_node("LpNormalization", ["s"], ["scores"], name="head/Normalize", p=1))
    output = "scores" if head else "f"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(output, dtype, (shape[0], 4))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def images(count: int = 4, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 1, 2, 6, 6)).astype(np.float32)


@dataclass
class Files:
    """A model and its data in a folder of their own."""

    folder: Path
    capture: Capture

    @property
    def model(self) -> str:
        return str(self.folder / "net.onnx")

    @property
    def data(self) -> str:
        return str(self.folder / "data.npz")

    @property
    def package(self) -> str:
        return str(self.folder / "net.igpkg")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command line."""
        self.capture.readouterr()
        code = run_cli(arguments)
        out, err = self.capture.readouterr()
        return code, out, err

    def succeed(self, *arguments: str) -> str:
        code, out, err = self.run(*arguments)
        assert code == 0, err
        assert err == ""
        return out

    def compile(self, *options: str) -> str:
        return self.succeed("compile", self.model, "-o", self.package, "--calibration", self.data, *options)

    def fail(self, *arguments: str, code: int = 2) -> str:
        """The one message of a command that fails and leaves no file behind."""
        before = sorted(self.folder.rglob("*"))
        actual, out, err = self.run(*arguments)
        assert actual == code, err
        assert out == ""
        assert err.count("error:") == 1
        assert 1 <= len(err.splitlines()) <= 6
        assert "Traceback" not in err
        assert sorted(self.folder.rglob("*")) == before
        return err
