"""Lines of ``key = value``, in sections or not: INI, TOML, Java properties, HCL and their relatives."""

from __future__ import annotations

from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Entry
from vantage_secrets.leaks.credential_files.shapes.spans import lines, unquoted

_COMMENTS = (b"#", b";", b"//", b"!")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def settings(data: bytes) -> Iterator[Entry]:
    """Yield each ``key = value`` and ``key: value``; the path is the section, when there is one."""
    path: tuple[bytes, ...] = ()
    for begin, end in lines(data):
        text = data[begin:end].removeprefix(_BYTE_ORDER_MARK).strip()
        if text.startswith(_COMMENTS):
            continue
        if text.startswith(b"["):
            path = (text.strip(b"[] \t"),)
            continue
        at = _separator(data, begin, end)
        if at >= 0:
            yield Entry(path, _name(data[begin:at]), *unquoted(data, at + 1, end, b" #"))


def assignments(data: bytes) -> Iterator[Entry]:
    """Yield each ``key=value``, split at the first ``=`` only: keys may hold ``:``, values ``#`` and ``;``."""
    for begin, end in lines(data):
        at = data.find(b"=", begin, end)
        if at >= 0 and not data[begin:at].strip().startswith((b"#", b";")):
            yield Entry((), _name(data[begin:at]), *unquoted(data, at + 1, end))


def directives(data: bytes) -> Iterator[Entry]:
    """Yield each line's first word with what follows it, be it behind blanks, ``=`` or both."""
    for begin, end in lines(data):
        text = data[begin:end]
        indent = len(text) - len(text.lstrip())
        key = text[indent:].split(None, 1)[0].split(b"=", 1)[0] if text.strip() else b""
        if not key or key.startswith(_COMMENTS):
            continue
        rest = begin + indent + len(key)
        while rest < end and data[rest] in b" \t=":
            rest += 1
        yield Entry((), key, *unquoted(data, rest, end))


def _separator(data: bytes, begin: int, end: int) -> int:
    """Return where the first ``=`` or ``:`` stands that ends a name; -1 when there is none."""
    found = [at for at in (data.find(b"=", begin, end), data.find(b":", begin, end)) if at >= 0]
    return min(found, default=-1)


def _name(text: bytes) -> bytes:
    return text.removeprefix(_BYTE_ORDER_MARK).strip().strip(b"\"'")
