"""The tables that the benchmarks print."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_HEADINGS = ("What", "Ours", "Beside it", "Ratio", "Bar", "Holds")


@dataclass(frozen=True)
class BenchRow:
    """One bar: what was measured, the figures of both sides, and whether the bar holds."""

    what: str
    ours: str
    peer: str
    ratio: str
    bar: str
    holds: bool


def bars_as_markdown(rows: Sequence[BenchRow]) -> str:
    """Return a Markdown table with a line for each bar."""
    return as_markdown(_HEADINGS, [(r.what, r.ours, r.peer, r.ratio, r.bar, "yes" if r.holds else "NO") for r in rows])


def as_markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns stand below each other in the text too."""
    cells = [headings, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = [
        "| " + " | ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def machine() -> str:
    """Return the day and what this machine is, for a table's heading."""
    kind = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}: {kind}"
