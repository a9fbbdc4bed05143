"""How a value may stand in a text: escaped for many languages, in hexadecimal, in base64, in UTF-16.

A spelling is found in two steps. A *window* of eight bytes of it, which no escaping touches where there is such a
place, is what the engine looks for; a regular expression then says whether the whole value stands around it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

WINDOW_BYTES: Final = 8
"""Length of a window, and of the shortest value that is searched for. Measured with 50,000 windows over 950 MB of a
history: windows of six bytes cost 1.6 times as much scanning, longer ones more compiling."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_DIGITS = frozenset(b"0123456789")
_SAFE_RUNS = (re.compile(rb"[A-Za-z0-9]{8,}"), re.compile(rb"[A-Za-z0-9_.-]{8,}"))
"""RFC 3986, section 2.3, unreserved, without ``~``, which older encoders escape: the same in URLs, JSON and shells."""
_SAME_IN_BOTH = re.compile(rb"[A-Za-z0-9]{8}")
"""A window of base64 that the URL-safe alphabet (RFC 4648, section 5) writes alike."""
_BASE64: Final = ("base64-0", "base64-1", "base64-2")
_BREAK = rb"(?:\\?\r?\n[ \t]{0,40})?"
"""Where base64 is broken into lines: RFC 2045 after 76 characters, PEM after 64."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_LEFT_ALONE = tuple(_UNRESERVED | frozenset(more) for more in (b"", b"~", b"~/", b"~!*'()", b"~!*'();/?:@&=+$,#"))
"""What encoders for URLs do not escape: the strictest, RFC 3986, Python's ``quote``, ``encodeURIComponent`` and
``encodeURI``."""
_JSON: Final = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}
_XML: Final = {
    34: (b"&quot;", b"&#34;", b"&#x22;"),
    38: (b"&amp;", b"&#38;", b"&#x26;"),
    39: (b"&apos;", b"&#39;", b"&#x27;"),
    60: (b"&lt;", b"&#60;", b"&#x3c;"),
    62: (b"&gt;", b"&#62;", b"&#x3e;"),
}


class Windows(NamedTuple):
    """Windows of one spelling of a value, of which any one finds it.

    Attributes:
        family: ``escaped``, ``hex``, ``base64-0`` to ``base64-2``, ``utf-16-le`` or ``utf-16-be``; that of ``hex`` is
            in lower case and stands for upper case too.
        choices: Each with its place in the spelling, in bytes; those first that stand in few other texts.
    """

    family: str
    choices: list[tuple[bytes, int]]


def windows_of(value: bytes) -> Iterator[Windows]:
    """Yield what the engine has to look for, so that ``value`` is found in any of its spellings.

    Args:
        value: Eight bytes or more.
    """
    yield from _escaped_windows(value)
    text = value.hex().encode()
    offsets = (len(text) - WINDOW_BYTES, len(text) // 2 - WINDOW_BYTES // 2)
    yield Windows("hex", [(text[offset : offset + WINDOW_BYTES], offset) for offset in offsets])
    for shift in range(3):
        yield from _base64_windows(value, shift)
    if not value.isascii():
        yield from _wide_windows(value)


def _escaped_windows(value: bytes) -> Iterator[Windows]:
    for safe_run in _SAFE_RUNS:
        runs = [found.span() for found in safe_run.finditer(value)]
        if runs:
            yield Windows("escaped", _rarest(value, *max(runs, key=_length)))
            return
    for form in dict.fromkeys(_forms(value)):
        yield Windows("escaped", _rarest(form, 0, len(form)))


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _forms(value: bytes) -> Iterator[bytes]:
    """Yield how usual encoders write ``value``; only asked for where no window is the same in all of them."""
    for table in _tables():
        yield b"".join([table.get(byte) or bytes((byte,)) for byte in value])
    for pattern in (b"\\u%04x", b"\\u%04X"):
        yield b"".join([_JSON.get(unit) or _printable(unit, pattern) for unit in _units(value)])


@cache
def _tables() -> tuple[dict[int, bytes], ...]:
    """Return, for each usual way to escape, what becomes of the bytes that it does not leave as they are."""
    tables: list[dict[int, bytes]] = [{}, _JSON]
    for safe in _LEFT_ALONE:
        for pattern in (b"%%%02X", b"%%%02x"):
            escaped = {byte: pattern % byte for byte in range(256) if byte not in safe}
            tables += [escaped, escaped | {32: b"+"}]
    controls = {byte: _printable(byte, b"\\x%02x") for byte in range(256) if not 32 <= byte < 127} | _JSON
    for quotes in (b"\\'", b'\\"', b"\\'\"", b'\\"$`', b"\\"):
        marks = {byte: b"\\%c" % byte for byte in quotes}
        tables += [marks, {byte: text for byte, text in controls.items() if byte not in b"'\""} | marks]
    tables.append({byte: b"\\%c" % byte for byte in range(32, 127) if byte not in _UNRESERVED})
    for kept in (b"", b"'", b"'\""):
        tables.append({byte: entities[0] for byte, entities in _XML.items() if byte not in kept})
    return tuple(tables)


def _printable(unit: int, pattern: bytes) -> bytes:
    return bytes((unit,)) if 32 <= unit < 127 else pattern % unit


def _units(value: bytes) -> Iterator[int]:
    """Yield the UTF-16 code units of a text; the bytes themselves where it is none."""
    try:
        wide = value.decode().encode("utf-16-be")
    except UnicodeDecodeError:
        yield from value
    else:
        yield from (int.from_bytes(wide[at : at + 2], "big") for at in range(0, len(wide), 2))


def _rarest(text: bytes, begin: int, end: int) -> list[tuple[bytes, int]]:
    """Return a few windows of ``text[begin:end]`` with their offsets, those first that stand in few other texts."""
    last = end - WINDOW_BYTES
    step = (last - begin) // 3 + 1
    offsets = range(last, begin - 1, -step)  # from the end: what keys begin with is often the same
    return sorted([(text[offset : offset + WINDOW_BYTES], offset) for offset in offsets], key=_commonness)


def _commonness(window: tuple[bytes, int]) -> int:
    distinct = {*window[0]}
    return -len(distinct) - 2 * len(distinct & _DIGITS)


def _base64_windows(value: bytes, shift: int) -> Iterator[Windows]:
    """Yield windows of what ``value`` is in base64 when ``shift`` bytes stand before it in its group of three."""
    core, family, lead = _base64_core(value, shift), _BASE64[shift], 1 if shift else 0
    middle = len(core) // 2 - WINDOW_BYTES // 2
    alike = [found for at in (middle, 0) if (found := _SAME_IN_BOTH.search(core, at))]
    if alike:
        yield Windows(family, [(found[0], found.start() + lead) for found in alike])
        return
    chosen = core[:WINDOW_BYTES]
    for text in (chosen, chosen.replace(b"+", b"-").replace(b"/", b"_")):
        yield Windows(family, [(text, lead)])


def _base64_core(value: bytes, shift: int) -> bytes:
    """Return the characters of base64 that ``value`` alone decides: it begins at bit ``8 * shift``."""
    return b64encode(b"\0" * shift + value)[(0, 2, 3)[shift] : 8 * (shift + len(value)) // 6]


def _base64_edges(value: bytes, shift: int) -> tuple[bytes, bytes]:
    """Return the characters that stand before and after the core; empty where no bit of the value is left over."""
    before = after = b""
    if shift:  # the low four or two bits of the character before are those of the first byte
        size = 2 * (3 - shift)
        before = _ALPHABET[value[0] >> (8 - size) :: 1 << size]
    if left := 8 * (shift + len(value)) % 6:  # the high bits of the character after are the last of the last byte
        high = (value[-1] & ((1 << left) - 1)) << (6 - left)
        after = _ALPHABET[high : high + (1 << (6 - left))]
    return before, after


def _wide_windows(value: bytes) -> Iterator[Windows]:
    """Yield windows for UTF-16 of a text with other characters than ASCII; the rest is read as it is found."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    for encoding in ("utf-16-le", "utf-16-be"):
        wide = text.encode(encoding)
        yield Windows(encoding, _rarest(wide, 0, len(wide)))


def pattern_of(value: bytes, family: str) -> re.Pattern[bytes]:
    """Return a regular expression for ``value`` in every spelling of one family of :class:`Windows`."""
    if family == "escaped":
        return re.compile(b"".join(map(_any_spelling, _characters(value))))
    if family == "hex":
        return re.compile(value.hex().encode(), re.IGNORECASE)
    if family.startswith("base64"):
        shift = _BASE64.index(family)
        before, after = _base64_edges(value, shift)
        characters = (before, *_each(_base64_core(value, shift)), after)
        return re.compile(_BREAK.join(_one_of(each) for each in characters if each))
    return re.compile(re.escape(value.decode().encode(family)))


def _each(text: bytes) -> Iterator[bytes]:
    return (text[at : at + 1] for at in range(len(text)))


def _one_of(characters: bytes) -> bytes:
    characters += b"-" * (b"+" in characters) + b"_" * (b"/" in characters)
    return re.escape(characters) if len(characters) == 1 else b"[" + re.escape(characters) + b"]"


def _characters(value: bytes) -> Iterator[bytes]:
    """Yield the characters of a text, the bytes of what is none."""
    try:
        yield from (character.encode() for character in value.decode())
    except UnicodeDecodeError:
        yield from _each(value)


@cache
def _any_spelling(character: bytes) -> bytes:
    """Return a regular expression for one character as it is, and escaped in any way."""
    escaped = [b"".join(b"%%%02x" % byte for byte in character), b"".join(b"\\\\x%02x" % byte for byte in character)]
    escaped.append(b"".join(b"\\\\u%04x" % unit for unit in _units(character)))
    if len(character) == 1:
        escaped += [re.escape(entity) for entity in _XML.get(character[0], ())]
        escaped += [re.escape(_JSON[character[0]])] if character[0] in _JSON else []
        escaped += [rb"\\" + re.escape(character)] if not character.isalnum() and character.isascii() else []
    exact = {b" ": [rb"\+"], b"\n": [_LINE_END], b"'": [rb"'\\''", rb"'\"'\"'", b"''"]}.get(character, [])
    return b"(?:" + b"|".join([re.escape(character), *exact, b"(?i:" + b"|".join(escaped) + b")"]) + b")"


_LINE_END = rb"\r?\n[ \t]{1,40}|\r\n|\\n\\?\n?[ \t]{0,40}"
"""The end of a line inside of a value, with the indentation that YAML gives the next one."""


_ESCAPES: Final = tuple(
    (re.compile(mark, re.DOTALL), word)
    for mark, word in (
        (rb"\\.", "json"),
        (rb"&(?:amp|lt|gt|quot|apos|#\w+);", "xml"),
        (rb"%[0-9A-Fa-f]{2}", "url"),
        (rb"\+", "url"),
    )
)


def spelling_of(found: bytes, value: bytes, family: str) -> str:
    """Return the word for how ``value`` stands in ``found``, which its pattern of ``family`` matched."""
    if family != "escaped":
        return "utf-16" if family.startswith("utf-16") else family.partition("-")[0]
    if found.split() == value.split():  # line ends may differ
        return "raw"
    escapes = ((mark, word) for mark, word in _ESCAPES if len(mark.findall(found)) > len(mark.findall(value)))
    return next((word for _mark, word in escapes), "json")
