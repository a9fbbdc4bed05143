"""Files of users with the hashes of their passwords: what a leak of them costs depends on the passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field

HASH = re.compile(
    rb"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}"  # bcrypt
    rb"|\$(?:apr1|1|5|6|7|y|gy)\$[^\s:'\",$]{1,64}\$[./A-Za-z0-9$=,]{16,200}"  # MD5, SHA-2, yescrypt crypt(3)
    rb"|\$argon2(?:id|i|d)\$[^\s:'\"]{20,256}|\$(?:P|H)\$[./A-Za-z0-9]{31}|\$S\$[./A-Za-z0-9]{52}"  # phpass, Drupal
    rb"|\{(?:SHA|SSHA|SSHA256|SHA256|SSHA512|SHA512)\}[A-Za-z0-9+/=]{24,150}"  # RFC 2307
    rb"|(?:pbkdf2_sha256|pbkdf2_sha1|bcrypt_sha256|scrypt)\$[^\s:'\"]{20,256}|(?:pbkdf2|scrypt):[^\s'\"]{20,256}"
    rb"|SCRAM-SHA-256\$[0-9]{1,9}:[A-Za-z0-9+/=]{8,64}\$[A-Za-z0-9+/=:]{60,150}|md5[0-9a-f]{32}|\*[0-9A-F]{40}"
)
"""Hashes of passwords in the spellings of crypt(5), RFC 2307, PHC, phpass, Django, Werkzeug, PostgreSQL and MySQL."""

_LINE = re.compile(rb"(?m)^[ \t]*+([^\s:#][^\s:]{0,255}):(?:(" + HASH.pattern + rb")|([./A-Za-z0-9]{13}))(?=:|\s|\Z)")
_SHADOW = re.compile(rb"(?m)^([^\s:#]{1,64}):!?(" + HASH.pattern + rb"):")


def htpasswd(data: bytes) -> Iterator[Field]:
    """Find the hashes of a web server's ``.htpasswd``, DES ``crypt`` among them."""
    for match in _LINE.finditer(data):
        yield Field("htpasswd-hash", *match.span(match.lastindex or 0))


def shadow(data: bytes) -> Iterator[Field]:
    """Find the hashes of a Unix system's ``shadow`` file."""
    for match in _SHADOW.finditer(data):
        yield Field("unix-password-hash", *match.span(2))
