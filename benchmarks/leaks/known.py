"""What the search for our own values adds to the scan of a history.

``python -m benchmarks.leaks.known HISTORY CACHE COUNT`` is one scan with so many values, in a process of its own, and
prints its seconds as JSON.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.leaks.running import run
from benchmarks.leaks.scanners import Scanner
from benchmarks.leaks.speed import Bench, note
from vantage_secrets.bootstrap import initialise
from vantage_secrets.leaks.examples import expand
from vantage_secrets.leaks.finding import Finding, KnownVersion
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known import KnownSearch, KnownValue
from vantage_secrets.leaks.scanner import Scan, Settings
from vantage_secrets.secret import SecretName, SecretValue
from vantage_secrets.stores.registry import open_store

PLANTED = 15
"""Which of the values stands in the history."""
_SHAPES = ("{alnum:40}", "{base64:43}=", "{hex:64}", "vk_live_{alnum:32}", "{uuid}")


class KnownTimes(NamedTuple):
    """What the values add to the scan of a history; all in seconds.

    Attributes:
        name: Of the repository.
        value_count: How many values.
        without: The scan, without them.
        with_them: The scan, with them.
        preparing: Making the search, once for each process.
        command: The whole command, ``--known`` with an embedded store.
        bare_command: The same command without ``--known``.
    """

    name: str
    value_count: int
    without: float
    with_them: float
    preparing: float
    command: float
    bare_command: float


def known_texts(count: int) -> list[str]:
    """Return ``count`` values, always the same ones."""
    generator = random.Random(4)
    return [expand(_SHAPES[number % len(_SHAPES)], generator) for number in range(count)]


def measure_known(bench: Bench, name: str, history: Path, count: int) -> KnownTimes:
    """Measure scans of ``history`` with and without ``count`` values, in turns, each in a process of its own.

    Raises:
        ValueError: The value that stands in the history was not found.
    """
    note(f"{name}: {count:,} known values")
    without, with_them, preparing = [], [], []
    for _round in range(bench.rounds):
        without.append(_scan_in_process(bench, history, 0)["scanning"])
        seconds = _scan_in_process(bench, history, count)
        with_them.append(seconds["scanning"])
        preparing.append(seconds["preparing"])
    command, bare_command = _commands(bench, history, count)
    return KnownTimes(
        name,
        count,
        statistics.median(without),
        statistics.median(with_them),
        statistics.median(preparing),
        command,
        bare_command,
    )


def _scan_in_process(bench: Bench, history: Path, count: int) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.leaks.known", str(history), str(bench.cache), str(count)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=dict(bench.environment))
    seconds: dict[str, float] = json.loads(done.stdout)
    if seconds["found"] != (1 if count else 0):
        raise ValueError("the known value in the history was not found")
    return seconds


def _commands(bench: Bench, history: Path, count: int) -> tuple[float, float]:
    """Return the seconds of whole commands with and without the values of a store."""
    folder = bench.folder / f"store-of-{count}"
    if not folder.exists():
        _fill(folder, count)
    words = [word for word in bench.ours.history if word != "{target}"]
    with_known = Scanner(bench.ours.name, bench.ours.program, (), [*words, "--known", str(history)], bench.ours.read)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for _round in range(bench.rounds):
        for is_known, scanner in ((True, with_known), (False, bench.ours)):
            bench.forget()
            # The manifest is found from the folder that the command is started in.
            target = folder if is_known else history
            taken[is_known].append(run(scanner, scanner.history, target, bench.environment).seconds)
    return statistics.median(taken[True]), statistics.median(taken[False])


def _fill(folder: Path, count: int) -> None:
    """Make a manifest with an embedded store of ``count`` secrets."""
    folder.mkdir()
    manifest = initialise(folder, environment="bench")
    options = {"key_file": str(manifest.store.key_file)}
    # Without the audit log, whose events would take most of the time.
    with closing(open_store(manifest.store.url, environment=manifest.environment, options=options)) as store:
        for number, text in enumerate(known_texts(count)):
            name = SecretName(f"bench/secret-{number}")
            version = store.stage(name, SecretValue(text), token=f"bench-{number}")
            store.promote(name, version.id, expect_current=None)


def main(words: Sequence[str]) -> None:
    """Scan a history with so many values of ours and print what it took."""
    history, cache, count = Path(words[0]), Path(words[1]), int(words[2])
    key = FingerprintKey(b"benchmark " * 4)
    found = []

    def listen(finding: Finding, _value: bytes) -> None:  # with a listener, nothing is taken from the cache
        if finding.known:
            found.append(finding)

    scan = Scan(Settings(lambda: key, cache, listener=listen, cores=len(os.sched_getaffinity(0))))
    began = time.perf_counter()
    if count:
        values = [
            KnownValue(KnownVersion(f"SECRET_{number}", "1", "current", "CURRENT"), SecretValue(text))
            for number, text in enumerate(known_texts(count))
        ]
        scan.look_for(KnownSearch(values, key), None)
    prepared = time.perf_counter()
    scan.read_history(history)
    ended = time.perf_counter()
    print(json.dumps({"preparing": prepared - began, "scanning": ended - prepared, "found": len(found)}))


if __name__ == "__main__":
    main(sys.argv[1:])
