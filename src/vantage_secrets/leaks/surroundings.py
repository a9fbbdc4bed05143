"""What stands around a candidate: the name beside it, how it is given to that name, quotes, code."""

from __future__ import annotations

import re

from vantage_secrets.leaks.patterns import compiled
from vantage_secrets.leaks.placeholders import is_word
from vantage_secrets.leaks.wordlikeness import word_share

_KEYWORD = compiled(
    rb"(?i)passw|secret|token|creden|api[_-]?key|private_?key|public_?key|passphrase|username"
    rb"|(?P<short>pass(?:[^a-z]|$)|pswd|pwd|[a-z][_-]key\b)"
)
_IDENTIFIER = compiled(rb"[.]?[A-Za-z_@][\w.\-/:]*$")
_EXPRESSION = compiled(rb"^[A-Za-z_][\w.]*[(\[]|[,({]\w+[:=)]|\}[=;,)]|=>|->|\)\.")
_LETTERS = compiled(rb"[A-Za-z_.\-/:]+$")
_NAME_MAX = 60
_LINE_MAX = 200
"""So far back is looked, at most, in bytes: the engine hands over no more than a little of what stands before."""
_NAME_BEFORE = compiled(rb"[A-Za-z0-9_.\-]{0,60}\Z")
_CLOSERS = (b",", b";", b")", b"}", b"]", b"(", b"[")
_QUOTES = b"\"'`>["
"""``>`` ends an XML tag, ``[`` the head of a CDATA section."""


def value_span(match: re.Match[bytes]) -> tuple[int, int]:
    """Return begin and end of the value: the group ``secret``, else the first."""
    return match.span("secret" if "secret" in match.re.groupindex else 1)


def is_quoted(match: re.Match[bytes]) -> bool:
    """Return whether the value stands behind a quote, or in an XML element."""
    begin = value_span(match)[0]
    return begin > 0 and match.string[begin - 1] in _QUOTES


def names_a_secret(value: bytes) -> bool:
    """Return whether the text has a word for a secret in it, and not by chance among random letters."""
    found = _KEYWORD.search(value)
    return found is not None and (found["short"] is None or word_share(value) > 0.4)


def is_code(match: re.Match[bytes], value: bytes) -> bool:
    """Return whether a value without quotes is a name, or part of an expression."""
    core = value.rstrip(b",;:)]}(")
    if not core or _is_in_template(match) or _EXPRESSION.search(value) or is_word(core):
        return True
    if not _IDENTIFIER.match(core):
        return False
    begin, end = value_span(match)
    share = word_share(core)
    if core.isalpha() and share > 0.7:
        # Letters alone are a password only where nothing but the value can stand: ``X=sunshine``, ``-psunshine``.
        return not (core.islower() and len(core) > 7 and match.string[begin - 1 : begin] in (b"=", b"p"))
    after = match.string[end : end + 16]
    if after.lstrip(b" \t").startswith(b"("):
        return True
    is_inside = len(core) < len(value) or after.startswith(_CLOSERS)
    return names_a_secret(core) or (share > 0.5 and b"." in core[:-1]) or (share > 0.4 and is_inside)


def full_name(match: re.Match[bytes], group: str) -> bytes:
    """Return the name that the group is the end of: the rule begins at its keyword."""
    begin, end = match.span(group)
    before = _NAME_BEFORE.search(match.string, max(begin - _NAME_MAX, 0), begin)
    return (before[0] if before else b"") + match.string[begin:end]


def is_given(match: re.Match[bytes], group: str, name: bytes, value: bytes) -> bool:
    """Return whether what stands between ``name`` and ``value`` gives the value to the name."""
    end = match.end(group)
    name_begin = end - len(name)
    before = match.string[max(name_begin - 2, 0) : name_begin]
    between = match.string[end : match.start("secret")]
    if before == b"::" or (before[-1:] in (b"?", b"&") and "unquoted" in match.re.groupindex):
        return False
    if "spaced" in match.re.groupindex and match["spaced"] and not _stands_alone(match, name_begin):
        return False
    if between.strip(b" \t\"'`\\") == b"|" and not _is_row(match.string, end):
        return False
    if name == b"PASS" and b":" in between:
        return False  # the report of a test
    return not (b"(" in between or b"," in between) or _is_argument(match, match[group], between, value)


def _line_before(text: bytes, offset: int) -> bytes | None:
    """Return what its line has before ``offset``; nothing when that is longer than a line of a program is."""
    begin = text.rfind(b"\n", max(offset - _LINE_MAX, 0), offset) + 1
    return None if begin == 0 and offset > _LINE_MAX else text[begin:offset]


def _is_in_template(match: re.Match[bytes]) -> bool:
    line = _line_before(match.string, match.start()) or b""
    return line.rfind(b"{{") > line.rfind(b"}}")


def _is_row(text: bytes, offset: int) -> bool:
    """Whether the line at ``offset`` is a row of a table, rather than a pipeline or a union of types."""
    line = _line_before(text, offset)
    return line is not None and line.lstrip().startswith(b"|")


def _stands_alone(match: re.Match[bytes], name_begin: int) -> bool:
    """Whether a line has nothing but a name and a quoted value, as in Gradle, or is a ``#define``."""
    line = _line_before(match.string, name_begin)
    end = match.end("secret") + 1
    return (
        line is not None
        and line.split()[:1] in ([], [b"#define"])
        and match.string[end : end + 1] in (b"", b"\r", b"\n")
    )


def _is_argument(match: re.Match[bytes], name: bytes, between: bytes, value: bytes) -> bool:
    """Whether a call has a secret after its name: ``put("password", "x")``, unlike ``("user", "password", "host")``."""
    if _LETTERS.match(value) and (len(value) < 8 or word_share(value) >= 0.7) and value.count(b"-") < 3:
        return False
    if b"(" in between:
        end = match.end("secret") + 1
        return b"." not in name and match.string[end : end + 3].lstrip()[:1] == b")"
    return between[:1] in (b'"', b"'", b"\\")
