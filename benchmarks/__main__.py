"""``python -m benchmarks``: every bar, measured beside its peer in one run, as a table.

``--quick`` takes smaller sizes, to see that the benchmarks run; ``--output FILE`` also writes the table as Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.table import BenchRow

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

_HEADINGS = ("What", "Ours", "Beside it", "Ratio", "Bar", "Holds")


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
    table = _markdown(rows)
    print(table)
    if options.output:
        options.output.write_text(f"{_heading()}\n\n{table}\n", encoding="utf-8")
    missed = [row.what for row in rows if not row.holds]
    if missed:
        print(f"{len(missed)} bar(s) do not hold: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _heading() -> str:
    rule = "A ratio is ours to what stands beside it, in one run. Absolute figures move from machine to machine."
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"# Benchmarks\n\nWritten by `make bench`, {datetime.now(UTC):%Y-%m-%d}: {machine}. {rule}"


def _markdown(rows: list[BenchRow]) -> str:
    cells = [_HEADINGS, *((r.what, r.ours, r.peer, r.ratio, r.bar, "yes" if r.holds else "NO") for r in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    lines = [
        "| " + " | ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
