"""Accuracy of quantization: the model zoo and the bench networks under every setting, held to bounds.

python benchmarks/accuracy.py [--json] [--models DIR] [--bench DIR] [--only NAME,NAME] [--columns A,B]
                              [--resume DIR [--kept]] [--markdown FILE]

--models takes a folder laid out like the zoo (`zoo.json`, `zoo.py`, `models/`, `data/`), whose own calibration and
evaluation arrays and metrics are used; without it and --bench, those of `../shared` are taken. Networks run in
integers, exactly as the accelerator computes them. A column is a set of parameters; the two columns of onnxruntime's
static quantization are those stored in `zoo.json`. Standard errors are those of the difference to the float model, by
paired bootstrap over the samples. Networks run from small to large; cells are printed as they are done, and kept in
the folder of --resume. In the file of --markdown, what stands between the marks of `accuracy_tables` is replaced.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from accuracy_bounds import bench_bounds, zoo_bounds
from accuracy_cells import Cell, Measurement, Store
from accuracy_settings import SETTINGS, settings_of
from accuracy_tables import Row, markdown, replace_figures
from accuracy_tasks import Task, bench_tasks, zoo_tasks

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def measure(task: Task, settings: list[str], store: Store, *, quiet: bool, kept_only: bool) -> Row:
    """All cells of a network."""
    measurement = Measurement(task, store)
    cells = {"float": measurement.float_cell()}
    row = Row(task.name, task.group, task.metric, task.count, task.known, cells)
    for setting in settings:
        for suffix, cell in measurement.cells(setting, kept_only=kept_only).items():
            cells[setting + suffix] = cell
            if not quiet:
                _report(row, setting + suffix, cell)
    return row


def _report(row: Row, setting: str, cell: Cell) -> None:
    figures = ", ".join(
        f"{name} {cell.scores[name]:.4f} (se {cell.errors.get(name, 0.0):.4f})"
        for name in row.metrics
        if name in cell.scores
    )
    floats = f", {len(cell.in_float)} in float" if cell.in_float else ""
    print(
        f"{row.model:22} {setting:24} {cell.error or figures}, {cell.snr_db:.1f} dB, {cell.seconds:.0f} s{floats}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of quantization under every setting.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--models", type=Path, help="a folder laid out like the zoo")
    parser.add_argument("--bench", type=Path, help="a folder of bench networks with digits16.npz")
    parser.add_argument("--only", default="", help="only models whose name contains this text; several with commas")
    parser.add_argument("--columns", help="only these settings, with commas between them")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="keep what was measured, and take what is there")
    parser.add_argument("--kept", action="store_true", help="measure nothing: only what the folder of --resume has")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file")
    options = parser.parse_args()
    columns = options.columns.split(",") if options.columns else None
    if unknown := [name for name in columns or () if name not in SETTINGS]:
        parser.error(f"there is no setting {unknown[0]!r}; there are: {', '.join(SETTINGS)}")
    given = options.models is not None or options.bench is not None
    zoo = options.models or (None if given else SHARED / "zoo")
    bench = options.bench or (None if given else SHARED / "bench")
    makers = {**(zoo_tasks(zoo) if zoo else {}), **(bench_tasks(bench) if bench else {})}
    store = Store(options.resume)
    start, rows = time.perf_counter(), dict[str, Row]()
    for name, make in makers.items():
        if not any(text in name for text in options.only.split(",")):
            continue
        task = make()
        row = measure(task, columns or settings_of(name, task.group), store, quiet=options.json, kept_only=options.kept)
        if task.group == "zoo":
            row.bounds = zoo_bounds(name, task.metric, task.count, task.known, row.cells)
        else:
            folded = rows.get(name.removeprefix("raw/"))
            row.bounds = bench_bounds(name, row.cells, folded and folded.cells)
        rows[name] = row
        if not options.json:
            for bound in row.bounds:
                print(f"{name:22} {bound}", flush=True)
    if options.json:
        entries = [
            asdict(row) | {"bounds": [asdict(bound) | {"holds": bound.holds} for bound in row.bounds]}
            for row in rows.values()
        ]
        print(json.dumps({"rows": entries}, indent=2))
    else:
        print(f"{time.perf_counter() - start:.0f} s")
    if options.markdown:
        page = options.markdown.read_text(encoding="utf-8") if options.markdown.exists() else ""
        options.markdown.write_text(replace_figures(page, markdown(list(rows.values()))), encoding="utf-8")


if __name__ == "__main__":
    main()
