"""Who wants to know that a secret has another version, and telling them in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from vantage_secrets.secret import SecretName, SecretReading

ChangeCallback = Callable[[SecretReading], object]


class ChangeNotices:
    """Delivers every change once to every subscriber, one after the other, in the order in which they were fetched.

    Only one thread delivers at a time; a second one leaves its change to the first. So a subscriber never sees an
    older version after a newer one, and a subscriber that refreshes the client does not wait for itself.

    Args:
        on_failure: Called with the secret and the error when a subscriber raises.
    """

    def __init__(self, on_failure: Callable[[SecretName, Exception], None]) -> None:
        """Begin without subscribers."""
        self._on_failure = on_failure
        self._callbacks: dict[SecretName, tuple[ChangeCallback, ...]] = {}
        self._due: deque[SecretReading] = deque()
        self._deliverer: int | None = None
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Take a new lock and forget a deliverer who is not there: for a forked child.

        What was being delivered when the process forked is delivered in the child again, from its beginning.
        """
        self._lock = threading.Lock()
        if self._deliverer != threading.get_ident():
            self._deliverer = None

    def subscribe(self, name: SecretName, callback: ChangeCallback) -> Callable[[], None]:
        """Call ``callback`` at every change of ``name`` from now on; return what ends that, safe to repeat."""
        entry: ChangeCallback = lambda reading: callback(reading)  # noqa: E731 - one identity per subscription
        with self._lock:
            self._callbacks[name] = (*self._callbacks.get(name, ()), entry)

        def unsubscribe() -> None:
            with self._lock:
                self._callbacks[name] = tuple(kept for kept in self._callbacks.get(name, ()) if kept is not entry)

        return unsubscribe

    def put(self, reading: SecretReading) -> None:
        """Note a change; :meth:`deliver` tells it."""
        self._due.append(reading)

    def deliver(self) -> None:
        """Tell what is due, unless another thread is at it and will."""
        while self._due:
            with self._lock:
                if self._deliverer is not None:
                    return
                self._deliverer = threading.get_ident()
            try:
                while self._due:
                    self._tell(self._due[0])
                    self._due.popleft()
            finally:
                self._deliverer = None

    def _tell(self, reading: SecretReading) -> None:
        for callback in self._callbacks.get(reading.version.name, ()):
            try:
                callback(reading)
            except Exception as exc:
                self._on_failure(reading.version.name, exc)
