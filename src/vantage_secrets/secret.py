"""What a secret is: its name, its value, its versions and their stages. Values and rules, no I/O."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final, NamedTuple, NoReturn

from vantage_secrets.errors import (
    InvalidSecretNameError,
    InvalidSecretValueError,
    NameCollisionError,
    SecretExposureError,
)

REDACTED: Final = "***"
"""What stands wherever a value would have stood."""

NAME_LENGTH_MAX: Final = 127
"""Longest name, in characters: the smallest limit of the stores (Azure Key Vault object names, 1 to 127)."""

VALUE_BYTES_MAX: Final = 25_600
"""Largest value, in bytes: the smallest limit of the stores (Azure Key Vault, 25 kB)."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:/[a-z0-9]+(?:-[a-z0-9]+)*)*(?:#[a-z0-9_]{1,64})?", re.ASCII)


class Stage(StrEnum):
    """Where a version stands in its life; at most one version of a secret is pending, one current, one previous."""

    PENDING = "pending"
    """Written and durable, but no reader of ``current`` sees it."""
    CURRENT = "current"
    """What readers get."""
    PREVIOUS = "previous"
    """What was current before; still readable, and still opens the door during the overlap."""
    RETIRED = "retired"
    """Its value can no longer be read through any documented call."""


class Spelling(Enum):
    """How one kind of place writes a secret's name: each maps ``/`` and ``-`` to what is allowed there.

    The ``#`` of a packed secret is written as ``/`` is, and stays where the place is a path.
    """

    PATH = ("/", "-")
    """AWS Secrets Manager, HashiCorp Vault, the embedded store: ``vantage/api-key``."""
    ENVIRONMENT = ("_", "_")
    """Environment variables: ``VANTAGE_API_KEY``."""
    AZURE = ("-", "-")
    """Azure Key Vault: ``vantage-api-key``."""
    GOOGLE = ("_", "-")
    """Google Secret Manager, which has ``_`` but no ``/``: ``vantage_api-key``."""
    KUBERNETES = (".", "-")
    """A key in a Kubernetes Secret: ``vantage.api-key``."""


class SecretName:
    """A secret's canonical name: parts of ``[a-z0-9-]`` joined by ``/``, 1 to 127 characters.

    A hyphen stands only between two letters or digits, never doubled, so that stores may append their own
    marks (``x--pending``) without meeting a name of ours. Immutable, hashable, ordered by its text.

    Where one entry of a store packs several secrets (``Capability.PACKED_SECRETS``), ``#`` and 1 to 64 of
    ``[a-z0-9_]`` name one of them: ``vantage/config#api_key``.

    Raises:
        InvalidSecretNameError: The text does not follow that grammar.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Check ``text`` against the grammar."""
        if not isinstance(text, str) or len(text) > NAME_LENGTH_MAX or _NAME.fullmatch(text) is None:
            raise InvalidSecretNameError(f"{str(text)[:NAME_LENGTH_MAX]!r} is not a secret name.")
        self._text = text

    @property
    def path(self) -> str:
        """The name without its field: all of it unless the secret is packed."""
        return self._text.partition("#")[0]

    @property
    def field(self) -> str:
        """Which one of the secrets packed at ``path`` this is; empty when it is the only one there."""
        return self._text.partition("#")[2]

    def spelled(self, spelling: Spelling) -> str:
        """Return this name as ``spelling`` writes it; use :class:`NameMap` for the way back."""
        slash, hyphen = spelling.value
        mark = "#" if spelling is Spelling.PATH else slash
        text = self._text.replace("-", "\0").replace("/", slash).replace("#", mark).replace("\0", hyphen)
        return text.upper() if spelling is Spelling.ENVIRONMENT else text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"SecretName({self._text!r})"

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, SecretName) else NotImplemented

    def __lt__(self, other: SecretName) -> bool:
        return self._text < other._text


class NameMap:
    """A reversible map between canonical names and one place's spelling of them.

    ``/`` and ``-`` may become the same character, so the way back is a table, not a rule: a map knows
    only the names it was made with, and refuses a set of names in which two would be spelled alike.

    Args:
        names: The names to map.
        spelling: How the place writes them.
        explicit: Spellings that override the rule, such as ``{SecretName("vantage/query-api-key"): "API_KEY"}``.

    Raises:
        NameCollisionError: Two names would be spelled alike.
    """

    def __init__(
        self, names: Iterable[SecretName], spelling: Spelling, explicit: Mapping[SecretName, str] | None = None
    ) -> None:
        """Build both directions once."""
        self._spelled: dict[SecretName, str] = {}
        self._names: dict[str, SecretName] = {}
        for name in names:
            text = (explicit or {}).get(name) or name.spelled(spelling)
            rival = self._names.setdefault(text, name)
            if rival != name:
                raise NameCollisionError(f"'{rival}' and '{name}' would both be written as '{text}'.")
            self._spelled[name] = text

    def spell(self, name: SecretName) -> str:
        """Return the spelling of ``name``.

        Raises:
            KeyError: The map was made without ``name``.
        """
        return self._spelled[name]

    def name(self, spelled: str) -> SecretName | None:
        """Return the name that is spelled so, or ``None`` when the map was made without one."""
        return self._names.get(spelled)

    def __iter__(self) -> Iterator[SecretName]:
        return iter(self._spelled)


class SecretValue:
    """A secret's value, which leaves this object through :meth:`reveal` and in no other way.

    ``str``, ``repr``, ``format``, ``%``-formatting and logging show ``***``; pickling, copying into another
    process and JSON raise. Comparison is constant-time in the contents. The length is not public either.

    SECURITY: Python cannot wipe a string from memory; whoever can read this process's memory can read the value.

    Args:
        content: Text, bytes, or named text fields such as ``{"username": …, "password": …}`` that change together.

    Raises:
        InvalidSecretValueError: The content is empty, over 25,600 bytes, or not of one of these three shapes.
    """

    __slots__ = ("_content",)

    def __init__(self, content: str | bytes | Mapping[str, str]) -> None:
        """Check the shape and keep a copy."""
        if isinstance(content, Mapping):
            content = dict(content)
            if not all(isinstance(key, str) and key and isinstance(text, str) for key, text in content.items()):
                raise InvalidSecretValueError("A value of named fields takes text under names that are not empty.")
        elif not isinstance(content, str | bytes):
            raise InvalidSecretValueError(f"A value is text, bytes or named fields, not {type(content).__name__}.")
        if not content or (isinstance(content, dict) and not all(content.values())):
            raise InvalidSecretValueError("A secret's value must not be empty.")
        self._content: str | bytes | dict[str, str] = content
        if len(self._comparable()) > VALUE_BYTES_MAX:
            raise InvalidSecretValueError(
                f"The value is larger than {VALUE_BYTES_MAX:,} bytes.",
                hint="Keep the large part elsewhere, encrypted, and only its key as a secret.",
            )

    def reveal(self) -> str | bytes | dict[str, str]:
        """Return the value as it was given: text, bytes, or a fresh dictionary of the named fields."""
        return dict(self._content) if isinstance(self._content, dict) else self._content

    def reveal_text(self) -> str:
        """Return the value as text: what an application nearly always wants.

        Raises:
            InvalidSecretValueError: The value is bytes that are not UTF-8, or has named fields.
        """
        if isinstance(self._content, str):
            return self._content
        if isinstance(self._content, bytes):
            try:
                return self._content.decode()
            except UnicodeDecodeError:
                raise InvalidSecretValueError(
                    "The value is binary and not text.", hint="Call reveal(), which returns bytes."
                ) from None
        raise InvalidSecretValueError(
            f"The value has the named fields {', '.join(sorted(self._content))}.", hint="Call field(NAME) or reveal()."
        )

    def field(self, name: str) -> str:
        """Return one named field, such as ``password``.

        Raises:
            InvalidSecretValueError: The value has no such field, or no named fields at all.
        """
        if not isinstance(self._content, dict) or name not in self._content:
            raise InvalidSecretValueError(
                f"The value has no field '{name}'.", hint="Call reveal_text() for plain text."
            )
        return self._content[name]

    def matches(self, candidate: str | bytes | SecretValue | None) -> bool:
        """Return whether ``candidate`` is this value, in constant time; an empty or missing one never is.

        Text and its UTF-8 bytes are the same value here, because that is how both travel in a header.
        """
        if not candidate:
            return False
        if isinstance(candidate, SecretValue):
            return hmac.compare_digest(self._comparable(), candidate._comparable())
        raw = candidate.encode("utf-8", "surrogatepass") if isinstance(candidate, str) else candidate
        return not isinstance(self._content, dict) and hmac.compare_digest(self._comparable(), raw)

    def _comparable(self) -> bytes:
        if isinstance(self._content, bytes):
            return self._content
        if isinstance(self._content, str):
            return self._content.encode("utf-8", "surrogatepass")
        # Length prefixes: no two different sets of fields give the same bytes.
        return b"".join(
            len(part).to_bytes(4, "big") + part
            for key, text in sorted(self._content.items())
            for part in (key.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"))
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        same_shape = isinstance(self._content, dict) == isinstance(other._content, dict)
        return hmac.compare_digest(self._comparable(), other._comparable()) and same_shape

    __hash__ = None  # type: ignore[assignment]  # SECURITY: a hash would be a fast, unkeyed digest of the value.

    def __repr__(self) -> str:
        return f"SecretValue({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __bool__(self) -> bool:
        return True

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise SecretExposureError("A secret value cannot be pickled or copied into another process.")

    def __copy__(self) -> SecretValue:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretValue:
        return self


class SecretVersion(NamedTuple):
    """One stored value's place in its secret's life, without the value.

    Attributes:
        name: The secret.
        id: The store's own identifier of this version; unique within the secret, not ordered, not secret.
        stage: Where it stands now.
        created_at: When it was written, aware UTC.
        promoted_at: When it became current, aware UTC; ``None`` while it never was.
        retired_at: When it was retired, aware UTC; ``None`` while it is not.
    """

    name: SecretName
    id: str
    stage: Stage
    created_at: datetime
    promoted_at: datetime | None = None
    retired_at: datetime | None = None


class SecretReading(NamedTuple):
    """A value together with the version that it belongs to, as a store returned it."""

    value: SecretValue
    version: SecretVersion
