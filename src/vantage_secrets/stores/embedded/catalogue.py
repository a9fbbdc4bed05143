"""Which secrets and versions the database holds, read row by row under authentication."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from vantage_secrets.errors import SecretNotFoundError, VersionNotFoundError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.embedded.envelope import Envelope
from vantage_secrets.stores.embedded.records import (
    Header,
    SecretRow,
    VersionRow,
    check_header,
    damaged,
    parse_header,
    parse_secret,
    parse_version,
)

SECRET_COLUMNS: Final = len(SecretRow._fields) + 1
"""How many columns a secret's row has, its MAC among them."""

_HISTORY = """SELECT s.*, v.* FROM secrets AS s LEFT JOIN versions AS v ON v.name = s.name
 WHERE s.name = ? ORDER BY v.number"""


class History(NamedTuple):
    """A secret that exists, with all its versions, the oldest first."""

    secret: SecretRow
    versions: tuple[VersionRow, ...]

    def version(self, text: str) -> VersionRow:
        """Return the version with the id ``text``."""
        return self.versions[number_of(self.secret, text) - self.secret.first]


class Catalogue:
    """Looks secrets up, and reports absence only after it has seen every secret's row whole.

    A damaged name or index would make a secret look absent. What was seen holds for as long as no other process
    commits (SQLite's ``data_version``); our own commits keep it true.
    """

    def __init__(self) -> None:
        self._seen_at: tuple[sqlite3.Connection, int] | None = None

    def secret(self, connection: sqlite3.Connection, envelope: Envelope, name: SecretName) -> SecretRow | None:
        """Return the secret's row, of a deleted one too, or ``None`` when there never was one.

        Raises:
            StoreIntegrityError: A row is damaged or missing.
        """
        columns = connection.execute("SELECT * FROM secrets WHERE name = ?", (str(name),)).fetchone()
        if columns is None:
            self.check_names(connection, envelope)
            return None
        return parse_secret(envelope, columns)

    def history(self, connection: sqlite3.Connection, envelope: Envelope, name: SecretName) -> History:
        """Return the secret with all its versions.

        Raises:
            SecretNotFoundError: There is no such secret.
            StoreIntegrityError: A row is damaged or missing.
        """
        rows = connection.execute(_HISTORY, (str(name),)).fetchall()
        if not rows:
            self.check_names(connection, envelope)
            raise absent(name)
        secret = parse_secret(envelope, rows[0][:SECRET_COLUMNS])
        if not secret.exists:
            raise absent(name)
        versions = tuple(parse_version(envelope, row[SECRET_COLUMNS:]) for row in rows)
        numbers = [row.number for row in versions]
        if numbers != [*range(secret.first, secret.last + 1)] or any(row.name != secret.name for row in versions):
            raise damaged(f"the history of '{name}'")
        return History(secret, versions)

    def page(
        self, connection: sqlite3.Connection, envelope: Envelope, prefix: str, after: str, count: int
    ) -> list[SecretRow]:
        """Return the next ``count`` rows, in order of their names, from ``prefix`` on and beyond ``after``.

        Raises:
            StoreIntegrityError: A row is damaged.
        """
        found = connection.execute(
            "SELECT * FROM secrets WHERE name >= ? AND name > ? ORDER BY name LIMIT ?", (prefix, after, count)
        )
        return [parse_secret(envelope, columns) for columns in found.fetchall()]

    def check_names(self, connection: sqlite3.Connection, envelope: Envelope) -> None:
        """Return when every secret's row is there and whole.

        Raises:
            StoreIntegrityError: One is not.
        """
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        seen_at = (connection, version)  # The number means something within one connection only.
        if seen_at == self._seen_at:
            return
        with _snapshot(connection):
            header, mac = read_header(connection)
            check_header(envelope, header, mac)
            last, count = "", 0
            for columns in connection.execute("SELECT * FROM secrets"):
                row = parse_secret(envelope, columns)
                if row.name <= last:
                    raise damaged("the order of the secrets")
                last, count = row.name, count + 1
        if count != header.secret_count:
            raise damaged(f"the list of secrets ({count} of {header.secret_count} are there)")
        self._seen_at = seen_at


def read_header(connection: sqlite3.Connection) -> tuple[Header, object]:
    """Return the store's row about itself, and its MAC, which is not checked here.

    Raises:
        StoreIntegrityError: It is missing or damaged.
        StoreError: It has a format that this release does not know.
    """
    columns = connection.execute("SELECT * FROM store").fetchone()
    return parse_header(columns), None if columns is None else columns[-2]


def parse_id(version: str) -> int:
    """Return the number that a version id writes, or -1, which no version has."""
    is_id = version.isascii() and version.isdecimal() and version[0] != "0" and len(version) < 19
    return int(version) if is_id else -1


def number_of(secret: SecretRow, version: str) -> int:
    """Return the number that a version id of this secret writes.

    Raises:
        VersionNotFoundError: The secret has no such version.
    """
    number = parse_id(version)
    if not secret.first <= number <= secret.last:
        raise VersionNotFoundError(f"'{secret.name}' has no version '{version[:40]}'.")
    return number


def absent(name: SecretName) -> SecretNotFoundError:
    """Return the error that says there is no such secret."""
    return SecretNotFoundError(f"There is no secret '{name}'.")


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all statements of the block see one state; inside a transaction they do already."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
