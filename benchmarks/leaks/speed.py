"""Every scanner on the same thing, in turns: how long each takes, and how much memory it needs."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.leaks.repositories import PLANTED_LINE, PLANTED_PATH, Prepared, planted_blob, planted_text
from benchmarks.leaks.running import clean_environment, peak_bytes, run
from benchmarks.leaks.scanners import Scanner, Spot, blob_path

BINARY = ", binary"
"""Stands behind a scanner's name where it is called without its package's script."""
_SLOW = 5
"""Another scanner that takes so many times as long as the fastest is measured once."""


class Times(NamedTuple):
    """What the scanners took for one thing; one that did not report the planted token has no figure.

    Attributes:
        seconds: Medians, by the scanner's name.
        void: Why the others have none.
    """

    seconds: dict[str, float]
    void: dict[str, str]


class RepositoryTimes(NamedTuple):
    """What the scanners took for a repository.

    Attributes:
        repository: Which.
        tree: For its files.
        history: For its history, ours without knowing anything of it.
        again: Seconds of our second scan of the same history.
        memory: The most memory each had at once while it scanned the history, in bytes.
    """

    repository: Prepared
    tree: Times
    history: Times
    again: float
    memory: dict[str, int]


class Bench(NamedTuple):
    """What all measurements share.

    Attributes:
        ours: Our scanner.
        peers: The others.
        folder: Where files may be made.
        environment: Of all programs.
        rounds: How often each is measured.
    """

    ours: Scanner
    peers: Sequence[Scanner]
    folder: Path
    environment: Mapping[str, str]
    rounds: int

    @property
    def scanners(self) -> list[Scanner]:
        """Ours and the others."""
        return [self.ours, *self.peers]

    def forget(self) -> None:
        """Take away what our scanner remembers of histories; the compiled rules stay."""
        for kept in self.cache.glob("objects-*"):
            shutil.rmtree(kept)

    @property
    def cache(self) -> Path:
        """The folder in which our scanner keeps things."""
        return Path(self.environment["HOME"]) / ".cache" / "vantage-secrets" / "leaks"


def measure_repository(bench: Bench, repository: Prepared) -> RepositoryTimes:
    """Measure all scanners on a repository's files and history."""
    note(f"{repository.name}: working tree")
    tree = in_turns(bench, lambda scanner: scanner.tree, repository.tree)
    note(f"{repository.name}: history")
    history = in_turns(bench, lambda scanner: scanner.history, repository.history)
    again = _again(bench, repository.history)
    note(f"{repository.name}: memory")
    return RepositoryTimes(repository, tree, history, again, _memory(bench, repository.history))


class FileTimes(NamedTuple):
    """What the scanners took for one small file.

    Attributes:
        as_installed: Called as pip installs them, each by a script of Python.
        binaries: The others without that script, and ours, which is Python.
    """

    as_installed: Times
    binaries: Times


def measure_file(bench: Bench) -> FileTimes:
    """Measure all scanners on one small file, where little else counts than how a process starts."""
    note("one small file")
    file = _small_file(bench.folder)
    for scanner in bench.scanners:  # some compile their rules when they run for the first time
        run(scanner, scanner.tree, file, bench.environment)
    bare = [peer._replace(program=peer.binary, name=f"{peer.name}{BINARY}") for peer in bench.peers if peer.binary]
    more = bench._replace(peers=[*bench.peers, *bare], rounds=3 * bench.rounds)
    times = in_turns(more, lambda scanner: scanner.tree, file)
    as_installed = {name: seconds for name, seconds in times.seconds.items() if not name.endswith(BINARY)}
    binaries = {name: seconds for name, seconds in times.seconds.items() if name.endswith(BINARY)}
    own = {name: seconds for name, seconds in as_installed.items() if name == bench.ours.name}
    return FileTimes(Times(as_installed, times.void), Times(own | binaries, times.void))


def measure_compiling(bench: Bench) -> float:
    """Return how many seconds our scanner takes longer when it has no compiled rules, as on its first day."""
    file = _small_file(bench.folder)
    first, later = [], []
    for number in range(bench.rounds):
        fresh = clean_environment(bench.folder / f"home-{number}")
        first.append(run(bench.ours, bench.ours.tree, file, fresh).seconds)
        later.append(run(bench.ours, bench.ours.tree, file, fresh).seconds)
    return statistics.median(first) - statistics.median(later)


def _small_file(folder: Path) -> Path:
    file = folder / "one" / PLANTED_PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(planted_text(), "utf-8")
    return file


def in_turns(bench: Bench, words_of: Callable[[Scanner], Sequence[str]], target: Path) -> Times:
    """Run each scanner as often as asked, in an order that moves on, after one round that does not count.

    Raises:
        ValueError: One of them wrote no report.
    """
    scanners = [scanner for scanner in bench.scanners if words_of(scanner)]
    void: dict[str, str] = {}
    taken: dict[str, list[float]] = {}
    for number in range(-1, bench.rounds):
        at = number % len(scanners)
        for scanner in scanners[at:] + scanners[:at]:
            if number >= 0 and scanner is not bench.ours and is_slow(scanner.name, taken):
                continue
            bench.forget()
            done = run(scanner, words_of(scanner), target, bench.environment)
            taken.setdefault(scanner.name, []).append(done.seconds)
            if not has_planted(done.spots):
                void[scanner.name] = "did not report the planted token"
    seconds = {name: statistics.median(times[1:] or times) for name, times in taken.items() if name not in void}
    return Times(seconds, void)


def has_planted(spots: set[Spot]) -> bool:
    """Return whether the planted token is among what was reported."""
    places = (PLANTED_PATH, Path(PLANTED_PATH).name, blob_path(planted_blob()))
    return any((place, PLANTED_LINE) in spots for place in places)


def _again(bench: Bench, history: Path) -> float:
    """Return the median seconds of our scans of a history that one has read before."""
    run(bench.ours, bench.ours.history, history, bench.environment)
    later = [run(bench.ours, bench.ours.history, history, bench.environment) for _ in range(3 * bench.rounds)]
    if not all(has_planted(each.spots) for each in later):
        raise ValueError("our second scan of a history did not report the planted token")
    return statistics.median(each.seconds for each in later)


def is_slow(name: str, taken: Mapping[str, Sequence[float]]) -> bool:
    """Return whether a scanner took so long in the first round that it is not run again."""
    return taken[name][0] > _SLOW * min(times[0] for times in taken.values())


def _memory(bench: Bench, history: Path) -> dict[str, int]:
    found = {}
    for scanner in bench.scanners:
        if scanner.history:
            bench.forget()
            found[scanner.name] = peak_bytes(scanner, scanner.history, history, bench.environment)
    return found


def note(text: str) -> None:
    """Tell what is being measured."""
    print(f"==> {text}", file=sys.stderr, flush=True)
