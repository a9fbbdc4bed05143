"""The rows of a store, each checked against its MAC before anything is believed of it."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import StoreError, StoreIntegrityError
from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.embedded.envelope import Column, Envelope, canonical

FORMAT: Final = 1
"""Number of the layout that this module reads and writes."""

SCHEMA: Final = {
    "store": """CREATE TABLE store (
 format INTEGER NOT NULL, store_id BLOB NOT NULL, environment TEXT NOT NULL, created_at INTEGER NOT NULL,
 key_source TEXT NOT NULL, key_id TEXT NOT NULL, derivation TEXT, salt BLOB,
 wrapped_metadata_key BLOB NOT NULL, secret_count INTEGER NOT NULL, mac BLOB NOT NULL, checksum BLOB NOT NULL)""",
    "secrets": """CREATE TABLE secrets (
 name TEXT NOT NULL PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
 pending INTEGER, current INTEGER, previous INTEGER, mac BLOB NOT NULL) WITHOUT ROWID""",
    "versions": """CREATE TABLE versions (
 name TEXT NOT NULL, number INTEGER NOT NULL, token_digest BLOB NOT NULL, value_digest BLOB NOT NULL,
 shape TEXT NOT NULL, created_at INTEGER NOT NULL, promoted_at INTEGER, retired_at INTEGER,
 mac BLOB NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID""",
    "sealed_values": """CREATE TABLE sealed_values (
 name TEXT NOT NULL, number INTEGER NOT NULL, wrapped_key BLOB NOT NULL, ciphertext BLOB NOT NULL,
 PRIMARY KEY (name, number)) WITHOUT ROWID""",
}
"""Every table with the statement that makes it; times are microseconds since 1970-01-01 UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Header(NamedTuple):
    """The store's single row about itself; ``secret_count`` counts deleted names too."""

    format: int
    store_id: bytes
    environment: str
    created_at: int
    key_source: str
    key_id: str
    derivation: str | None
    salt: bytes | None
    wrapped_metadata_key: bytes
    secret_count: int

    @property
    def context(self) -> tuple[Column, ...]:
        """What every ciphertext of this store is bound to."""
        return (self.format, self.store_id, self.environment)

    def checksum(self) -> bytes:
        """Return a digest without a key: tells damage from a wrong key before any key is at hand."""
        return hashlib.sha256(canonical("store", self)).digest()

    def sealed(self, envelope: Envelope) -> tuple[Column, ...]:
        """Return the row as it is stored."""
        return (*self, envelope.mac("store", self), self.checksum())


class SecretRow(NamedTuple):
    """A secret: which numbers its versions have, and which of them is in which stage.

    Stages stand here and nowhere else, so two versions cannot share one. A deleted secret keeps its row with
    ``first`` beyond ``last``, so that a number is never used twice for one name.
    """

    name: str
    first: int
    last: int
    pending: int | None
    current: int | None
    previous: int | None

    @property
    def exists(self) -> bool:
        """Whether the secret has versions; a deleted one has none."""
        return self.first <= self.last

    def number_in(self, stage: Stage) -> int | None:
        """Return the number of the version in ``stage``, which is not ``RETIRED``."""
        return {Stage.PENDING: self.pending, Stage.CURRENT: self.current, Stage.PREVIOUS: self.previous}[stage]

    def without(self, number: int) -> SecretRow:
        """Return the row as it is once ``number``, which is not current, is retired."""
        pending = None if self.pending == number else self.pending
        return self._replace(pending=pending, previous=None if self.previous == number else self.previous)

    def stage_of(self, number: int) -> Stage:
        """Return the stage of one of this secret's numbers."""
        if number == self.current:
            return Stage.CURRENT
        if number == self.pending:
            return Stage.PENDING
        return Stage.PREVIOUS if number == self.previous else Stage.RETIRED

    def sealed(self, envelope: Envelope) -> tuple[Column, ...]:
        """Return the row as it is stored."""
        return (*self, envelope.mac("secret", self))


class VersionRow(NamedTuple):
    """A version, without its stage (see :class:`SecretRow`) and without its value."""

    name: str
    number: int
    token_digest: bytes
    value_digest: bytes
    shape: str
    created_at: int
    promoted_at: int | None
    retired_at: int | None

    def as_version(self, secret: SecretRow) -> SecretVersion:
        """Return what callers see.

        Raises:
            StoreIntegrityError: The row and the secret's row contradict each other.
        """
        stage = secret.stage_of(self.number)
        if (stage is Stage.RETIRED) != (self.retired_at is not None):
            raise damaged(f"version {self.number} of '{self.name}'")
        return SecretVersion(
            SecretName(self.name),
            str(self.number),
            stage,
            as_datetime(self.created_at),
            None if self.promoted_at is None else as_datetime(self.promoted_at),
            None if self.retired_at is None else as_datetime(self.retired_at),
        )

    def sealed(self, envelope: Envelope) -> tuple[Column, ...]:
        """Return the row as it is stored."""
        return (*self, envelope.mac("version", self))


def parse_header(columns: tuple[Any, ...] | None) -> Header:
    """Return the store's row about itself, not yet authenticated.

    Raises:
        StoreIntegrityError: It is missing or damaged.
        StoreError: It has a format that this release does not know.
    """
    if columns is None:
        raise damaged("its row about itself")
    header = Header(*columns[:-2])
    if columns[-1] != header.checksum():
        raise damaged("its row about itself")
    if header.format != FORMAT:
        raise StoreError(
            f"The store has format {header.format}; this release reads format {FORMAT}.",
            hint="Install the release of vantage-secrets that wrote it, or a later one.",
        )
    return header


def check_header(envelope: Envelope, header: Header, mac: object) -> None:
    """Return when the header is what this store's key signed.

    Raises:
        StoreIntegrityError: It is not.
    """
    if not envelope.authenticates("store", header, mac):
        raise damaged("its row about itself")


def parse_secret(envelope: Envelope, columns: tuple[Any, ...]) -> SecretRow:
    """Return an authenticated secret's row.

    Raises:
        StoreIntegrityError: It is damaged.
    """
    row = SecretRow(*columns[:-1])
    if not envelope.authenticates("secret", row, columns[-1]):
        raise damaged("the row of a secret")
    return row


def parse_version(envelope: Envelope, columns: tuple[Any, ...]) -> VersionRow:
    """Return an authenticated version's row.

    Raises:
        StoreIntegrityError: It is missing or damaged.
    """
    row = VersionRow(*columns[:-1])
    if not envelope.authenticates("version", row, columns[-1]):
        raise damaged("the row of a version")
    return row


def put_row(connection: sqlite3.Connection, table: str, columns: tuple[Column, ...]) -> None:
    """Write a row, in place of the one with the same key."""
    marks = ", ".join("?" * len(columns))
    connection.execute(f"REPLACE INTO {table} VALUES ({marks})", columns)  # noqa: S608  # Our own table names.


def put_header(connection: sqlite3.Connection, columns: tuple[Column, ...]) -> None:
    """Write the store's row about itself in place of the one before."""
    connection.execute("DELETE FROM store")
    put_row(connection, "store", columns)


def damaged(what: str) -> StoreIntegrityError:
    """Return the error that says ``what`` is not what was written."""
    return StoreIntegrityError(f"The store is damaged: {what} is not what was written.")


def as_datetime(microseconds: int) -> datetime:
    """Return the instant, aware UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def as_microseconds(instant: datetime) -> int:
    """Return ``instant``, which is aware, as microseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // _MICROSECOND
