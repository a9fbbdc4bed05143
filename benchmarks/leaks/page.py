"""The comparison as a page: the bars, then all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.leaks.known import KnownTimes
from benchmarks.leaks.labelled import Labelled
from benchmarks.leaks.speed import FileTimes, RepositoryTimes, Times
from benchmarks.table import BenchRow, as_markdown, bars_as_markdown, machine

OURS = "vantage-secrets"
SCAN_RATIO_MAX = 0.8
FILE_RATIO_MAX = 0.5
AGAIN_RATIO_MAX = 0.05
KNOWN_GROWTH_MAX = 0.3
RECALL_MIN = PRECISION_MIN = 0.97
_MEMORY_PEERS = ("kingfisher", "kingfisher --turbo")


class Figures(NamedTuple):
    """Everything that was measured.

    Attributes:
        versions: Of the scanners, by name.
        file: What one small file takes.
        compiling: Seconds that compiling our rules takes, once.
        repositories: What was measured on each.
        known: What known values cost, on each.
        labelled: What is found in labelled files.
        rounds: How often each was measured.
    """

    versions: Mapping[str, str]
    file: FileTimes
    compiling: float
    repositories: Sequence[RepositoryTimes]
    known: Sequence[KnownTimes]
    labelled: Labelled
    rounds: int


def bars(figures: Figures) -> list[BenchRow]:
    """Return every bar with its figures."""
    rows = [
        against_fastest("one small file, cold process", figures.file.as_installed.seconds, FILE_RATIO_MAX),
        against_fastest("the same; beside it, without pip's script in front", figures.file.binaries.seconds, None),
        BenchRow("compiling our rules, once for a machine", _time(figures.compiling), "", "", "none", True),
    ]
    for times in figures.repositories:
        rows += _repository_bars(times)
    rows += [row for known in figures.known for row in _known_bars(known)]
    return rows + _labelled_bars(figures.labelled)


def against_fastest(
    what: str, times: Mapping[str, float], at_most: float | None, ours: float | None = None
) -> BenchRow:
    """Return our time's bar beside the fastest other scanner's; without a time of ours it does not hold.

    Args:
        what: What was measured.
        times: Of all scanners.
        at_most: The largest ratio; none where it is told without a bar.
        ours: Our time, where it is not among the others.

    Raises:
        ValueError: No other scanner has a time.
    """
    name = min((each for each in times if each != OURS), key=times.__getitem__)
    fastest = times[name]
    beside = f"{_time(fastest)} ({name})"
    bar = "none" if at_most is None else f"at most {at_most}"
    own = times.get(OURS) if ours is None else ours
    if own is None:
        return BenchRow(what, "void", beside, "-", bar, False)
    ratio = own / fastest
    return BenchRow(what, _time(own), beside, f"{ratio:.3f}", bar, at_most is None or ratio <= at_most)


def page(figures: Figures, rows: Sequence[BenchRow]) -> str:
    """Return the page in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    return "\n\n".join(
        (
            "# Benchmarks of leak detection",
            f"Written by `make bench-leaks`, {machine()}. Times are medians of {figures.rounds} runs in turns (of a "
            f"small file, and of a second scan, of {3 * figures.rounds}), with files that the system has in memory, of "
            "whole processes that write a report as JSON. A figure counts only if the report has the token that was "
            "planted before. All are called as pip installs them. Absolute figures move from machine to machine; a "
            f"ratio is ours to the fastest other scanner's. Versions: {versions}.",
            bars_as_markdown(rows),
            "## All times",
            _all_times(figures),
            "Repositories are clones as a network gives them, with what their refs lead to and no more. Of a history "
            "we read every object, also commit messages and file names, and say which commits brought a finding. "
            "Betterleaks and gitleaks read the changes that "
            "`git log` shows; kingfisher reads objects, and with `--turbo` tells an object's name but neither commit "
            "nor path. detect-secrets has no scan of histories. What took five times as long as the fastest was "
            "measured once. Memory is the most that a process and all it started had at once while it scanned the "
            "history, files in memory included.",
            "## What is found",
            _labelled_words(figures.labelled),
            _labelled_table(figures.labelled),
        )
    )


def _repository_bars(times: RepositoryTimes) -> list[BenchRow]:
    name = times.repository.name
    size = f"{times.repository.object_bytes / 1e6:,.0f} MB in {times.repository.commit_count:,} commits"
    rows = [
        against_fastest(f"{name}: working tree", times.tree.seconds, SCAN_RATIO_MAX),
        against_fastest(f"{name}: full history, {size}", times.history.seconds, SCAN_RATIO_MAX),
        against_fastest(
            f"{name}: history again; beside it, their scan", times.history.seconds, AGAIN_RATIO_MAX, times.again
        ),
    ]
    peer = min((name for name in _MEMORY_PEERS if name in times.memory), key=times.memory.__getitem__)
    ratio = times.memory[OURS] / times.memory[peer]
    ours, beside = _size(times.memory[OURS]), f"{_size(times.memory[peer])} ({peer})"
    return [*rows, BenchRow(f"{name}: memory, history", ours, beside, f"{ratio:.2f}", "at most 1", ratio <= 1)]


def _known_bars(known: KnownTimes) -> list[BenchRow]:
    growth = known.with_them / known.without - 1
    what = f"{known.name}: history with {known.value_count:,} known values"
    bar = f"at most +{KNOWN_GROWTH_MAX:.0%}"
    return [
        BenchRow(
            f"{what}; beside it, without",
            _time(known.with_them),
            _time(known.without),
            f"{growth:+.0%}",
            bar,
            growth <= KNOWN_GROWTH_MAX,
        ),
        BenchRow("preparing that search, once for a process", _time(known.preparing), "", "", "none", True),
        BenchRow(
            f"{what} of an embedded store, whole command; beside it, without",
            _time(known.command),
            _time(known.bare_command),
            f"{known.command / known.bare_command - 1:+.0%}",
            "none",
            True,
        ),
    ]


def _labelled_bars(labelled: Labelled) -> list[BenchRow]:
    rows = []
    for what, least in (("recall", RECALL_MIN), ("precision", PRECISION_MIN)):
        shares = {name: getattr(result, what) for name, result in labelled.results.items()}
        best = max((name for name in shares if name != OURS), key=shares.__getitem__)
        rows.append(
            BenchRow(
                f"labelled files: {what}",
                f"{shares[OURS]:.1%}",
                f"{shares[best]:.1%} ({best})",
                "-",
                f"at least {least:.0%}",
                shares[OURS] >= least,
            )
        )
    return rows


def _all_times(figures: Figures) -> str:
    headings = ["Scanner", "one file"]
    for times in figures.repositories:
        name = times.repository.name
        headings += [f"{name}, tree", f"{name}, history", f"{name}, memory"]
    rows = []
    for scanner in figures.versions:
        row = [scanner, _cell(figures.file.as_installed, scanner)]
        for times in figures.repositories:
            memory = times.memory.get(scanner)
            row += [_cell(times.tree, scanner), _cell(times.history, scanner), _size(memory) if memory else "-"]
        rows.append(row)
    return as_markdown(headings, rows)


def _cell(times: Times, scanner: str) -> str:
    if scanner in times.void:
        return f"void: {times.void[scanner]}"
    return _time(times.seconds[scanner]) if scanner in times.seconds else "-"


def _labelled_words(labelled: Labelled) -> str:
    return (
        f"{labelled.label_count:,} secrets in {labelled.file_count:,} files, made from seed {labelled.seed} by "
        "`tests/leaks/corpus`: tokens of all our rules' kinds and passwords as people choose them, in the ways that "
        "configuration files and programs hold them, between lines that look like secrets and are none. The files are "
        "ours, and so are the kinds of tokens; other scanners do not claim to know them all. A secret is found when "
        "one of its lines is reported; a false alarm is a reported line that has none."
    )


def _labelled_table(labelled: Labelled) -> str:
    return as_markdown(
        ("Scanner", "Recall", "Precision", "Missed", "False alarms"),
        [
            (
                name,
                f"{result.recall:.1%}",
                f"{result.precision:.1%}",
                f"{len(result.misses):,}",
                f"{len(result.false_alarms):,}",
            )
            for name, result in labelled.results.items()
        ],
    )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _size(byte_count: float) -> str:
    return f"{byte_count / 1e6:,.0f} MB"
