"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tools.command_files import Capture, Files, images, make_model


@pytest.fixture
def files(tmp_path: Path, capsys: Capture) -> Files:
    make_model(tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", input=images())
    return Files(tmp_path, capsys)
