"""Run the ONNX backend's node cases through the compiler for the host, and count them by category and operator.

python benchmarks/node_cases.py [--json] [--filter TEXT] [--verbose] [--jobs N]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "backend"))

from node_cases import CATEGORIES, Outcome, cases, run_cases

BOUND = 1400
"""Cases of onnx 1.23's 1,884 that must pass."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Node cases of ONNX's backend test, compiled for the host.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--filter", default="", help="run only cases whose name contains this text")
    parser.add_argument("--verbose", action="store_true", help="print the reason of each case that does not pass")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    start = time.perf_counter()
    names = [name for name in cases() if options.filter in name]
    outcomes = run_cases(names, jobs=options.jobs)
    seconds = time.perf_counter() - start
    counts = Counter(outcome.category for outcome in outcomes)
    if options.json:
        print(
            json.dumps(
                {
                    "cases": len(outcomes),
                    "seconds": round(seconds, 1),
                    "categories": {category: counts[category] for category in CATEGORIES},
                    "outcomes": [vars(outcome) for outcome in outcomes],
                }
            )
        )
        return
    _print_table(outcomes, options.verbose)
    print(f"{counts['passes']} of {len(outcomes)} cases pass (bound for all: {BOUND}), {seconds:.0f} s")


def _print_table(outcomes: list[Outcome], verbose: bool) -> None:
    print("  ".join(f"{category:>15}" for category in CATEGORIES) + "  operator")
    operators = dict.fromkeys(sorted(outcome.operator for outcome in outcomes))
    for operator in [*operators, None]:
        counts = Counter(outcome.category for outcome in outcomes if operator in (None, outcome.operator))
        row = "  ".join(f"{counts[category] or '.':>15}" for category in CATEGORIES)
        print(f"{row}  {operator or 'all'}")
    if verbose:
        for outcome in sorted(outcomes, key=lambda outcome: (outcome.category, outcome.operator, outcome.case)):
            if outcome.category not in ("passes", "folded entirely"):
                print(f"{outcome.category}: {outcome.case}: {outcome.detail}")


if __name__ == "__main__":
    main()
