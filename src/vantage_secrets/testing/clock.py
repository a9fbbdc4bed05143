"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A :data:`vantage_secrets.clock.Clock` that stands still until it is told to move."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)) -> None:
        """Stand at ``now``, aware UTC."""
        self._now = now

    def __call__(self) -> datetime:
        """Return the instant at which the clock stands."""
        return self._now

    def advance(self, length: timedelta) -> datetime:
        """Move by ``length``, backwards when it is negative, and return the new instant."""
        self._now += length
        return self._now
