"""What the front of ClickHouse keeps: users with methods, ends, clauses and grants, and lists that name users."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ADMIN = "admin"
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),=]|[^\s(),='`]+""")
_ADDED = "ADD IDENTIFIED WITH"
_HEADS = (_ADDED, "IDENTIFIED WITH", "HOST", "DEFAULT DATABASE", "DEFAULT ROLE", "SETTINGS", "GRANTEES", "VALID UNTIL")
_SHOWN_AS = {"sha256_hash": "sha256_password", "double_sha1_hash": "double_sha1_password"}


class FrontError(Exception):
    """An error that is told as ClickHouse would, by its code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class User:
    """A user: methods as ``[kind, secret, salt, until]``, clauses and grants as they are shown."""

    methods: list[list[Any]] = field(default_factory=list)
    clauses: dict[str, str] = field(default_factory=dict)
    grants: list[str] = field(default_factory=list)
    storage: str = "local_directory"


class Users:
    """All users of a front, in memory.

    Args:
        admin: The administrator's password as SHA-256, who alone may change users.

    Attributes:
        switches: How it behaves otherwise: ``version``, ``storage``, ``methods_max``.
        lists: Quotas, profiles and row policies by their names, with ``(users, whether those are the exceptions)``.
    """

    def __init__(self, admin: str) -> None:
        self.users = {ADMIN: User([["sha256_hash", admin, "", None]])}
        self.lists: dict[str, dict[str, tuple[list[str], bool]]] = {"QUOTA": {}, "PROFILE": {}, "POLICY": {}}
        self.switches: dict[str, Any] = {}

    def login(self, name: str, password: str) -> None:
        """Check a login as ClickHouse does: one code for every reason."""
        user = self.users.get(name)
        is_open = user is not None and user.clauses.get("HOST") != "NONE"
        if not is_open or not any(_accepts(one, password) for one in user.methods):  # type: ignore[union-attr]
            raise FrontError(516, f"{name}: Authentication failed: password is incorrect, or there is no such user.")

    def show(self, parsed: str) -> bytes:
        """Return what ``SHOW CREATE USER`` or ``SHOW GRANTS FOR`` answers."""
        tokens = _TOKEN.findall(parsed)
        name = _plain(tokens[-1])
        user = self._of(name)
        if tokens[1] == "GRANTS":
            lines = (one.partition("\0") for one in user.grants)
            shown = [f"{bare} TO `{name}`" + (f" WITH {option}" if option else "") for bare, _, option in lines]
            return "".join(f"{line}\n" for line in shown).encode()
        methods = ", ".join(map(_shown_method, user.methods))
        clauses = " ".join(f"{head} {text}" for head, text in user.clauses.items())
        return f"CREATE USER `{name}` IDENTIFIED WITH {methods} {clauses}".encode().strip() + b"\n"

    def change(self, parsed: str) -> None:
        """Do what a statement about users says, as the engine's parser wrote it out."""
        tokens = _TOKEN.findall(parsed)
        if tokens[0] in ("GRANT", "REVOKE"):
            self._grant(tokens[0], parsed)
            return
        kind = next(word for word in tokens if word in ("USER", *self.lists))
        rest = tokens[tokens.index(kind) + 1 :]
        is_conditional = rest[0] == "IF"
        if is_conditional:
            rest = rest[3 if rest[1] == "NOT" else 2 :]
        if kind != "USER":
            self._assign(kind, rest)
            return
        name, rest = _plain(rest[0]), rest[1:]
        if tokens[0] == "DROP":
            if self.users.pop(name, None) is None and not is_conditional:
                raise FrontError(192, f"There is no user `{name}` in user directories")
        elif tokens[0] == "CREATE" and name in self.users:
            if not is_conditional:
                raise FrontError(493, f"User `{name}` already exists")
        else:
            self._define(tokens[0] == "CREATE", name, rest)

    def _assign(self, kind: str, tokens: list[str]) -> None:
        at = tokens.index("TO")
        name = f"{_plain(tokens[0])} ON {tokens[2]}" if kind == "POLICY" else _plain(tokens[0])
        is_exception = tokens[at + 1 : at + 3] == ["ALL", "EXCEPT"]
        named = tokens[at + 3 if is_exception else at + 1 :]
        self.lists[kind][name] = ([_plain(one) for one in named if one != ","], is_exception)

    def _define(self, is_new: bool, name: str, tokens: list[str]) -> None:
        user = User(storage=self.switches.get("storage", "local_directory")) if is_new else self._of(name)
        if not is_new and user.storage == "users_xml":
            raise FrontError(495, f"Cannot update user `{name}` in users_xml because this storage is readonly")
        clauses = dict(_clauses(tokens))
        if _ADDED in clauses or "IDENTIFIED WITH" in clauses:
            methods = user.methods if _ADDED in clauses else []
            stated = clauses.pop(_ADDED, None) or clauses.pop("IDENTIFIED WITH")
            methods = methods + [_method(part) for part in _split(stated)]
            if len(methods) > 1 and self._release() < (24, 9):
                raise FrontError(62, "Syntax error")
            if len(methods) > self.switches.get("methods_max", 100):
                raise FrontError(36, "User can not have that many authentication methods")
            user.methods = methods
        if "VALID UNTIL" in clauses:
            for method in user.methods:
                method[3] = _instant(clauses["VALID UNTIL"][0])
            del clauses["VALID UNTIL"]
        for head, part in clauses.items():
            words = [word for word in _split(part) if word[0] != "DROP"]
            user.clauses[head] = ", ".join(" ".join(_without_add(word)) for word in words)
        for head, default in (("HOST", "ANY"), ("DEFAULT ROLE", "ALL"), ("GRANTEES", "ANY")):
            if user.clauses.get(head) == default:
                del user.clauses[head]
        self.users[name] = user

    def _grant(self, verb: str, text: str) -> None:
        bare, _, rest = text.partition(" TO " if verb == "GRANT" else " FROM ")
        name, _, option = rest.partition(" WITH ")
        line = bare.replace("REVOKE", "GRANT", 1) + "\0" + option
        grants = self._of(_plain(name.strip())).grants
        if verb == "REVOKE":
            grants[:] = [one for one in grants if one.partition("\0")[0] != line.partition("\0")[0]]
        elif line not in grants:
            grants.append(line)

    def _of(self, name: str) -> User:
        if name not in self.users:
            raise FrontError(192, f"There is no user `{name}` in user directories")
        return self.users[name]

    def _release(self) -> tuple[int, ...]:
        return tuple(map(int, self.switches.get("version", "26.9").split(".")[:2]))


def _accepts(method: list[Any], password: str) -> bool:
    kind, secret, salt, until = method
    if until is not None and datetime.now(UTC).timestamp() >= until:
        return False
    digest = hashlib.sha256((password + salt).encode("utf-8", "surrogatepass")).hexdigest()
    return kind == "no_password" or (kind == "sha256_hash" and secrets.compare_digest(digest, secret))


def _clauses(tokens: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each clause with its tokens; ``ALTER USER`` has SETTINGS written out as what is dropped and added."""
    head, body, at = "", [], 0
    while at < len(tokens):
        found = next((one for one in _HEADS if tokens[at : at + len(one.split())] == one.split()), None)
        length = len(found.split()) if found else 1
        if tokens[at] in ("DROP", "ADD") and found != _ADDED:
            found, length = (None, 1) if head == "SETTINGS" else ("SETTINGS", 0)
        elif found == head or (found == "VALID UNTIL" and head == "IDENTIFIED WITH"):
            found = None
        if found is None:
            body.append(tokens[at])
            at += 1
            continue
        if head:
            yield head, body
        head, body, at = found, [], at + length
    if head:
        yield head, body


def _split(tokens: list[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for token in [*tokens, ","]:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)


def _without_add(words: list[str]) -> list[str]:
    if words[0] != "ADD":
        return words
    return words[1:] if words[1] == "PROFILE" else words[2:]


def _method(tokens: list[str]) -> list[Any]:
    values = dict(zip(tokens[1::2], tokens[2::2], strict=False))
    until = tokens[-1] if tokens[-3:-1] == ["VALID", "UNTIL"] else None
    secret, salt = (_plain(values.get(key, "")) for key in ("BY", "SALT"))
    kind = tokens[0]
    if kind == "sha256_password":
        kind, secret = "sha256_hash", hashlib.sha256(secret.encode()).hexdigest()
    return [kind, secret.lower(), salt, None if until is None else _instant(until)]


def _shown_method(method: list[Any]) -> str:
    kind, until = _SHOWN_AS.get(method[0], method[0]), method[3]
    return kind if until is None else f"{kind} VALID UNTIL '{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S}'"


def _instant(token: str) -> float | None:
    text = token.strip("'")
    if text == "infinity":
        return None
    return datetime.strptime(text.removesuffix(" UTC"), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()


def _plain(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token[:1] in "'`" else token
