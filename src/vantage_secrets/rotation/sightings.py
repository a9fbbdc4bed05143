"""What the store said last of each secret, kept in the control database so that the schedule need not ask again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from vantage_secrets.database import Database, sightings_table
from vantage_secrets.rotation.steps import Situation
from vantage_secrets.secret import SecretName

RETRY_MIN, RETRY_MAX = timedelta(minutes=1), timedelta(hours=1)
"""How long after its first failure a secret is tried again, and the longest time that doubling comes to."""

SKEW_MAX = timedelta(minutes=5)
"""How far another machine's clock may be ahead of ours before what it wrote is not believed."""


class Sighting(NamedTuple):
    """What was known of one secret when the store was last asked.

    Attributes:
        version_id: The current version; ``None`` when there is none.
        current_at: When that was written, never later than when it was first seen; ``None`` when there is none.
        oldest_at: When the oldest version that still opens the door was written.
        is_under_way: Whether a version is pending or an overlap is open, or a failure leaves that unknown.
        looked_at: When the store was asked.
        begun_at: When its last rotation began, or its current version was promoted, whichever is later.
        failure_count: Failed runs since the last good one.
        retry_at: When it is tried again: after a failure, or when its overlap may have ended.
    """

    version_id: str | None
    current_at: datetime | None
    oldest_at: datetime | None
    is_under_way: bool
    looked_at: datetime
    begun_at: datetime | None = None
    failure_count: int = 0
    retry_at: datetime | None = None

    def is_credible(self, now: datetime) -> bool:
        """Whether it was made before ``now``; one that was not is of a clock that has jumped, and says nothing."""
        return self.looked_at <= now + SKEW_MAX

    def is_waiting(self, now: datetime) -> bool:
        """Whether its time to be tried again lies ahead."""
        return self.retry_at is not None and self.retry_at > now


def backoff(failure_count: int) -> timedelta:
    """Return how long to wait after so many failures in a row: a minute, doubled each time, an hour at the most."""
    doublings = min(max(failure_count - 1, 0), 16)
    return min(RETRY_MIN * (1 << doublings), RETRY_MAX)


class Sightings:
    """The sightings of all secrets. Safe to use from several threads and processes.

    Each verb raises :class:`~vantage_secrets.errors.DatabaseError` when the control database fails.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def all(self) -> dict[SecretName, Sighting]:
        """Return what is known of every secret that was ever looked at, in one query."""
        columns = [sightings_table.c[field] for field in ("secret", *Sighting._fields)]
        with self._database.transaction(writes=False) as connection:
            return {SecretName(row[0]): Sighting(*row[1:]) for row in connection.execute(select(*columns))}

    def note(
        self,
        name: SecretName,
        situation: Situation,
        *,
        now: datetime,
        begun: bool = False,
        retry_at: datetime | None = None,
    ) -> None:
        """Keep how the secret stands after a run that did not fail; safe to repeat.

        Args:
            name: The secret.
            situation: What its versions say.
            now: When they were looked at.
            begun: Whether a rotation was begun by this run.
            retry_at: When a rotation that is under way can go on; at the next tick when not given.
        """
        with self._database.transaction() as connection:
            row = _row(name, situation, _known(connection, [name]).get(str(name)), now)
            row["failure_count"] = 0
            row["retry_at"] = None if situation.is_at_rest else retry_at
            if begun:
                row["begun_at"] = now
            _upsert(connection, [row])

    def note_looks(self, situations: Mapping[SecretName, Situation], *, now: datetime) -> None:
        """Keep what the store says of these secrets, looked at without a run; failures stay counted. Safe to repeat."""
        if not situations:
            return
        with self._database.transaction() as connection:
            known = _known(connection, situations)
            _upsert(connection, [_row(name, found, known.get(str(name)), now) for name, found in situations.items()])

    def note_failure(self, name: SecretName, *, now: datetime, retry_at: datetime | None = None) -> None:
        """Keep that a run over the secret has failed; what it left behind is looked at before the next one.

        Args:
            name: The secret.
            now: When it failed.
            retry_at: When to try again; by default after :func:`backoff`.
        """
        with self._database.transaction() as connection:
            before = _known(connection, [name]).get(str(name))
            count = 1 + (before.failure_count if before else 0)
            row: dict[str, Any] = {"secret": str(name), "version_id": None, "current_at": None, "oldest_at": None}
            if before is not None:
                row = dict(before._mapping)
            row |= {"is_under_way": True, "looked_at": now, "failure_count": count}
            row["retry_at"] = retry_at or now + backoff(count)
            _upsert(connection, [row])

    def forgive(self, name: SecretName | None = None) -> None:
        """Forget the secret if its last run failed, or all such: the next tick asks the store anew. Safe to repeat."""
        failed = delete(sightings_table).where(sightings_table.c.failure_count > 0)
        if name is not None:
            failed = failed.where(sightings_table.c.secret == str(name))
        with self._database.transaction() as connection:
            connection.execute(failed)


def _known(connection: Connection, names: Iterable[SecretName]) -> dict[str, Row[Any]]:
    texts = [str(name) for name in names]
    query = select(sightings_table)
    if len(texts) == 1:  # a list of ten thousand is more than SQLite takes in one statement
        query = query.where(sightings_table.c.secret == texts[0])
    return {row.secret: row for row in connection.execute(query)}


def _row(name: SecretName, situation: Situation, before: Row[Any] | None, now: datetime) -> dict[str, Any]:
    """Return the table's row; a time in the future is a clock's mistake, and counts as the present.

    Otherwise a secret that was written while a clock was a year ahead would not be due for a year too long. The
    version keeps the time under which it was seen first, or else each look would make it younger.
    """
    current, oldest = situation.current, situation.previous or situation.current
    current_at = min(current.created_at, now) if current else None
    same = before if before is not None and before.version_id == (current.id if current else None) else None
    if same is not None and same.current_at is not None and current_at is not None:
        current_at = min(same.current_at, current_at)
    begun = [before.begun_at if before else None, current.promoted_at if current else None]
    return {
        "secret": str(name),
        "version_id": current.id if current else None,
        "current_at": current_at,
        "oldest_at": min(oldest.created_at, current_at or now) if oldest else None,
        "is_under_way": not situation.is_at_rest,
        "looked_at": now,
        "begun_at": max((min(instant, now) for instant in begun if instant), default=None),
        "failure_count": before.failure_count if before else 0,
        "retry_at": same.retry_at if same and same.looked_at <= now else None,
    }


def _upsert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    insert = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    statement = insert(sightings_table)
    changes = {column.name: statement.excluded[column.name] for column in sightings_table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=["secret"], set_=changes), rows)
