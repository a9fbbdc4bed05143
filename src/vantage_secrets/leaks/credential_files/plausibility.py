"""What a field of a credential file may hold that is no secret, and which names mean one.

A field that its format calls a password holds one, also a weak one (``postgres``, ``hunter2``): only references,
blanks and what documentation writes are refused. The words ``password``, ``secret`` and ``changeme`` are refused
too: whoever wants to try them needs no leak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vantage_secrets.leaks.credential_files.contract import Field, Parser, Shape
from vantage_secrets.leaks.patterns import compiled

_NO_VALUE = compiled(
    rb"(?i)example|placeholder|dummy|change[-_ ]?(?:me|this|it)(?![a-z])|replace[-_ ]?(?:me|this|with)|\Areplace[-_ ]"
    rb"|[-_ ]here\Z|redacted|removed"
    rb"|(?<![a-z])(?:your|insert)[-_ ]|(?<![a-z])enter[-_ ](?:your|the|a)[-_ ]|x{4}|\*{3}|\.{3}|\xe2\x80\xa6"
    rb"|\{\{|\$\{|\$\(|\A<[^<>]*+>\Z|\A%\(|\A%[a-z_]++%\Z|\A\$\$?[a-z_]++\Z|\A(?-i:\$\$?[A-Z_][A-Z0-9_]*+)\Z"
    rb"|\AENC[(\[]|\A@[a-z_.]++@\Z|\A\[[a-z _-]++\]\Z|\A(.)\1*+\Z"
    rb"|\A(?:pass(?:word|wd)?|secret|token|my[-_]?(?:password|secret|token)|none|null|nil|undefined|true|false|yes|no"
    rb"|string|todo|tbd|foo|bar|foobar|n/a|prompt|ask|env|default)\Z"
)
_PASSWORD_NAME = compiled(
    rb"(?:(?i:passw(?:or)?d|passwort|passphrase|passcode)|(?i:(?<![a-z])(?:pwd|pw|pass|psk))|(?<=[a-z])(?:Pass|Pwd|Pw))"
    rb"(?i:[_-]?(?:plain|prod|production|dev|live|test|staging|raw|value))?[_-]?\d{0,2}\Z"
)
_TOKEN_NAME = compiled(
    rb"(?:(?i:secret|token|api[-_.]?key|credentials?"
    rb"|(?:access|secret|private|signing|signature|encryption|encrypt|auth|account|master|shared|storage|service|role|app"
    rb"|license|client|webhook|jwt|session|hmac|aes|deploy|admin|root|write|read|cookie|crypt)[-_.]?key)"
    rb"|(?i:(?<![a-z])jwt))"
    rb"(?i:[_-]?(?:base|base64|b64|hex|pem|openssh|prod|production|dev|live|test|staging|raw|value))?[_-]?\d{0,2}\Z"
)
_KEY_NAME = compiled(rb"(?:(?i:(?<![a-z])(?:key|salt))|(?<=[a-z])(?:Key|Salt))\Z")
"""A key may be one of a map, of an object in a bucket or of a settings table: its value must look random as well."""

_SLUG = compiled(rb"(?i)[-_./]?[a-z0-9]{1,20}(?:[-_./: ][a-z0-9]{0,20})++")
_LEAST_RANDOM = 16
_LEAST_ENTROPY = 3.0
"""Bits a character; 16 random hexadecimal digits have 3.2 on average."""

_PUBLIC_NAME = compiled(
    rb"(?i)(?:public|publishable|pub|site|foreign|primary|sort|partition|cache|idempotency|host|column|map|translation"
    rb"|lookup|index|object|bucket|group|range|order|row|csrf[-_.]?header|key[-_.]?pair|ssl|tls|cert|kms|message|topic)"
    rb"[-_.]?(?:key|token|salt)\Z|(?:next|page|continuation|cancellation|max|min|num|eos|bos|pad)[-_.]?token\Z"
    rb"|token[-_.]?(?:url|uri|type)\Z|default[-_.]?(?:key|token)\Z|no[-_.]?password\Z"
)
_NO_TOKEN = compiled(
    rb"(?i)\A(?:[.~]{0,2}/|[a-z]:\\|[a-z][a-z0-9+.-]{1,12}://|arn:|\d{1,9}\Z|[\w./\\-]+\.(?:pem|key|crt|cer|json|txt|ya?ml|"
    rb"p12|pfx|jks|pub|ppk|asc|gpg)\Z)|\s"
)
_LONGEST_PLACEHOLDER = 200
"""Bytes that are looked at: in kilobytes of base64, four times the same letter is chance."""
_LEAST_TOKEN = 8
"""Bytes of the shortest value taken for a token or key; only passwords may be shorter."""


def is_value(value: bytes) -> bool:
    """Return whether ``value`` may be a secret: not empty, no reference, no placeholder."""
    return bool(value.strip()) and not _NO_VALUE.search(value[:_LONGEST_PLACEHOLDER])


def is_password_name(name: bytes) -> bool:
    """Return whether a value of this name is a password."""
    return bool(_PASSWORD_NAME.search(name)) and not _PUBLIC_NAME.search(name)


def is_token_name(name: bytes) -> bool:
    """Return whether a value of this name is a token or a key, which is long and no path."""
    return bool(_TOKEN_NAME.search(name)) and not _PUBLIC_NAME.search(name)


def is_secret(name: bytes, value: bytes) -> bool:
    """Return whether ``value`` under ``name`` is a secret, where a file holds other settings as well."""
    if is_password_name(name):
        is_path = value.startswith((b"/", b"~/")) and value.count(b"/") > 1
        return not is_path and is_value(value)
    if is_token_name(name):
        return len(value) >= _LEAST_TOKEN and not _NO_TOKEN.search(value) and is_value(value)
    is_key = bool(_KEY_NAME.search(name)) and not _PUBLIC_NAME.search(name)
    return is_key and _is_random(value) and is_value(value)


def _is_random(value: bytes) -> bool:
    from vantage_secrets.leaks.judgement import entropy

    if len(value) < _LEAST_RANDOM or _NO_TOKEN.search(value) or _SLUG.fullmatch(value):
        return False
    has_both = any(byte in b"0123456789" for byte in value) and any(byte not in b"0123456789" for byte in value)
    return has_both and entropy(value) >= _LEAST_ENTROPY


def decoded(value: bytes) -> bytes:
    """Return what ``value`` is in base64 (RFC 4648, both alphabets, padding optional), empty when it is none."""
    import binascii

    text = value.translate(bytes.maketrans(b"-_", b"+/"), b" \r\n\t=")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return b""


def keyed(shape: Shape, kinds: Mapping[bytes, str]) -> Parser:
    """Return the parser of a format in which certain names hold secrets.

    Args:
        shape: The syntax.
        kinds: What each name, in lower case, holds.
    """

    def parse(data: bytes) -> Iterator[Field]:
        for _path, key, begin, end in shape(data):
            kind = kinds.get(key.lower())
            if kind and is_value(data[begin:end]):
                yield Field(kind, begin, end)

    return parse


def named(shape: Shape, kind: str) -> Parser:
    """Return the parser of a format in which any name may stand, and those that mean a secret hold one."""

    def parse(data: bytes) -> Iterator[Field]:
        for _path, key, begin, end in shape(data):
            if is_secret(key, data[begin:end]):
                yield Field(kind, begin, end)

    return parse


def whole(kind: str, longest: int = 1024) -> Parser:
    """Return the parser of a file that holds one secret in its first line and nothing else.

    Args:
        kind: What it is.
        longest: Bytes; a longer first line is something else.
    """

    def parse(data: bytes) -> Iterator[Field]:
        from vantage_secrets.leaks.credential_files.shapes.spans import lines, trimmed

        begin, end = trimmed(data, *next(lines(data), (0, 0)))
        value = data[begin:end]
        # A script that prints the password may stand there too, and a file that is not text holds something else.
        if value.startswith((b"#!", b"$ANSIBLE_VAULT", b"<", b"{")) or len(value) > longest or b"\0" in value:
            return
        if is_value(value) and not any(byte in b" \t" for byte in value.lstrip(b"#")):
            yield Field(kind, begin, end)

    return parse
