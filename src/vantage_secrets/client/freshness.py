"""How old a cached secret is, and what follows from it. Rules only, no I/O."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from vantage_secrets.clock import Clock
from vantage_secrets.errors import InvalidInputError
from vantage_secrets.secret import SecretReading

JITTER: Final = 0.1
"""Every wait is stretched or shortened by up to a tenth, at random, so that processes started together do not call
the store together for ever. The idea is in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; its *full*
jitter (0 to 100 %) is for retries, whereas a period has to stay near what was configured."""

RETRY_FRACTION: Final = 10
"""After a failure the store is asked again after a tenth of the refresh interval: an outage of a minute should not
cost five. Never more often than once a second."""

RETRY_SECONDS_MIN: Final = 1.0


def random_fraction() -> float:
    """Return a number from 0 up to 1. ``os.urandom`` costs no import and differs between forked processes."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class CachedSecret(NamedTuple):
    """One secret as it was last fetched. Immutable: a fork never sees half of a change.

    Attributes:
        current: The current version with its value.
        previous: The version before with its value, while the store has one and someone asked for it.
        knows_previous: Whether the store was asked for the version before.
        fetched_at: When the fetch began, by the wall clock.
        fetched_monotonic: When the fetch began, monotonic seconds.
        renew_after: Age at which the store is to be asked again.
        failing: Whether the last attempt to renew it failed.
    """

    current: SecretReading
    previous: SecretReading | None
    knows_previous: bool
    fetched_at: datetime
    fetched_monotonic: float
    renew_after: timedelta
    failing: bool = False


class Freshness:
    """Decides when a cached secret is to be renewed, is stale, or may not be served any more.

    A cached secret's age is the larger of two: by the wall clock and by the monotonic one. A machine that was
    suspended has aged by the wall clock, while Linux stops ``CLOCK_MONOTONIC``; a wall clock that was set back has
    not, and would keep a value alive for as long as it was set back. A wall clock set forward makes values old too
    early: they are fetched once more, which does no harm.

    Args:
        refresh_interval: How long a value is served without asking the store.
        max_stale: How long after its last fetch a value may be served while the store is away.
        clock: The wall clock.
        monotonic: Seconds that never run backwards.
        fraction: A random number from 0 to 1 for the jitter.

    Raises:
        InvalidInputError: ``refresh_interval`` is not positive, or ``max_stale`` is shorter.
    """

    def __init__(
        self,
        refresh_interval: timedelta,
        max_stale: timedelta,
        clock: Clock,
        monotonic: Callable[[], float],
        fraction: Callable[[], float],
    ) -> None:
        """Check the two lengths against each other."""
        if refresh_interval <= timedelta(0):
            raise InvalidInputError("refresh_interval must be longer than nothing.")
        if max_stale < refresh_interval:
            raise InvalidInputError(
                f"max_stale ({max_stale}) is shorter than refresh_interval ({refresh_interval}).",
                hint="Set refresh_interval to at most max_stale.",
            )
        self.refresh_interval = refresh_interval
        self.max_stale = max_stale
        self.clock = clock
        self.monotonic = monotonic
        self._fraction = fraction

    def first_renewal(self) -> timedelta:
        """Return the age at which a value fetched now is to be renewed."""
        return min(self._jittered(self.refresh_interval), self.max_stale)

    def next_attempt(self, age: timedelta) -> timedelta:
        """Return the age at which a value, now of ``age``, is to be tried again after a failure."""
        pause = max(self.refresh_interval / RETRY_FRACTION, timedelta(seconds=RETRY_SECONDS_MIN))
        return age + self._jittered(min(pause, self.refresh_interval))

    def age(self, cached: CachedSecret) -> timedelta:
        """Return how long ago the fetch of ``cached`` began, by whichever clock says more."""
        monotonic = timedelta(seconds=self.monotonic() - cached.fetched_monotonic)
        return max(self.clock() - cached.fetched_at, monotonic)

    def is_stale(self, cached: CachedSecret, age: timedelta) -> bool:
        """Return whether a value could not be renewed in time.

        Twice the interval is stale without any failure: a store that hangs never gets as far as failing.
        """
        return age >= 2 * self.refresh_interval or (cached.failing and age >= self.refresh_interval)

    def is_expired(self, age: timedelta) -> bool:
        """Return whether a value is too old to be served at all."""
        return age >= self.max_stale

    def needs_no_look(self, cached: CachedSecret, age: timedelta) -> bool:
        """Return whether a value may be served without looking at a clock until :meth:`until_look` has passed."""
        return age < self._look_at(cached)

    def until_look(self, cached: CachedSecret) -> timedelta:
        """Return how long until ``cached`` is due or turns stale; nothing or less when it is due now."""
        age = self.age(cached)
        return (cached.renew_after if age >= self._look_at(cached) else self._look_at(cached)) - age

    def _look_at(self, cached: CachedSecret) -> timedelta:
        # An early refresh that failed leaves a value that turns stale before its next attempt.
        return min(cached.renew_after, self.refresh_interval) if cached.failing else cached.renew_after

    def _jittered(self, length: timedelta) -> timedelta:
        return length * (1 - JITTER + 2 * JITTER * self._fraction())
