"""Checksums that vendors put into their tokens: a wrong one means that a text only looks like a token."""

from __future__ import annotations

import string
import zlib
from collections.abc import Callable

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def _based(number: int, alphabet: str) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits


def _github_ending(body: str) -> str:
    """Return the last six characters of a GitHub token whose others are ``body``.

    CRC-32 of the part after the last underscore, in base 62, padded with zeros: GitHub's "Behind GitHub's new
    authentication token formats", 2021. The alphabet is digits, upper case, lower case.
    """
    return _based(zlib.crc32(body.rpartition("_")[2].encode()), _BASE62).rjust(6, "0")


def _ends_as_github(value: str) -> bool:
    return _github_ending(value[:-6]) == value[-6:]


def _gitlab_ending(body: str) -> str:
    """Return the last seven characters of a GitLab routable token whose others are ``body``.

    CRC-32 of everything before, prefix included, in base 36, padded with zeros: "Routable tokens" in GitLab's
    handbook, design documents of Cells.
    """
    return _based(zlib.crc32(body.encode()), string.digits + string.ascii_lowercase).rjust(7, "0")


def _ends_as_gitlab(value: str) -> bool:
    return _gitlab_ending(value[:-7]) == value[-7:]


def _grafana_ending(body: str) -> str:
    """Return the last eight characters of a Grafana service account token that begins with ``body``.

    CRC-32 of what stands before the last underscore, four bytes with the least one first, in hexadecimal: Grafana's
    ``pkg/components/satokengen``.
    """
    return zlib.crc32(body[:-1].encode()).to_bytes(4, "little").hex()


def _ends_as_grafana(value: str) -> bool:
    return _grafana_ending(value[:-8]) == value[-8:]


def _matrix_ending(body: str) -> str:
    """Return the last six characters of a Matrix access token that begins with ``body``.

    CRC-32 of what stands before the last underscore, in GitHub's base 62: Synapse's ``base62_encode`` and its use
    in the making of access tokens.
    """
    return _based(zlib.crc32(body[:-1].encode()), _BASE62).rjust(6, "0")


def _ends_as_matrix(value: str) -> bool:
    return _matrix_ending(value[:-6]) == value[-6:]


ENDINGS: dict[str, Callable[[str], str]] = {
    "github-checksum": _github_ending,
    "gitlab-checksum": _gitlab_ending,
    "grafana-checksum": _grafana_ending,
    "matrix-checksum": _matrix_ending,
}
"""What a hole ``{name}`` of an example becomes, from the text before it."""

CHECKS: dict[str, Callable[[str], bool]] = {
    "github": _ends_as_github,
    "gitlab": _ends_as_gitlab,
    "grafana": _ends_as_grafana,
    "matrix": _ends_as_matrix,
}
"""What a rule's ``checksum`` names: whether a whole value, decoded as ASCII, is consistent."""
