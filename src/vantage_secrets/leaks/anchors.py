"""Encoded words to look for, so that encoded text is found without decoding everything (``leaks.decoding``)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

_ANCHOR_MIN = 4
"""Shortest encoded word that is looked for, in characters: base64 text has one in 16 million by chance."""


class Anchor(NamedTuple):
    """An encoded word to look for.

    Attributes:
        expression: In hyperscan's syntax.
        kind: ``base64``, ``hex``, ``utf-16``, ``url`` or ``json``.
        length: Of the encoded word, in bytes; 0 for ``url`` and ``json``.
        skipped: For base64, how many characters of its group of four stand before the word.
    """

    expression: bytes
    kind: str
    length: int = 0
    skipped: int = 0


def anchors_for(words: Iterable[tuple[bytes, bool]]) -> list[Anchor]:
    """Return what to look for so that no encoded text with one of ``words`` is missed.

    Args:
        words: Words of at least four bytes, each with whether its case does not matter; then it is looked for in
            lower case, in upper case and with a capital.
    """
    spelled = dict.fromkeys(form for word, caseless in words for form in (_cases(word) if caseless else (word,)))
    anchors: dict[bytes, Anchor] = {}
    for word in spelled:
        for anchor in (*_base64_anchors(word), *_hex_anchors(word), _utf16_anchor(word)):
            anchors.setdefault(anchor.expression, anchor)
    return [*anchors.values(), *_PATTERNS]


_PATTERNS = (
    Anchor(rb"%(?:3[AaDd]|2[02Ff]|40)", "url"),
    Anchor(rb"\\u00[2-7][0-9A-Fa-f]", "json"),
    Anchor(rb"\\x[2-7][0-9A-Fa-f]\\x[2-7][0-9A-Fa-f]", "json"),
    Anchor(rb"""\\["']\s?[:=]""", "json"),
    # UTF-16 in base64, as PowerShell takes commands: three characters, each with a zero behind it, are eight letters.
    Anchor(rb"(?:[I-Za-f][AQgw][AB][A-Za-z0-9+/]A[C-H][AEIMQUYcgkosw048]A){2}", "base64", 16),
)


def _cases(word: bytes) -> tuple[bytes, ...]:
    return word.lower(), word.upper(), word.capitalize()


def _literal(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)


def _base64_anchors(word: bytes) -> Iterable[Anchor]:
    """Yield the word in base64 at its three alignments; characters that neighbours have a share in are left off."""
    for shift, skipped in ((0, 0), (1, 2), (2, 3)):
        text = b64encode(bytes(shift) + word)[skipped : 8 * (shift + len(word)) // 6]
        if len(text) < _ANCHOR_MIN:
            continue
        for spelled in {text, text.translate(_TO_URL_SAFE)}:
            yield Anchor(_literal(spelled), "base64", len(text), skipped)


def _hex_anchors(word: bytes) -> Iterable[Anchor]:
    text = word.hex().encode()
    yield Anchor(b"(?i:%b)" % _literal(text), "hex", len(text))


def _utf16_anchor(word: bytes) -> Anchor:
    """Return what little and big endian have in common: the word with a zero between its bytes."""
    text = b"\0".join(bytes([byte]) for byte in word)
    return Anchor(_literal(text), "utf-16", len(text))


_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
