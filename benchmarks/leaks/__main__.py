"""``python -m benchmarks.leaks --peers FOLDER [REPOSITORY…]``: every bar of leak detection, beside the other scanners.

Without repositories, one is made. ``--quick`` takes smaller sizes, to see that the benchmark runs; ``--output FILE``
also writes the page. Returns 1 when a bar does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.leaks.known import PLANTED, known_texts, measure_known
from benchmarks.leaks.labelled import measure_labelled
from benchmarks.leaks.page import Figures, bars, page
from benchmarks.leaks.repositories import make_repository, prepared
from benchmarks.leaks.running import clean_environment
from benchmarks.leaks.scanners import ours, peers
from benchmarks.leaks.speed import Bench, measure_compiling, measure_file, measure_repository, note

_COMMITS = 3_500


def main() -> int:
    """Measure, print the page, and return 1 when a bar does not hold."""
    chosen = _words().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        rounds = 1 if chosen.quick else chosen.rounds
        bench = Bench(ours(), peers(chosen.peers), Path(folder), clean_environment(home), rounds)
        figures = measured(bench, chosen.repositories, is_quick=chosen.quick, seed=chosen.seed)
    rows = bars(figures)
    text = page(figures, rows)
    print(text)
    if chosen.output:
        chosen.output.write_text(f"{text}\n", encoding="utf-8")
    missed = [row.what for row in rows if not row.holds]
    if missed:
        print(f"{len(missed)} bar(s) do not hold: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def measured(bench: Bench, sources: list[Path], *, is_quick: bool, seed: int) -> Figures:
    """Measure everything on ``sources``, or on a repository that is made where there are none."""
    if not sources:
        note("making a repository")
        sources = [make_repository(bench.folder / "made", 60 if is_quick else _COMMITS)]
    value_count = 200 if is_quick else 10_000
    known = known_texts(value_count)[PLANTED]
    file = measure_file(bench)
    compiling = measure_compiling(bench)
    copies = [prepared(source, bench.folder / f"copy-{number}", known) for number, source in enumerate(sources)]
    return Figures(
        {scanner.name: scanner.version(bench.environment) for scanner in bench.scanners},
        file,
        compiling,
        [measure_repository(bench, copy) for copy in copies],
        [measure_known(bench, copy.name, copy.history, value_count) for copy in copies],
        measure_labelled(bench, seed, 60 if is_quick else 600),
        bench.rounds,
    )


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description="Leak detection beside others.")
    parser.add_argument("repositories", nargs="*", type=Path, help="what to scan; by default a repository is made")
    parser.add_argument("--peers", type=Path, required=True, help="the folder that tools/install-leak-peers prints")
    parser.add_argument("--rounds", type=int, default=5, help="how often each scanner runs (5)")
    parser.add_argument("--seed", type=int, default=1, help="of the labelled files (1)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes; says nothing about the bars")
    parser.add_argument("--output", type=Path, help="also write the page")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
