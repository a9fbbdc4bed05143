"""Making an embedded store, and opening one by its URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vantage_secrets.clock import Clock, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError, InvalidURLError
from vantage_secrets.stores.embedded.envelope import KEY_BYTES, Column, Envelope
from vantage_secrets.stores.embedded.files import draft_of, make_private_folder, publish
from vantage_secrets.stores.embedded.keys import KeyPlaces, KeySource, Prompt, parse_source
from vantage_secrets.stores.embedded.new_keys import make_key, renamed
from vantage_secrets.stores.embedded.records import FORMAT, Header, as_microseconds, put_row
from vantage_secrets.stores.embedded.sqlite import create_database, translated
from vantage_secrets.stores.embedded.store import EmbeddedStore

_OPTIONS: Final = frozenset({"key_file", "passphrase_file", "key_source", "busy_timeout"})
_BUSY_TIMEOUT: Final = "10s"


def open_embedded(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Prompt | None = None,
    clock: Clock = utc_now,
) -> EmbeddedStore:
    """Return the store that ``url`` names, opened.

    Args:
        url: ``embedded:///absolute/secrets.db``, or ``embedded:secrets.db``, relative to the working directory.
        environment: Which environment's secrets it must hold, such as ``production``.
        options: ``key_file`` and ``passphrase_file`` (paths; else ``VANTAGE_SECRETS_KEY_FILE`` and
            ``VANTAGE_SECRETS_PASSPHRASE_FILE``), ``busy_timeout`` (how long to wait for other processes, such as
            ``10s``), ``key_source`` (used when a store is made; ignored here).
        prompt: Asks for the passphrase where no file gives it.
        clock: Tells the time that versions bear.

    Raises:
        InvalidURLError: The URL names no file.
        InvalidInputError: There is an option that this store does not have.
        StoreUnavailableError: There is no store there.
        InsecurePermissionsError: The store's or the key's file is open to others.
        EnvironmentMismatchError: The store belongs to another environment.
        EncryptionKeyNotFoundError: No key is where the store says it is.
        WrongEncryptionKeyError: The key is not the store's.
        MissingExtraError: The key is in the keyring, and that package is not installed.
        StoreIntegrityError: The file is damaged, or no store.
    """
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise InvalidInputError(
            f"The embedded store has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(_OPTIONS))}."
        )
    return EmbeddedStore(
        path_in(url),
        environment=environment,
        places=KeyPlaces.named_by(options, prompt),
        clock=clock,
        busy_seconds=parse_duration(options.get("busy_timeout", _BUSY_TIMEOUT)).total_seconds(),
    )


def create_embedded(
    path: Path,
    *,
    environment: str,
    key_source: str = KeySource.FILE,
    key_file: Path | None = None,
    passphrase: Prompt | None = None,
    clock: Clock = utc_now,
) -> EmbeddedStore:
    """Make a store with nothing in it, and return it opened. Never replaces one.

    The file appears under its name only when it is whole, so that a crash leaves no half-made store.

    Args:
        path: The file; folders that are missing are made with mode 0700.
        environment: Which environment's secrets it will hold.
        key_source: ``file``, ``keyring`` or ``passphrase``.
        key_file: For ``file``: where the key is, or where a new one is written.
        passphrase: For ``passphrase``: asks for it.
        clock: Tells the time that versions bear.

    Raises:
        InvalidInputError: Something is at ``path`` already, or the environment has no name.
        EncryptionKeyNotFoundError: A key file or a passphrase is needed and not given.
        EncryptionKeyError: The key file does not hold a key, or the keyring refused one.
        MissingExtraError: The keyring package is not installed.
        StoreUnavailableError: The file could not be written.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # Path.resolve would follow links; the name given is kept.
    source = parse_source(key_source)
    if not environment:
        raise InvalidInputError("A store belongs to an environment; its name is empty.")
    _refuse_existing(path)
    with translated(path):
        make_private_folder(path.parent)
        key = make_key(source, key_file, passphrase)
        about = Header(FORMAT, os.urandom(16), environment, as_microseconds(clock()), "", "", None, None, b"", 0)
        envelope = Envelope(key.kek, os.urandom(KEY_BYTES), about.context)
        draft = draft_of(path)
        _write_database(draft, renamed(about, key, envelope).sealed(envelope))
        try:
            publish(draft, path)
        except FileExistsError:
            _refuse_existing(path)
        finally:
            draft.unlink(missing_ok=True)
    return EmbeddedStore(path, environment=environment, places=key.places, clock=clock)


def path_in(url: str) -> Path:
    """Return the absolute path of the file that ``url`` names.

    Raises:
        InvalidURLError: It names none, or a host.
    """
    scheme, _colon, rest = url.partition(":")
    if rest.startswith("//"):
        rest = rest[2:] if rest[2:3] == "/" else ""
    if scheme != "embedded" or not rest or rest.endswith("/") or "\0" in rest:
        raise InvalidURLError(f"'{url}' names no file.")
    return Path(os.path.abspath(rest))  # noqa: PTH100  # Path.resolve would follow links; the name given is kept.


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise InvalidInputError(
            f"Something is at {path} already; nothing was changed.",
            hint="Use the store that is there, or name another path.",
        )


def _write_database(draft: Path, header: tuple[Column, ...]) -> None:
    """Write a store with nothing in it, durably."""
    connection = create_database(draft)
    try:
        put_row(connection, "store", header)
    finally:
        connection.close()
