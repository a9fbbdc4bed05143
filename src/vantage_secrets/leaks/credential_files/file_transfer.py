"""Saved sessions of programs that transfer files or show remote screens."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.settings import assignments
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries

_WINSCP = re.compile(rb"[0-9A-F]{8,2000}")
_VNC_BLOCK = 8


def filezilla(data: bytes) -> Iterator[Field]:
    """Find the passwords of FileZilla's ``sitemanager.xml`` and ``recentservers.xml``: base64, or plain in old ones."""
    encoding = b""
    for _path, key, begin, end in xml_entries(data):
        value = data[begin:end]
        if key == b"@encoding":
            encoding = value
        elif key == b"Pass":
            # "crypt" is real: a public key of the user's master password.
            if encoding != b"crypt" and is_value(decoded(value) if encoding == b"base64" else value):
                yield Field("filezilla-password", begin, end)
            encoding = b""


def winscp(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``WinSCP.ini``: obscured with the names of host and user."""
    for _path, key, begin, end in assignments(data):
        if key in (b"Password", b"TunnelPassword", b"ProxyPasswordEnc") and _WINSCP.fullmatch(data, begin, end):
            yield Field("winscp-password", begin, end)


def vnc(data: bytes) -> Iterator[Field]:
    """Find the password of a VNC server's ``passwd``: DES under a fixed key, one block or two."""
    if len(data) in (_VNC_BLOCK, 2 * _VNC_BLOCK):
        yield Field("vnc-password", 0, len(data))


def mremoteng(data: bytes) -> Iterator[Field]:
    """Find the passwords of mRemoteNG's ``confCons.xml``: AES under a published key unless the user chose another."""
    for path, key, begin, end in xml_entries(data):
        if key == b"@Password" and path[-1:] == (b"Node",) and end - begin >= 24:
            yield Field("mremoteng-password", begin, end)


editor_sftp: Parser = keyed(
    json_entries,
    {
        b"password": "editor-sftp-password",
        b"passphrase": "editor-sftp-password",
        b"pass": "editor-sftp-password",
        b"ssh_key_passphrase": "editor-sftp-password",
    },
)
remmina: Parser = keyed(assignments, {b"password": "remmina-password", b"ssh_tunnel_password": "remmina-password"})
