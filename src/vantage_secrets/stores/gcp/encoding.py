"""How a value is written, so that a plain reader gets plain text for text; and how a sent value is recognised."""

from __future__ import annotations

import base64
import hashlib
import json
from enum import StrEnum
from typing import Final

from vantage_secrets.errors import InvalidSecretValueError, StoreIntegrityError
from vantage_secrets.secret import SecretValue

PAYLOAD_BYTES_MAX: Final = 64 << 10
"""Largest payload of a version, in bytes: Google's limit."""

_FIELDS_END: Final = b"\n \n"  # White space after the JSON, which readers of JSON skip: it tells fields from text.


class Shape(StrEnum):
    """Which of the three shapes a value has."""

    TEXT = "text"
    BYTES = "bytes"
    FIELDS = "fields"


def encode_value(value: SecretValue) -> tuple[Shape, bytes]:
    """Return a value's shape and its payload: text and bytes as they are, fields as a JSON object.

    Raises:
        InvalidSecretValueError: The payload is larger than Google takes.
    """
    content = value.reveal()
    if isinstance(content, bytes):
        return Shape.BYTES, content
    if isinstance(content, str):
        return Shape.TEXT, content.encode("utf-8", "surrogatepass")
    payload = json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass") + _FIELDS_END
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise InvalidSecretValueError(f"The value has {len(payload):,} bytes as JSON; Google takes 65,536.")
    return Shape.FIELDS, payload


def decode_value(payload: bytes, shape: Shape | None) -> SecretValue:
    """Return the value that a payload holds.

    Args:
        payload: What Google returned.
        shape: What it is known to be; ``None`` for a reader that may not see it, and then bytes that are UTF-8
            come back as text.

    Raises:
        StoreIntegrityError: The payload is not of that shape.
    """
    try:
        return SecretValue(_decoded(payload, shape or _guessed(payload)))
    except (ValueError, InvalidSecretValueError):
        pass
    # SECURITY: raised outside of the handler, because a decoder's exception holds what it was decoding.
    raise StoreIntegrityError(
        "What Google returned is not what was written.", hint="Look at the secret's audit log at Google."
    )


def _guessed(payload: bytes) -> Shape:
    if payload.endswith(_FIELDS_END) and payload.startswith(b"{"):
        return Shape.FIELDS
    try:
        payload.decode()
    except UnicodeDecodeError:
        return Shape.BYTES
    return Shape.TEXT


def _decoded(payload: bytes, shape: Shape) -> str | bytes | dict[str, str]:
    if shape is Shape.BYTES:
        return payload
    text = payload.decode("utf-8", "surrogatepass")
    if shape is Shape.TEXT:
        return text
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise TypeError
    return fields


def token_digest(salt: str, token: str) -> str:
    """Return what a token is remembered by: 96 bits of SHA-256, salted, so that equal tokens do not look equal."""
    return _text(hashlib.sha256(f"{salt}\0{token}".encode("utf-8", "surrogatepass")).digest()[:12])


def value_digest(salt: str, token: str, shape: Shape, payload: bytes) -> str:
    """Return what the value that came with ``token`` is recognised by, also when it was destroyed. Takes about 40 ms.

    SECURITY: it stands in an annotation, which whoever may see metadata can read. So it is salted with the token,
    which is kept nowhere, and made by scrypt (RFC 7914) with N=2^14, r=8, p=1, the parameters that its author gives
    for interactive use: a guess costs 16 MiB and tens of milliseconds, even to someone who knows the token.
    """
    seasoning = f"{salt}\0{token}".encode("utf-8", "surrogatepass")
    secret = shape.encode() + b"\0" + payload
    return _text(hashlib.scrypt(secret, salt=seasoning, n=1 << 14, r=8, p=1, maxmem=1 << 25, dklen=16))


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
