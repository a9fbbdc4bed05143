"""How much of what stands in labelled files each scanner finds, and how much else it reports."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.leaks.corpus.measuring import Label, Measurement, measure

from benchmarks.leaks.running import run
from benchmarks.leaks.speed import Bench, note
from vantage_secrets.leaks.ruleset import load_rules, rule_files


class Labelled(NamedTuple):
    """What the scanners found in the labelled files.

    Attributes:
        seed: The files are made from it.
        file_count: How many files there are.
        label_count: How many secrets stand in them.
        results: By the scanner's name.
    """

    seed: int
    file_count: int
    label_count: int
    results: dict[str, Measurement]


def measure_labelled(bench: Bench, seed: int, file_count: int) -> Labelled:
    """Let every scanner scan the same ``file_count`` labelled files."""
    note(f"{file_count:,} labelled files")
    folder = bench.folder / "labelled"
    labels = write_corpus(folder, seed, file_count)
    results = {}
    for scanner in bench.scanners:
        found = run(scanner, scanner.tree, folder, bench.environment).spots
        results[scanner.name] = measure(labels, found)
    return Labelled(seed, file_count, len(labels), results)


def write_corpus(folder: Path, seed: int, file_count: int) -> Sequence[Label]:
    """Write the labelled files below ``folder`` and return their labels."""
    corpus = import_module("tests.leaks.corpus.tree").corpus  # by name: it is not annotated as strictly as this is
    labels: list[Label] = []
    for file in corpus(load_rules(rule_files()), seed, file_count):
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        labels += file.labels
    return labels
