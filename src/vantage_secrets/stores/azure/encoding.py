"""How values are written, so that who reads a text value with the vendor's own call gets that text and nothing else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import Final, NamedTuple

from vantage_secrets.errors import InvalidSecretValueError, StoreIntegrityError
from vantage_secrets.secret import REDACTED, VALUE_BYTES_MAX, SecretValue

TEXT: Final = "text/plain"
FIELDS: Final = "application/json"
BYTES: Final = "application/octet-stream;base64"
"""What stands in a version's ``contentType``; any other, or none, is read as text."""

_SALT_BYTES: Final = 16
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
"""Cost of a digest, 16 MiB and some 40 ms: what the paper that RFC 7914 describes proposes for a login."""


class Content(NamedTuple):
    """A value as the vault keeps it.

    SECURITY: shows no value, because reports of errors print what functions were called with.
    """

    text: str
    kind: str | None

    def __repr__(self) -> str:
        return f"Content({REDACTED}, {self.kind!r})"


def encoded(value: SecretValue) -> Content:
    """Return the value as the vault keeps it.

    Raises:
        InvalidSecretValueError: Written so, the value is larger than Key Vault takes, or it is no Unicode text.
    """
    content = value.reveal()
    if isinstance(content, bytes):
        text, kind = base64.b64encode(content).decode(), BYTES
    elif isinstance(content, dict):
        text, kind = json.dumps(content, ensure_ascii=False), FIELDS
    else:
        text, kind = content, TEXT
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidSecretValueError("The value holds half a surrogate pair, which is no Unicode text.") from None
    if size > VALUE_BYTES_MAX:
        raise InvalidSecretValueError(
            f"Written for Azure Key Vault as {kind}, the value is larger than {VALUE_BYTES_MAX:,} bytes.",
            hint="Keep the large part elsewhere, encrypted, and only its key as a secret.",
        )
    return Content(text, kind)


def decoded(content: Content) -> SecretValue:
    """Return the value that was stored.

    Raises:
        StoreIntegrityError: The text is not of the content type that stands beside it, or it is empty.
    """
    try:
        if content.kind == BYTES:
            return SecretValue(base64.b64decode(content.text, validate=True))
        return SecretValue(json.loads(content.text) if content.kind == FIELDS else content.text)
    except (ValueError, binascii.Error, InvalidSecretValueError):
        pass  # Raised below: the error at hand may hold the text.
    raise StoreIntegrityError(
        f"A version in the vault says that it is {content.kind or 'text'}, and is not.",
        hint="Write the value anew with 'vantage-secrets set NAME'.",
    )


def digest_of(content: Content, salt: bytes | None = None) -> str:
    """Return what can be kept of a value, so that the same one is known again when it can be read no more.

    SECURITY: it stands in a tag, which every reader of metadata sees. The salt is random and scrypt is slow
    (RFC 7914), so a guess costs 16 MiB and some 40 ms; a generated secret cannot be guessed anyhow.
    """
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    found = hashlib.scrypt(f"{content.kind}\0{content.text}".encode(), salt=salt, dklen=32, **_SCRYPT)
    return f"{salt.hex()}.{found.hex()}"


def is_digest_of(digest: str, content: Content) -> bool:
    """Return whether ``digest`` was made of that value; one that was tampered with is of none."""
    try:
        salt = bytes.fromhex(digest.partition(".")[0])
    except ValueError:
        return False
    return hmac.compare_digest(digest, digest_of(content, salt))
