"""Side by side with aimet-onnx's automatic mixed precision, on the same model, data, candidates and target.

python benchmarks/peers.py --aimet PYTHON [--model mbv2_mid] [--candidates a16w16,a8w8] [--json]

PYTHON is the interpreter of an environment of its own that has aimet-onnx, which brings 6.4 GB:

    python3 -m venv aimet && aimet/bin/pip install aimet-onnx

It is run on demand; docs/mixed-precision.md keeps the figures. Both sides choose and report on the same 900 images
(`../shared/bench`), from min-max int8 without repairs. CPU is processor time after imports, the preparation of the
quantized network and its calibration included; onnxruntime, which AIMET runs on, has its default threads, or with
--one-thread one. Settings of AIMET:

- `default`: as its documentation has it, phase 1 by accuracy on a quarter of the images;
- `sqnr`: phase 1 by the signal-to-noise ratio of 128 images, its own callback;
- `expert`: likewise, with the quantizers taken away that cost it most of its loss: bounds of clips, and what passes
  from a depthwise convolution to its activation.

Bit operations of both sides are counted alike: multiplications times the bits of both factors, relative to 16 bits
throughout. In AIMET a layer's activation bits are those of its group.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

# ruff: noqa: PLC0415 (the interpreter of AIMET's environment has not what this compiler needs, and the other way round)

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
SETTINGS = ("default", "sqnr", "expert")


def aimet_row(
    model: str, target: float, per_channel: bool, candidates: list[str], setting: str, threads: int
) -> dict[str, Any]:
    """Run AIMET's search; carried out by the interpreter of its own environment."""
    import numpy as np
    import onnx
    from aimet_onnx.amp.mixed_precision_algo import EvalCallbackFactory, GreedyMixedPrecisionAlgo
    from aimet_onnx.common.defs import CallbackFunc, QuantizationDataType
    from aimet_onnx.common.quantsim_config.utils import get_path_for_per_channel_config, get_path_for_per_tensor_config
    from aimet_onnx.quantsim import QuantizationSimModel

    with np.load(SHARED / "bench" / "digits16.npz") as data:
        calibration, images, labels = data["x_calib"], data["x_eval"], data["y_eval"]
    evaluated = 0

    def accuracy(session: Any, count: int | None) -> float:
        nonlocal evaluated
        right = 0
        used = len(images) if count is None else count
        for start in range(0, used, 100):
            stop = min(start + 100, used)
            logits = session.run(None, {"input": images[start:stop]})[0]
            right += int((logits.argmax(1) == labels[start:stop]).sum())
        evaluated += used
        return right / used

    def calibrate(session: Any, _: object) -> None:
        for start in range(0, len(calibration), 64):
            session.run(None, {"input": calibration[start : start + 64]})

    class Batches:
        """What AIMET's callback for the signal-to-noise ratio takes for a data loader."""

        batch_size = 64

        def __iter__(self) -> Any:
            nonlocal evaluated
            for start in range(0, 128, 64):
                evaluated += 64
                yield calibration[start : start + 64]

    def bits(text: str) -> tuple[tuple[int, Any], tuple[int, Any]]:
        activations, weights = text.removeprefix("a").split("w")
        kind = QuantizationDataType.int
        return (int(activations), kind), (int(weights), kind)

    start = time.process_time()
    graph = onnx.load(SHARED / "bench" / f"{model}.onnx")
    config = get_path_for_per_channel_config() if per_channel else get_path_for_per_tensor_config()
    options = {"intra_op_num_threads": threads}
    sim = QuantizationSimModel(graph, quant_scheme="min_max", config_file=config, session_options_kwargs=options)
    macs = macs_of_layers(graph)
    if setting == "expert":
        without_needless_quantizers(sim, graph)
    sim.compute_encodings(lambda session: calibrate(session, None))
    phase1 = (
        CallbackFunc(accuracy, len(images) // 4) if setting == "default" else EvalCallbackFactory(Batches()).sqnr(sim)
    )
    with tempfile.TemporaryDirectory() as folder:
        algorithm = GreedyMixedPrecisionAlgo(
            sim,
            list(map(bits, candidates)),
            phase1,
            CallbackFunc(accuracy, None),
            folder,
            True,
            CallbackFunc(calibrate, None),
            phase1_optimize=True,
        )
        # Its default search; the drop is given from its own float accuracy, so that the target is exactly ours.
        floats = float(algorithm.set_baseline()[0])
        algorithm.run(floats - target)
    seconds = time.process_time() - start
    score = accuracy(sim.session, None)
    chosen: dict[str, tuple[int, int]] = {}
    for group in algorithm.quantizer_groups:
        (activation_bits, _), (weight_bits, _) = group.get_candidate(sim.qc_quantize_op_dict)
        for name in group.parameter_quantizers:
            chosen[name] = (activation_bits or 16, weight_bits or 16)
    layers = {name: chosen[name] for name in macs if name in chosen}
    total = sum(macs.values())
    spent = sum(count * (chosen[name][0] * chosen[name][1] if name in chosen else 256) for name, count in macs.items())
    return {
        "tool": f"aimet-onnx ({setting})",
        "float": floats,
        "target": target,
        "score": score,
        "wide_operators": sum(max(pair) > 8 for pair in layers.values()) + len(macs) - len(layers),
        "relative_bitops": spent / (256 * total),
        "evaluations": evaluated / len(images),
        "cpu_seconds": seconds,
    }


def macs_of_layers(graph: Any) -> dict[str, int]:
    """Multiplications of each layer with weights, by the name of its weight."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(graph)
    shapes = {
        value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.graph.value_info, *inferred.graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.graph.initializer}
    found: dict[str, int] = {}
    for node in graph.graph.node:
        if node.op_type == "Conv":
            found[node.input[1]] = math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul") and node.input[1] in weights:
            found[node.input[1]] = math.prod(weights[node.input[1]])
    return found


def without_needless_quantizers(sim: Any, graph: Any) -> None:
    """Turn the quantizers off that an expert turns off: bounds of clips, and the outputs of depthwise convolutions."""
    activations = {"Clip", "Relu"}
    readers: dict[str, list[Any]] = {}
    for node in graph.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    names: set[str] = set()
    for node in graph.graph.node:
        if node.op_type == "Clip":
            names.update(node.input[1:])
        if node.op_type == "Conv":
            following = readers.get(node.output[0], [])
            if len(following) == 1 and following[0].op_type in activations:
                names.add(node.output[0])
    for name in names:
        if name in sim.qc_quantize_op_dict:
            sim.qc_quantize_op_dict[name].enabled = False


def our_row(model: str, candidates: list[str]) -> dict[str, Any]:
    """Run the search of this compiler."""
    from search import BENCHES, bench_row

    bench = next(bench for bench in BENCHES if bench.name == model)
    return {"tool": "intaglio", **bench_row(replace(bench, candidates=tuple(candidates)), None)}


def in_process(python: str, *arguments: str) -> dict[str, Any]:
    """What a run of this script by an interpreter prints last."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = [python, __file__, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aimet", metavar="PYTHON", help="the interpreter of an environment that has aimet-onnx")
    parser.add_argument("--model", default="mbv2_mid", choices=("mbv2_mid", "mbv2_hard", "vit_hard"))
    parser.add_argument("--candidates", default="a16w16,a8w8", metavar="LIST", help="precisions to choose from")
    parser.add_argument("--settings", default=",".join(SETTINGS), metavar="LIST", help="those of AIMET to run")
    parser.add_argument("--one-thread", action="store_true", help="let onnxruntime use one thread in AIMET")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    candidates = options.candidates.split(",")
    targets = {"mbv2_mid": (0.9722, True), "mbv2_hard": (0.9722, False), "vit_hard": (0.875, True)}
    same = ["--model", options.model, "--candidates", options.candidates]
    if options.one_thread:
        same.append("--one-thread")
    if options.row == "intaglio":
        print(json.dumps(our_row(options.model, candidates)))
        return
    if options.row is not None:
        target, per_channel = targets[options.model]
        print(
            json.dumps(aimet_row(options.model, target, per_channel, candidates, options.row, int(options.one_thread)))
        )
        return
    rows = [in_process(sys.executable, "--row", "intaglio", *same)]
    if options.aimet:
        rows += [in_process(options.aimet, "--row", setting, *same) for setting in options.settings.split(",")]
    if options.json:
        print(json.dumps({"model": options.model, "candidates": candidates, "rows": rows}, indent=2))
        return
    ours = rows[0]["cpu_seconds"]
    for row in rows:
        print(
            f"{row['tool']:22} {row['score']:.4f} (>= {row['target']:.4f}), {row['wide_operators']} wide, BitOps "
            f"{row['relative_bitops']:.3f}, {row['evaluations']:.1f} evaluations, {row['cpu_seconds']:.1f} s CPU "
            f"({row['cpu_seconds'] / ours:.1f} times ours)"
        )


if __name__ == "__main__":
    main()
