"""How long a program takes, and how much memory it and all it starts have at once."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.leaks.scanners import Scanner, Spot, folder_of

_SAMPLE_SECONDS = 0.01
_PEERS_VARIABLES = ("BETTERLEAKS_", "GITLEAKS_", "GIT_", "KF_", "KINGFISHER_", "PYTHON", "VANTAGE_", "XDG_")
"""How variables begin that would change what a scanner does."""


class Run(NamedTuple):
    """One run of a scanner.

    Attributes:
        seconds: From start to end.
        spots: What it reported.
    """

    seconds: float
    spots: set[Spot]


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment with a home folder of its own and without settings of any scanner."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PEERS_VARIABLES)}
    home.mkdir(parents=True, exist_ok=True)
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8"}


def run(scanner: Scanner, words: Sequence[str], target: Path, environment: Mapping[str, str]) -> Run:
    """Let ``scanner`` scan ``target`` and return how long it took and what it found.

    Raises:
        ValueError: It wrote no report, or one that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        process, began = _started(scanner, words, target, report, environment)
        process.wait()
        seconds = time.perf_counter() - began
        return Run(seconds, scanner.spots(report, target) if _has(report) else _no_report(scanner, process.returncode))


def peak_bytes(scanner: Scanner, words: Sequence[str], target: Path, environment: Mapping[str, str]) -> int:
    """Return the most memory, in bytes, that a scan had at once with all the processes it started.

    Looks every few milliseconds, so this is not for a run whose time is taken.
    """
    with tempfile.TemporaryDirectory() as folder:
        process, _began = _started(scanner, words, target, Path(folder) / "report.json", environment)
        peak = 0
        while process.poll() is None:
            peak = max(peak, bytes_of_family(process.pid))
            time.sleep(_SAMPLE_SECONDS)
    return peak


def bytes_of_family(pid: int) -> int:
    """Return the memory of a process and its descendants now, in bytes.

    That is the proportional set size of each (proc(5), ``smaps_rollup``): what several share is counted once. Of files
    in memory (memfd_create(2)), all counts, whoever has them mapped or not. No less than the most that one of the
    processes had at any time (``VmHWM``), which a look in between may have missed.
    """
    private, mapped, most = 0, 0, 0
    files: dict[int, int] = {}
    for each in _family(pid):
        sizes = _fields(f"/proc/{each}/smaps_rollup")
        private += sizes.get("Pss_Anon", 0) + sizes.get("Pss_File", 0)
        mapped += sizes.get("Pss_Shmem", 0)
        most = max(most, _fields(f"/proc/{each}/status").get("VmHWM", 0))
        files.update(_files_in_memory(each))
    return max(private + max(mapped, sum(files.values())), most)


def _started(
    scanner: Scanner, words: Sequence[str], target: Path, report: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], float]:
    with (report if scanner.writes_to_output else Path(os.devnull)).open("wb") as output:
        command = scanner.command(words, target, report)
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.DEVNULL, env=dict(environment), cwd=folder_of(target)
        )
    return process, began


def _has(report: Path) -> bool:
    return report.exists() and report.stat().st_size > 0


def _no_report(scanner: Scanner, code: int) -> set[Spot]:
    raise ValueError(f"{scanner.name} ended with {code} and wrote no report")


def _family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (parent := _parent_of(folder)):
            children.setdefault(parent, []).append(int(folder.name))
    family, waiting = [], [pid]
    while waiting:
        family.append(waiting.pop())
        waiting += children.get(family[-1], [])
    return family


def _parent_of(folder: Path) -> int:
    try:
        stat = (folder / "stat").read_text("latin-1")
    except OSError:  # it has ended
        return 0
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def _fields(path: str) -> dict[str, int]:
    """Return the sizes in a file of ``/proc``, in bytes; none when the process has ended."""
    try:
        lines = Path(path).read_text("latin-1").splitlines()
    except OSError:
        return {}
    words = (line.split() for line in lines)
    return {each[0].rstrip(":"): int(each[1]) * 1024 for each in words if len(each) == 3 and each[2] == "kB"}


def _files_in_memory(pid: int) -> dict[int, int]:
    """Return number and size of the files in memory that a process has open."""
    found = {}
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if str(entry.readlink()).startswith("/memfd:"):
                told = entry.stat()
                found[told.st_ino] = told.st_blocks * 512
    except OSError:  # it has ended, or closed the file
        pass
    return found
