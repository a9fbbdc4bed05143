"""The lines around a finding with every value that the scan found in them masked, for a person who judges it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vantage_secrets.leaks.finding import Finding

MASK = "•••"
"""Of one length for all values: how long a password is, is worth knowing to others too."""

_WIDTH = 100


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        number: 1 for the first.
        text: What it holds, masked, printable, at most 100 characters or so.
        is_finding: Whether the finding is in it.
    """

    number: int
    text: str
    is_finding: bool


def masked_lines(
    content: bytes, finding: Finding, found: Iterable[tuple[Finding, bytes]], around: int = 2
) -> list[Line]:
    """Return the lines of ``finding`` and some before and after.

    Args:
        content: The whole file.
        finding: The one to be judged.
        found: All findings in that file, it too, with their values.
        around: How many lines before it and after it.

    Returns:
        The lines; none when the file is not text.
    """
    if b"\0" in content:
        return []
    lines = _masked(content, found).decode("utf-8", "replace").split("\n")
    first, last = max(1, finding.line - around), min(len(lines), finding.end_line + around)
    return [
        Line(number, _readable(lines[number - 1]), finding.line <= number <= finding.end_line)
        for number in range(first, last + 1)
    ]


def _masked(content: bytes, found: Iterable[tuple[Finding, bytes]]) -> bytes:
    line_begins = [0]
    while (position := content.find(b"\n", line_begins[-1])) >= 0:
        line_begins.append(position + 1)
    spans = []
    for finding, value in found:
        # SECURITY: where the finding says that it is, which covers encoded ones, and wherever else its value stands.
        begin = _offset(content, line_begins, finding.line, finding.column)
        spans.append((begin, _offset(content, line_begins, finding.end_line, finding.end_column)))
        spans += _occurrences(content, value)
    pieces, position = [], 0
    for begin, end in sorted(spans):
        if begin >= position:
            pieces += [content[position:begin], MASK.encode()]
        # The lines stay as many as they were, so that their numbers do.
        pieces += [b"\n" + MASK.encode()] * content.count(b"\n", max(begin, position), max(end, position))
        position = max(position, end)
    return b"".join(pieces) + content[position:]


def _offset(content: bytes, line_begins: list[int], line: int, column: int) -> int:
    """Return where a column is, in bytes: columns count characters where the line is UTF-8, and bytes where not."""
    if line > len(line_begins):
        return len(content)
    begin = line_begins[line - 1]
    end = line_begins[line] if line < len(line_begins) else len(content)
    try:
        return begin + len(content[begin:end].decode()[: column - 1].encode())
    except UnicodeDecodeError:
        return min(end, begin + column - 1)


def _occurrences(content: bytes, value: bytes) -> Iterator[tuple[int, int]]:
    position = content.find(value) if value else -1
    while position >= 0:
        yield position, position + len(value)
        position = content.find(value, position + 1)


def _readable(text: str) -> str:
    # SECURITY: a file may hold escape sequences for whoever looks at it in a terminal.
    plain = text.rstrip("\r").replace("\t", "    ")
    shown = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in plain)
    if len(shown) <= _WIDTH:
        return shown
    begin = max(0, shown.find(MASK) - _WIDTH // 2)
    return ("…" if begin else "") + shown[begin : begin + _WIDTH] + ("…" if begin + _WIDTH < len(shown) else "")
