"""The writing side: what was handed out in this process, brought to the control database in the background."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Final

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.receipts.place import instance_name, with_connection
from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from vantage_secrets.database import Database

HEARTBEAT: Final = timedelta(seconds=30)
"""How often a process says that what it wrote is still so."""

MISSED_HEARTBEATS: Final = 3
"""After so many that did not come a process is unknown: one may be late, two are chance."""

BEGIN_SECONDS: Final = 1.0
"""How long after the first hand-out writing begins. A process that is over by then leaves no receipt, and never
imports the database toolkit, which would cost it a third of a second."""

RETRY_SECONDS: Final = 5.0
"""How long after a failure writing is tried again."""

CLOSE_WAIT_SECONDS: Final = 2.0
"""How long the end of a process waits for its goodbye; without one it becomes unknown."""

FORK_WAIT_SECONDS: Final = 1.0
"""How long a fork waits for a write under way, so that the child inherits neither half an import nor an open
database."""

KEPT_MAX: Final = 10_000
"""How many unwritten changes are kept while the database is away; then receipts that began and ended meanwhile are
left out of the past."""

PREDECESSOR_LOOKS: Final = MISSED_HEARTBEATS + 2
"""With how many of its first heartbeats a process ends what one of its very name left: by then that is overdue. Later
there can be nothing, and the look goes through the whole table."""

UNHEARD: Final = "env"
"""The connection that stands for values in a program's environment, where nobody is left to send heartbeats."""


class _Receipt:
    """One version that was handed out; compared by identity."""

    __slots__ = ("connection", "ended", "row_id", "secret", "since", "version_id")

    def __init__(self, secret: str, connection: str, version_id: str, since: datetime) -> None:
        self.secret = secret
        self.connection = connection
        self.version_id = version_id
        self.since = since
        self.ended: tuple[datetime, str] | None = None  # when and how; one value, so that no thread sees half of it
        self.row_id: int | None = None


class ReceiptBook:
    """Notes which versions this process was handed, and keeps the control database told of it.

    A note does no I/O. A daemon thread begins to write about a second after the first one, writes each change at
    once, says every :data:`HEARTBEAT` that the rest is still so, and says goodbye in :meth:`close` or when the
    interpreter ends. While the database is away the notes are kept, and are written when it is back. Safe to use
    from many threads and after ``os.fork``: a child holds what its parent was handed, under its own name.

    Args:
        open_database: Opens the control database; called in the background, once in each process.
        service: Which consumer of the manifest this process is.
        instance: Returns this process's name; asked again after a fork.
        clock: The present.
        background: Whether a daemon thread writes; without it, call :meth:`flush`.

    Attributes:
        failure_count: Writes that the database did not take; each was tried again.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        *,
        service: str,
        instance: Callable[[], str] = instance_name,
        clock: Clock = utc_now,
        background: bool = True,
    ) -> None:
        """Note nothing and start nothing yet."""
        self.failure_count = 0
        self.service = service
        self._open_database = open_database
        self._ask_instance = instance
        self._clock = clock
        self._is_background = background
        self._number = next(_numbers)
        self._open: dict[tuple[str, str], _Receipt] = {}
        self._is_closed = False
        self._renew()
        _living[id(self)] = weakref.ref(self, self._end_of(id(self), self._stop, self._wake))

    def _renew(self) -> None:
        self.instance = self._ask_instance() if self._number == 1 else f"{self._ask_instance()}/{self._number}"
        self._database: Database | None = None
        self._is_away = False
        self._has_begun = False
        self._looks_due = PREDECESSOR_LOOKS
        # A dictionary for a set that keeps its order.
        self._changed: dict[_Receipt, None] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @staticmethod
    def _end_of(key: int, stop: threading.Event, wake: threading.Event) -> Callable[[object], None]:
        def end(_ref: object) -> None:
            _living.pop(key, None)
            stop.set()
            wake.set()

        return end

    def hand_out(self, secret: SecretName, version_id: str, connection: str = "") -> None:
        """Note that the application was handed a version; does nothing when it was so before.

        Args:
            secret: The secret.
            version_id: The version.
            connection: The long-lived connection that uses it, where the process has several.
        """
        key = (str(secret), connection)
        with self._lock:
            before = self._open.get(key)
            if self._is_closed or (before is not None and before.version_id == version_id):
                return
            now = self._clock()
            if before is not None:
                before.ended = (now, "moved")
                self._changed[before] = None
            self._note(key, version_id, now)
        self._start()

    def let_go(self, secret: SecretName, connection: str = "") -> None:
        """Note that a connection was closed, or that the process uses the secret no more. Safe to repeat."""
        with self._lock:
            held = self._open.pop((str(secret), connection), None)
            if held is not None:
                held.ended = (self._clock(), "closed")
                self._changed[held] = None
        self._wake.set()

    def _note(self, key: tuple[str, str], version_id: str, since: datetime) -> None:
        receipt = self._open[key] = _Receipt(*key, version_id, since)
        self._changed[receipt] = None

    def flush(self) -> bool:
        """Write what changed and say that the rest is still so; return whether the database took it.

        Never raises for a database that is away: that is counted, and logged once.
        """
        return self._write(beats=True)

    def close(self) -> None:
        """Say goodbye, if anything was written, and note nothing more. Safe to repeat.

        Waits for the database at most :data:`CLOSE_WAIT_SECONDS`.
        """
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._stop.set()
        self._wake.set()
        if thread is None:
            self._say_goodbye()
        elif thread is not threading.current_thread():
            thread.join(CLOSE_WAIT_SECONDS)

    def renew_after_fork(self) -> None:
        """Be another process; called in the child by Python itself.

        What the parent was handed the child may use as well, so that it holds it under its own name from now on:
        a server that reads before it forks, and a daemon whose parent ends, stay on record. The parent's
        connections are not the child's.
        """
        handed = {key: receipt.version_id for key, receipt in list(self._open.items()) if not key[1]}
        self._renew()
        self._open = {}
        _living[id(self)] = weakref.ref(self, self._end_of(id(self), self._stop, self._wake))
        if handed and not self._is_closed:
            now = self._clock()
            for key, version_id in handed.items():
                self._note(key, version_id, now)
            self._start()

    def _start(self) -> None:
        self._wake.set()
        if self._thread is not None or not self._is_background:
            return
        with self._lock:
            if self._thread is None and not self._is_closed:
                arguments = (weakref.ref(self), self._stop, self._wake)
                thread = threading.Thread(
                    target=_write_until, args=arguments, name="vantage-secrets-receipts", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter ends: a read goes on all the same
                    self.failure_count += 1
                    return
                self._thread = thread

    def _say_goodbye(self) -> None:
        if not self._has_begun:
            return
        with self._lock:
            now = self._clock()
            for held in self._open.values():
                held.ended = (now, "closed")
                self._changed[held] = None
            self._open.clear()
        self._write(beats=False)

    def _write(self, *, beats: bool) -> bool:
        with self._writing:
            self._has_begun = True
            with self._lock:
                changed, self._changed = self._changed, {}
                beating = [held for held in self._open.values() if held.row_id is not None] if beats else []
            if not changed and not beating:
                return True
            try:
                lost = self._write_rows(list(changed), beating, beats=beats)
            except Exception as exc:
                self._keep(changed)
                self._note_failure(exc)
                return False
            self._is_away = False
        if lost:  # A database brought back from a copy, or a person who was mistaken: it is told anew.
            self._keep(dict.fromkeys(lost))
        return True

    def _write_rows(self, changed: list[_Receipt], beating: list[_Receipt], *, beats: bool) -> list[_Receipt]:
        """Write in one transaction; return those of ``beating`` whose rows are not open any more."""
        from vantage_secrets.receipts import rows  # imports SQLAlchemy

        if self._database is None:
            self._database = self._open_database()
        now = self._clock()
        expected_by = now + MISSED_HEARTBEATS * HEARTBEAT
        new_ids: dict[_Receipt, int] = {}
        try:
            with self._database.transaction() as connection:
                for receipt in changed:
                    if receipt.row_id is None:
                        new_ids[receipt] = rows.insert(connection, self._values(receipt, now, expected_by))
                    elif receipt.ended is not None:
                        rows.end(connection, receipt.row_id, *receipt.ended)
                ids = {receipt.row_id: receipt for receipt in beating if receipt.row_id is not None}
                lost = [ids[row_id] for row_id in rows.beat(connection, list(ids), now, expected_by)]
                if beats and self._looks_due:  # each row of this process was heard of just now
                    rows.end_predecessors(connection, self.service, self.instance, now, but=UNHEARD)
        finally:
            # No connection is kept: a fork would share it, and a fleet would keep thousands of them open.
            self._database.close()
        if beats:
            self._looks_due = max(self._looks_due - 1, 0)
        for receipt, row_id in new_ids.items():
            receipt.row_id = row_id
        for receipt in lost:
            receipt.row_id = None
        return lost

    def _values(self, receipt: _Receipt, now: datetime, expected_by: datetime) -> dict[str, object]:
        ended_at, ended_by = receipt.ended or (None, None)
        return {
            "secret": receipt.secret,
            "service": self.service,
            "instance": with_connection(self.instance, receipt.connection),
            "version_id": receipt.version_id,
            "since": receipt.since,
            "seen_at": ended_at or now,
            "expected_by": expected_by,
            "ended_at": ended_at,
            "ended_by": ended_by,
        }

    def _keep(self, changed: dict[_Receipt, None]) -> None:
        with self._lock:
            kept = changed | self._changed
            if len(kept) > KEPT_MAX:
                kept = {each: None for each in kept if each.row_id is not None or each.ended is None}
            self._changed = kept
        self._wake.set()

    def _note_failure(self, error: Exception) -> None:
        self.failure_count += 1
        if not self._is_away:
            self._is_away = True
            import logging

            # SECURITY: the class only: a driver's text may hold the database's address and password.
            logging.getLogger("vantage_secrets.receipts").warning(
                "Receipts cannot be written now (%s); they are kept and tried again.", type(error).__name__
            )


def _write_until(ref: weakref.ref[ReceiptBook], stop: threading.Event, wake: threading.Event) -> None:
    if stop.wait(BEGIN_SECONDS):
        return
    beat_due = 0.0
    while not stop.is_set():
        wake.clear()
        book = ref()
        if book is None:
            return
        beats = time.monotonic() >= beat_due
        if beats:
            beat_due = time.monotonic() + HEARTBEAT.total_seconds()
        taken = book._write(beats=beats)
        del book
        if taken:
            wake.wait(max(beat_due - time.monotonic(), 0.0))
        else:
            beat_due = 0.0
            stop.wait(RETRY_SECONDS)
    book = ref()
    if book is not None:
        book._say_goodbye()


_numbers = count(1)

# A plain dictionary and not a WeakSet: copying it is one step of the interpreter, which a fork cannot cut in two.
_living: dict[int, weakref.ref[ReceiptBook]] = {}


def _books() -> list[ReceiptBook]:
    return [book for ref in list(_living.values()) if (book := ref()) is not None]


_held_for_fork: list[threading.Lock] = []


def _before_fork() -> None:
    for book in _books():
        if book._writing.acquire(timeout=FORK_WAIT_SECONDS):
            _held_for_fork.append(book._writing)


def _after_fork_in_parent() -> None:
    while _held_for_fork:
        _held_for_fork.pop().release()


def _after_fork_in_child() -> None:
    _held_for_fork.clear()
    multiprocessing = sys.modules.get("multiprocessing.util")
    for book in _books():
        book.renew_after_fork()
        if multiprocessing is not None:
            multiprocessing.register_after_fork(book, _close_with_multiprocessing)


def _close_with_multiprocessing(book: ReceiptBook) -> None:
    # A child of multiprocessing leaves by os._exit, without atexit; it has its own way of ending things, which it
    # clears after the fork and before this.
    from multiprocessing.util import Finalize

    Finalize(None, book.close, exitpriority=0)


def _close_at_exit() -> None:
    for book in _books():
        book.close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(_close_at_exit)
