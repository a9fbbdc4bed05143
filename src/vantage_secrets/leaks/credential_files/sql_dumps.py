"""Dumps of databases: rows of users with their passwords and hashes, and the statements that set a login's password."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence

from vantage_secrets.leaks.credential_files.contract import Field
from vantage_secrets.leaks.credential_files.password_hashes import HASH
from vantage_secrets.leaks.credential_files.plausibility import is_password_name, is_token_name, is_value
from vantage_secrets.leaks.credential_files.shapes.spans import Span, lines

_BLANK = rb"(?:\s|\\040)"
_LITERAL = rb"(?:N|E|0x)?'((?:[^'\\\r\n]++|\\[^\r\n]|'')*+)'"
_STATEMENT = re.compile(
    rb"(?i)(?:\b|(?<=\\040))(?:"
    rb"IDENTIFIED" + _BLANK + rb"++(?:WITH" + _BLANK + rb"++[\w'\"`]{1,64}" + _BLANK + rb"++)?"
    rb"(?:BY|AS|USING)(?:" + _BLANK + rb"++PASSWORD)?"
    rb"|PASSWORD(?:" + _BLANK + rb"*+=" + _BLANK + rb"*+(?:PASSWORD\()?|\()?"
    rb"|SET" + _BLANK + rb"++PASSWORD" + _BLANK + rb"++FOR" + _BLANK + rb"++[^\s=]{1,256}" + _BLANK + rb"*+="
    rb"(?:" + _BLANK + rb"*+PASSWORD\()?"
    rb")" + _BLANK + rb"*+" + _LITERAL
)
"""``CREATE``, ``ALTER`` and ``SET`` of logins in MySQL, MariaDB, PostgreSQL, SQL Server, Oracle, ClickHouse."""

_INSERT = re.compile(
    rb"(?i)\b(?:INSERT|REPLACE)\s++(?:(?:LOW_PRIORITY|DELAYED|IGNORE|HIGH_PRIORITY)\s++)*+(?:INTO\s++)?"
    rb"([`\"\[\]\w.]{1,256})\s*+(?:\(([^()]{1,8192})\)\s*+)?VALUES\s*+"
)
_CREATE = re.compile(rb"(?i)\bCREATE\s++TABLE\s++(?:IF\s++NOT\s++EXISTS\s++)?([`\"\[\]\w.]{1,256})\s*+\(")
_COPY = re.compile(rb"(?im)^COPY\s++([\"\w.]{1,256})\s*+\(([^()]{1,8192})\)\s++FROM\s++stdin[^\r\n]*+\r?\n")
_COLUMN = re.compile(rb"\s*+[`\"\[]?(\w{1,128})")
_NO_COLUMN = (b"primary", b"key", b"unique", b"constraint", b"index", b"fulltext", b"foreign", b"check", b"spatial")
_TOKEN = re.compile(rb"(?s)[NE]?'((?:[^'\\]++|\\.|'')*+)(?:'|\Z)|([(),;])|[^(),;']++")
_HASH_NAME = re.compile(
    rb"(?i)(?:pass(?:word|wd|w)?|pwd)[_-]?(?:hash|digest|salt|sha\d*|crypt|encrypted|bcrypt)|authentication_string"
    rb"|encrypted_password|hashed_password|(?<![a-z])(?:digest|hash)\Z|user_pass\Z"
)
_BARE_HASH = re.compile(rb"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}")
_USERS = re.compile(
    rb"(?i)user|account|member|login|customer|admin|auth|credential|client|person|people|staff|employee"
)
_LEAST_TOKEN = 16
_LONGEST_DEFINITION = 65536
"""Bytes of a table's definition that are read for its columns."""


def sql(data: bytes) -> Iterator[Field]:
    """Find passwords, hashes and tokens in a dump, in statements and in rows; MySQL's, PostgreSQL's and others'."""
    yield from sql_statements(data)
    tables = dict(_definitions(data))
    resume = 0
    for match in _INSERT.finditer(data):
        table = _bare(match[1])
        kinds = _kinds(table, _split(match[2]) if match[2] else tables.get(table, ()))
        if kinds and match.start() >= resume:
            resume = yield from _rows(data, match.end(), kinds)
    for match in _COPY.finditer(data):
        kinds = _kinds(_bare(match[1]), _split(match[2]))
        if kinds:
            yield from _copied(data, match.end(), kinds)


def sql_statements(data: bytes) -> Iterator[Field]:
    """Find the literals that set a login's password."""
    for match in _STATEMENT.finditer(data):
        value = match[1]
        if HASH.fullmatch(value) or _BARE_HASH.fullmatch(value):
            yield Field("sql-password-hash", *match.span(1))
        elif is_value(value):
            yield Field("sql-password", *match.span(1))


def _definitions(data: bytes) -> Iterator[tuple[bytes, tuple[bytes, ...]]]:
    """Yield each table with the names of its columns, as dumps write them: a column a line."""
    resume = 0
    for match in _CREATE.finditer(data):
        if match.start() < resume:
            continue
        limit = min(len(data), match.end() + _LONGEST_DEFINITION)
        end = data.find(b";", match.end(), limit)
        resume = limit if end < 0 else end
        columns = (_COLUMN.match(data, *span) for span in lines(data, match.end(), resume))
        names = (column[1] for column in columns if column)
        yield _bare(match[1]), tuple(name for name in names if name.lower() not in _NO_COLUMN)


def _kinds(table: bytes, names: Sequence[bytes]) -> dict[int, bytes]:
    """Return the columns that hold secrets, by place, with their names."""
    is_about_users = bool(_USERS.search(table))
    return {
        place: name
        for place, name in enumerate(names)
        if is_password_name(name)
        or is_token_name(name)
        or (_HASH_NAME.search(name) and (is_about_users or b"pass" in name.lower()))
    }


def _rows(data: bytes, begin: int, columns: dict[int, bytes]) -> Generator[Field, None, int]:
    """Yield the secrets of the rows behind ``VALUES``; return where they end, so that no part is read twice."""
    place, depth = 0, 0
    for token in _TOKEN.finditer(data, begin):
        mark = token[2]
        if token.lastindex == 1:
            if depth == 1 and place in columns:
                yield from _judged(data, token.span(1), columns[place])
        elif mark == b"(":
            depth += 1
            place = 0 if depth == 1 else place
        elif mark == b")":
            depth -= 1
        elif depth == 1:
            place += mark == b","
        elif depth <= 0 and mark != b"," and token[0].strip():
            return token.end()
    return len(data)


def _copied(data: bytes, begin: int, columns: dict[int, bytes]) -> Iterator[Field]:
    r"""Yield the secrets of the rows behind ``COPY … FROM stdin``, which end with ``\.``."""
    for first, last in lines(data, begin):
        if data.startswith(b"\\.", first):
            return
        at = first
        for place, text in enumerate(data[first:last].split(b"\t")):
            if place in columns and text != b"\\N":
                yield from _judged(data, (at, at + len(text)), columns[place])
            at += len(text) + 1


def _judged(data: bytes, span: Span, name: bytes) -> Iterator[Field]:
    value = data[slice(*span)]
    if HASH.fullmatch(value) or (_BARE_HASH.fullmatch(value) and not is_token_name(name)):
        yield Field("sql-password-hash", *span)
    elif not is_value(value):
        return
    elif is_password_name(name):
        yield Field("sql-dump-password", *span)
    elif is_token_name(name) and len(value) >= _LEAST_TOKEN and b" " not in value:
        yield Field("sql-dump-token", *span)


def _bare(name: bytes) -> bytes:
    """Return a table's name without its schema and quotes."""
    return name.rpartition(b".")[2].strip(b'`"[]').lower()


def _split(names: bytes) -> tuple[bytes, ...]:
    return tuple(name.strip().strip(b'`"[]') for name in names.split(b","))
