"""The rows of the receipts table. Importing this module imports SQLAlchemy: nothing that a first read needs does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, or_, select, update

from vantage_secrets.database import receipts_table as receipts

MOVED: Final = "moved"
CLOSED: Final = "closed"
DISMISSED: Final = "dismissed"

Values = Mapping[str, Any]


def insert(connection: Connection, values: Values) -> int:
    """Add a row, and return its id."""
    key = connection.execute(receipts.insert().values(**values)).inserted_primary_key
    assert key is not None  # one row makes one key
    return int(key[0])


def end(connection: Connection, row_id: int, ended_at: datetime, ended_by: str) -> None:
    """End a row; one that ended before stays as it is."""
    row = update(receipts).where(receipts.c.id == row_id, receipts.c.ended_at.is_(None))
    connection.execute(row.values(ended_at=ended_at, ended_by=ended_by, seen_at=ended_at))


def beat(connection: Connection, row_ids: Sequence[int], seen_at: datetime, expected_by: datetime) -> list[int]:
    """Say that the rows are still true; return the ids of those that are not there, or were ended by somebody."""
    statement = update(receipts).where(receipts.c.id == bindparam("row_id"), receipts.c.ended_at.is_(None))
    statement = statement.values(seen_at=seen_at, expected_by=expected_by)
    return [row_id for row_id in row_ids if not connection.execute(statement, {"row_id": row_id}).rowcount]


def end_predecessors(connection: Connection, service: str, instance: str, now: datetime, *, but: str) -> None:
    """End what an earlier process of this very name left: the kernel gives a process id to one process at a time.

    Args:
        connection: A transaction in which this process's own rows were said to be true.
        service: The service.
        instance: The process, and with it its connections.
        now: The present: only rows are ended that should have been heard of before.
        but: A connection that nobody speaks for, which therefore stays.
    """
    connection.execute(
        update(receipts)
        .where(
            receipts.c.service == service,
            _of_process(instance),
            receipts.c.instance != f"{instance}#{but}",
            receipts.c.ended_at.is_(None),
            receipts.c.expected_by < now,
        )
        .values(ended_at=now, ended_by=CLOSED)
    )


def held(connection: Connection, secret: str, at: datetime | None) -> Sequence[Row[Any]]:
    """Return the rows of those that hold a version of the secret: that are open now, or were ``at`` a past time."""
    rows = select(receipts).where(receipts.c.secret == secret)
    if at is None:  # whatever its writer's clock says
        rows = rows.where(receipts.c.ended_at.is_(None))
    else:
        rows = rows.where(receipts.c.since <= at, or_(receipts.c.ended_at.is_(None), receipts.c.ended_at > at))
    return connection.execute(rows.order_by(receipts.c.service, receipts.c.instance, receipts.c.id)).all()


def services(connection: Connection, secret: str) -> frozenset[str]:
    """Return which services have a row for the secret."""
    return frozenset(
        connection.execute(select(receipts.c.service).distinct().where(receipts.c.secret == secret)).scalars()
    )


def dismiss(connection: Connection, secret: str, instance: str, now: datetime) -> int:
    """End the open rows of a process or connection, and return how many there were."""
    return connection.execute(
        update(receipts)
        .where(receipts.c.secret == secret, _of_process(instance), receipts.c.ended_at.is_(None))
        .values(ended_at=now, ended_by=DISMISSED)
    ).rowcount


def _of_process(instance: str) -> ColumnElement[bool]:
    return or_(receipts.c.instance == instance, receipts.c.instance.startswith(f"{instance}#", autoescape=True))
