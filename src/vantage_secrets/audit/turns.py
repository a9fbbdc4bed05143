"""Threads that want to write at once share one write.

As many threads as lately wrote at once are expected again: the last of them to come leads, which means that it
writes for all who wait. The first to come waits no longer than :data:`GATHER_SECONDS_MAX` for the others and
then leads itself. Who comes during a write forms the next group, and one of those leads it.

The threads of a group wait at one gate. Whoever gets through finds the group written, and opens the gate for the
next; or finds it unwritten, and leads. Waking one thread by another costs less than one thread waking all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

GATHER_SECONDS_MAX: Final = 0.001
"""How long a group waits for those who are expected, in seconds.

Longer than a group of eight takes on a local disk (0.4 ms measured), so that the wait of the first to come does not
run out while the group is written: that wakes a thread for nothing, and cost 8 % of the throughput. When fewer threads
come than lately, one append pays this wait, once.
"""


class Ticket:
    """What one thread wants written, and how that ended.

    Attributes:
        bodies: Encoded events.
        may_spool: Whether they may go to the spool.
        refusal: Message and hint when they were written nowhere.
    """

    __slots__ = ("bodies", "may_spool", "refusal")

    def __init__(self, bodies: Sequence[bytes], *, may_spool: bool) -> None:
        """Begin without a refusal."""
        self.bodies = bodies
        self.may_spool = may_spool
        self.refusal: tuple[str, str | None] | None = None


class _Group:
    __slots__ = ("gate", "is_written", "tickets")

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.is_written = False
        self.gate = threading.Lock()
        self.gate.acquire()


class Turns:
    """Brings threads together in groups.

    Args:
        write: Called with a group's tickets by one thread at a time; when it returns, they are settled.
    """

    def __init__(self, write: Callable[[list[Ticket]], None]) -> None:
        """Nobody waits and nobody leads yet."""
        self._write = write
        self._mutex = threading.Lock()
        self._forming = _Group()
        self._is_led = False  # Some thread writes, or was let through the gate to do so.
        self._expected = 1  # Threads that lately wrote or waited at once.
        self._complete: threading.Lock | None = None  # Where a leader waits for those who are expected.

    def take(self, ticket: Ticket) -> None:
        """Return when ``ticket`` was part of a group that was written, by this thread or by another one."""
        with self._mutex:
            group = self._forming
            group.tickets.append(ticket)
            count = len(group.tickets)
            is_free = not self._is_led
            leads = is_free and count >= self._expected
            if leads:
                self._close()
            elif self._complete is not None and count >= self._expected:
                self._complete.release()
                self._complete = None
        if leads:
            self._lead(group)
        else:
            self._wait(group, ticket, GATHER_SECONDS_MAX if is_free and count == 1 else -1)

    def _close(self) -> None:
        """Take the lead; who comes from now on belongs to the next group. The mutex is held."""
        self._is_led = True
        self._forming = _Group()

    def _wait(self, group: _Group, ticket: Ticket, timeout: float) -> None:
        try:
            if not group.gate.acquire(timeout=timeout):
                with self._mutex:
                    leads = group is self._forming and not self._is_led
                    if leads:
                        self._close()
                if leads:
                    self._lead(group)
                    return
                group.gate.acquire()
        except BaseException:  # A signal's handler raised: the others must not wait for a thread that is gone.
            self._leave(group, ticket)
            raise
        if group.is_written:
            group.gate.release()
        else:
            self._gather(group)
            self._lead(group)

    def _gather(self, group: _Group) -> None:
        """Wait a moment for as many as are expected, then close the group."""
        complete = threading.Lock()
        complete.acquire()
        with self._mutex:
            if len(group.tickets) < self._expected:
                self._complete = complete
        if self._complete is complete:
            complete.acquire(timeout=GATHER_SECONDS_MAX)
        with self._mutex:
            self._complete = None
            self._close()

    def _lead(self, group: _Group) -> None:
        try:
            self._write(group.tickets)
        finally:
            with self._mutex:
                forming = self._forming
                self._expected = len(group.tickets) + len(forming.tickets)
                self._is_led = bool(forming.tickets)
                if self._is_led:
                    forming.gate.release()
            group.is_written = True
            group.gate.release()

    def _leave(self, group: _Group, ticket: Ticket) -> None:
        """Take the ticket out of a group that nobody has begun to write."""
        with self._mutex:
            if group is not self._forming:
                return
            group.tickets.remove(ticket)
            if group.tickets and not self._is_led:
                self._is_led = True
                group.gate.release()
            elif not group.tickets and self._is_led and group.gate.acquire(blocking=False):
                self._is_led = False
