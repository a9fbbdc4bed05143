"""Saved sessions of graphical database clients: plain, or enciphered with a key that everybody knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.spans import url_secrets
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries

_HEIDISQL = re.compile(rb"(?m)\\(?:Password|SSHtunnelPassword)<\|\|\|>\d<\|\|\|>([0-9A-Fa-f]{3,2000})\r?$")
_NAVICAT = re.compile(rb"[0-9A-Fa-f]{16,2000}")
_PARAMETER = re.compile(rb"(?i)[?&;](?:amp;)?(?:password|pwd)=([^\s&;<>\"']++)")
_CIPHER_BLOCK = 16


def dbeaver(data: bytes) -> Iterator[Field]:
    """Find the whole of DBeaver's ``credentials-config.json``: AES in CBC mode under a key in its source."""
    text = data.lstrip()[:1] == b"{"
    if not text and len(data) >= 3 * _CIPHER_BLOCK and len(data) % _CIPHER_BLOCK == 0:
        yield Field("dbeaver-credentials", 0, len(data))
    elif text:
        yield from _DBEAVER_PLAIN(data)


_DBEAVER_PLAIN = keyed(json_entries, {b"password": "dbeaver-password"})


def heidisql(data: bytes) -> Iterator[Field]:
    """Find the passwords of HeidiSQL's ``portable_settings.txt``: each byte shifted by its last digit."""
    for match in _HEIDISQL.finditer(data):
        yield Field("heidisql-password", *match.span(1))


def navicat(data: bytes) -> Iterator[Field]:
    """Find the passwords of Navicat's exported connections (``.ncx``): ciphers under published keys."""
    for _path, key, begin, end in xml_entries(data):
        if key.lower().endswith(b"password") and _NAVICAT.fullmatch(data, begin, end):
            yield Field("navicat-password", begin, end)


def jetbrains_sources(data: bytes) -> Iterator[Field]:
    """Find the passwords in the addresses of DataGrip's ``dataSources.xml``; its own key store keeps the others."""
    spans = [*(match.span(1) for match in _PARAMETER.finditer(data)), *url_secrets(data)]
    for begin, end in spans:
        if is_value(data[begin:end]):
            yield Field("jetbrains-database-password", begin, end)


def jetbrains_servers(data: bytes) -> Iterator[Field]:
    """Find the passwords of ``webServers.xml``, obscured by a fixed pattern."""
    for _path, key, begin, end in xml_entries(data):
        if key.lower() in (b"@password", b"@passphrase") and is_value(data[begin:end]):
            yield Field("jetbrains-server-password", begin, end)


squirrel: Parser = keyed(xml_entries, {b"password": "squirrel-password"})
mongo_clients: Parser = keyed(
    json_entries, {b"userpassword": "saved-mongodb-password", b"sshuserpassword": "saved-mongodb-password"}
)
