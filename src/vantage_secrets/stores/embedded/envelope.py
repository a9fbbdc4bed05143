"""Envelope encryption: values under data keys, data keys under the key-encryption key, rows under a MAC.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces for values and keys, HMAC-SHA-256 (RFC 2104) for rows.
A data key encrypts one value once; the key-encryption key wraps far fewer keys than the 2^32 that
SP 800-38D, section 8.3, allows under random nonces.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vantage_secrets.errors import StoreIntegrityError
from vantage_secrets.secret import SecretValue

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12

Column = str | bytes | int | None
"""What a column of the database holds."""


class KeyEncryptionKey:
    """The key that wraps data keys: known by ``id``, a fingerprint that is no secret.

    SECURITY: the id is a PRF of the key, so it tells nothing about a random key. For a key made from a
    passphrase it lets a guess be checked, at the price of one Argon2id run, as the wrapped keys do anyway.

    Args:
        raw: 32 bytes.
    """

    __slots__ = ("_cipher", "id")

    def __init__(self, raw: bytes) -> None:
        self._cipher = AESGCM(raw)
        self.id = hmac.digest(raw, b"vantage-secrets key id 1", "sha256")[:8].hex()

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """Return ``key`` encrypted and bound to ``about``: nonce, ciphertext and tag."""
        return _encrypt(self._cipher, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """Return the key that was wrapped.

        Raises:
            StoreIntegrityError: ``wrapped`` or ``about`` is not what it was, or another key wrapped it.
        """
        return _decrypt(self._cipher, wrapped, about, "a wrapped key")


class Envelope:
    """Seals and opens the values of one store, and authenticates its rows.

    Args:
        kek: Wraps and unwraps data keys.
        metadata_key: 32 bytes, authenticates rows; the same for the store's whole life.
        context: What every ciphertext is bound to: format number, store id, environment.
    """

    __slots__ = ("_context", "_kek", "_metadata_key")

    def __init__(self, kek: KeyEncryptionKey, metadata_key: bytes, context: tuple[Column, ...]) -> None:
        self._kek = kek
        self._metadata_key = metadata_key
        self._context = context

    @property
    def key_id(self) -> str:
        """Id of the key-encryption key in use."""
        return self._kek.id

    def with_key(self, kek: KeyEncryptionKey) -> Envelope:
        """Return the same store's envelope under another key-encryption key."""
        return Envelope(kek, self._metadata_key, self._context)

    def wrapped_metadata_key(self) -> bytes:
        """Return the metadata key, wrapped for the store's header."""
        return self._kek.wrap(self._metadata_key, canonical("metadata-key", self._context))

    def mac(self, label: str, columns: Iterable[Column]) -> bytes:
        """Return the MAC of a row of the kind ``label``."""
        return hmac.digest(self._metadata_key, canonical(label, columns), "sha256")

    def authenticates(self, label: str, columns: Iterable[Column], mac: object) -> bool:
        """Return whether ``mac`` is the row's own."""
        return isinstance(mac, bytes) and hmac.compare_digest(self.mac(label, columns), mac)

    def seal(self, name: str, number: int, value: SecretValue) -> tuple[bytes, bytes]:
        """Return a fresh wrapped data key, and the value encrypted under it.

        SECURITY: name, version, environment, store, format and the value's shape are associated data, so a
        ciphertext that was moved to another row, store or environment does not open.
        """
        shape, raw = encode_value(value)
        data_key = os.urandom(KEY_BYTES)
        wrapped = self._kek.wrap(data_key, self._about("data-key", name, number))
        return wrapped, _encrypt(AESGCM(data_key), raw, self._about("value", name, number, shape))

    def open(self, name: str, number: int, shape: str, wrapped: bytes, ciphertext: bytes) -> SecretValue:
        """Return the value that was sealed.

        Raises:
            StoreIntegrityError: Anything of it is not what it was.
        """
        data_key = self._kek.unwrap(wrapped, self._about("data-key", name, number))
        about = self._about("value", name, number, shape)
        return decode_value(shape, _decrypt(AESGCM(data_key), ciphertext, about, f"the value of '{name}'"))

    def rewrap(self, name: str, number: int, wrapped: bytes, kek: KeyEncryptionKey) -> bytes:
        """Return the same data key, wrapped by ``kek``."""
        about = self._about("data-key", name, number)
        return kek.wrap(self._kek.unwrap(wrapped, about), about)

    def token_digest(self, name: str, token: str) -> bytes:
        """Return what is stored of an idempotence token."""
        return self.mac("token", (name, token))

    def value_digest(self, name: str, number: int, value: SecretValue) -> bytes:
        """Return what tells, even after retirement, whether the same value is sent again under the same token.

        SECURITY: it outlives the value. It is keyed, so only who holds the key-encryption key can check a
        guess against it, and only a guess: of a random credential it gives nothing away. Name and version are
        in it, so that equal values are not seen to be equal.
        """
        return self.mac("value", (name, number, *encode_value(value)))

    def _about(self, label: str, *columns: Column) -> bytes:
        return canonical(label, (*self._context, *columns))


def canonical(label: str, columns: Iterable[Column]) -> bytes:
    """Return bytes that no other label or columns give: each with its type and length before it."""
    parts = [label.encode(), b"\0"]
    for column in columns:
        if column is None:
            parts.append(b"n")
            continue
        if isinstance(column, bytes):
            kind, raw = b"b", column
        elif isinstance(column, str):
            kind, raw = b"t", column.encode("utf-8", "surrogatepass")
        else:
            kind, raw = b"i", repr(column).encode()
        parts += (kind, len(raw).to_bytes(4, "big"), raw)
    return b"".join(parts)


def encode_value(value: SecretValue) -> tuple[str, bytes]:
    """Return a value's shape (``text``, ``bytes`` or ``fields``) and its bytes."""
    content = value.reveal()
    if isinstance(content, bytes):
        return "bytes", content
    if isinstance(content, str):
        return "text", content.encode("utf-8", "surrogatepass")
    import json  # Values with named fields are rare; others need not pay for it.

    return "fields", json.dumps(content, sort_keys=True).encode()


def decode_value(shape: str, raw: bytes) -> SecretValue:
    """Return the value that :func:`encode_value` took apart."""
    if shape == "bytes":
        return SecretValue(raw)
    if shape == "text":
        return SecretValue(raw.decode("utf-8", "surrogatepass"))
    import json

    return SecretValue(json.loads(raw))


def _encrypt(cipher: AESGCM, plain: bytes, about: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, about)


def _decrypt(cipher: AESGCM, sealed: object, about: bytes, what: str) -> bytes:
    if not isinstance(sealed, bytes) or len(sealed) < _NONCE_BYTES:
        raise StoreIntegrityError(f"The store is damaged: {what} is missing or cut off.")
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        raise StoreIntegrityError(f"The store is damaged: {what} is not what was written.") from None
