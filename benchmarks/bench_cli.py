"""How long a person waits for ``vantage-secrets --help``: whole processes, beside a bare interpreter."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import BenchRow

HELP_SECONDS_MAX = 0.150


def run(quick: bool = False) -> list[BenchRow]:
    """Measure the bar: medians of processes started in turn."""
    command = [str(Path(sys.executable).with_name("vantage-secrets")), "--help"]
    bare = [sys.executable, "-c", "pass"]
    ours, peer = [], []
    for _ in range(5 if quick else 21):
        ours.append(_seconds(command))
        peer.append(_seconds(bare))
    median, bare_median = statistics.median(ours[1:]), statistics.median(peer[1:])
    return [
        BenchRow(
            what="vantage-secrets --help",
            ours=f"{median * 1e3:.0f} ms",
            peer=f"{bare_median * 1e3:.0f} ms (python -c pass)",
            ratio=f"{median / bare_median:.1f}",
            bar=f"at most {HELP_SECONDS_MAX * 1e3:.0f} ms",
            holds=median <= HELP_SECONDS_MAX,
        )
    ]


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
