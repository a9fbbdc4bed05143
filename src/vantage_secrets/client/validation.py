"""Whether a presented key is the current one, or the one before while the overlap lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from vantage_secrets.client.freshness import CachedSecret
from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.secret import SecretName, Stage

LOOK_EVERY_SECONDS: Final = 1.0
"""A candidate without a match makes the client ask the store at most this often for each secret."""

JOIN_SECONDS: Final = 1.0
"""How long a candidate without a match waits for a fetch that is under way; a store that hangs must not let a flood
of wrong keys hold every thread of a server."""


class LookGate:
    """Opens at most once a second for each secret."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Be open for every secret."""
        self._monotonic = monotonic
        self._closed_until: dict[SecretName, float] = {}
        self.renew()

    def renew(self) -> None:
        """Take a new lock: for a forked child."""
        self._lock = threading.Lock()

    def is_open(self, name: SecretName) -> bool:
        """Return whether :meth:`enter` would succeed now."""
        return self._monotonic() >= self._closed_until.get(name, float("-inf"))

    def enter(self, name: SecretName) -> bool:
        """Return whether the gate was open; it is closed for a second then."""
        with self._lock:
            if not self.is_open(name):
                return False
            self._closed_until[name] = self._monotonic() + LOOK_EVERY_SECONDS
            return True


class RecentFailures:
    """Remembers for a second why a secret could not be obtained, so that a flood of keys does not ask again and again.

    Args:
        monotonic: Seconds that never run backwards.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Remember nothing yet."""
        self._monotonic = monotonic
        self._failures: dict[SecretName, tuple[float, VantageSecretsError]] = {}

    def remember(self, name: SecretName, error: VantageSecretsError) -> None:
        """Remember ``error`` from now on."""
        self._failures[name] = (self._monotonic(), error)

    def raise_recent(self, name: SecretName) -> None:
        """Raise the error that was remembered within the last second, if there was one.

        Raises:
            VantageSecretsError: That one.
        """
        since, error = self._failures.get(name, (0.0, None))
        if error is not None and self._monotonic() < since + LOOK_EVERY_SECONDS:
            raise error.with_traceback(None)  # Else every raise would make the traceback longer.
        self._failures.pop(name, None)


def accepts(cached: CachedSecret, candidate: str, now: datetime, grace: timedelta) -> bool:
    """Return whether ``candidate`` is the current value, or the previous one and the overlap has not ended.

    SECURITY: two comparisons are made whatever the first says, and also when there is no version before, so that
    the time taken tells neither which one matched nor whether a rotation is under way.
    """
    current, previous = cached.current, cached.previous
    promoted_at = current.version.promoted_at or current.version.created_at
    overlaps = previous is not None and previous.version.stage is Stage.PREVIOUS and now < promoted_at + grace
    is_current = current.value.matches(candidate)
    is_previous = (previous or current).value.matches(candidate)
    return is_current | (is_previous & overlaps)
