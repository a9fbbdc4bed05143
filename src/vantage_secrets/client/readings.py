"""What a client tells about its work: readings, counters and events. Never a value that is not a ``SecretValue``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from vantage_secrets.secret import SecretName, SecretValue, SecretVersion


class ClientReading(NamedTuple):
    """A value as the client served it.

    Attributes:
        value: The value.
        version: The version that it belongs to, as the store described it when it was fetched.
        stale: Whether it could not be renewed in time: it may have been replaced since.
        fetched_at: When the store last confirmed it, aware UTC.
    """

    value: SecretValue
    version: SecretVersion
    stale: bool
    fetched_at: datetime


class ClientStats(NamedTuple):
    """What a client did since it was made. Cached reads are not counted: counting would cost as much as reading.

    Attributes:
        store_reads: Calls of the store's ``read``, failed ones included.
        stale_reads: Values served, or compared with, after they could not be renewed in time.
        refresh_failures: Fetches that ended in an error, of whatever kind.
        one_flight_waits: Reads that waited for another thread's fetch instead of making their own.
        version_changes: Fetches that brought another version than the one before.
        validations_accepted: Candidates that matched.
        validations_refused: Candidates that did not.
        forced_refreshes: Fetches that a candidate without a match caused.
        callback_failures: Callbacks that raised.
        receipt_failures: Writes of receipts that the control database did not take; each is tried again.
    """

    store_reads: int = 0
    stale_reads: int = 0
    refresh_failures: int = 0
    one_flight_waits: int = 0
    version_changes: int = 0
    validations_accepted: int = 0
    validations_refused: int = 0
    forced_refreshes: int = 0
    callback_failures: int = 0
    receipt_failures: int = 0


class ClientEventKind(StrEnum):
    """What happened in a client."""

    VERSION_CHANGED = "version_changed"
    """A fetch brought another version; ``detail`` is its id."""
    REFRESH_FAILED = "refresh_failed"
    """A fetch failed; ``detail`` is the error's code, or its class where it has none."""
    STALE_READ = "stale_read"
    """A value was served that could not be renewed in time; ``detail`` is its version's id."""
    CALLBACK_FAILED = "callback_failed"
    """A callback raised; ``detail`` is the error's class."""


class ClientEvent(NamedTuple):
    """Something that happened in a client, for metrics.

    Attributes:
        kind: What happened.
        name: To which secret.
        at: When, aware UTC.
        detail: One word more, as :class:`ClientEventKind` says; never a value.
    """

    kind: ClientEventKind
    name: SecretName
    at: datetime
    detail: str
