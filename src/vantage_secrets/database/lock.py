"""Locks that a dead process gives up by itself: of the kernel beside SQLite, of the server in PostgreSQL."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from vantage_secrets.database.failure import failure
from vantage_secrets.errors import DatabaseError

_LOOK_SECONDS = 0.05

_NOTICE_DEATH = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
"""Lets the server notice within half a minute that a holder's machine has lost its power: by default it keeps the
session, and with it the lock, for two hours."""


@contextmanager
def file_lock(database: str | None, subject: str, wait: timedelta) -> Iterator[bool]:
    """Hold ``flock`` on a file of the subject's own beside the database's, and give whether one had to wait.

    An ``flock`` belongs to the open file and not to the process, so that threads exclude each other too.

    Raises:
        DatabaseError: Somebody else held it for longer than ``wait``, or the file cannot be opened.
    """
    try:
        descriptor = _open(database, subject)
    except OSError as exc:
        raise DatabaseError(f"The lock on {subject} cannot be opened: {exc.strerror}.") from exc
    try:
        yield _wait_for(lambda: _try_flock(descriptor), subject, wait)
    finally:
        os.close(descriptor)  # lets go of the lock


def _open(database: str | None, subject: str) -> int:
    if not database or database == ":memory:":
        return os.memfd_create("lock", os.MFD_CLOEXEC)  # nobody else has this database
    folder = Path(f"{database}.locks")
    folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(subject.encode()).hexdigest()[:32]
    return os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def session_lock(engine: Engine, subject: str, wait: timedelta) -> Iterator[bool]:
    """Hold an advisory lock of PostgreSQL on a connection of its own, and give whether one had to wait.

    Args:
        engine: One without a pool: closing a connection ends its session, and with it the lock.
        subject: Any text.
        wait: How long somebody else's lock is waited for.

    Raises:
        DatabaseError: Somebody else held it for longer than ``wait``, or the server does not answer.
    """
    key = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big", signed=True)
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(_NOTICE_DEATH)
    except SQLAlchemyError as exc:
        raise failure(exc) from None

    def take() -> bool:
        try:
            return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({key})").scalar())
        except SQLAlchemyError as exc:
            raise failure(exc) from None

    try:
        yield _wait_for(take, subject, wait)
    finally:
        connection.close()


def _wait_for(take: Callable[[], bool], subject: str, wait: timedelta) -> bool:
    """Return whether it was not free at once."""
    if take():
        return False
    deadline = time.monotonic() + wait.total_seconds()
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        if take():
            return True
    raise DatabaseError(
        f"Another process has held the lock on {subject} for {wait.total_seconds():.0f} s.",
        hint="Wait for it to end, then run this again.",
    )
