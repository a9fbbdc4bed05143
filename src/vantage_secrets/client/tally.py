"""Counting what a client does, and telling the application's metrics and log."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vantage_secrets.client.readings import ClientEvent, ClientEventKind, ClientStats
from vantage_secrets.clock import Clock
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.secret import SecretName


class Tally:
    """Keeps a client's counters and passes its events on.

    Args:
        clock: Where the events' times come from.
        on_event: Who gets the events, if anyone.
    """

    def __init__(self, clock: Clock, on_event: Callable[[ClientEvent], object] | None) -> None:
        """Begin at zero."""
        self._clock = clock
        self._on_event = on_event
        self._counts: dict[str, int] = {}
        self.renew()

    def renew(self) -> None:
        """Take a new lock: for a forked child. The counts go on from the parent's."""
        self._lock = threading.Lock()

    def count(self, counter: str) -> None:
        """Add one to ``counter``, an attribute of :class:`ClientStats`."""
        with self._lock:
            self._counts[counter] = self._counts.get(counter, 0) + 1

    def stats(self, *, one_flight_waits: int, receipt_failures: int) -> ClientStats:
        """Return the counters as they are now, with those that are kept elsewhere."""
        with self._lock:
            return ClientStats(one_flight_waits=one_flight_waits, receipt_failures=receipt_failures, **self._counts)

    def stale_read(self, name: SecretName, version_id: str) -> None:
        """Count a stale read."""
        self.count("stale_reads")
        self._emit(ClientEventKind.STALE_READ, name, version_id)

    def version_change(self, name: SecretName, version_id: str) -> None:
        """Count a change of version."""
        self.count("version_changes")
        self._emit(ClientEventKind.VERSION_CHANGED, name, version_id)

    def refresh_failure(self, name: SecretName, error: Exception) -> None:
        """Count a fetch that failed; whoever asked for it gets the error."""
        self.count("refresh_failures")
        self._emit(ClientEventKind.REFRESH_FAILED, name, _word(error))

    def background_failure(self, name: SecretName, error: Exception) -> None:
        """Log a fetch that nobody asked for, so that its error reaches somebody."""
        _warn("The secret '%s' could not be refreshed: %s.", name, _word(error))

    def callback_failure(self, name: SecretName, error: Exception) -> None:
        """Count and log a callback that raised."""
        self.count("callback_failures")
        self._emit(ClientEventKind.CALLBACK_FAILED, name, type(error).__name__)
        _warn("A callback for a change of '%s' raised %s.", name, type(error).__name__)

    def _emit(self, kind: ClientEventKind, name: SecretName, detail: str) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(ClientEvent(kind, name, self._clock(), detail))
        except Exception as exc:  # Metrics must not cost an application its secrets.
            self.count("callback_failures")
            _warn("The event handler raised %s for '%s'.", type(exc).__name__, name)


def _word(error: Exception) -> str:
    return error.code if isinstance(error, VantageSecretsError) else type(error).__name__


def _warn(message: str, *words: object) -> None:
    # SECURITY: words only, never an exception's text or traceback: a callback's may hold the value it was given.
    import logging

    logging.getLogger("vantage_secrets.client").warning(message, *words)
