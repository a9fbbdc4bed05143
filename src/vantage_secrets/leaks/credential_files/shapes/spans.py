"""Parts of a file as begin and end: lines, words, and what is left of a value without blanks and quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(rb"[^\r\n]++")
_WORD = re.compile(rb"""(?s)"((?:[^"\\]++|\\.)*+)(?:"|\Z|\\\Z)|'([^']*+)(?:'|\Z)|([^\s"']\S*+)""")
_QUOTED = re.compile(rb"""(?s)"((?:[^"\\]++|\\.)*+)"|'((?:[^'\\]++|\\.)*+)'|`([^`]*+)`""")
_URL_PASSWORD = re.compile(
    rb"""(?i)\b[a-z][a-z0-9+.-]{1,30}://(?P<user>[^\s/:@"'<>]{0,256})(?::(?P<password>[^\s/@"'<>]{1,1024}))?@[^\s@"'/]"""
)
_LONG_USER = 20
"""A user's name this long in an address without a password is a token: the shortest ones in use have 20 characters."""

Span = tuple[int, int]


def lines(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield each line that is not empty, without its end."""
    for match in _LINE.finditer(data, begin, len(data) if end is None else end):
        yield match.span()


def words(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the words between blanks; of a quoted word, what is between its quotes."""
    for match in _WORD.finditer(data, begin, len(data) if end is None else end):
        yield match.span(match.lastindex or 0)


def trimmed(data: bytes, begin: int, end: int) -> Span:
    """Return the span without blanks around it."""
    text = data[begin:end]
    stripped = text.strip()
    begin += len(text) - len(text.lstrip()) if stripped else 0
    return begin, begin + len(stripped)


def unquoted(data: bytes, begin: int, end: int, comment: bytes = b"") -> Span:
    """Return the value in the span: without blanks, quotes and what stands behind the closing quote.

    Args:
        data: The file.
        begin: Where the value begins or the blanks before it.
        end: Where its line ends.
        comment: What ends a value that has no quotes, such as `` #``; nothing does when empty.
    """
    begin, end = trimmed(data, begin, end)
    quoted = _QUOTED.match(data, begin, end)
    if quoted:
        return quoted.span(quoted.lastindex or 0)
    if comment:
        found = data.find(comment, begin, end)
        if found >= 0:
            end = found
    return trimmed(data, begin, end)


def url_secrets(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the secret of each address in the span: its password, or its user where that is a token.

    ``https://TOKEN:x-oauth-basic@…`` and ``https://TOKEN@…`` are how Git hosts take a token (RFC 3986, section 3.2.1).
    """
    for match in _URL_PASSWORD.finditer(data, begin, len(data) if end is None else end):
        password = match["password"]
        if password is not None and password != b"x-oauth-basic":
            yield match.span("password")
        elif len(match["user"]) >= _LONG_USER:
            yield match.span("user")
