"""Leader and followers: threads that want to write at once share one write.

The first to come leads: it writes for all who wait, and hands the lead to one of those who came meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

GATHER_SECONDS_MAX: Final = 0.000_3
"""How long a leader waits, in seconds, for as many as came last time: about one sync of a local disk."""


class Ticket:
    """What one thread wants written, and how that ended.

    Attributes:
        bodies: Encoded events.
        may_spool: Whether they may go to the spool.
        refusal: Message and hint when they were written nowhere; set before the ticket is done.
    """

    __slots__ = ("bodies", "done", "leads", "may_spool", "refusal", "woken")

    def __init__(self, bodies: Sequence[bytes], *, may_spool: bool) -> None:
        """Begin as neither done nor leading."""
        self.bodies = bodies
        self.may_spool = may_spool
        self.refusal: tuple[str, str | None] | None = None
        self.done = False
        self.leads = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Turns:
    """Brings threads together in groups.

    Args:
        write: Called with a group's tickets by one thread at a time; when it returns, they are settled.
    """

    def __init__(self, write: Callable[[list[Ticket]], None]) -> None:
        """Nobody leads yet."""
        self._write = write
        self._mutex = threading.Lock()
        self._waiting: list[Ticket] = []
        self._is_led = False
        self._size_before = 1
        self._wanted = 0
        self._gathered = threading.Lock()
        self._gathered.acquire()

    def take(self, ticket: Ticket) -> None:
        """Return when ``ticket`` was part of a group that was written, by this thread or by another one."""
        with self._mutex:
            self._waiting.append(ticket)
            if len(self._waiting) == self._wanted:
                self._wanted = 0
                self._gathered.release()
            ticket.leads, self._is_led = not self._is_led, True
        if not ticket.leads:
            self._wait(ticket)
        if not ticket.done:
            self._lead()

    def _wait(self, ticket: Ticket) -> None:
        try:
            ticket.woken.acquire()
        except BaseException:  # A signal's handler raised: others must not wait for a leader that is gone.
            with self._mutex:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                if ticket.leads and not ticket.done:
                    self._hand_on()
            raise

    def _lead(self) -> None:
        group: list[Ticket] = []
        try:
            self._gather()
            with self._mutex:
                group, self._waiting = self._waiting, group
            self._size_before = len(group)
            self._write(group)
        finally:
            with self._mutex:
                self._hand_on()
            for ticket in group:
                ticket.done = True
                ticket.woken.release()

    def _gather(self) -> None:
        """Let the threads of the last group come back first: without this, each sync would serve one or two."""
        with self._mutex:
            if len(self._waiting) >= self._size_before:
                return
            self._wanted = self._size_before
        if not self._gathered.acquire(timeout=GATHER_SECONDS_MAX):
            with self._mutex:
                if self._wanted:
                    self._wanted = 0
                else:
                    self._gathered.acquire()

    def _hand_on(self) -> None:
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].woken.release()
        else:
            self._is_led = False
