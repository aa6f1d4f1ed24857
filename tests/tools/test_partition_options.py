"""Options that decide where operations run, and what commands report of regions, boundaries and batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from intaglio.runtime.package import read_package
from tests.tools.command_files import Files, images, make_model


def placement(files: Files, *options: str) -> dict[str, str]:
    shown = json.loads(files.succeed("inspect", files.model, "--placement", "--json", *options))
    return {node["name"]: node["devices"][0] for node in shown["nodes"]}


def test_devices_of_the_users_choice(files: Files) -> None:
    assert placement(files)["stem/Conv"] == "accelerator"
    chosen = placement(files, "--backend", "stem/*=host", "--backend", "pool=accelerator")
    assert (chosen["stem/Conv"], chosen["pool"]) == ("host", "accelerator")
    assert "there is no backend 'gpu'" in files.fail("inspect", files.model, "--placement", "--backend", "pool=gpu")
    assert "did you mean pool" in files.fail("inspect", files.model, "--placement", "--backend", "pol=host")


def test_too_many_regions_fail_the_compilation(files: Files) -> None:
    command = ("compile", files.model, "-o", files.package, "--calibration", files.data)
    message = files.fail(*command, "--max-regions", "0", code=1)
    assert "in 1 region, 0 allowed" in message
    assert not Path(files.package).exists()


def test_boundaries_are_reported(files: Files) -> None:
    command = ("compile", files.model, "-o", files.package, "--calibration", files.data)
    report = json.loads(files.succeed(*command, "--max-regions", "1", "--json"))
    assert report["regions"] == 1 and report["batch"] == 1
    (region,) = report["boundaries"]["regions"]
    assert (region["region"], region["tensors"]) == ("region_0", report["boundaries"]["tensors"])
    assert report["boundaries"]["cycles"] == region["cycles"] + region["cast_cycles"] > 5_000
    assert "cycles with launches and casts" in files.succeed(*command)


def test_a_batch_is_reported(files: Files) -> None:
    make_model(Path(files.model), shape=("N", 2, 6, 6))
    samples = np.concatenate([images(8)], axis=1).reshape(2, 4, 2, 6, 6)
    np.savez(files.data, input=samples)
    files.succeed("compile", files.model, "-o", files.package, "--calibration", files.data, "--batch", "4")
    assert read_package(files.package).batch == 4
    profile = json.loads(files.succeed("profile", files.package, "--json"))
    assert profile["batch"] == 4 and 1 <= profile["achieved_batch"] <= 4
    assert profile["cycles_per_sample"] == profile["cycles"] / 4
    assert "batch of 4" in files.succeed("profile", files.package)
