"""The environment and the arguments that processes were started with; Linux, proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.contract import Document, reason_of
from vantage_secrets.leaks.sources.recognition import shown

_CHUNK_BYTES = 1_048_576
_NAME_LENGTH_MAX = 80


class EnvironmentSource:
    """What ``/proc`` tells of one process or of all: what it was given, not what it changed since.

    Args:
        pid: The process, or ``None`` for all of them.

    Raises:
        InvalidInputError: There is no such process, or no ``/proc``.
    """

    def __init__(self, pid: int | None) -> None:
        """Look whether it is there."""
        if not os.path.isdir("/proc/self"):  # noqa: PTH112
            raise InvalidInputError("Environments of processes cannot be read here: there is no /proc.", hint="")
        if pid is not None and (pid <= 0 or not os.path.isdir(f"/proc/{pid}")):  # noqa: PTH112
            raise InvalidInputError(f"There is no process {pid}.", hint="Name one that runs, or 'all'.")
        self._pid = pid

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield each variable as ``NAME=value``, and the arguments of each process as one line.

        A process that ends meanwhile is no miss, unless it is the one that was asked for.
        """
        if self._pid is not None:
            yield from _process(self._pid, coverage, is_asked_for=True)
            return
        for name in sorted(filter(str.isdecimal, os.listdir("/proc")), key=int):  # noqa: PTH208
            yield from _process(int(name), coverage, is_asked_for=False)


def _process(pid: int, coverage: Coverage, *, is_asked_for: bool) -> Iterator[Document]:
    place = Place(f"process {pid}", kind="environment")
    try:
        name = _read(pid, "comm").decode("utf-8", "replace").strip()
        place = place._replace(source=f"process {pid} ({shown(name)})")
        arguments, variables = _read(pid, "cmdline"), _read(pid, "environ")
    except (FileNotFoundError, ProcessLookupError):
        if is_asked_for:
            coverage.miss(place, "it ended")
        return
    except OSError as exc:
        coverage.miss(place, reason_of(exc))
        return
    coverage.add("process", 1, len(arguments) + len(variables))
    if arguments:
        line = arguments.rstrip(b"\0").replace(b"\0", b" ")
        yield Document(place._replace(path="arguments"), line)
    for variable in filter(None, variables.split(b"\0")):
        yield Document(place._replace(path=_name_of(variable)), variable)


def _name_of(variable: bytes) -> str:
    """Return the name of ``NAME=value``. What has no name is no variable, and is not shown: it may be a value."""
    name, mark, _ = variable.partition(b"=")
    text = name.decode("utf-8", "surrogateescape")
    return shown(text) if mark and len(text) <= _NAME_LENGTH_MAX else "(no name)"


def _read(pid: int, name: str) -> bytes:
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while data := os.read(descriptor, _CHUNK_BYTES):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(descriptor)
