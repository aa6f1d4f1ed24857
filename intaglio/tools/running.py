"""Running a package on a file of samples."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intaglio.data import load_samples
from intaglio.files import check_output, write_atomically
from intaglio.runtime.session import Array, Session
from intaglio.tools.progress import SampleProgress


def run_package(
    package: str | Path, inputs: str | Path, outputs: str | Path, progress: SampleProgress | None = None
) -> dict[str, Any]:
    """Run a package on every sample of a file and write the outputs in one step.

    Args:
        package: a package file.
        inputs: an `.npz` file with one array for each input, samples stacked on a new first axis.
        outputs: the `.npz` file to write, one array for each output, samples likewise.
        progress: called after each sample.

    Returns:
        What was done, for a report.

    Raises:
        UserError: the package or the data is wrong, or the file cannot be written.
    """
    check_output(outputs)
    session = Session(package)
    samples = load_samples(
        inputs,
        {tensor.name: tensor.shape for tensor in session.inputs},
        {tensor.name: np.dtype(tensor.dtype) for tensor in session.inputs},
    )
    collected = {
        tensor.name: np.empty((len(samples), *tensor.shape), np.dtype(tensor.dtype)) for tensor in session.outputs
    }
    start = time.perf_counter()
    for index, sample in enumerate(samples):
        for name, array in session.run(sample).items():
            collected[name][index] = array
        if progress is not None:
            progress(index + 1, len(samples))
    seconds = time.perf_counter() - start
    write_atomically(outputs, _npz(collected))
    return {
        "package": str(package),
        "outputs": {name: {"shape": list(array.shape), "dtype": array.dtype.name} for name, array in collected.items()},
        "samples": len(samples),
        "seconds": round(seconds, 3),
        "file": str(outputs),
    }


def _npz(arrays: Mapping[str, Array]) -> bytes:
    """The content of an `.npz` file; `numpy.savez` does not take every name that a tensor may have."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return stream.getvalue()
