"""One line of the table that the benchmarks print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchRow:
    """One bar: what was measured, the figures of both sides, and whether the bar holds."""

    what: str
    ours: str
    peer: str
    ratio: str
    bar: str
    holds: bool
