"""What ``SHOW CREATE USER`` tells of a user: its methods without their hashes, and its clauses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from vantage_secrets.errors import RotationError

_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|[(),=]|[^\s(),='`"]+""")

_HEADS: tuple[tuple[str, ...], ...] = (
    ("NOT", "IDENTIFIED"),
    ("IDENTIFIED", "WITH"),
    ("IDENTIFIED",),
    ("HOST",),
    ("DEFAULT", "DATABASE"),
    ("DEFAULT", "ROLE"),
    ("SETTINGS",),
    ("GRANTEES",),
    ("IN",),
)
_AUTHENTICATION = {"NOT IDENTIFIED", "IDENTIFIED", "IDENTIFIED WITH", "IN"}

_PASSWORDS = frozenset(
    f"{name}_{end}"
    for name in ("plaintext", "sha256", "double_sha1", "bcrypt", "scram_sha256")
    for end in ("password", "hash")
)
_UNTIL_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")


class ShownMethod(NamedTuple):
    """One way to log in, as the server shows it.

    Attributes:
        kind: ClickHouse's name of it, such as ``sha256_password``.
        until: When it ends, or ``None`` for never.
        is_plain: Whether it is a password and has nothing that we would lose by restating it.
    """

    kind: str
    until: datetime | None
    is_plain: bool


class ShownUser(NamedTuple):
    """One user.

    Attributes:
        methods: How it logs in, the oldest first.
        clauses: Everything else, such as ``HOST`` and ``SETTINGS``, each as it was shown; what has its default is
            not there.
    """

    methods: tuple[ShownMethod, ...]
    clauses: Mapping[str, str]

    @property
    def is_closed(self) -> bool:
        """Whether nobody can log in from anywhere: a user that was begun and not finished."""
        return self.clauses.get("HOST") == "NONE"


def read_shown(text: str) -> ShownUser:
    """Return the user that one line of ``SHOW CREATE USER`` describes; its times must be in UTC."""
    clauses = dict(_clauses(_TOKEN.findall(text)))
    methods = tuple(_method(part) for part in _split(clauses.get("IDENTIFIED WITH", ())))
    rest = {head: " ".join(tokens) for head, tokens in clauses.items() if head not in _AUTHENTICATION}
    return ShownUser(methods, rest)


def _clauses(tokens: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each clause with its tokens. What stands in parentheses belongs to the clause around it."""
    head, body, depth, at = "", [], 0, 0
    while at < len(tokens):
        depth += (tokens[at] == "(") - (tokens[at] == ")")
        found = None if depth else next((one for one in _HEADS if tuple(tokens[at : at + len(one)]) == one), None)
        if found is None:
            body.append(tokens[at])
            at += 1
            continue
        if head:
            yield head, body
        head, body, at = " ".join(found), [], at + len(found)
    if head:
        yield head, body


def _split(tokens: Sequence[str]) -> Iterator[list[str]]:
    """Yield the methods of a list: each begins with its kind. A further key of an SSH user stays with its method."""
    part: list[str] = []
    for at, word in enumerate(tokens):
        if word == "," and tokens[at + 1 : at + 2] != ["KEY"]:
            yield part
            part = []
        else:
            part.append(word)
    if part:
        yield part


def _method(tokens: list[str]) -> ShownMethod:
    kind, rest = tokens[0], tokens[1:]
    until = None
    if rest[-3:-1] == ["VALID", "UNTIL"]:
        until, rest = _time(rest[-1].strip("'")), rest[:-3]
    while rest[:1] in (["BY"], ["SALT"]):  # shown to those who may see hashes
        rest = rest[2:]
    return ShownMethod(kind, until, kind in _PASSWORDS and not rest)


def _time(text: str) -> datetime:
    for form in _UNTIL_FORMATS:
        try:
            return datetime.strptime(text.removesuffix(" UTC"), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise RotationError(
        f"ClickHouse shows an end that cannot be read: {text[:40]!r}.",
        hint="Look at SHOW CREATE USER; a password whose end is not known is not stated anew.",
    )
