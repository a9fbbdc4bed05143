"""Where the key-encryption key comes from: a file, the operating system's keyring, or a passphrase."""

from __future__ import annotations

import binascii
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import (
    EncryptionKeyError,
    EncryptionKeyNotFoundError,
    InvalidInputError,
    MissingExtraError,
    StoreIntegrityError,
    WrongEncryptionKeyError,
)
from vantage_secrets.stores.embedded.envelope import KEY_BYTES, KeyEncryptionKey
from vantage_secrets.stores.embedded.files import check_private, write_private_file
from vantage_secrets.stores.embedded.records import Header

KEY_FILE_VARIABLE: Final = "VANTAGE_SECRETS_KEY_FILE"
PASSPHRASE_FILE_VARIABLE: Final = "VANTAGE_SECRETS_PASSPHRASE_FILE"  # noqa: S105  # The name of a variable.
KEYRING_SERVICE: Final = "vantage-secrets"

SALT_BYTES: Final = 16
DERIVATION: Final = "argon2id 65536 3 4"
"""Memory in KiB, passes, lanes: RFC 9106, section 4, second recommended option, with a 128-bit salt."""
_MEMORY_KIB_MAX, _PASSES_MAX, _LANES_MAX = 4 * 1024 * 1024, 100, 64

Prompt = Callable[[], str]
"""Asks a person for the passphrase."""


class KeySource(StrEnum):
    """What kind of key a store was made with."""

    FILE = "file"
    """32 random bytes in a file of mode 0600."""
    KEYRING = "keyring"
    """32 random bytes in the operating system's keyring, under the service ``vantage-secrets``."""
    PASSPHRASE = "passphrase"  # noqa: S105  # The name of a kind of key.
    """Argon2id over a passphrase; its parameters and salt stand in the database."""


class KeyPlaces(NamedTuple):
    """Where this process may look for a key.

    SECURITY: a passphrase is never an argument or an environment variable: both are seen by other processes.
    """

    key_file: Path | None = None
    passphrase_file: Path | None = None
    prompt: Prompt | None = None

    @classmethod
    def named_by(cls, options: Mapping[str, str], prompt: Prompt | None = None) -> KeyPlaces:
        """Return the places that ``options`` name, or else the environment variables."""
        key_file = options.get("key_file") or os.environ.get(KEY_FILE_VARIABLE)
        passphrase_file = options.get("passphrase_file") or os.environ.get(PASSPHRASE_FILE_VARIABLE)
        return cls(
            Path(key_file).absolute() if key_file else None,
            Path(passphrase_file).absolute() if passphrase_file else None,
            prompt,
        )


def find_key(header: Header, places: KeyPlaces) -> KeyEncryptionKey:
    """Return the key that the store was made with: from a named file first, else from where the store says.

    Raises:
        EncryptionKeyNotFoundError: Nothing is there.
        WrongEncryptionKeyError: A key is there, but another one.
        InsecurePermissionsError: Others may read the key or passphrase file.
        MissingExtraError: The key is in the keyring, and that package is not installed.
    """
    if places.key_file is not None:
        return _from_file(header, places.key_file)
    if header.key_source == KeySource.KEYRING:
        return _matching(header, _from_keyring(header.key_id), "the key in the keyring")
    if header.key_source == KeySource.PASSPHRASE:
        raw = derive_key(read_passphrase(places), header.derivation or "", header.salt or b"")
        return _matching(header, raw, "the passphrase")
    raise EncryptionKeyNotFoundError(
        f"The store was made with a key file (key {header.key_id}), and no key file is named.",
    )


def beside(key_file: Path, key_id: str) -> Path:
    """Return where a rotation keeps the key ``key_id``: beside ``key_file``, under its id."""
    return key_file.with_name(f"{key_file.name}.{key_id}")


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a key file: raw, or in base64 (RFC 4648, section 4) with or without a newline.

    Raises:
        EncryptionKeyNotFoundError: There is no such file.
        InsecurePermissionsError: Others may read it.
        EncryptionKeyError: It cannot be read, or does not hold a key.
    """
    check_private(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        raise EncryptionKeyNotFoundError(f"The key file {path} does not exist.") from exc
    except OSError as exc:
        raise EncryptionKeyError(f"The key file {path} cannot be read: {exc.strerror}.") from exc
    if len(content) == KEY_BYTES:
        return content
    try:
        raw = binascii.a2b_base64(content.strip(), strict_mode=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise EncryptionKeyError(f"The key file {path} does not hold {KEY_BYTES} bytes, raw or in base64.")
    return raw


def write_key_file(path: Path, raw: bytes) -> None:
    """Make a key file durable, in base64, with mode 0600; never replaces one."""
    write_private_file(path, binascii.b2a_base64(raw))


def keep_in_keyring(key_id: str, raw: bytes) -> None:
    """Put a key into the operating system's keyring under its id."""
    _asking_keyring("set_password", key_id, binascii.b2a_base64(raw, newline=False).decode())


def forget_in_keyring(key_id: str) -> None:
    """Remove a key from the operating system's keyring."""
    _asking_keyring("delete_password", key_id)


def read_passphrase(places: KeyPlaces) -> str:
    """Return the passphrase from its file, without the newline at the end, or from the prompt.

    Raises:
        EncryptionKeyNotFoundError: There is neither, or it is empty.
        InsecurePermissionsError: Others may read the file.
    """
    if places.passphrase_file is not None:
        check_private(places.passphrase_file)
        try:
            found = places.passphrase_file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError):  # SECURITY: a decoding error carries what it could not decode.
            raise EncryptionKeyNotFoundError(f"The passphrase file {places.passphrase_file} cannot be read.") from None
    else:
        found = places.prompt() if places.prompt is not None else ""
    if not found:
        raise EncryptionKeyNotFoundError(
            "The store was made with a passphrase, and none is given.",
            hint=f"Name a file that holds it with {PASSPHRASE_FILE_VARIABLE} or 'passphrase_file' in the manifest.",
        )
    return found


def derive_key(passphrase: str, derivation: str, salt: bytes) -> bytes:
    """Return the key that a passphrase makes (Argon2id, RFC 9106), 32 bytes.

    Raises:
        StoreIntegrityError: ``derivation`` is not one that this package writes.
        EncryptionKeyError: This build of the cryptography package has no Argon2id.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    memory_kib, passes, lanes = _parse_derivation(derivation)
    try:
        kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=passes, lanes=lanes, memory_cost=memory_kib)
        return kdf.derive(passphrase.encode("utf-8", "surrogatepass"))
    except UnsupportedAlgorithm as exc:
        raise EncryptionKeyError(
            "The installed cryptography package was built without Argon2id.",
            hint="Install cryptography from its wheels, or use a key file.",
        ) from exc


def _parse_derivation(derivation: str) -> tuple[int, int, int]:
    """Return memory, passes and lanes; bounded, so that a forged header cannot take the machine's memory."""
    words = derivation.split(" ")
    if len(words) == 4 and words[0] == "argon2id" and all(word.isdecimal() for word in words[1:]):
        memory_kib, passes, lanes = (int(word) for word in words[1:])
        if 8 * lanes <= memory_kib <= _MEMORY_KIB_MAX and 0 < passes <= _PASSES_MAX and 0 < lanes <= _LANES_MAX:
            return memory_kib, passes, lanes
    raise StoreIntegrityError("The store is damaged: how its key is derived is not what was written.")


def _from_file(header: Header, path: Path) -> KeyEncryptionKey:
    """Return the key from ``path``, or from beside it, where a rotation that was cut short leaves it."""
    named = beside(path, header.key_id)
    if named.exists():
        kek = KeyEncryptionKey(read_key_file(named))
        if kek.id == header.key_id:
            return kek
    return _matching(header, read_key_file(path), f"the key file {path}")


def _from_keyring(key_id: str) -> bytes:
    found = _asking_keyring("get_password", key_id)
    if found is None:
        raise EncryptionKeyNotFoundError(
            f"The store was made with a key in the operating system's keyring, which has no key {key_id} "
            f"under '{KEYRING_SERVICE}'.",
            hint="Log in as the user who made the store, or restore that user's keyring.",
        )
    try:
        raw = binascii.a2b_base64(found, strict_mode=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise EncryptionKeyError(f"The keyring's entry {key_id} under '{KEYRING_SERVICE}' does not hold a key.")
    return raw


def _asking_keyring(verb: str, key_id: str, *arguments: str) -> Any:
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as exc:
        raise MissingExtraError("keyring", "keyring") from exc
    try:
        return getattr(keyring, verb)(KEYRING_SERVICE, key_id, *arguments)
    except keyring.errors.KeyringError:  # SECURITY: a back end may put its arguments, the key, into the message.
        raise EncryptionKeyError(
            "The operating system's keyring did not do what was asked.",
            hint="Unlock the keyring, or make the store with a key file where there is none.",
        ) from None


def _matching(header: Header, raw: bytes, where: str) -> KeyEncryptionKey:
    kek = KeyEncryptionKey(raw)
    if kek.id != header.key_id:
        raise WrongEncryptionKeyError(
            f"The store was made with another key: it needs key {header.key_id} ({header.key_source}), "
            f"and {where} gives key {kek.id}."
        )
    return kek


def parse_source(text: str) -> KeySource:
    """Return the kind of key that ``text`` names.

    Raises:
        InvalidInputError: It names none.
    """
    try:
        return KeySource(text)
    except ValueError:
        raise InvalidInputError(f"'{text}' is no kind of key; use file, keyring or passphrase.") from None
