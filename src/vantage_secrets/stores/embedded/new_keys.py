"""Making key-encryption keys: for a new store, and to replace the one a store has."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vantage_secrets.errors import EncryptionKeyError, EncryptionKeyNotFoundError
from vantage_secrets.stores.embedded.envelope import KEY_BYTES, Envelope, KeyEncryptionKey
from vantage_secrets.stores.embedded.files import draft_of, make_private_folder, sync_folder
from vantage_secrets.stores.embedded.keys import (
    DERIVATION,
    SALT_BYTES,
    KeyPlaces,
    KeySource,
    Prompt,
    beside,
    derive_key,
    forget_in_keyring,
    keep_in_keyring,
    read_key_file,
    read_passphrase,
    write_key_file,
)
from vantage_secrets.stores.embedded.records import Header, put_header


class NewKey(NamedTuple):
    """A key that is durable where it belongs, before any store depends on it."""

    source: KeySource
    kek: KeyEncryptionKey
    places: KeyPlaces
    derivation: str | None = None
    salt: bytes | None = None


def make_key(source: KeySource, key_file: Path | None, passphrase: Prompt | None) -> NewKey:
    """Return a key of the kind ``source``: a new one, or the one that ``key_file`` holds already.

    Raises:
        EncryptionKeyNotFoundError: A key file or a passphrase is needed and not given.
        EncryptionKeyError: The key file does not hold a key, or the keyring refused one.
        MissingExtraError: The keyring package is not installed.
    """
    if source is KeySource.KEYRING:
        raw = os.urandom(KEY_BYTES)
        kek = KeyEncryptionKey(raw)
        keep_in_keyring(kek.id, raw)
        return NewKey(source, kek, KeyPlaces())
    if source is KeySource.PASSPHRASE:
        # SECURITY: the passphrase stays in memory while the store is open, so that nobody is asked twice; the
        # key that it makes stays there anyway.
        words = read_passphrase(KeyPlaces(prompt=passphrase))
        salt = os.urandom(SALT_BYTES)
        kek = KeyEncryptionKey(derive_key(words, DERIVATION, salt))
        return NewKey(source, kek, KeyPlaces(prompt=lambda: words), DERIVATION, salt)
    if key_file is None:
        raise EncryptionKeyNotFoundError("A store with a key file needs the name of that file.")
    key_file = key_file.absolute()
    make_private_folder(key_file.parent)
    with suppress(FileExistsError):
        write_key_file(key_file, os.urandom(KEY_BYTES))
    return NewKey(source, KeyEncryptionKey(read_key_file(key_file)), KeyPlaces(key_file))


def make_key_beside(key_file: Path) -> NewKey:
    """Return a new key that stands beside ``key_file`` under its own id, where opening finds it.

    The key in ``key_file`` gets a name by its id too. No key is ever removed here: a rotation that was
    cut short, a rival one, a second store with the same key file and an older backup all find theirs.
    """
    old = read_key_file(key_file)
    raw = os.urandom(KEY_BYTES)
    kek = KeyEncryptionKey(raw)
    for key_id, content in ((KeyEncryptionKey(old).id, old), (kek.id, raw)):
        with suppress(FileExistsError):
            write_key_file(beside(key_file, key_id), content)
    return NewKey(KeySource.FILE, kek, KeyPlaces(key_file))


def rewrap(connection: sqlite3.Connection, header: Header, envelope: Envelope, new: NewKey) -> Envelope:
    """Put every data key, and the metadata key, under the new key; values are not touched.

    Args:
        connection: Inside a write transaction, so that it happens to all keys or to none.
        header: The store's row about itself, authenticated.
        envelope: Opens what the old key wrapped.
        new: The key to wrap with.

    Returns:
        The envelope that opens the store once the transaction is committed.

    Raises:
        StoreIntegrityError: A wrapped key is damaged.
    """
    wrapped = connection.execute("SELECT name, number, wrapped_key FROM sealed_values").fetchall()
    connection.executemany(
        "UPDATE sealed_values SET wrapped_key = ? WHERE name = ? AND number = ?",
        [(envelope.rewrap(name, number, key, new.kek), name, number) for name, number, key in wrapped],
    )
    renewed = envelope.with_key(new.kek)
    put_header(connection, renamed(header, new, renewed).sealed(renewed))
    return renewed


def renamed(header: Header, key: NewKey, envelope: Envelope) -> Header:
    """Return the header that says the store's key is ``key``."""
    return header._replace(
        key_source=key.source.value,
        key_id=key.kek.id,
        derivation=key.derivation,
        salt=key.salt,
        wrapped_metadata_key=envelope.wrapped_metadata_key(),
    )


def settle_key(before: Header, new: NewKey) -> None:
    """Give the new key the key file's name, and forget the old one in the keyring; the store is committed.

    SECURITY: old key files stay beside the new one, under their ids. They open only copies of the store from
    before; whoever has no such copy to keep removes them.
    """
    if new.places.key_file is not None:
        named = beside(new.places.key_file, new.kek.id)
        if named.exists():
            draft = draft_of(named)
            os.link(named, draft)
            draft.replace(new.places.key_file)
            draft.unlink(missing_ok=True)  # Rename does nothing when both names are one file already.
            sync_folder(named.parent)
    if before.key_source == KeySource.KEYRING:
        with suppress(EncryptionKeyError):  # The entry opens nothing any more.
            forget_in_keyring(before.key_id)
