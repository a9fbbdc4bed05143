"""The control database: what is known about credentials, without their values.

SQLite beside the embedded store by default, PostgreSQL for a fleet. Only digests, identifiers and times are kept here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from vantage_secrets.database.failure import failure
from vantage_secrets.database.lock import file_lock, session_lock
from vantage_secrets.database.tables import SCHEMA_VERSION, metadata, schema_table
from vantage_secrets.errors import DatabaseError, InsecurePermissionsError, InvalidURLError, MissingExtraError

LOCK_WAIT = timedelta(seconds=60)
"""How long a lock is waited for by default: longer than any one rotation's work."""

_SCHEMA_LOCK = 7_318_349_394_477_056
"""An arbitrary number, the same in every process, for PostgreSQL's advisory locks."""

_POSTGRESQL = {"application_name": "vantage-secrets", "connect_timeout": "10", "tcp_user_timeout": "15000"}
"""Parameters of every connection to PostgreSQL, unless the URL says otherwise: seconds, milliseconds. Without them a
host that is gone is waited for until the kernel gives up, a quarter of an hour."""


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
            self._url = _with_driver(make_url(url))
            _prepare_file(self._file)
            self._engine: Engine = create_engine(self._url, **self._options)
            # Without a pool: however many locks are held, they take no connection away from those who hold them.
            self._lock_engine: Engine = create_engine(self._url, **self._options, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError, ImportError) as exc:
            raise InvalidURLError(
                "The control database's URL cannot be used.",
                hint="Use sqlite:////absolute/path/control.db or postgresql://USER@HOST/NAME under [database] url.",
            ) from exc
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        try:
            self._create_schema()
        except BaseException:
            self.close()
            raise

    @property
    def _options(self) -> dict[str, Any]:
        """How engines are made; connections that a restart of the server has ended are noticed before they are used."""
        if self._url.get_backend_name() != "postgresql":
            return {}
        given = self._url.query.keys()
        arguments = {key: value for key, value in _POSTGRESQL.items() if key not in given}
        return {"pool_pre_ping": True, "connect_args": arguments}

    @property
    def _file(self) -> str | None:
        """The SQLite file, or ``None`` for a database that is none."""
        return self._url.database if self._url.get_backend_name() == "sqlite" else None

    def _create_schema(self) -> None:
        with self.transaction() as connection:
            if self._engine.dialect.name == "postgresql":  # it lets two processes create one table, and one fails
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            metadata.create_all(connection)
            found = connection.execute(select(schema_table.c.version)).scalar()
            if found is None:
                connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))
            elif found < SCHEMA_VERSION:
                connection.execute(schema_table.update().values(version=SCHEMA_VERSION))
            elif found > SCHEMA_VERSION:
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
            raise failure(exc) from None

    def lock(self, subject: str, *, wait: timedelta = LOCK_WAIT) -> AbstractContextManager[bool]:
        """Let nobody else hold the lock on ``subject`` until the block ends, in this process or any other.

        The lock of a process that dies is free at once: the kernel or the database server sees it go.

        Args:
            subject: Any text, such as ``rotation vantage/api-key``.
            wait: How long somebody else's lock is waited for.

        Returns:
            A block that is given whether it had to wait.

        Raises:
            DatabaseError: Somebody else held it for longer than ``wait``, or it cannot be taken.
        """
        if self._engine.dialect.name == "sqlite":
            return file_lock(self._file, subject, wait)
        return session_lock(self._lock_engine, subject, wait)

    def close(self) -> None:
        """Close all connections. Safe to repeat."""
        self._engine.dispose()


def _with_driver(url: URL) -> URL:
    """Return the URL with the driver that we bring for PostgreSQL; SQLAlchemy's own default is another."""
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        return url
    try:
        import psycopg  # noqa: F401 - whether it is there
    except ImportError as exc:
        raise MissingExtraError("psycopg", "postgresql") from exc
    return url.set(drivername="postgresql+psycopg")


def _prepare_file(path: str | None) -> None:
    """Create the file private before SQLite would create it with the umask's mode."""
    if not path or path == ":memory:":
        return
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file that is there is never opened here: POSIX locks go when a process closes any descriptor of the file,
        # those of SQLite too, and another process would then remove the WAL that this one writes to.
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
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
