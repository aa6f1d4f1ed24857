"""Copy the example networks and their first samples out of the model zoo, preprocessed to graph inputs.

    python examples/make_data.py --zoo ../shared/zoo

The files it writes are in the repository; it is here so that everybody can see where they come from. Running
it again gives the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np

EXAMPLES = Path(__file__).resolve().parent
SAMPLES = {"fashion_resnet8": (128, 600), "ppocr_cls": (64, 200)}
"""Number of calibration and evaluation samples: always the first ones of the zoo's."""


def load_zoo(folder: Path) -> ModuleType:
    """Import the zoo's own reader, `zoo.py`."""
    spec = importlib.util.spec_from_file_location("zoo", folder / "zoo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write model, calibration and evaluation data of each example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, required=True, help="folder with zoo.py, models/ and data/")
    zoo = load_zoo(parser.parse_args().zoo)
    for name, (calibration, evaluation) in SAMPLES.items():
        entry = zoo.load(name)
        if not (entry.info["ship"] and entry.info["ship_model"]):
            raise SystemExit(f"the zoo does not allow shipping {name}")
        folder = EXAMPLES / name
        folder.mkdir(exist_ok=True)
        shutil.copyfile(entry.model, folder / "model.onnx")
        np.savez_compressed(
            folder / "calibration.npz", **{key: value[:calibration] for key, value in entry.calib.items()}
        )
        np.savez_compressed(
            folder / "evaluation.npz",
            **{key: value[:evaluation] for key, value in entry.eval.items()},
            label=entry.labels[:evaluation],
        )


if __name__ == "__main__":
    main()
