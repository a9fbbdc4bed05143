"""The control database: what is known about credentials, without their values.

SQLite beside the embedded store by default. Only digests, identifiers and times are kept here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from vantage_secrets.errors import DatabaseError, InsecurePermissionsError, InvalidURLError

SCHEMA_VERSION = 1
"""Counts up when a table changes; a database of another version is refused rather than guessed at."""


class _Instant(TypeDecorator[datetime]):
    """An aware UTC ``datetime``, which SQLite would otherwise give back without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


metadata = MetaData()

schema_table = Table("schema", metadata, Column("version", Integer, primary_key=True))

api_keys_table = Table(
    "api_keys",
    metadata,
    Column("lineage", String(127), primary_key=True, comment="the secret's name: all versions of one key"),
    Column("version_id", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False, comment="the public part of the key"),
    Column("salt", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, comment="HMAC-SHA-256 of the whole key under the salt"),
    Column("created_at", _Instant, nullable=False),
    Column("expires_at", _Instant),
    Column("revoked_at", _Instant),
    Column("last_used_at", _Instant),
)


class Database:
    """A connection to the control database; its tables exist. Safe to use from several threads.

    Args:
        url: An SQLAlchemy URL, such as ``sqlite:////var/lib/vantage-secrets/control.db``.

    Raises:
        InvalidURLError: The URL cannot be understood.
        InsecurePermissionsError: The SQLite file may be read by others.
        DatabaseError: The database cannot be opened, or its schema has another version.
    """

    def __init__(self, url: str) -> None:
        """Open, and create what is missing."""
        try:
            parsed = make_url(url)
            _prepare_file(parsed.database if parsed.get_backend_name() == "sqlite" else None)
            self._engine: Engine = create_engine(parsed)
        except (ArgumentError, NoSuchModuleError, ImportError) as exc:
            raise InvalidURLError(
                "The control database's URL cannot be used.",
                hint="Use sqlite:////absolute/path/control.db under [database] url.",
            ) from exc
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        with self.transaction() as connection:
            metadata.create_all(connection)
            found = connection.execute(select(schema_table.c.version)).scalar()
            if found is None:
                connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))
            elif found != SCHEMA_VERSION:
                raise DatabaseError(
                    f"The control database has schema version {found}; this release reads {SCHEMA_VERSION}.",
                    hint="Use the release that wrote it, or name a new file under [database] url.",
                )

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[Connection]:
        """Give a connection whose changes are committed together, or not at all when the block raises.

        Args:
            writes: Whether the block changes anything; blocks that only read never wait for a writer.

        Raises:
            DatabaseError: The database did not do what was asked; the transaction was rolled back.
        """
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except SQLAlchemyError as exc:
            # SECURITY: SQLAlchemy's text holds the statement's parameters, so neither it nor its cause is passed on.
            raise DatabaseError(f"The control database failed: {type(exc).__name__}.") from None

    def close(self) -> None:
        """Close all connections. Safe to repeat."""
        self._engine.dispose()


def _prepare_file(path: str | None) -> None:
    """Create the file private before SQLite would create it with the umask's mode."""
    if not path or path == ":memory:":
        return
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as exc:
        raise DatabaseError(f"The control database '{file}' cannot be opened: {exc.strerror}.") from exc
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise InsecurePermissionsError(f"'{file}' has mode {mode:04o}; 0600 is allowed.")


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLite's own BEGIN below, instead of the driver's late one
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another process wrote meanwhile;
    # an immediate one waits for its turn.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
