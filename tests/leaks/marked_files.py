"""Credential files written as templates in which each secret is marked with the kind that it must be found as.

``@value:netrc-password@`` becomes a fresh value that a parser must find there, and nowhere else, as that kind. What
is not marked must not be found, so the placeholders and public parts of a file are its negative examples.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from typing import NamedTuple

from tests.canary import canary
from vantage_secrets.leaks.credential_files import Field

_HOLE = re.compile(r"@([a-z0-9_]+):([a-z0-9-]+)@")
_CRYPT = string.ascii_letters + string.digits + "./"


class Case(NamedTuple):
    path: str
    template: str


def _letters(count: int, alphabet: str = _CRYPT) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _made(name: str) -> str:
    """Return a fresh value of the sort that a hole names."""
    makers = {
        "value": lambda: canary("file"),
        "weak": lambda: "hunter" + _letters(1, "23456789"),
        "base64": lambda: _base64(canary("file")),
        "laravel": lambda: "base64:" + _base64(canary("file")),
        "login": lambda: _base64("deploy:" + canary("file")),
        "hex32": lambda: secrets.token_hex(16),
        "hex40": lambda: secrets.token_hex(20),
        "hex64": lambda: secrets.token_hex(32),
        "hex256": lambda: secrets.token_hex(128),
        "upperhex": lambda: secrets.token_hex(20).upper(),
        "bcrypt": lambda: "$2y$10$" + _letters(53),
        "apr1": lambda: "$apr1$" + _letters(8) + "$" + _letters(22),
        "sha512crypt": lambda: "$6$" + _letters(16) + "$" + _letters(86),
        "ldap": lambda: "{SHA}" + _base64(secrets.token_hex(10)),
        "des": lambda: _letters(13),
        "pbkdf2": lambda: "pbkdf2_sha256$600000$" + _letters(22) + "$" + _base64(secrets.token_hex(16)),
        "mysql41": lambda: "*" + secrets.token_hex(20).upper(),
        "obscured": lambda: secrets.token_urlsafe(30),
        "key": lambda: _base64(secrets.token_hex(16)),
        "jenkins": lambda: "{" + _base64(secrets.token_hex(30)) + "}",
    }
    return makers[name]()


def fill(template: str) -> tuple[bytes, list[Field]]:
    """Return the file that ``template`` describes, and the fields that its parser must find."""
    data, expected = b"", []
    position = 0
    for hole in _HOLE.finditer(template):
        data += template[position : hole.start()].encode()
        position = hole.end()
        value = _made(hole[1]).encode()
        if hole[2] != "none":
            expected.append(Field(hole[2], len(data), len(data) + len(value)))
        data += value
    return data + template[position:].encode(), expected


def kinds_in(template: str) -> set[str]:
    """Return the kinds that ``template`` marks."""
    return {hole[2] for hole in _HOLE.finditer(template)} - {"none"}
