"""How an API key is written: ``vsk_KEYID_SECRETCHECKSUM``.

The prefix lets a scanner find a leaked key, the key id names it without opening anything, and the checksum
tells a key from a text that merely looks like one (the scheme that GitHub published for its tokens in 2021:
CRC-32 in six base-62 digits).
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

PREFIX = "vsk"
"""Stands for "Vantage secret key"."""

SECRET_BITS = 256
"""Randomness of the secret part: out of reach of guessing, so a fast digest is enough to verify it."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY_ID_LENGTH = 10
_SECRET_LENGTH = 43  # the smallest count of base-62 digits that holds 256 bits
_CHECKSUM_LENGTH = 6  # the smallest count of base-62 digits that holds 32 bits
_KEY = re.compile(rf"{PREFIX}_([0-9A-Za-z]{{{_KEY_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH + _CHECKSUM_LENGTH}}})")


def generate_key() -> str:
    """Return a new key, 64 characters."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_ID_LENGTH))
    body = f"{PREFIX}_{key_id}_{_base62(secrets.randbits(SECRET_BITS), _SECRET_LENGTH)}"
    return body + _checksum(body)


def key_id_of(key: str) -> str | None:
    """Return the public key id of ``key``, or ``None`` when it is not a key of this format with a right checksum."""
    found = _KEY.fullmatch(key)
    if found is None or _checksum(key[:-_CHECKSUM_LENGTH]) != key[-_CHECKSUM_LENGTH:]:
        return None
    return found[1]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
