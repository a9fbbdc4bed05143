"""How a value is written in AWS Secrets Manager: text as text, fields as the JSON object that AWS's own tools use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import InvalidSecretValueError, StoreIntegrityError
from vantage_secrets.secret import SecretValue

VALUE_BYTES_MAX: Final = 65_536
"""Largest ``SecretString`` or ``SecretBinary``, bytes (AWS Secrets Manager quotas)."""


class Encoded(NamedTuple):
    """A value as a call takes it: its shape, and ``SecretString`` or ``SecretBinary``."""

    shape: str
    parameters: dict[str, str | bytes]

    def __repr__(self) -> str:
        return "Encoded(***)"


def encode(value: SecretValue) -> Encoded:
    """Return ``value`` as AWS takes it.

    Raises:
        InvalidSecretValueError: Written so it is larger than AWS takes; nothing was sent.
    """
    content = value.reveal()
    if isinstance(content, bytes):
        shape, raw, binary = "bytes", content, True
    elif isinstance(content, str):
        # A text with half a surrogate pair is no UTF-8; AWS takes it as bytes, and our shape brings it back.
        shape, raw, binary = "text", content.encode("utf-8", "surrogatepass"), not _is_utf8(content)
    else:
        shape, raw, binary = "fields", _as_json(content).encode(), False
    if len(raw) > VALUE_BYTES_MAX:
        raise InvalidSecretValueError(
            f"Written as AWS takes it the value is larger than {VALUE_BYTES_MAX:,} bytes.",
            hint="Keep the large part elsewhere, encrypted, and only its key as a secret.",
        )
    return Encoded(shape, {"SecretBinary": raw} if binary else {"SecretString": raw.decode()})


def decode(name: object, answer: Mapping[str, Any], shape: str | None) -> SecretValue:
    """Return the value in an answer of ``GetSecretValue``.

    Args:
        name: The secret, for the message.
        answer: The answer, or one entry of a batch's.
        shape: As the version's label says; ``None`` when another program wrote it: text is text, bytes are bytes.

    Raises:
        StoreIntegrityError: What is stored is not of that shape, or no value at all.
    """
    content: Any = answer.get("SecretBinary", answer.get("SecretString"))
    error: str | None = None
    try:
        if shape == "text" and isinstance(content, bytes):
            content = content.decode("utf-8", "surrogatepass")
        elif shape == "fields":
            content = json.loads(content)
        elif shape == "bytes" and not isinstance(content, bytes):
            error = "is not of the shape that was written"
        if error is None:
            return SecretValue(content)
    except (ValueError, TypeError):
        error = "is not of the shape that was written"
    except InvalidSecretValueError:
        error = "is empty, too large or of another shape than a value may be"
    # Outside the except blocks: a JSON error holds the document.
    raise StoreIntegrityError(
        f"What AWS holds as the value of '{name}' {error}.", hint="Write it anew: vantage-secrets set NAME."
    )


def _as_json(fields: Mapping[str, str]) -> str:
    return json.dumps(fields, ensure_ascii=not _is_utf8(*fields, *fields.values()))


def _is_utf8(*texts: str) -> bool:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        return False
    return True
