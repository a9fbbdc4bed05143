"""Stand-ins for Kafka and ClickHouse, each in one SQLite file, so that the example runs where there is neither.

They have the few methods that the collector, the worker and the query API call, and keep the promises that these
rely on: a delivered message is durable, offsets count up by one, a consumer goes on where its group committed, an
insert is whole or not there. They ask for no password: with them, only the two API keys have a door.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_BUS = """
CREATE TABLE IF NOT EXISTS messages (position INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS groups (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
"""
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT NOT NULL, kind TEXT NOT NULL, received_at INTEGER NOT NULL,
    bus_partition INTEGER NOT NULL, bus_offset INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_time ON events (received_at);
"""
_READ_COUNT_MAX = 1_000
_LOOK_SECONDS = 0.02


class Message(NamedTuple):
    """One message as ``confluent_kafka.Message`` shows it; there is one partition, and none ever has an error."""

    position: int
    content: bytes

    def error(self) -> None:
        """Return no error."""

    def value(self) -> bytes:
        """Return what was produced."""
        return self.content

    def partition(self) -> int:
        """Return the only partition's number."""
        return 0

    def offset(self) -> int:
        """Return the position in the partition, from 1."""
        return self.position


class SqliteProducer:
    """Produces to a bus that is a file. Use it from the thread that made it."""

    def __init__(self, file: Path) -> None:
        """Open the bus, or make it."""
        self._connection = _opened(file, _BUS)
        self._waiting: list[tuple[bytes, Callable[[Any, Any], None]]] = []

    def produce(self, _topic: str, *, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        """Take a message; it is durable when ``on_delivery`` is called without an error."""
        self._waiting.append((value, on_delivery))

    def poll(self, _timeout: float = 0) -> int:
        """Write what is waiting, all of it or nothing, and tell each message's sender."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return 0
        error = None
        try:
            with self._connection:
                self._connection.executemany("INSERT INTO messages (value) VALUES (?)", [(v,) for v, _ in waiting])
        except sqlite3.Error as exc:
            error = type(exc).__name__
        for _value, on_delivery in waiting:
            on_delivery(error, None)
        return len(waiting)

    def flush(self, _timeout: float = 0) -> int:
        """Write what is waiting; return how many are waiting still."""
        self.poll()
        return len(self._waiting)

    def close(self) -> None:
        """Write what is waiting and close the file."""
        self.flush()
        self._connection.close()


class SqliteConsumer:
    """Consumes from a bus that is a file, in the name of a group. Use it from the thread that made it."""

    def __init__(self, file: Path, group: str) -> None:
        """Go on where the group committed."""
        self._connection = _opened(file, _BUS)
        self._group = group
        row = self._connection.execute("SELECT position FROM groups WHERE name = ?", (group,)).fetchone()
        self._position = row[0] if row else 0
        self._read: deque[Message] = deque()

    def subscribe(self, _topics: list[str], **_callbacks: object) -> None:
        """Read the only topic that there is; no partition ever goes to another member."""

    def poll(self, timeout: float) -> Message | None:
        """Return the next message, or ``None`` when none came within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not self._read:
            rows = self._connection.execute(
                "SELECT position, value FROM messages WHERE position > ? ORDER BY position LIMIT ?",
                (self._position, _READ_COUNT_MAX),
            )
            self._read.extend(Message(*row) for row in rows)
            if self._read:
                break
            if time.monotonic() >= deadline:
                return None
            time.sleep(_LOOK_SECONDS)
        message = self._read.popleft()
        self._position = message.position
        return message

    def commit(self, *, asynchronous: bool) -> None:  # noqa: ARG002 - confluent-kafka's own argument
        """Let the group go on behind the last message that :meth:`poll` returned."""
        with self._connection:
            self._connection.execute("REPLACE INTO groups VALUES (?, ?)", (self._group, self._position))

    def close(self) -> None:
        """Close the file; what was not committed comes again."""
        self._connection.close()


class SqliteClient:
    """Executes the example's few statements as ``clickhouse_driver.Client`` does, on a file. One thread at a time."""

    def __init__(self, file: Path) -> None:
        """Open the table, or make it."""
        self._connection = _opened(file, _TABLE)

    def execute(self, statement: str, params: Mapping[str, Any] | Sequence[Sequence[Any]] = ()) -> list[Any]:
        """Insert rows for a statement that ends in ``VALUES``, all or none; return the rows of any other one."""
        if not isinstance(params, Mapping) and statement.endswith("VALUES"):
            places = ", ".join("?" * len(params[0]))
            with self._connection:
                self._connection.executemany(f"{statement} ({places})", params)
            return []
        named = re.sub(r"%\((\w+)\)s", r":\1", statement)
        return self._connection.execute(named, params).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _opened(file: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=10, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(schema)
    return connection
