"""What of a secret is searched for: all of it, and each of its fields that is a secret of its own."""

from __future__ import annotations

from collections.abc import Mapping

from vantage_secrets.credential import USERNAME
from vantage_secrets.secret import SecretValue

_NO_SECRET = frozenset({USERNAME, "user", "host", "hostname", "port", "database", "dbname", "engine", "region"})
"""Fields of a login that are no secret, and that would be found everywhere."""


def parts_of(value: SecretValue) -> tuple[bytes, ...]:
    """Return what to search for: the value, and the text fields of one that has named fields or is a JSON object.

    Named fields as a whole are left out: how they stand in a file, every writer decides for itself.
    """
    content = value.reveal()
    if isinstance(content, bytes):
        return (content,)
    if isinstance(content, dict):
        return _secret_fields(content)
    whole = content.encode("utf-8", "surrogatepass")
    return (whole, *_secret_fields(_object_of(content)))


def _secret_fields(fields: Mapping[str, object]) -> tuple[bytes, ...]:
    return tuple(
        text.encode("utf-8", "surrogatepass")
        for name, text in fields.items()
        if isinstance(text, str) and text and name.lower() not in _NO_SECRET
    )


def _object_of(text: str) -> dict[str, object]:
    if not text.lstrip().startswith("{"):
        return {}
    import json

    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
