"""``python -m benchmarks``: every bar, measured beside its peer in one run, as a table.

``--quick`` takes smaller sizes, to see that the benchmarks run; ``--output FILE`` also writes the table as Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.table import BenchRow, bars_as_markdown, machine

GROUPS = (
    "client",
    "cli",
    "audit",
    "embedded",
    "vault",
    "aws",
    "kubernetes",
    "azure",
    "gcp",
    "rotation",
    "workers",
    "schedule",
)
"""Each is a module ``benchmarks.bench_GROUP`` with ``run(quick) -> list[BenchRow]``."""


def main() -> int:
    """Run the chosen groups, print their table, and return 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure every bar beside its peer.")
    parser.add_argument("groups", nargs="*", help=f"which groups to run, by default all: {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="smaller sizes; says nothing about the bars")
    parser.add_argument("--output", type=Path, help="also write the table as Markdown")
    options = parser.parse_args()
    if unknown := [group for group in options.groups if group not in GROUPS]:
        parser.error(f"there is no group '{unknown[0]}'; use one of: {', '.join(GROUPS)}")
    rows: list[BenchRow] = []
    for group in options.groups or GROUPS:
        print(f"==> {group}", file=sys.stderr, flush=True)
        measure: Callable[[bool], list[BenchRow]] = import_module(f"benchmarks.bench_{group}").run
        rows += measure(options.quick)
    table = bars_as_markdown(rows)
    print(table)
    if options.output:
        options.output.write_text(f"{_heading()}\n\n{table}\n", encoding="utf-8")
    missed = [row.what for row in rows if not row.holds]
    if missed:
        print(f"{len(missed)} bar(s) do not hold: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _heading() -> str:
    rule = "A ratio is ours to what stands beside it, in one run. Absolute figures move from machine to machine."
    return f"# Benchmarks\n\nWritten by `make bench`, {machine()}. {rule}"


if __name__ == "__main__":
    raise SystemExit(main())
