"""Reads ``.env`` files as python-dotenv does, reports what it would pass over, and never repeats a line's content.

The grammar and every difference from python-dotenv are in ``docs/reference/dotenv.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from vantage_secrets.errors import DotenvError, InvalidSecretValueError
from vantage_secrets.secret import SecretValue

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
_SPACE = r"[^\S\n]"
_BLANK = re.compile(r"\s*")
_HEAD = re.compile(rf"(?P<export>export{_SPACE}+)?+(?:'(?P<quoted>[^'\n]+)'|(?P<bare>[^'=#\s][^=#\s]*)){_SPACE}*")
_EQUALS = re.compile(rf"={_SPACE}*")
_TAIL = re.compile(rf"{_SPACE}*(?:#[^\n]*)?(?:\n|\Z)")
_LINE = re.compile(r"[^\n]*\n?")
_UNQUOTED = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"(?<=\s)#")  # Looks behind its start: in `A= # x` the space belongs to the equals sign.
_QUOTED = {
    "'": re.compile(r"'((?:\\[\\']|[^'])*+)'", re.DOTALL),
    '"': re.compile(r'"((?:\\[\\"]|[^"])*+)"', re.DOTALL),
}
_ESCAPES = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")


class Quote(StrEnum):
    """How a value was written."""

    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class DotenvEntry:
    """One variable as the file sets it last.

    Attributes:
        key: The variable's name.
        value: Its value; ``None`` when it is empty, because a secret's value never is.
        line: Line of its name, counted from 1.
        exported: Whether ``export`` stood in front.
        quote: How the value was written.
    """

    key: str
    value: SecretValue | None
    line: int
    exported: bool
    quote: Quote


@dataclass(frozen=True, slots=True)
class DotenvDuplicate:
    """A variable that the file sets more than once; the last line wins."""

    key: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DotenvProblem:
    """A line that was passed over or may not mean what it says, in words that repeat nothing of a value."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """What a ``.env`` file says.

    Attributes:
        entries: One for each variable, in the order of first appearance.
        duplicates: Variables that are set more than once.
        empty: Names of the variables whose value is empty.
        problems: Lines that a reader should look at, in order.
    """

    entries: tuple[DotenvEntry, ...]
    duplicates: tuple[DotenvDuplicate, ...]
    empty: tuple[str, ...]
    problems: tuple[DotenvProblem, ...]


def read_dotenv(source: Path | bytes, *, interpolate: bool = False) -> DotenvFile:
    """Return what ``source`` says; its values are secret values from here on.

    Args:
        source: A file, or its bytes.
        interpolate: Whether ``${A}`` and ``${A:-default}`` stand for a variable set above; ``$A`` never does.

    Raises:
        DotenvError: The file cannot be read, is not UTF-8, has a quote without its end or text behind one, or
            refers to a variable that no line above sets. The message names the line and repeats none of it.
    """
    text = _decode(source)
    statements = list(_statements(text))
    problems = [item for item in statements if isinstance(item, DotenvProblem)]
    settings = [item for item in statements if isinstance(item, _Setting)]
    latest: dict[str, _Setting] = {}
    lines: dict[str, list[int]] = {}
    for setting in settings:
        if interpolate:
            setting = setting._replace(text=_expand(setting, latest))
        elif _REFERENCE.search(setting.text):
            words = f"'{setting.key}' holds a reference to another variable, kept as it is written."
            problems.append(DotenvProblem(setting.line, words))
        latest[setting.key] = setting
        lines.setdefault(setting.key, []).append(setting.line)
    entries = tuple(entry for setting in latest.values() if (entry := _entry(setting, problems)) is not None)
    return DotenvFile(
        entries=entries,
        duplicates=tuple(DotenvDuplicate(key, tuple(at)) for key, at in lines.items() if len(at) > 1),
        empty=tuple(entry.key for entry in entries if entry.value is None),
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
    )


class _Setting(NamedTuple):
    """``KEY=text`` before its text becomes a secret value. SECURITY: lives only inside :func:`read_dotenv`."""

    key: str
    text: str
    line: int
    exported: bool
    quote: Quote


def _decode(source: Path | bytes) -> str:
    """Return the text with every line ending in one newline, as Python's own text mode reads it."""
    if isinstance(source, Path):
        try:
            source = source.read_bytes()
        except OSError as exc:
            raise DotenvError(f"'{exc.filename}' cannot be read: {exc.strerror}.") from None
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = source.count(b"\n", 0, exc.start) + 1
    else:
        return text.replace("\r\n", "\n").replace("\r", "\n")
    # SECURITY: raised out here, because a UnicodeDecodeError carries the whole file.
    raise DotenvError(f"Line {line} is not UTF-8.", hint="Save the file as UTF-8 and try again; nothing was imported.")


def _statements(text: str) -> Iterator[_Setting | DotenvProblem]:
    """Yield what each statement says, in order; blank lines and comments say nothing."""
    position, line, counted = 0, 1, 0
    while True:
        position = _end(_BLANK, text, position)
        line, counted = line + text.count("\n", counted, position), position
        if position == len(text):
            return
        head = _HEAD.match(text, position)
        equals = head and _EQUALS.match(text, head.end())
        if head and equals:
            value, quote, position = _value(text, equals.end(), line)
            key = head["quoted"] or head["bare"]
            if _KEY.fullmatch(key):
                yield _Setting(key, value, line, head["export"] is not None, quote)
                continue
            yield DotenvProblem(line, "The name on this line is no environment variable; the line is left out.")
        else:
            # SECURITY: the line may be part of a key that was pasted without quotes, so not even its name is shown.
            if text[position] != "#":
                yield DotenvProblem(line, "There is no NAME= on this line; it is left out.")
            position = _end(_LINE, text, position)


def _value(text: str, position: int, line: int) -> tuple[str, Quote, int]:
    """Return the value at ``position``, how it was written, and where the next line begins."""
    mark = text[position : position + 1]
    if mark not in _QUOTED:
        return _unquoted(text, position, line)
    found = _QUOTED[mark].match(text, position)
    if found is None:
        raise DotenvError(f"The quote that begins on line {line} does not end.")
    tail = _TAIL.match(text, found.end())
    if tail is None:
        raise DotenvError(
            f"Something stands behind the closing quote of the value that begins on line {line}.",
            hint="Put a backslash before a quote inside the value, or a quote at its end; nothing was imported.",
        )
    content = _ESCAPES[mark].sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found[1])
    return content, Quote.SINGLE if mark == "'" else Quote.DOUBLE, tail.end()


def _unquoted(text: str, position: int, line: int) -> tuple[str, Quote, int]:
    end = _end(_UNQUOTED, text, position)
    comment = _COMMENT.search(text, position, end)
    value = text[position : comment.start() if comment else end].rstrip()
    if value.startswith("-----BEGIN ") and "-----END " not in value:
        raise DotenvError(f"The value on line {line} goes on below it.", hint="Put the whole value into double quotes.")
    return value, Quote.NONE, _end(_LINE, text, end)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return where ``pattern``, which matches everywhere, ends."""
    found = pattern.match(text, position)
    return position if found is None else found.end()


def _expand(setting: _Setting, above: Mapping[str, _Setting]) -> str:
    def expand(reference: re.Match[str]) -> str:
        name, default = reference.groups()
        if name in above:
            return above[name].text
        if default is not None:
            return str(default)
        raise DotenvError(
            f"'{setting.key}' on line {setting.line} refers to a variable that no line above it sets.",
            hint="Set that variable above, or give a default as in ${NAME:-default}; nothing was imported.",
        )

    return _REFERENCE.sub(expand, setting.text)


def _entry(setting: _Setting, problems: list[DotenvProblem]) -> DotenvEntry | None:
    try:
        value = SecretValue(setting.text) if setting.text else None
    except InvalidSecretValueError as exc:
        problems.append(DotenvProblem(setting.line, f"'{setting.key}' is left out. {exc.message}"))
        return None
    return DotenvEntry(setting.key, value, setting.line, setting.exported, setting.quote)
