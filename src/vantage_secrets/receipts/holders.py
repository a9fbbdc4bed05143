"""The reading side: who holds which version, now and at any past time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.secret import SecretName

if TYPE_CHECKING:
    from vantage_secrets.database import Database


class Holder(NamedTuple):
    """A process, or one connection of it, that was handed a version.

    Attributes:
        service: Which consumer it is, as the manifest names it.
        instance: ``host/program/pid``, with ``#connection`` behind it for one long-lived connection.
        version_id: The version that was handed to it last.
        since: When it was handed out, aware UTC.
        seen_at: When the process was last heard of, aware UTC.
        is_known: Whether it was heard of in time. One that vanished without a goodbye may still use its version:
            it is unknown, and has not moved.
        ended_by: How it ended after the time that was asked about: ``moved``, ``closed`` or ``dismissed``; empty
            while it has not.
        ended_at: When it ended, aware UTC; ``None`` while it has not.
    """

    service: str
    instance: str
    version_id: str
    since: datetime
    seen_at: datetime
    is_known: bool
    ended_by: str = ""
    ended_at: datetime | None = None


class Receipts:
    """Reads the receipts that processes left in the control database.

    Times are those of the processes' own clocks: a clock that is wrong by more than a minute makes a living process
    unknown, which holds an overlap open, and ends none.

    Args:
        database: The control database; it stays the caller's to close.
    """

    def __init__(self, database: Database) -> None:
        """Read nothing yet."""
        self._database = database

    def holders(self, secret: SecretName, *, at: datetime | None = None, now: datetime) -> tuple[Holder, ...]:
        """Return who holds a version of the secret, by service and instance.

        A process that holds one through several clients or connections is there once for each.

        Args:
            secret: The secret.
            at: A past time to look at, instead of the present.
            now: The present, aware UTC.

        Raises:
            DatabaseError: The database cannot be read.
        """
        from vantage_secrets.receipts import rows

        time = now if at is None else at
        with self._database.transaction(writes=False) as connection:
            found = rows.held(connection, str(secret), at)
        return tuple(
            Holder(
                row.service,
                row.instance,
                row.version_id,
                row.since,
                row.seen_at,
                is_known=time <= row.expected_by,
                ended_by=row.ended_by or "",
                ended_at=row.ended_at,
            )
            for row in found
        )

    def services(self, secret: SecretName) -> frozenset[str]:
        """Return which services ever left a receipt for the secret.

        Raises:
            DatabaseError: The database cannot be read.
        """
        from vantage_secrets.receipts import rows

        with self._database.transaction(writes=False) as connection:
            return rows.services(connection, str(secret))

    def dismiss(self, secret: SecretName, instance: str, *, now: datetime) -> int:
        """End the receipts of a process that a person knows to be gone, and return how many there were.

        A process that lives all the same is back with its next heartbeat.

        Args:
            secret: The secret.
            instance: The process, with all of its connections; or one connection.
            now: The present, aware UTC.

        Raises:
            DatabaseError: The database cannot be written.
        """
        from vantage_secrets.receipts import rows

        with self._database.transaction() as connection:
            return rows.dismiss(connection, str(secret), instance, now)
