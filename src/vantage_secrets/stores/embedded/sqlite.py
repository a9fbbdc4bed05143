"""The SQLite file: how it is opened, locked, emptied of old pages, and what its errors mean to us."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vantage_secrets.errors import (
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreIntegrityError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from vantage_secrets.stores.embedded.files import check_private
from vantage_secrets.stores.embedded.records import SCHEMA

APPLICATION_ID: Final = 0x56_53_45_43
"""Stands in the file's header (SQLite file format, section 1.3.8): ``VSEC``."""

_LENGTH_MAX = 1_000_000  # Bytes of the longest column; a damaged length must not ask for gigabytes.
_SETTINGS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)

_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []


class Database:
    """One process's connection to the file, shared by its threads under a lock.

    One connection and a lock, rather than one connection a thread: a read takes far less than a millisecond,
    and a connection per thread would leave open files behind when threads end. After a fork the child opens
    its own: SQLite's locks belong to a process, and a connection carried across a fork corrupts the file
    ("How To Corrupt An SQLite Database File", section 2.6).

    Args:
        path: The file; it must exist.
        busy_seconds: How long to wait for other processes' locks.

    Raises:
        StoreUnavailableError: There is no such file.
        InsecurePermissionsError: The file, or one of SQLite's beside it, is open to others.
        StoreIntegrityError: It is no store, or its schema is damaged.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._frozen_state: tuple[int, ...] = ()
        self._refuses: type[StoreError] | None = None
        self._identity: tuple[int, int] | None = None
        self._closed = False
        with self.reading():
            pass
        _OPEN.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for statements that each see one consistent state."""
        with self._lock, translated(self.path):
            yield self._connected()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection inside a write transaction, which is undone when the block raises."""
        with self.reading() as connection:
            if self._refuses is not None:
                connection = self._thawed()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise
            self._settle(connection)

    def close(self) -> None:
        """Close the connection; safe to repeat."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailableError("The store is closed.", hint="Open it again.")
        self._check_identity()
        if self._refuses is not None and self._frozen_state != self._state():
            self._disconnect()  # SQLite does not look for changes in a file that it was told is immutable.
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _thawed(self) -> sqlite3.Connection:
        """Return a connection that can write; there may be room, or the right to, where there was none."""
        self._disconnect()
        connection = self._connected()
        if self._refuses is StoreFullError:
            raise _full(self.path)
        if self._refuses is not None:  # SQLite would notice only at the first change.
            raise StoreReadOnlyError(f"{self.path} takes no writes.")
        return connection

    def _check_identity(self) -> None:
        """Return when the path still names the file that was opened; one that was moved away is not to be used."""
        try:
            found = self.path.stat()
        except FileNotFoundError as exc:
            raise StoreUnavailableError(
                f"There is no store at {self.path}.", hint="Run 'vantage-secrets init' to make one, or check the URL."
            ) from exc
        identity = (found.st_dev, found.st_ino)
        if self._identity not in (None, identity):
            raise StoreUnavailableError(f"{self.path} was replaced while it was open.", hint="Open the store again.")
        self._identity = identity

    def _connect(self) -> sqlite3.Connection:
        for suffix in ("", "-wal", "-shm"):
            check_private(Path(f"{self.path}{suffix}"))
        if self._is_read_only():
            return self._frozen("mode=ro" if self._wal_bytes() else "immutable=1", StoreReadOnlyError)
        self._refuses = None
        try:
            return self._open("mode=rw")
        except sqlite3.Error as exc:
            # With no room for its shared memory SQLite cannot even read. With an empty log the file is whole, and
            # may be read as it is; when another process writes, its state changes and we connect anew.
            if isinstance(_meaning(exc, self.path), StoreFullError) and not self._wal_bytes():
                return self._frozen("immutable=1", StoreFullError)
            raise

    def _frozen(self, query: str, refuses: type[StoreError]) -> sqlite3.Connection:
        self._frozen_state = self._state()
        self._refuses = refuses
        return self._open(query)

    def _open(self, query: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?{query}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LENGTH_MAX)
        for setting in _SETTINGS:
            connection.execute(setting)
        if dict(connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()) != SCHEMA:
            raise StoreIntegrityError(
                f"{self.path} is no store of vantage-secrets, or its schema is damaged.",
                hint="Check the URL; if this is the store, keep the file as evidence and restore the last backup.",
            )
        if self._wal_bytes():  # A writer was killed; what it erased may still stand in the old pages.
            self._settle(connection)

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Move what was committed into the database file and cut the write-ahead log to nothing.

        SECURITY: after an erasure the log and the pages it replaces still hold the ciphertext and its wrapped
        key; this is what removes them. It runs after every write, so that the log's end, whose damage SQLite
        takes for a crash and undoes, is empty nearly always. When another process reads for longer than the
        busy time, or the disk is full, the commit stands and the next write or opening does it.
        """
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _is_read_only(self) -> bool:
        return not (os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK))

    def _wal_bytes(self) -> int:
        wal = Path(f"{self.path}-wal")
        return wal.stat().st_size if wal.exists() else 0

    def _state(self) -> tuple[int, ...]:
        found = self.path.stat()
        return (found.st_ino, found.st_size, found.st_mtime_ns, self._wal_bytes())

    def _forget_after_fork(self) -> None:
        self._lock = threading.RLock()  # Another thread of the parent may have held it.
        if self._connection is not None:
            _INHERITED.append(self._connection)  # Closing it here would be using it.
            self._connection = None


def _after_fork_in_child() -> None:
    for database in _OPEN:
        database._forget_after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)


def create_database(path: Path) -> sqlite3.Connection:
    """Return a connection to a new file of mode 0600 that has the tables and nothing in them."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    for setting in _SETTINGS:
        connection.execute(setting)
    for statement in SCHEMA.values():
        connection.execute(statement)
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours: the one place where that happens.

    SECURITY: their messages name tables, columns and files, never what is in them: values go to SQLite as parameters.
    """
    try:
        yield
    except sqlite3.Error as exc:
        raise _meaning(exc, path) from exc
    except UnicodeDecodeError:  # The message of an error about a damaged schema quotes the damaged bytes.
        raise StoreIntegrityError(f"{path} is damaged: its schema is not what was written.") from None
    except OSError as exc:
        raise _meaning_of_system_error(exc, path) from exc


def _meaning(exc: sqlite3.Error, path: Path) -> StoreError:
    primary = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError(f"{path} was locked by another process for longer than the time allowed.")
    if primary == sqlite3.SQLITE_READONLY:
        return StoreReadOnlyError(f"{path} takes no writes.")
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
        return _full(path)
    is_denied = primary == sqlite3.SQLITE_CANTOPEN and not os.access(path, os.R_OK)
    if is_denied or primary in (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreAccessDeniedError(f"This user may not use {path}.")
    if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL):
        return StoreUnavailableError(f"{path} cannot be used: {exc}.")
    return StoreIntegrityError(f"{path} is damaged: {exc}.")


def _meaning_of_system_error(exc: OSError, path: Path) -> StoreError:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    if exc.errno == errno.EROFS:
        return StoreReadOnlyError(f"{path.parent} takes no writes.")
    if exc.errno in (errno.EACCES, errno.EPERM):
        return StoreAccessDeniedError(f"This user may not use {exc.filename or path}.")
    return StoreUnavailableError(f"{exc.filename or path} cannot be used: {exc.strerror}.")


def _full(path: Path) -> StoreFullError:
    return StoreFullError(f"There is no room left in {path.parent}; nothing was written.")


def _is_full(folder: Path) -> bool:
    return os.statvfs(folder).f_bavail == 0
