"""Whether a text that stands where a password or another secret would stand is one.

Three questions: is it something that people write *instead* of a secret (``leaks.placeholders``); does the name beside
it promise a password, another secret or neither (``leaks.names``, ``leaks.surroundings``); and does it look like what
the name promises. A password may be words and digits; a token or key must look drawn by a generator.

What is refused on purpose, since documents and tests are full of it: the words for a password and products' published
defaults (``password``, ``changeme``, ``postgres``), also with up to four digits after them; a password that equals the
user's name; a single capitalised word (a label); a word without a digit where no quotes tell it from a name; and words
with dots between them, which are keys of translations far more often.
"""

from __future__ import annotations

import binascii
import re

from vantage_secrets.leaks.names import kind_of
from vantage_secrets.leaks.patterns import compiled
from vantage_secrets.leaks.placeholders import is_placeholder
from vantage_secrets.leaks.surroundings import full_name, is_code, is_given, is_quoted, names_a_secret
from vantage_secrets.leaks.wordlikeness import word_share

_PASSWORD_MAX = 128
_LETTERS = compiled(rb"[A-Za-z_.\-/:]+$")
_PASSPHRASE = compiled(rb"[a-z0-9]{2,12}(?:[ ][a-z0-9]{2,12}){3,}[\d!.?]{0,4}$")
_SENTENCE = compiled(
    rb"(?i)\b(?:the|your|you|must|enter|please|is|are|of|to|for|in|on|not|and|or|be|with|by|at|from|a|an|this|that|was"
    rb"|has|have|can|will|if|no|when|password|token|secret|key|user|invalid|use|de|la|le|el|der|die|das|und|mot|votre"
    rb"|su|tu)\b"
)
_UUID = compiled(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$")
_HEX = compiled(rb"[0-9a-f]{16,}$|[0-9A-F]{16,}$")
_SWITCHES = compiled(rb"[A-Za-z]\d|\d[A-Za-z]|[a-z][A-Z]")
"""Where a text goes from one sort of character to another, as generated text does all the time."""


def is_password(match: re.Match[bytes], value: bytes) -> bool:
    """Return whether ``value`` is a secret rather than a reference, a word, a type, code or a placeholder.

    Args:
        match: What the rule matched; its string is the text around it. Groups of the rule tell more. ``password_name``
            or ``secret_name``: the end of the name beside the value, which must then promise that kind. ``block``:
            the body of a key in armour. ``basic``: the value is a ``Basic`` header's. ``user``: whom the value
            belongs to. ``exact``: what stands around the value leaves no doubt where it ends. ``unquoted`` and
            ``spaced``: see ``leaks.surroundings``. Without a name the place itself is proof enough.
        value: The value in it.
    """
    groups = match.re.groupindex
    if "block" in groups:
        return _is_key_material(match["block"])
    if "basic" in groups:
        value = _decoded(value)
    name_group = "password_name" if "password_name" in groups else "secret_name" if "secret_name" in groups else ""
    name = full_name(match, name_group) if name_group else b""
    if name_group and kind_of(name) + "_name" != name_group:
        return False  # first, since it is the cheapest answer, and most candidates of those rules end here
    if _stands_instead(match, value):
        return False
    if name_group:
        return _is_given_one(match, name_group, name, value)
    is_user = "user" in groups and match["user"] is not None and match["user"].lower() == value.lower()
    return not (is_user or (_LETTERS.match(value) and names_a_secret(value)) or _is_sentence(value))


def _stands_instead(match: re.Match[bytes], value: bytes) -> bool:
    """Whether the value is code, a reference or a placeholder."""
    core = value
    if not is_quoted(match):
        if not {"user", "exact"} & match.re.groupindex.keys() and is_code(match, value):
            return True
        core = value.rstrip(b",;)")
    return len(core) < 4 or is_placeholder(value) or (core != value and is_placeholder(core))


def _is_given_one(match: re.Match[bytes], group: str, name: bytes, value: bytes) -> bool:
    if name.lower() == value.lower() or not is_given(match, group, name, value):
        return False
    return _like_a_token(value) if group == "secret_name" else _like_a_password(value, is_quoted(match))


def _like_a_password(value: bytes, has_quotes: bool) -> bool:
    if b" " in value:
        return bool(_PASSPHRASE.match(value)) and not _is_sentence(value)
    if len(value) > _PASSWORD_MAX or _is_foreign(value):
        return False
    if _LETTERS.match(value):
        return _like_a_passphrase(value, has_quotes)
    marks = sum(not (48 <= byte < 58 or chr(byte).isalpha()) for byte in value)
    if marks == value.count(b"_") + value.count(b"-") and names_a_secret(value):
        return len(_SWITCHES.findall(value)) > 2
    if not re.search(rb"\d", value) and (not value.isascii() or (marks > 2 and word_share(value) >= 0.5)):
        return False
    return len(value) >= 6


def _like_a_passphrase(value: bytes, has_quotes: bool) -> bool:
    """Whether letters, perhaps with marks between them, were chosen as a password."""
    if names_a_secret(value) or value.isupper() or (value.istitle() and value.isalpha()):
        return False
    words = re.split(rb"[_.\-/:]", value)
    if len(words) > 1:
        return len(words) > 3 and not re.search(rb"[./:]", value)
    if word_share(value) < 0.7 and len(value) >= 8:
        return True
    return value.islower() and len(value) >= (6 if has_quotes else 8)


def _like_a_token(value: bytes) -> bool:
    """Whether a value looks drawn rather than thought up; words are what tokens are *called*."""
    if b" " in value or len(value) < 8 or not value.isascii() or len(set(value)) <= 6:
        return False
    if _HEX.match(value) or _UUID.match(value):
        return True
    share = word_share(value)
    digits = sum(48 <= byte < 58 for byte in value)
    if not digits and (len(value) < 16 or value.islower() or value.isupper()):
        return len(value) >= 16 and share < 0.35
    switches = len(_SWITCHES.findall(value))
    if share > 0.55:
        return share < 0.7 and len(value) >= 12 and digits > 1 and switches > 2 and b"/" not in value
    return share < 0.35 or switches > 2


def _is_sentence(value: bytes) -> bool:
    return b" " in value and _SENTENCE.search(value) is not None


def _is_foreign(value: bytes) -> bool:
    """Whether a third or more of the text is not ASCII: it is shown to people."""
    return not value.isascii() and sum(byte > 127 for byte in value) * 3 >= len(value)


def _decoded(value: bytes) -> bytes:
    """Return the password of a ``Basic`` header's value; empty when there is none (RFC 7617, section 2)."""
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4)).partition(b":")[2]
    except binascii.Error:
        return b""


def _is_key_material(body: bytes) -> bool:
    """Whether the body of an armoured block is a key: enough of its characters, and as varied as encoded bytes are."""
    dense = re.sub(rb"\\[nrt]|[^A-Za-z0-9+/=]", b"", body)
    has_line = re.search(rb"[A-Za-z0-9+/=]{40}", body) is not None
    return has_line and len(dense) >= 80 and len(set(dense)) > 24
