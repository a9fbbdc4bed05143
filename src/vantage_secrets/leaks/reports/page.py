"""Lines of text on a stream: wrapped, coloured when wanted, and harmless whatever stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from vantage_secrets.leaks.reports.wording import printable

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "alarm": "1;31",
    "command": "1",
}
"""Styles by name. A piece of style ``command`` is not broken at its blanks, so that it can be copied."""

_WIDTH_MIN = 40


class Page:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO, *, colour: bool, width: int) -> None:
        """Write to ``stream``, at most ``width`` columns a line, but 40 at least; 0 for no end."""
        self._stream = stream
        self._colour = colour
        self._width = max(width, _WIDTH_MIN) if width else 0
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def line(self, *pieces: str | tuple[str, str], first: int = 0, indent: int = 0) -> None:
        """Write ``pieces`` one behind the other, each a text or a text with its style.

        Args:
            pieces: Texts; nothing in them can break the line or steer the terminal.
            first: Columns before the line.
            indent: Columns before what does not fit and goes to the next lines.
        """
        styled = [(piece, "") if isinstance(piece, str) else piece for piece in pieces]
        words = [(word, style) for text, style in styled for word in _words(printable(text), style)]
        for row in self._rows(words, first, indent):
            self._write(row)

    def _rows(self, words: list[tuple[str, str]], first: int, indent: int) -> Iterator[list[tuple[str, str]]]:
        row: list[tuple[str, str]] = [(" " * first, "")] if first else []
        used = first
        for word, style in words:
            rest = word
            if self._width and used + columns(rest) > self._width and used > indent:
                yield row
                row, used, rest = [(" " * indent, "")], indent, rest.lstrip(" ")
            while self._width and used + columns(rest) > self._width > indent + 1:
                head, rest = _cut(rest, self._width - used)
                yield [*row, (head, style)]
                row, used = [(" " * indent, "")], indent
            row.append((rest, style))
            used += columns(rest)
        yield row

    def _write(self, row: list[tuple[str, str]]) -> None:
        text = _no_command("".join(word for word, _style in row).rstrip())
        if self._colour and text == "".join(word for word, _style in row).rstrip():
            text = "".join(self._painted(row))
        self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding) + "\n")

    @staticmethod
    def _painted(row: list[tuple[str, str]]) -> Iterator[str]:
        now = ""
        for word, style in row:
            if style != now:
                yield ("\x1b[0m" if now else "") + (f"\x1b[{_STYLES[style]}m" if style else "")
                now = style
            yield word
        if now:
            yield "\x1b[0m"


def columns(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes; Unicode Standard Annex 11: wide ones take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _words(text: str, style: str) -> Iterator[str]:
    """Yield the words of ``text``, each with the blanks before it."""
    begin = 0
    for end in range(1, len(text) if style != "command" else 0):
        if text[end] == " " != text[end - 1]:
            yield text[begin:end]
            begin = end
    if text:
        yield text[begin:]


def _cut(text: str, width: int) -> tuple[str, str]:
    """Return the beginning of ``text`` that fits into ``width`` columns, at least one character, and the rest."""
    end = used = 0
    for letter in text:
        used += columns(letter)
        if used > width and end:
            break
        end += 1
    return text[:end], text[end:]


def _no_command(text: str) -> str:
    """Return ``text`` so that a CI's runner takes no command from it.

    SECURITY: GitHub's runner carries out a line of output that begins with ``::`` or has ``##[`` in it, and a file in a
    pull request can be called so. One character of such a name is shown as another.
    """
    stripped = text.lstrip()
    if stripped.startswith("::"):
        text = f"{text[: len(text) - len(stripped)]}.{stripped[1:]}"
    return text.replace("##[", "##(")
