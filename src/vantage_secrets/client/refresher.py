"""The one background thread of a client, and what happens to it at a fork and when the interpreter ends."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from datetime import timedelta
from typing import Final, Protocol

LOOK_EVERY_SECONDS: Final = 15.0
"""Longest sleep. A sleeping thread does not notice that the machine was suspended or the clock set: after that, a
value that is too old is served for at most this long."""

EXIT_WAIT_SECONDS: Final = 1.0
"""How long the interpreter's end waits for a fetch that is under way; the thread is a daemon and dies then."""


class Refreshed(Protocol):
    """What a refresher works for."""

    def run_due(self) -> timedelta | None:
        """Do what is due; return how long until something is due again, ``None`` for "nothing is cached"."""

    def renew_after_fork(self) -> None:
        """Make this object usable in a child process."""

    def stop_refreshing(self, timeout_seconds: float) -> None:
        """End the background thread, because the interpreter ends."""


class Refresher:
    """Calls ``run_due`` of its owner in one daemon thread, whenever something is due.

    It keeps no owner alive: a client that nobody refers to any more ends its thread.
    """

    def __init__(self, owner: Refreshed) -> None:
        """Know ``owner``; start nothing yet."""
        self._wake = wake = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        key = id(owner)

        def end(_ref: object) -> None:
            _living.pop(key, None)
            wake.set()

        self._owner = _living[key] = weakref.ref(owner, end)

    def start(self) -> None:
        """Let the thread run; does nothing when it runs already or was stopped."""
        if self._thread is not None:
            return
        with self._start_lock:
            if self._thread is None and not self._stopped:
                thread = threading.Thread(
                    target=_refresh_until, args=(self._owner, self._wake), name="vantage-secrets-refresh", daemon=True
                )
                thread.start()
                self._thread = thread

    def stop(self, timeout_seconds: float | None = None) -> None:
        """Wake the thread and wait for its end, except from within the thread itself. Safe to repeat."""
        with self._start_lock:
            self._stopped = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)


def _refresh_until(owner: weakref.ref[Refreshed], wake: threading.Event) -> None:
    while not wake.is_set():
        refreshed = owner()
        if refreshed is None:
            return
        delay = refreshed.run_due()
        del refreshed
        wake.wait(LOOK_EVERY_SECONDS if delay is None else min(max(delay.total_seconds(), 0.0), LOOK_EVERY_SECONDS))


# A plain dictionary and not a WeakSet: copying it is one step of the interpreter, which a fork cannot cut in two.
_living: dict[int, weakref.ref[Refreshed]] = {}


def _owners() -> list[Refreshed]:
    return [owner for ref in list(_living.values()) if (owner := ref()) is not None]


def _renew_after_fork() -> None:
    for owner in _owners():
        owner.renew_after_fork()


def _stop_at_exit() -> None:
    # A daemon thread that is inside SQLite or a TLS library while the interpreter is torn down may crash it.
    for owner in _owners():
        owner.stop_refreshing(EXIT_WAIT_SECONDS)


os.register_at_fork(after_in_child=_renew_after_fork)
atexit.register(_stop_at_exit)
