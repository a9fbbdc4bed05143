"""Secrets that were encoded: base64, hexadecimal, URL and JSON escapes, UTF-16.

Decoding everything that could be base64 costs more than all the rest of a scan. So the words that the rules cannot do
without are encoded instead, in each of their alignments, and looked for together with the rules: where ``password``
stands in base64, one of ``cGFzc3dvcm``, ``Bhc3N3b3Jk`` and ``wYXNzd29yZ`` stands in the file. (YARA's ``base64``
strings work so.) Only a run of text around such an anchor is decoded, and the rules look at the result.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import unhexlify
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from vantage_secrets.leaks.anchors import Anchor
from vantage_secrets.leaks.patterns import compiled

DEPTH_MAX = 3
"""Encodings inside encodings are followed so far."""
RUN_MAX = 65_536
"""A run is decoded at most so far to each side of its anchor, in bytes."""
DECODED_MAX = 8_388_608
"""At most so much is decoded of one document, in bytes; what is beyond is reported as not read."""

_LINES_MAX = 4_096
"""So many lines are remembered with what they say: the versions of a file in a history have most in common."""
_WINDOW = 2_048
"""Escaped text is looked at within its line and at most so far to each side, in bytes."""
_RUN_SEAM = 8_192
"""Anchors so near to where a run was cut get a run of their own, in bytes."""
_WINDOW_SEAM = 512
"""As ``_RUN_SEAM``, for escaped text."""


class Run(NamedTuple):
    """Encoded text, and what it says.

    Attributes:
        begin: Where it begins in the document.
        end: Where it ends.
        text: What it says.
        settled: Anchors up to there need no run of their own: it has all that belongs to them.
    """

    begin: int
    end: int
    text: bytes
    settled: int


_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")

# A run may be wrapped into lines, as in PEM, MIME and YAML; "\n" may also be written as an escape.
_BASE64_RIGHT = compiled(rb"[A-Za-z0-9+/_-]*(?:(?:\r?\n[ \t]*|\\n)[A-Za-z0-9+/_-]{16,})*")
_BASE64_LEFT = compiled(rb"[A-Za-z0-9+/_-]*(?:(?:[ \t]*\n\r?|n\\)[A-Za-z0-9+/_-]{16,})*")
_HEX = compiled(rb"[0-9A-Fa-f]*")
_UTF16_RIGHT = compiled(rb"(?:\x00[\x09\x0a\x0d\x20-\x7e])*")
_UTF16_LEFT = compiled(rb"(?:\x00[\x09\x0a\x0d\x20-\x7e])*")


def reach_of(anchor: Anchor) -> int:
    """Return how far from where an anchor ends the text can be that its run depends on, in bytes."""
    return 1 + (_WINDOW if anchor.kind in ("url", "json") else RUN_MAX + anchor.length)


def run_at(data: bytes, end: int, anchor: Anchor) -> Run | None:
    """Return the encoded run around an anchor that ends at ``end``; nothing when it is none after all."""
    return _DECODERS[anchor.kind](data, end, anchor)


def _extent(data: bytes, begin: int, end: int, left: re.Pattern[bytes], right: re.Pattern[bytes]) -> tuple[int, int]:
    """Return how far a run goes; ``left`` matches it backwards."""
    behind = right.match(data, end, min(len(data), end + RUN_MAX))
    before = left.match(data[max(0, begin - RUN_MAX) : begin][::-1])
    return begin - (before.end() if before else 0), behind.end() if behind else end


def _decode_base64(data: bytes, end: int, anchor: Anchor) -> Run | None:
    begin = end - anchor.length
    first, last = _extent(data, begin, end, _BASE64_LEFT, _BASE64_RIGHT)
    before = _unwrapped(data[first:begin])
    text = (before + _unwrapped(data[begin:last])).translate(_FROM_URL_SAFE)
    # The word says where its group of four begins, and so where all of them do.
    lead = (len(before) - anchor.skipped) % 4
    text = text[lead:]
    text += b"=" * (-len(text) % 4) if len(text) % 4 != 1 else b""
    try:
        return Run(first + lead, last, b64decode(text[: len(text) // 4 * 4]), _settled(last, end))
    except Base64Error:
        return None


def _unwrapped(text: bytes) -> bytes:
    return text.replace(b"\\n", b"").translate(None, b"\r\n\t ")


def decoded_base64(text: bytes) -> bytes:
    """Return what a whole text says in base64, with either alphabet; empty when it is none."""
    try:
        return b64decode(
            text.rstrip(b"=").translate(_FROM_URL_SAFE) + b"=" * (-len(text.rstrip(b"=")) % 4), validate=True
        )
    except Base64Error:
        return b""


def _decode_hex(data: bytes, end: int, anchor: Anchor) -> Run | None:
    begin = end - anchor.length
    first, last = _extent(data, begin, end, _HEX, _HEX)
    first += (begin - first) % 2
    last -= (last - first) % 2
    return Run(first, last, unhexlify(data[first:last]), _settled(last, end))


def _decode_utf16(data: bytes, end: int, anchor: Anchor) -> Run | None:
    begin = end - anchor.length
    behind = _UTF16_RIGHT.match(data, end, min(len(data), end + RUN_MAX))
    before = _UTF16_LEFT.match(data[max(0, begin - RUN_MAX) : begin][::-1])
    first = begin - (before.end() if before else 0)
    last = behind.end() if behind else end
    while data[first : first + 1] in (b"\r", b"\n"):  # of big endian, the byte before is the end of the line above
        first += 2
    return Run(first, last, data[first:last].replace(b"\0", b""), _settled(last, end))


def _settled(last: int, end: int) -> int:
    return last - _RUN_SEAM if last >= end + RUN_MAX - 1 else last


def _line_around(data: bytes, end: int) -> tuple[int, int, int]:
    """Return begin and end of the text around ``end``, and up to where it is settled."""
    low, high = max(0, end - _WINDOW), min(len(data), end + _WINDOW)
    begin = data.rfind(b"\n", low, end - 1) + 1 or low
    newline = data.find(b"\n", end, high)
    if newline >= 0:
        return begin, newline, newline
    return begin, high, high - _WINDOW_SEAM if high < len(data) else high


_PERCENT = compiled(rb"%([0-9A-Fa-f]{2})")
_ESCAPE = compiled(rb"""\\(?:u00([0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2})|(["'/\\]))""")


def _decode_url(data: bytes, end: int, anchor: Anchor) -> Run | None:  # noqa: ARG001 - one shape for all
    begin, last, settled = _line_around(data, end)
    return Run(begin, last, _without_percent(data[begin:last]), settled)


def _decode_json(data: bytes, end: int, anchor: Anchor) -> Run | None:  # noqa: ARG001 - one shape for all
    begin, last, settled = _line_around(data, end)
    return Run(begin, last, _without_escapes(data[begin:last]), settled)


@lru_cache(_LINES_MAX)
def _without_percent(line: bytes) -> bytes:
    return _PERCENT.sub(lambda found: unhexlify(found[1]), line)


@lru_cache(_LINES_MAX)
def _without_escapes(line: bytes) -> bytes:
    return _ESCAPE.sub(_unescaped, line)


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1] or found[2]
    return unhexlify(code) if code else bytes(found[3])


_DECODERS: dict[str, Callable[[bytes, int, Anchor], Run | None]] = {
    "base64": _decode_base64,
    "hex": _decode_hex,
    "utf-16": _decode_utf16,
    "url": _decode_url,
    "json": _decode_json,
}
