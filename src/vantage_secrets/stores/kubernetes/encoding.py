"""How values stand in a Secret's data: text as itself, so that every plain reader gets it; and their digests."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Final

from vantage_secrets.secret import SecretName, SecretValue

DIGEST_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 12  # 96 bits: no two values meet by accident. Base64 makes 16 characters of them.


def encode_value(value: SecretValue) -> tuple[str, bytes]:
    """Return the value's shape, one letter, and its bytes: text as UTF-8, bytes as they are, fields as JSON."""
    content = value.reveal()
    if isinstance(content, bytes):
        return "b", content
    if isinstance(content, str):
        return "t", content.encode("utf-8", "surrogatepass")
    return "f", json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")


def decode_value(shape: str, raw: bytes) -> SecretValue:
    """Return the value that :func:`encode_value` made ``raw`` of; its digest must have been checked."""
    if shape == "b":
        return SecretValue(raw)
    text = raw.decode("utf-8", "surrogatepass")
    return SecretValue(json.loads(text) if shape == "f" else text)


def value_digest(key: bytes, name: SecretName, version: str, shape: str, raw: bytes) -> str:
    """Return what a value is recognised by, also after it was retired.

    SECURITY: keyed, because annotations are printed by ``kubectl describe`` while data is not, and the key is in
    the data: who sees only the digest cannot try guesses. Bound to name, version and shape, so that a value that
    was put under another key is noticed.
    """
    return _digest(key, f"value\0{name}\0{version}\0{shape}\0".encode() + raw)


def token_digest(key: bytes, name: SecretName, token: str) -> str:
    """Return what a token is recognised by."""
    return _digest(key, f"token\0{name}\0".encode() + token.encode("utf-8", "surrogatepass"))


def _digest(key: bytes, about: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, about, "sha256")[:_DIGEST_BYTES]).decode()
