"""The embedded store: one SQLite file, every value encrypted, every row authenticated."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import (
    EncryptionKeyError,
    EnvironmentMismatchError,
    PendingVersionExistsError,
    StoreError,
    VersionConflictError,
    VersionNotFoundError,
    VersionRetiredError,
)
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Capability, Examination, Health, Store
from vantage_secrets.stores.embedded.catalogue import (
    SECRET_COLUMNS,
    Catalogue,
    History,
    absent,
    number_of,
    parse_id,
    read_header,
)
from vantage_secrets.stores.embedded.envelope import Envelope, canonical, encode_value
from vantage_secrets.stores.embedded.keys import KeyPlaces, KeySource, Prompt, find_key, parse_source
from vantage_secrets.stores.embedded.new_keys import make_key, make_key_beside, rewrap, settle_key
from vantage_secrets.stores.embedded.records import (
    Header,
    SecretRow,
    VersionRow,
    as_microseconds,
    check_header,
    damaged,
    parse_secret,
    parse_version,
    put_header,
    put_row,
)
from vantage_secrets.stores.embedded.sqlite import Database, translated

_PAGE_COUNT = 500  # Names per statement of list(): enough to be fast, few enough to hold.

_READ = """SELECT store.key_id, s.*, v.*, sealed.wrapped_key, sealed.ciphertext
 FROM store CROSS JOIN secrets AS s
 LEFT JOIN versions AS v ON v.name = s.name AND v.number = {number}
 LEFT JOIN sealed_values AS sealed ON sealed.name = v.name AND sealed.number = v.number
 WHERE s.name = ?"""
_READ_STAGE = {
    stage: _READ.format(number=f"s.{stage.value}") for stage in (Stage.PENDING, Stage.CURRENT, Stage.PREVIOUS)
}
_READ_NUMBER = _READ.format(number="?")
_VERSION_COLUMNS = len(VersionRow._fields) + 1


class EmbeddedStore(Store):
    """A store in one SQLite file on this machine. Safe from several threads, several processes, and across fork.

    Every value is encrypted with AES-256-GCM under its own key, which the key-encryption key wraps; every row
    is authenticated with HMAC-SHA-256 before it is believed. Version ids are whole numbers per secret, from 1,
    and never used twice for one name, deleted or not.

    Made by :func:`~vantage_secrets.stores.embedded.open_embedded` and
    :func:`~vantage_secrets.stores.embedded.create_embedded`.

    Args:
        path: The file, absolute.
        environment: Which environment's secrets it must hold.
        places: Where the key may be found.
        clock: Tells the time that versions bear.
        busy_seconds: How long to wait for other processes' locks.

    Raises:
        StoreError: The store refused or could not be opened; see :func:`open_embedded`.
    """

    scheme = "embedded"
    capabilities = frozenset(Capability) - {Capability.WATCH, Capability.PACKED_SECRETS}

    def __init__(
        self, path: Path, *, environment: str, places: KeyPlaces, clock: Clock = utc_now, busy_seconds: float = 10.0
    ) -> None:
        self.url = f"embedded://{path}"
        self.environment = environment
        self._places = places
        self._clock = clock
        self._catalogue = Catalogue()
        self._database = Database(path, busy_seconds)
        try:
            with self._database.reading() as connection:
                self._envelope = self._unlock(connection)
        except BaseException:
            self._database.close()
            raise

    def __repr__(self) -> str:
        return f"EmbeddedStore({self.url!r})"

    @property
    def path(self) -> Path:
        """The database file."""
        return self._database.path

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        """Return the value with its version; see :meth:`Store.read`."""
        self.refuse_packed(name)
        with self._database.reading() as connection:
            if version is None:
                return self._read_stage(connection, name, stage)
            return self._read_version(connection, name, version)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        """Return all versions, the newest first, retired ones too; see :meth:`Store.describe`."""
        self.refuse_packed(name)
        with self._database.reading() as connection:
            history = self._catalogue.history(connection, self._envelope, name)
        return tuple(row.as_version(history.secret) for row in reversed(history.versions))

    def list(self, prefix: str = "") -> Iterator[SecretName]:
        """Yield the names that begin with ``prefix``, in order, lazily; see :meth:`Store.list`."""
        with self._database.reading() as connection:
            self._catalogue.check_names(connection, self._envelope)
        return self._names(prefix) if prefix.isascii() else iter(())

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        """Make a pending version durable; see :meth:`Store.stage`."""
        self.refuse_packed(name)
        self.refuse_token(token)
        with self._writing() as (connection, header):
            secret = self._catalogue.secret(connection, self._envelope, name)
            if secret is not None and secret.exists:
                sent = self._sent_before(self._catalogue.history(connection, self._envelope, name), value, token)
                if sent is not None:
                    return sent
                if secret.pending is not None:
                    raise PendingVersionExistsError(f"'{name}' has the pending version {secret.pending}.")
            return self._add_version(connection, header, secret, str(name), value, token, created_at)

    def promote(self, name: SecretName, version: str, *, expect_current: str | None) -> SecretVersion:
        """Compare-and-set which version is current; see :meth:`Store.promote`."""
        self.refuse_packed(name)
        with self._writing() as (connection, _header):
            history = self._catalogue.history(connection, self._envelope, name)
            secret, row = history.secret, history.version(version)
            stage = secret.stage_of(row.number)
            if stage is Stage.CURRENT:
                return row.as_version(secret)
            found = None if secret.current is None else str(secret.current)
            if found != expect_current:
                raise VersionConflictError(
                    f"The current version of '{name}' is {found or 'none'}, not {expect_current or 'none'}."
                )
            if stage is Stage.RETIRED:
                raise _retired(secret, row.number)
            if stage is Stage.PENDING:
                if secret.previous is not None:
                    self._erase(connection, history.version(str(secret.previous)))
                secret = secret._replace(pending=None)
            secret = secret._replace(current=row.number, previous=secret.current)
            row = row._replace(promoted_at=self._now())
            put_row(connection, "versions", row.sealed(self._envelope))
            put_row(connection, "secrets", secret.sealed(self._envelope))
            return row.as_version(secret)

    def retire(self, name: SecretName, version: str) -> SecretVersion:
        """Erase a version's value and its key; see :meth:`Store.retire`."""
        self.refuse_packed(name)
        with self._writing() as (connection, _header):
            history = self._catalogue.history(connection, self._envelope, name)
            secret, row = history.secret, history.version(version)
            stage = secret.stage_of(row.number)
            if stage is Stage.CURRENT:
                raise VersionConflictError(
                    f"Version {version} of '{name}' is current.",
                    hint="Promote another version first, or delete the secret.",
                )
            if stage is not Stage.RETIRED:
                row = self._erase(connection, row)
                secret = secret.without(row.number)
                put_row(connection, "secrets", secret.sealed(self._envelope))
            return row.as_version(secret)

    def delete(self, name: SecretName) -> bool:
        """Erase the secret with all versions; see :meth:`Store.delete`.

        SECURITY: the name and the number of its last version stay in the file, so that no version id is ever
        used for two values.
        """
        self.refuse_packed(name)
        with self._writing() as (connection, _header):
            secret = self._catalogue.secret(connection, self._envelope, name)
            if secret is None or not secret.exists:
                return False
            connection.execute("DELETE FROM sealed_values WHERE name = ?", (secret.name,))
            connection.execute("DELETE FROM versions WHERE name = ?", (secret.name,))
            gone = SecretRow(secret.name, secret.last + 1, secret.last, None, None, None)
            put_row(connection, "secrets", gone.sealed(self._envelope))
            return True

    def examine(self) -> Iterator[Examination]:
        """Yield whether names can be listed, which key the store has, and whether it takes writes."""
        yield from super().examine()
        try:
            with self._database.reading() as connection:
                header, _mac = read_header(connection)
            words = f"The store has key {header.key_id} ({header.key_source})."
            yield Examination("encryption key", Health.WORKS, words)
            with self._writing():
                pass
        except StoreError as exc:
            yield Examination("writing", Health.BROKEN, exc.message, exc.hint)
        else:
            yield Examination("writing", Health.WORKS, "The store takes writes.")

    def rotate_key(
        self, *, key_source: str | None = None, key_file: Path | None = None, passphrase: Prompt | None = None
    ) -> str:
        """Replace the key-encryption key; return the id of the new one. No value is rewritten.

        Killed at any moment, the store opens with what it was opened with before: the new key is durable
        before the one transaction that wraps all data keys anew, and a key file that is replaced in place
        stays beside the new one under its id (``key.<id>``), where opening looks first. Other processes find
        the new key by themselves where it comes from the same file or the keyring.

        Args:
            key_source: ``file``, ``keyring`` or ``passphrase``; the store's own when not given.
            key_file: For ``file``: another file, which holds the new key or in which it is written; without
                it the key is replaced in the file that the store was opened with.
            passphrase: For ``passphrase``: asks for the new one.

        Raises:
            EncryptionKeyNotFoundError: A key file or a passphrase is needed and not given.
            EncryptionKeyError: The new key is the old one, or cannot be kept where it should be.
            StoreReadOnlyError: The store takes no writes.
        """
        with self._writing() as (_connection, header):  # Before a key is made: can the store be written at all?
            source = parse_source(key_source or header.key_source)
        in_place = self._places.key_file if source is KeySource.FILE and key_file is None else None
        with translated(self.path):
            new = make_key_beside(in_place) if in_place else make_key(source, key_file, passphrase)
        with self._writing() as (connection, header):
            if new.kek.id == header.key_id:
                raise EncryptionKeyError("That is the key that the store has.", hint="Name a file with another key.")
            renewed = rewrap(connection, header, self._envelope, new)
        self._envelope, self._places = renewed, new.places
        with translated(self.path):
            settle_key(header, new)
        return new.kek.id

    def close(self) -> None:
        """Close the file and let go of the keys; see :meth:`Store.close`."""
        self._database.close()
        vars(self).pop("_envelope", None)

    def _unlock(self, connection: sqlite3.Connection) -> Envelope:
        """Return the envelope that opens the store as it is now."""
        header, mac = read_header(connection)
        if header.environment != self.environment:
            raise EnvironmentMismatchError(
                f"The store at {self.path} belongs to '{header.environment}', not to '{self.environment}'."
            )
        try:
            kek = find_key(header, self._places)
        except EncryptionKeyError:
            if read_header(connection)[0].key_id == header.key_id:
                raise
            return self._unlock(connection)  # Another process replaced the key between the two.
        metadata_key = kek.unwrap(header.wrapped_metadata_key, canonical("metadata-key", header.context))
        envelope = Envelope(kek, metadata_key, header.context)
        check_header(envelope, header, mac)
        return envelope

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, Header]]:
        with self._database.writing() as connection:
            header, mac = read_header(connection)
            if header.key_id != self._envelope.key_id:
                self._envelope = self._unlock(connection)
            check_header(self._envelope, header, mac)
            yield connection, header

    def _read_stage(self, connection: sqlite3.Connection, name: SecretName, stage: Stage) -> SecretReading:
        if stage is Stage.RETIRED:
            self._catalogue.history(connection, self._envelope, name)
            raise VersionRetiredError(f"A retired version of '{name}' cannot be read.")
        secret, columns = self._found(connection, name, _READ_STAGE[stage], (str(name),))
        number = secret.number_in(stage)
        if number is None:
            raise VersionNotFoundError(f"'{name}' has no {stage} version.")
        return self._opened(secret, number, columns)

    def _read_version(self, connection: sqlite3.Connection, name: SecretName, version: str) -> SecretReading:
        known = parse_id(version)
        secret, columns = self._found(connection, name, _READ_NUMBER, (known, str(name)))
        number = number_of(secret, version)
        if secret.stage_of(number) is Stage.RETIRED:
            raise _retired(secret, number)
        return self._opened(secret, number, columns)

    def _found(
        self, connection: sqlite3.Connection, name: SecretName, query: str, parameters: tuple[Any, ...]
    ) -> tuple[SecretRow, tuple[Any, ...]]:
        """Return the secret's row and the columns of version and value, under the key that the store has now."""
        columns = connection.execute(query, parameters).fetchone()
        while columns is not None and columns[0] != self._envelope.key_id:  # Another process replaced the key.
            self._envelope = self._unlock(connection)
            columns = connection.execute(query, parameters).fetchone()
        if columns is None:
            self._catalogue.check_names(connection, self._envelope)
            raise absent(name)
        secret = parse_secret(self._envelope, columns[1 : 1 + SECRET_COLUMNS])
        if not secret.exists:
            raise absent(name)
        return secret, columns[1 + SECRET_COLUMNS :]

    def _opened(self, secret: SecretRow, number: int, columns: tuple[Any, ...]) -> SecretReading:
        row = parse_version(self._envelope, columns[:_VERSION_COLUMNS])
        if row.name != secret.name or row.number != number:
            raise damaged(f"version {number} of '{secret.name}'")
        value = self._envelope.open(row.name, number, row.shape, *columns[_VERSION_COLUMNS:])
        return SecretReading(value, row.as_version(secret))

    def _names(self, prefix: str) -> Iterator[SecretName]:
        last = ""
        while True:
            with self._database.reading() as connection:
                rows = self._catalogue.page(connection, self._envelope, prefix, last, _PAGE_COUNT)
            for row in rows:
                if not row.name.startswith(prefix):
                    return
                if row.exists:
                    yield SecretName(row.name)
            if len(rows) < _PAGE_COUNT:
                return
            last = rows[-1].name

    def _sent_before(self, history: History, value: SecretValue, token: str) -> SecretVersion | None:
        """Return the version that was staged under ``token``, or ``None``."""
        digest = self._envelope.token_digest(history.secret.name, token)
        for row in history.versions:
            if row.token_digest == digest:
                if row.value_digest != self._envelope.value_digest(row.name, row.number, value):
                    raise VersionConflictError(
                        f"This token was used for another value of '{row.name}', version {row.number}.",
                        hint="Use a new token for a new value.",
                    )
                return row.as_version(history.secret)
        return None

    def _add_version(
        self,
        connection: sqlite3.Connection,
        header: Header,
        secret: SecretRow | None,
        name: str,
        value: SecretValue,
        token: str,
        created_at: datetime | None,
    ) -> SecretVersion:
        if secret is None:
            secret = SecretRow(name, 1, 0, None, None, None)
            counted = header._replace(secret_count=header.secret_count + 1)
            put_header(connection, counted.sealed(self._envelope))
        number = secret.last + 1
        secret = secret._replace(last=number, pending=number)
        envelope = self._envelope
        shape, _raw = encode_value(value)
        row = VersionRow(
            name,
            number,
            envelope.token_digest(name, token),
            envelope.value_digest(name, number, value),
            shape,
            self._now() if created_at is None else as_microseconds(created_at),
            None,
            None,
        )
        put_row(connection, "secrets", secret.sealed(envelope))
        put_row(connection, "versions", row.sealed(envelope))
        put_row(connection, "sealed_values", (name, number, *envelope.seal(name, number, value)))
        return row.as_version(secret)

    def _erase(self, connection: sqlite3.Connection, row: VersionRow) -> VersionRow:
        """Remove a version's ciphertext and wrapped key; return its row, retired.

        SECURITY: SQLite overwrites what is deleted with zeros (``secure_delete``); the write-ahead log is cut
        after the commit. Without the wrapped key even a copy of the ciphertext elsewhere cannot be opened.
        """
        connection.execute("DELETE FROM sealed_values WHERE name = ? AND number = ?", (row.name, row.number))
        row = row._replace(retired_at=self._now())
        put_row(connection, "versions", row.sealed(self._envelope))
        return row

    def _now(self) -> int:
        return as_microseconds(self._clock())


def _retired(secret: SecretRow, number: int) -> VersionRetiredError:
    return VersionRetiredError(f"Version {number} of '{secret.name}' was retired; its value is gone for good.")
