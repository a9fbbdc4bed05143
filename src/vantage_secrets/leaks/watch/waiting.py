"""Pushes that were accepted and are not scanned yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.watch.pushes import Push
from vantage_secrets.leaks.watch.spool import Record, Spool

_PER_REPOSITORY_MAX = 100
"""One that waits is enough for all that were pushed until its scan begins, so a flood needs no room."""


class WaitingPushes:
    """Accepted pushes, kept on the disk until they were scanned. Safe from several threads.

    Args:
        folder: Where they are kept.

    Raises:
        InvalidInputError: A file in the folder is no push.
    """

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder)
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Record]] = {}
        for record in self._spool.records():
            try:
                push = Push.of(record.content)
            except ValueError:
                raise InvalidInputError(f"'{record.path}' is no push.", hint="Remove the file.") from None
            self._waiting.setdefault(push.repository, []).append(record)

    def add(self, push: Push) -> None:
        """Keep a push; when this returns, it is not forgotten before a scan that began afterwards has ended well.

        Raises:
            OSError: It cannot be written; it is not accepted.
        """
        with self._lock:
            waiting = self._waiting.setdefault(push.repository, [])
            if len(waiting) < _PER_REPOSITORY_MAX:
                waiting.append(self._spool.add(push.plain()))

    def repositories(self) -> list[str]:
        """Return the names of repositories that have pushes waiting."""
        with self._lock:
            return [name for name, waiting in self._waiting.items() if waiting]

    def take(self, repository: str) -> list[Record]:
        """Return what waits, for a scan that begins now; it stays on the disk."""
        with self._lock:
            return self._waiting.pop(repository, [])

    def give_back(self, repository: str, records: list[Record]) -> None:
        """Let what was taken wait again, since its scan did not end well."""
        with self._lock:
            self._waiting[repository] = records + self._waiting.get(repository, [])

    def forget(self, records: Iterable[Record]) -> None:
        """Forget what was scanned."""
        for record in records:
            self._spool.remove(record)
