"""Whether a text that stands where a password or another secret would stand is one.

Three questions, cheapest first: is it something that people write *instead* of a secret (a reference, a placeholder,
code, a path); does the name beside it promise a password, another secret or neither; and does it look like what the
name promises. A password may be words and digits, a token or key must look drawn by a generator.

What this refuses on purpose, since documents and tests are full of it: passwords that are themselves the word for one
or a product's published default (``password``, ``changeme``, ``postgres``), with up to four digits after it; a password
that equals the user's name; a single capitalised word (a label), and single words without a digit where they are not quoted.
"""

from __future__ import annotations

import binascii
import re

from vantage_secrets.leaks.names import kind_of
from vantage_secrets.leaks.wordlikeness import word_share

_INSTEAD = re.compile(
    rb"""(?xi)
    [$][A-Za-z_]\w*(?:\s|-?$) | [$]+[({]. | \?\w+$ | @\w+\[ | [\^~>=<]{0,2}\d+(?:\.\d+)+$ | [$](?:env|this|_\w+|\w+)(?:->|\[|:) | \{\{ | \{[\w.:]*\}$ | \{[%#] | <[%?]? [^>]*> | <\w+$ | %\w+%$ | %[sdvqr@]$ | %\(
    | @[\w.]+@$ | \#\{ | :\w+$ | \?+$ | \[[^\]]*\]$ | \([^)]*\)$ | __\w+__$ | !\w+(?:\s|$) | !\d[,;}] | \\(?:x[0-9a-f]{2}|0\d\d|u[0-9a-f]{4}|e\[) | \{\. | (?:required|nullable|string|sometimes|confirmed|min|max)(?::\d+)?\| | &[a-z]+[;]?$ | \*[a-z_]+$ | [*x.\-_#?=+~/0\\]+$
    | \|[-+]?$ | >-?$ | [|&]{2}
    | (?:enc|env|vault|secrets?|op|ssm|arn|file|https?|s3|gs|urn|ref\+?|keyvault|akv|kms|config|awssm|gcpsm|data|sm|keyring|pass|
        projects|mailto|ldaps?|process\.env|os\.(?:environ|getenv)|system\.getenv|bcrypt|argon2\w*|scrypt|pbkdf2\w*|sha(?:1|224|256|384|512)?|md5|
        ssha|crypt)[:\[({$/=].
    | \w+:// | [$](?:2[abxy]|5|6|1|y|7|apr1|argon2\w*|scrypt|pbkdf2[\w-]*|p|s)[$] | \{(?:s?sha\d*|s?md5|crypt|pbkdf2|argon2|bcrypt|scrypt|noop|pkcs5s2)[\w-]*\}
    | md5[0-9a-f]{32}$ | scram-sha- | \*[0-9a-f]{40}$ | (?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2|pk_(?:live|test)_|-----)
    | [a-z_][\w.]+\((?:.*\))?;?$ | [a-z_][\w.]*\[["'\w]*\]?$ | (?:new|await|return|lambda|function|typeof|not|await|async|yield)\s | [a-z_]\w*(?:->|::|\?\.|\|\|)\w
    | [a-z_]\w*=["'\w]*[>)]? $ (?<=[>)])
    | (?:[.~]{1,2}|[a-z]:)?[/\\](?:[\w .@+~-]+[/\\])*[\w .@+~*-]*$ (?<![A-Za-z0-9+/]{20})
    | /[^/]*[\[({\\^$][^/]*/$ | \d{4}-\d\d-\d\d | v?\d+(?:\.\d+)+(?:[-+][\w.]+)?$ | \d+(?:ms|[smhdw]|[kmg]i?b?|px|r?em|pt|%|deg)?$ | [-+]?0x[0-9a-f]{1,16}$
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|local|test|invalid|dev)$ | [#.]?[a-z][a-z-]*\[ | \# \w* $
    | [\w./-]+\.(?:py|go|js|ts|json|ya?ml|txt|pem|key|crt|cer|p12|pfx|jks|conf|cfg|ini|env|html?|php|java|md|xml|toml|sh|sock|db|log|csv|age|pub|asc|gpg|
        properties|svg|png|com|net|org|local|svc|internal|password|token|secret|value|data|text|key)$
    """
)
"""What begins, or is all of, a text that refers to a secret, describes one, or is code; tried at the value's start."""

_ANYWHERE = re.compile(
    rb"""(?xi)
    placeholder | example | dummy | change[ _-]?(?:me|it|this|in) | redacted | your[ _-] | (?-i:[Yy]our[A-Z]) | \*{3} | x{4} | \.{3} | \xe2\x80\xa6 | \xe2\x80\xa2
    | (?<![a-z0-9])(?:fake|mock|sample|insert|replace|todo|fixme|enter|some|any|undefined|lorem|foobar|not[_-]?set|unset|unused|goes|here|here\b|none|null|nil|true|false|xxx)(?![a-z0-9])
    | \$\{ | \{\{ | \}\} | %\(\w+\)s | \(\? | \.[*+](?:$|\?|\)|\\) | \\[dwsbDWSB](?:[+*{\])]|$) | \[\^?[a-zA-Z0-9]-[a-zA-Z0-9] | </ | <br | /> | &(?:nbsp|lt|gt|amp|quot|hellip);
    | \w\(\) | ["']\s?\+\s | \+\s?["'] | \#\{ | \{\d\} | (?<![A-Za-z0-9])(?-i:%[sdv])(?![A-Za-z0-9*$]) | (.)\1{7} | 12345678 | abcdefgh | 01234567 | 0{6} | =\{ | (?:\\x[0-9a-f]{2}.{0,3}){2}
    """
)
"""What no secret has anywhere in it: placeholders, templates, regular expressions, markup."""

_WORDS = frozenset(
    b"password passwd passwort passphrase passcode pass pwd pw secret secrets token tokens key keys apikey api_key api-key"
    b" credential credentials auth admin administrator root user username guest default test testing tests tester foo"
    b" bar baz qux quux foobar string str bytes int bool boolean none null nil undefined true false yes no on off"
    b" required optional empty value text hidden input type any object unknown void never public private internal demo"
    b" postgres postgresql mysql mariadb mongo mongodb redis rabbitmq kafka clickhouse elastic neo4j oracle sa"
    b" minio minioadmin minio123 changeit letmein hello world plain plaintext basic bearer digest oauth oauth2 jwt saml ldap"
    b" kerberos md5 sha sha1 sha256 sha512 sha-1 sha-256 sha-512 bcrypt scrypt argon2 argon2i argon2id hmac aes aes256 aes-256-cbc"
    b" aes-256-gcm rsa rsa256 ecdsa ed25519 hs256 hs384 hs512 rs256 es256 rs512 base64 base32 utf8 utf-8 ascii hex"
    b" scram scram-sha-256 scram-sha-512 plugin manual auto random generated generate generator env environment config"
    b" current-password new-password one-time-code prompt ask file stdin local remote dev development staging production"
    b" prod qa ci build stage live sandbox login logout sign signin signup register reset forgot email name"
    b" mypassword mysecret mytoken my-password my-secret my-token my_password my_secret secretpassword supersecret"
    b" super-secret super_secret verysecret topsecret top-secret s3cr3t s3cret secr3t p4ssw0rd passw0rd pa55word p@ssw0rd pa$$word"
    b" p@ssword pass@word password! abc abc123 abcd qwerty abcdef asdf asdfasdf foopass barpass testpass testpassword testuser"
    b" testtoken testsecret testkey userpass rootpass adminpass dbpass sekrit sekret hunter wrong invalid bad incorrect"
    b" correct valid good old new other another first second third alice bob x y z hush shared foobared tiger rosebud swordfish please symbol"
    b" identifier literal keyword operator punctuation eof newline whitespace number float".split()
)
"""Words that stand for a password, that describe one, or that a product publishes as its default."""

_STEMS = frozenset(
    b"password passwd passwort pass pwd pw secret token key apikey admin administrator root user username guest default test"
    b" testing tester foo bar baz qux string value text demo hello world postgres mysql redis mypassword mysecret mytoken"
    b" my-secret secretpassword supersecret testpass testpassword changeit letmein abc qwerty asdf dev dummy hunter".split()
)
"""Those that also mean nothing with some digits after them."""

_TAIL = re.compile(rb"[\d!.]{1,4}$")
_KEYWORD = re.compile(
    rb"(?i)passw|secret|token|creden|api[_-]?key|private_?key|public_?key|passphrase|username"
    rb"|(?P<short>pass(?:[^a-z]|$)|pswd|pwd|[a-z][_-]key\b)"
)
_IDENTIFIER = re.compile(rb"[.]?[A-Za-z_@][\w.\-/:]*$")
_EXPRESSION = re.compile(rb"^[A-Za-z_][\w.]*[(\[]|[,({]\w+[:=)]|\}[=;,)]|=>|->|\)\.")
_LETTERS = re.compile(rb"[A-Za-z_.\-/:]+$")
_PASSPHRASE = re.compile(rb"[a-z0-9]{2,12}([ ][a-z0-9]{2,12}){3,}[\d!.?]{0,4}$")
_SENTENCE = re.compile(
    rb"(?i)\b(?:the|your|you|must|enter|please|is|are|of|to|for|in|on|not|and|or|be|with|by|at|from|a|an|this|that|was|has|have|can|will|if|no"
    rb"|when|password|token|secret|key|user|invalid|use|de|la|le|el|der|die|das|und|mot|votre|su|tu)\b"
)
_UUID = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$")
_HEX = re.compile(rb"[0-9a-f]{16,}$|[0-9A-F]{16,}$")
_MARKS = re.compile(rb"[^A-Za-z0-9]")
_DIGITS = re.compile(rb"\d")
_SWITCHES = re.compile(rb"[A-Za-z]\d|\d[A-Za-z]|[a-z][A-Z]")
_NAME_BEFORE = re.compile(rb"[A-Za-z0-9_.\-]{0,60}\Z")
_CLOSERS = (b",", b";", b")", b"}", b"]", b"(", b"[")
_QUOTES = b"\"'`>["


def is_password(match: re.Match[bytes], value: bytes) -> bool:
    """Return whether ``value`` is a secret rather than a reference, a word, a type, code or a placeholder.

    Args:
        match: What the rule matched; its string is the whole text. A group ``password_name`` or ``secret_name`` is the name beside the
            value, which must then promise that kind; a group ``block`` is armour around a key; without any of them the place itself is proof
            enough, as in ``scheme://user:password@host``, and a group ``user`` there is whom it belongs to.
        value: The value in it.
    """
    groups = match.re.groupindex
    if "block" in groups:
        return _is_key_material(match["block"])
    if "basic" in groups:
        value = _decoded(value)
    begin = match.start("secret") if "secret" in groups else match.start(1)
    core = value
    if match.string[begin - 1] not in _QUOTES:
        if _is_code(match, value, "user" in groups or "exact" in groups):
            return False
        core = value.rstrip(b",;)")
    if len(core) < 4 or _INSTEAD.match(core) or _INSTEAD.match(value) or _ANYWHERE.search(value):
        return False
    lowered = value.lower()
    if lowered.strip(b"[](){}<>,;") in _WORDS or _TAIL.sub(b"", lowered) in _STEMS or len(set(lowered)) < 4:
        return False
    for group, kind in (("password_name", "password"), ("secret_name", "secret")):
        if group in groups:
            return _named(match, group, kind, value)
    if "user" in groups and match["user"] and match["user"].lower() == lowered:
        return False
    if _LETTERS.match(value) and _names_one(value):
        return False
    return not _is_sentence(value)


def _named(match: re.Match[bytes], group: str, kind: str, value: bytes) -> bool:
    begin, end = match.span(group)
    before = _NAME_BEFORE.search(match.string, max(begin - 60, 0), begin)
    name = (before[0] if before else b"") + match.string[begin:end]
    if kind_of(name) != kind or name.lower() == value.lower():
        return False
    before_name = match.string[max(begin - len(name) - 2, 0) : max(end - len(name), 0)]
    between = match.string[end : match.start("secret")]
    if before_name.endswith(b"::") or (before_name[-1:] in (b"?", b"&") and "unquoted" in match.re.groupindex):
        return False
    if "spaced" in match.re.groupindex and match["spaced"] and not _stands_alone(match, max(end - len(name), 0)):
        return False
    if b"|" in between and not _is_row(match.string, end):
        return False
    if name == b"PASS" and b":" in between:
        return False
    if (b"(" in between or b"," in between) and not _like_an_argument(
        match[group], between, value, match.string[match.end("secret") + 1 : match.end("secret") + 4]
    ):
        return False
    is_quoted = match.string[match.start("secret") - 1] in _QUOTES
    return _like_a_password(value, is_quoted) if kind == "password" else _like_a_token(value)


def _is_code(match: re.Match[bytes], value: bytes, is_address: bool) -> bool:
    """Whether an unquoted value is a name, or part of an expression."""
    core = value.rstrip(b",;:)]}(")
    if is_address:
        return False
    line = match.string[max(match.string.rfind(b"\n", 0, match.start()), match.start() - 200) : match.start()]
    if not core or line.rfind(b"{{") > line.rfind(b"}}") or _EXPRESSION.search(value) or core.lower() in _WORDS:
        return True
    if not _IDENTIFIER.match(core):
        return False
    group = "secret" if "secret" in match.re.groupindex else 1
    before = match.string[match.start(group) - 1 : match.start(group)]
    if core.isalpha() and word_share(core) > 0.7 and not (core.islower() and len(core) > 7 and before in (b"=", b"p")):
        return True
    after = match.string[match.end(group) : match.end(group) + 16]
    is_inside = len(core) < len(value) or after.startswith(_CLOSERS) or after.lstrip(b" \t").startswith(b"(")
    share = word_share(core)
    return (
        _names_one(core)
        or (share > 0.5 and b"." in core[:-1])
        or (share > 0.4 and is_inside)
       
    )


def _is_row(text: bytes, offset: int) -> bool:
    """Whether the line at ``offset`` is a row of a table, rather than a pipeline or a union of types."""
    return text[text.rfind(b"\n", 0, offset) + 1 : offset].lstrip().startswith(b"|")


def _stands_alone(match: re.Match[bytes], name_begin: int) -> bool:
    """Whether a line has nothing but a name and a quoted value, as in Gradle, or is a ``#define``."""
    line_begin = match.string.rfind(b"\n", 0, name_begin) + 1
    after = match.string[match.end("secret") + 1 : match.end("secret") + 3]
    return match.string[line_begin:name_begin].split()[:1] in ([], [b"#define"]) and after[:1] in (b"", b"\r", b"\n")


def _like_an_argument(name: bytes, between: bytes, value: bytes, closed: bytes) -> bool:
    """Whether a call or a list has a secret after its name: ``put("password", "x")``, not ``("user", "password", "host")``."""
    if _LETTERS.match(value) and (len(value) < 8 or word_share(value) >= 0.7) and value.count(b"-") < 3:
        return False
    if b"(" in between:
        return b"." not in name and closed.lstrip()[:1] == b")"
    return between[:1] in (b'"', b"'", b"\\")


def _like_a_password(value: bytes, is_quoted: bool) -> bool:
    if b" " in value:
        return bool(_PASSPHRASE.match(value)) and not _is_sentence(value)
    if len(value) > 128 or _is_foreign(value):
        return False
    if _LETTERS.match(value):
        return _like_a_passphrase(value, is_quoted)
    if _names_one(value) and len(_MARKS.findall(value.replace(b"_", b"").replace(b"-", b""))) == 0:
        return len(_SWITCHES.findall(value)) > 3
    if _DIGITS.search(value) is None:
        if not value.isascii():
            return False
        return len(value) >= 6 and (len(_MARKS.findall(value)) < 3 or word_share(value) < 0.5)
    return len(value) >= 6


def _like_a_passphrase(value: bytes, is_quoted: bool) -> bool:
    """Whether letters, perhaps with marks between them, were chosen as a password."""
    if _names_one(value) or value.isupper() or value.istitle() and value.isalpha():
        return False
    words = re.split(rb"[_.\-/:]", value)
    if len(words) > 1:
        return len(words) > 3 and not re.search(rb"[./:]", value)
    if word_share(value) < 0.7 and len(value) >= 8:
        return True
    return value.islower() and len(value) >= (6 if is_quoted else 8)


def _like_a_token(value: bytes) -> bool:
    """Whether a value looks drawn rather than thought up; words are what tokens are *called*."""
    if b" " in value or len(value) < 8:
        return False
    if _HEX.match(value) or _UUID.match(value):
        return len(set(value)) > 6
    digits = len(_DIGITS.findall(value))
    if not value.isascii():
        return False
    if not digits and (len(value) < 16 or value.islower() or value.isupper()):
        return len(value) >= 16 and word_share(value) < 0.35
    share = word_share(value)
    if share > 0.55:
        return (
            len(value) >= 12 and b"/" not in value and digits > 1 and len(_SWITCHES.findall(value)) > 2 and share < 0.7
        )
    return len(set(value)) > 6 and (share < 0.35 or len(_SWITCHES.findall(value)) > 2)


def _names_one(value: bytes) -> bool:
    """Whether the text has a word for a secret in it, and not by chance among random letters."""
    found = _KEYWORD.search(value)
    return found is not None and (found["short"] is None or word_share(value) > 0.4)


def _is_sentence(value: bytes) -> bool:
    return b" " in value and _SENTENCE.search(value) is not None


def _is_foreign(value: bytes) -> bool:
    """Whether a third or more of the text is not ASCII: it is shown to people."""
    return sum(byte > 127 for byte in value) * 3 >= len(value)


def _decoded(value: bytes) -> bytes:
    """Return the password of a ``Basic`` header's value; empty when there is none (RFC 7617, section 2)."""
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4)).partition(b":")[2]
    except binascii.Error:
        return b""


def _is_key_material(body: bytes) -> bool:
    """Whether the body of an armoured block is a key: enough of its characters, and as varied as encoded bytes are."""
    dense = re.sub(rb"\\[nrt]|[^A-Za-z0-9+/=]", b"", body)
    has_run = re.search(rb"[A-Za-z0-9+/=]{40}", body) is not None
    return has_run and len(dense) >= 80 and len(set(dense)) > 24
