"""How values are written, so that readers without this package get plain text, and how versions are noted.

A secret that has its path to itself is written as ``{"value": TEXT}``; named fields are written as they are named;
bytes are written as ``{"value": BASE64}``. A packed secret is one key of its path's data.

Which of these it is, and which version of ours a version of KV is, stands in the path's ``custom_metadata``: one
:class:`Entry` for each version that may be read, under ``vantage-secrets.NUMBER`` or ``vantage-secrets.FIELD.NUMBER``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from vantage_secrets.errors import InvalidSecretValueError, StoreIntegrityError, UnsupportedOperationError
from vantage_secrets.secret import SecretName, SecretValue

KEY: Final = "value"
"""Where text and bytes stand in the data of a path."""

METADATA_KEYS_MAX: Final = 64
"""Keys in ``custom_metadata``, at most; a key has up to 128 bytes and a value up to 512 (tried against OpenBao 2.7)."""

ENVIRONMENT: Final = "vantage-secrets.environment"
"""The key in ``custom_metadata`` that tells whose secret it is."""

_ENTRY: Final = "vantage-secrets."


class Shape(StrEnum):
    """What kind of value was written."""

    TEXT = "text"
    BYTES = "bytes"
    FIELDS = "fields"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as it is written: its shape and the data of its path."""

    shape: Shape
    data: dict[str, str] = field(repr=False)

    def at(self, part: str) -> dict[str, str]:
        """Return what is written to the path: all of the data, or one key of it for the packed secret ``part``."""
        return {part: self.data[KEY]} if part else self.data


def encode(name: SecretName, value: SecretValue) -> Encoded:
    """Return ``value`` as it is written.

    Raises:
        InvalidSecretValueError: The text is not Unicode: it has a surrogate without its other half.
        UnsupportedOperationError: Named fields were given for a packed secret.
    """
    content = value.reveal()
    if isinstance(content, bytes):
        return Encoded(Shape.BYTES, {KEY: base64.b64encode(content).decode()})
    if isinstance(content, str):
        encoded = Encoded(Shape.TEXT, {KEY: content})
    elif name.field:
        raise UnsupportedOperationError(
            f"'{name}' is one key of its path, and a key cannot hold named fields.",
            hint=f"Give each its own name, such as {name.path}#{name.field}_password, or use a path of its own.",
        )
    else:
        encoded = Encoded(Shape.FIELDS, content)
    if not all(_is_unicode(text) for pair in encoded.data.items() for text in pair):
        raise InvalidSecretValueError("The value is not Unicode text.", hint="Give it as bytes.")
    return encoded


def decode(name: SecretName, shape: Shape | None, data: Mapping[str, Any]) -> SecretValue:
    """Return the value that stands in ``data``, the whole data of its path.

    Args:
        name: Whose value.
        shape: What was written, or ``None`` when somebody else wrote it: then ``value`` alone is text, and
            anything else named fields, of which those that are no text are given as JSON.
        data: What stands there.

    Raises:
        StoreIntegrityError: It is nothing that a secret's value can be.
    """
    content: str | bytes | dict[str, str] | None
    try:
        if name.field or shape in (Shape.TEXT, Shape.BYTES) or (shape is None and set(data) == {KEY}):
            text = _as_text(data[name.field or KEY])
            content = base64.b64decode(text, validate=True) if shape is Shape.BYTES else text
        else:
            content = {key: _as_text(found) for key, found in data.items()}
        return SecretValue(content)
    except (KeyError, binascii.Error, InvalidSecretValueError):
        content = None
    raise StoreIntegrityError(
        f"What stands at '{name.path}' is no value of '{name}'.",
        hint="Somebody changed it by hand; see the engine's audit log, and promote a good version.",
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """Which version of ours a version of KV is.

    Attributes:
        version_id: Our id.
        shape: What was written.
        created_at: When it was staged.
        promoted_at: When it became current.
        previous: Number of the version of KV that was current before, where that can still be read.
    """

    version_id: str
    shape: Shape
    created_at: datetime
    promoted_at: datetime
    previous: int | None = None

    def written(self) -> str:
        """Return it as a value of ``custom_metadata``: less than 200 of the 512 bytes that one may have."""
        record = {
            "id": self.version_id,
            "shape": self.shape.value,
            "created": self.created_at.isoformat(),
            "promoted": self.promoted_at.isoformat(),
            "previous": self.previous,
        }
        return json.dumps(record, separators=(",", ":"))


def entry_key(part: str, number: int) -> str:
    """Return the key in ``custom_metadata`` for version ``number`` of a path, or of the packed secret ``part``."""
    return f"{_ENTRY}{part}.{number}" if part else f"{_ENTRY}{number}"


def read_entries(custom_metadata: Mapping[str, str]) -> dict[tuple[str, int], Entry]:
    """Return our entries among ``custom_metadata``, by packed part (or empty) and number, and nothing else."""
    found = {}
    for key, text in custom_metadata.items():
        part, _dot, number = key.removeprefix(_ENTRY).rpartition(".")
        if key.startswith(_ENTRY) and number.isdecimal():
            entry = _read_entry(text)
            if entry is not None:
                found[part, int(number)] = entry
    return found


def _read_entry(text: str) -> Entry | None:
    try:
        record = json.loads(text)
        return Entry(
            record["id"],
            Shape(record["shape"]),
            datetime.fromisoformat(record["created"]),
            datetime.fromisoformat(record["promoted"]),
            record["previous"],
        )
    except (ValueError, KeyError, TypeError):
        return None  # Somebody else's, or changed by hand: then the version counts as somebody else's.


def read_time(text: str) -> datetime:
    """Return a time as Go writes it, RFC 3339 with up to nine digits of a second, cut to microseconds."""
    whole, _dot, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}").replace(tzinfo=UTC)


def _as_text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
