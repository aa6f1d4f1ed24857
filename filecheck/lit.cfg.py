"""Configuration of `lit filecheck`: every `.mlir` below, run by the commands of the active environment."""

import os
import sys
from typing import Any

import lit.formats

config: Any = globals()["config"]  # defined by lit, which executes this file
config.name = "intaglio"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(os.path.dirname(config.test_source_root), "build", "lit")
# lit may be started by its path, without the environment's bin folder on PATH.
config.environment["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")

# lit hides most of the environment; without this a tree that is not the installed one would test the installed one.
if "PYTHONPATH" in os.environ:
    config.environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
