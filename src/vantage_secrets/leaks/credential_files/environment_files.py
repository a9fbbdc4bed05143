"""The ``.env`` family: each variable whose name means a secret holds one, also a weak one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field
from vantage_secrets.leaks.credential_files.plausibility import is_secret, is_value
from vantage_secrets.leaks.credential_files.shapes.spans import unquoted, url_secrets

_VARIABLE = re.compile(
    rb"""(?m)^[ \t]*+(?:(?:export|set|setx)[ \t]++)?([A-Za-z_][\w.]{0,127})[ \t]*+=[ \t]*+"""
    rb"""(?:"((?:[^"\\]++|\\[\s\S])*+)"|'([^']*+)'|`([^`]*+)`|([^\r\n]*+))"""
)
_UNQUOTED = 5


def env(data: bytes) -> Iterator[Field]:
    """Find the secrets of a file of ``NAME=value``: by name, and the passwords of addresses of any name."""
    for match in _VARIABLE.finditer(data):
        group = match.lastindex or 0
        begin, end = match.span(group)
        if group == _UNQUOTED:
            begin, end = unquoted(data, begin, end, b" #")
        if is_secret(match[1], data[begin:end]):
            secrets = list(url_secrets(data, begin, end))
            yield from (Field("env-secret", *span) for span in secrets or [(begin, end)])
            continue
        for first, last in url_secrets(data, begin, end):
            if is_value(data[first:last]):
                yield Field("env-url-password", first, last)
