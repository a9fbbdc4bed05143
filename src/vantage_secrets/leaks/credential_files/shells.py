"""Histories of shells and of the interactive clients of databases: what was typed, with the passwords in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vantage_secrets.leaks.credential_files.contract import Field
from vantage_secrets.leaks.credential_files.plausibility import is_secret, is_value
from vantage_secrets.leaks.credential_files.shapes.spans import Span, lines, url_secrets

_WORD = re.compile(
    rb"""(?:[^\s'"\\;|&()]++|\\.|"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)|'[^']*+(?:'|\Z))++|\|\|?|&&?|;|\(|\)"""
)
_PREFIX = re.compile(rb": \d{1,12}:\d{1,9};|- cmd: |\#\d{9,11}$")
_ASSIGNMENT = re.compile(rb"([A-Za-z_][A-Za-z0-9_.-]*+)\+?=")
_OPTION = re.compile(rb"--?([A-Za-z][A-Za-z0-9_.-]*+)(?:=|\Z)")
_BREAKS = (b"|", b"||", b"&", b"&&", b";", b"(", b")")

_ATTACHED = {
    b"mysql": b"-p", b"mysqldump": b"-p", b"mysqladmin": b"-p", b"mysqlimport": b"-p", b"mariadb": b"-p",
    b"mariadb-dump": b"-p", b"sshpass": b"-p", b"7z": b"-p", b"7za": b"-p", b"zip": b"-P", b"unzip": b"-P",
    b"xfreerdp": b"/p:", b"sqlcmd": b"-P", b"bcp": b"-P", b"tsql": b"-P", b"unrar": b"-p", b"rar": b"-hp",
}  # fmt: skip
"""Options with the password behind them in the same word."""

_NEXT = {
    b"sshpass": b"-p", b"redis-cli": b"-a", b"docker": b"-p", b"podman": b"-p", b"mongo": b"-p", b"mongosh": b"-p",
    b"mongodump": b"-p", b"mongorestore": b"-p", b"ldapsearch": b"-w", b"ldapadd": b"-w", b"ldapmodify": b"-w",
    b"ldapwhoami": b"-w", b"ldappasswd": b"-s", b"zip": b"-P", b"unzip": b"-P", b"az": b"-p", b"oc": b"-p",
    b"sqlcmd": b"-P", b"bcp": b"-P", b"tsql": b"-P", b"cqlsh": b"-p", b"helm": b"-p", b"skopeo": b"-p",
    b"buildah": b"-p", b"cf": b"-p", b"ipmitool": b"-P", b"rdesktop": b"-p", b"mosquitto_pub": b"-P",
    b"mosquitto_sub": b"-P", b"influx": b"-p", b"twine": b"-p",
}  # fmt: skip
"""Options with the password in the next word."""

_LOGIN_ONLY = (b"docker", b"podman", b"az", b"oc", b"helm", b"skopeo", b"buildah", b"cf", b"influx")
"""Programs whose ``-p`` is a password after ``login`` only."""

_USER_AND_PASSWORD = {
    b"curl": ((b"-u", b"--user", b"-U", b"--proxy-user"), b":"),
    b"http": ((b"-a", b"--auth"), b":"),
    b"https": ((b"-a", b"--auth"), b":"),
    b"smbclient": ((b"-U", b"--user"), b"%"),
    b"rpcclient": ((b"-U", b"--user"), b"%"),
    b"smbmap": ((b"-U",), b"%"),
    b"lftp": ((b"-u",), b","),
}
_SETTERS = (b"aws", b"npm", b"yarn", b"pnpm", b"pip", b"poetry", b"composer", b"git", b"gcloud", b"wp", b"snap")
"""Programs whose ``config`` takes a name and a value as words."""

_BEFORE = (b"sudo", b"env", b"export", b"set", b"time", b"nohup", b"exec", b"declare", b"local", b"setx")
"""Words before the program's own name."""

_PIPED = re.compile(
    rb"""(?:echo|printf)[ \t]++(?:-\w[ \t]++)?(['"]?)([^'"|\s\\]++)(?:\\n)?\1[ \t]*+\|[ \t]*+"""
    rb"""(?:(?:sudo[ \t]++)?(?:chpasswd|passwd|su)\b|sudo[ \t]++(?:-\w{1,20}[ \t]++){0,5}?-\w{0,5}S\b"""
    rb"""|[^|\r\n]{1,200}?(?:--password-stdin|--with-token|-passin[ \t]stdin|--passphrase-fd[ \t]0))"""
)
_LITERAL = re.compile(
    rb"""(?i)(?<![\w'"])["']?(?P<name>[a-z_][\w.-]{0,64})["']?\]?[ \t]*+[=:][ \t]*+[rbuf]?"""
    rb"""(?:"(?P<double>[^"\r\n\\]++)"|'(?P<single>[^'\r\n\\]++)')"""
)


def shell_history(data: bytes) -> Iterator[Field]:
    """Find what was typed in a shell: passwords in options, assignments, pipes and addresses.

    zsh writes bytes above 0x7F behind 0x83 and with bit 5 turned (``Src/utils.c``, metafy); since none of them is a
    mark of the shell's grammar, words are found all the same.
    """
    for match in _PIPED.finditer(data):
        at = match[2].find(b":") if b"chpasswd" in match[0] else -1
        if is_value(match[2][at + 1 :]):
            yield Field("shell-history-password", match.start(2) + at + 1, match.end(2))
    for begin, end in lines(data):
        prefix = _PREFIX.match(data, begin, end)
        yield from _line(data, prefix.end() if prefix else begin, end)


def _line(data: bytes, begin: int, end: int) -> Iterator[Field]:
    """Find the secrets of one line, command by command."""
    if begin == end:
        return
    for first, last in url_secrets(data, begin, end):
        if is_value(data[first:last]):
            yield Field("shell-history-password", first, last)
    command: list[Span] = []
    for word in _WORD.finditer(data, begin, end):
        if word[0] in _BREAKS:
            yield from _command(data, command)
            command = []
        else:
            command.append(word.span())
    yield from _command(data, command)


class _Word(NamedTuple):
    """A word of a command, with the others."""

    data: bytes
    program: bytes
    texts: Sequence[bytes]
    spans: Sequence[Span]
    place: int

    @property
    def text(self) -> bytes:
        return self.texts[self.place]

    def tail(self, skipped: int) -> Span:
        """Return the word without its first bytes."""
        begin, end = self.spans[self.place]
        return begin + skipped, end

    @property
    def following(self) -> Span | None:
        """The next word, unless it is an option."""
        if self.place + 1 == len(self.spans) or self.texts[self.place + 1].startswith(b"-"):
            return None
        return self.spans[self.place + 1]


def _command(data: bytes, spans: Sequence[Span]) -> Iterator[Field]:
    texts = [data[begin:end] for begin, end in spans]
    program = b""
    for place, text in enumerate(texts):
        if not program and not _ASSIGNMENT.match(text):
            name = text.rpartition(b"/")[2]
            program = b"" if name in _BEFORE or name.startswith(b"-") else name
        word = _Word(data, program, texts, spans, place)
        for find in _FINDERS:
            span = find(word)
            if span:
                yield from _field(data, *span)
                break


def _assigned(word: _Word) -> Span | None:
    """``NAME=value``, before a command or as an argument of ``export``, ``docker run -e``, ``helm --set``."""
    match = _ASSIGNMENT.match(word.text)
    if match and _is_secret_setting(match[1], word.text[match.end() :]):
        return word.tail(match.end())
    return None


def _attached(word: _Word) -> Span | None:
    """``mysql -pvalue``."""
    option = _ATTACHED.get(word.program)
    if option and word.text.startswith(option) and len(word.text) > len(option):
        return word.tail(len(option))
    return None


def _next(word: _Word) -> Span | None:
    """``sshpass -p value``, ``docker login -p value``."""
    if word.text == _NEXT.get(word.program) and (word.program not in _LOGIN_ONLY or b"login" in word.texts):
        return word.following
    return None


def _user_and_password(word: _Word) -> Span | None:
    """``curl -u user:value``, ``curl --user=user:value``, ``curl -uuser:value``."""
    options, separator = _USER_AND_PASSWORD.get(word.program, ((), b""))
    for option in options:
        if not word.text.startswith(option):
            continue
        is_long = option.startswith(b"--")
        span = word.following if word.text == option else word.tail(len(option))
        at = word.data.find(separator, *span) if span else -1
        if span and at >= 0 and (not is_long or word.text == option or word.data[span[0] : span[0] + 1] == b"="):
            return at + 1, span[1]
    return None


def _openssl(word: _Word) -> Span | None:
    """``openssl -passin pass:value``, ``openssl enc -k value``."""
    span = word.following
    if word.program != b"openssl" or span is None or word.text not in (b"-passin", b"-passout", b"-pass", b"-k"):
        return None
    if word.text == b"-k":
        return span
    return (span[0] + 5, span[1]) if word.data.startswith(b"pass:", span[0]) else None


def _named_option(word: _Word) -> Span | None:
    """``--password value``, ``--token=value``, of whatever program."""
    match = _OPTION.match(word.text)
    if match is None or match[1].lower() == b"key":
        return None
    span = word.tail(match.end()) if word.text[match.end() - 1 : match.end()] == b"=" else word.following
    if span and is_secret(match[1], word.data[slice(*span)].strip(b"'\"")):
        return span
    return None


def _setting_in_word(word: _Word) -> Span | None:
    """``--from-literal=name=value``, an address with ``?token=value``."""
    at = word.text.rfind(b"=")
    name = word.text[: max(at, 0)].rpartition(b"=")[2].strip(b"'\"")
    return word.tail(at + 1) if at > 0 and _is_secret_setting(name, word.text[at + 1 :]) else None


def _setting_in_words(word: _Word) -> Span | None:
    """``aws configure set aws_secret_access_key value``, ``git config NAME value``."""
    is_setter = word.program in _SETTERS and any(text.startswith(b"config") for text in word.texts[: word.place])
    span = word.following
    if is_setter and span and is_secret(word.text, word.data[slice(*span)].strip(b"'\"")):
        return span
    return None


def _last(word: _Word) -> Span | None:
    """``rabbitmqctl add_user NAME value``, ``htpasswd -b FILE NAME value``, ``vault login value``."""
    if word.place + 1 < len(word.texts) or word.text.startswith(b"-") or word.place < 2:
        return None
    others = word.texts[: word.place]
    is_user = word.program == b"rabbitmqctl" and (b"add_user" in others or b"change_password" in others)
    is_batch = word.program == b"htpasswd" and any(_BATCH.fullmatch(text) for text in others)
    is_token = word.program == b"vault" and b"login" in others and len(word.text) >= 20 and b"=" not in word.text
    return word.tail(0) if is_user or is_batch or is_token else None


_REDIS = re.compile(
    rb"(?im)^auth[ \t]++(?:\S++[ \t]++)?([^\s'\"]++)[ \t]*+\r?$"
    rb"|^config[ \t]++set[ \t]++(?:requirepass|masterauth)[ \t]++([^\s'\"]++)"
)
_FINDERS = (
    _assigned,
    _attached,
    _next,
    _user_and_password,
    _openssl,
    _named_option,
    _setting_in_word,
    _setting_in_words,
    _last,
)
_BATCH = re.compile(rb"-\w*b\w*")


def _is_secret_setting(name: bytes, value: bytes) -> bool:
    """Return whether ``name=value`` in a shell sets a secret: by its name, and to more than an expansion."""
    text = value.strip(b"'\"")
    return is_value(text) and (name in (b"PGPASSWORD", b"MYSQL_PWD") or is_secret(name, text))


def _field(data: bytes, begin: int, end: int) -> Iterator[Field]:
    """Yield the span without its quotes when its text may be a secret."""
    if begin < end and data[begin] in b"'\"":
        begin += 1
    if begin < end and data[end - 1] in b"'\"":
        end -= 1
    if is_value(data[begin:end]) and b"`" not in data[begin:end]:
        yield Field("shell-history-password", begin, end)


def sql_history(data: bytes) -> Iterator[Field]:
    r"""Find the passwords in what was typed into a database's client; libedit writes a blank as ``\040``."""
    from vantage_secrets.leaks.credential_files.sql_dumps import sql_statements

    for field in sql_statements(data):
        if field.kind == "sql-password":
            yield field._replace(kind="sql-history-password")


def code_history(data: bytes) -> Iterator[Field]:
    """Find the literals that were given names of secrets in an interactive Python, IPython or Node session."""
    for match in _LITERAL.finditer(data):
        group = "double" if match["double"] is not None else "single"
        if is_secret(match["name"], match[group]):
            yield Field("code-history-secret", *match.span(group))
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("code-history-secret", begin, end)


def redis_history(data: bytes) -> Iterator[Field]:
    """Find the passwords in what was typed into ``redis-cli``: ``AUTH`` and ``CONFIG SET requirepass``."""
    for match in _REDIS.finditer(data):
        if is_value(match[match.lastindex or 0]):
            yield Field("redis-conf-password", *match.span(match.lastindex or 0))
