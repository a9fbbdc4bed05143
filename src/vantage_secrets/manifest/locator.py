"""The line of each key in a TOML text: ``tomllib`` does not tell, and a message needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping

KeyPath = tuple[str, ...]
"""A table or key from the top of the document, such as ``("secrets", "API_KEY", "name")``."""

_BARE_OR_QUOTED = r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'"""
_DOTTED = re.compile(rf"[ \t]*(?:{_BARE_OR_QUOTED})(?:[ \t]*\.[ \t]*(?:{_BARE_OR_QUOTED}))*")
_PART = re.compile(_BARE_OR_QUOTED)
_HEADER = re.compile(r"[ \t]*\[\[?")
# A value's pieces; a multi-line text may end in up to two quotes of its own before its closing three.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r"""|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|\n|[^\n"'\#\[\]{}]+|.""",
    re.DOTALL,
)


def locate(text: str) -> Mapping[KeyPath, int]:
    """Return the line, counted from 1, on which each table and key of ``text`` first appears.

    Keys inside an inline table are not among them; use :func:`line_of`, which falls back to the table.

    Args:
        text: A TOML document that ``tomllib`` has accepted; anything else gives lines that mean little.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    position, line = 0, 1
    while position < len(text):
        header = _HEADER.match(text, position)
        keys = _DOTTED.match(text, header.end() if header else position)
        if keys is not None:
            path = _parts(keys.group())
            if header:
                table = path
            else:
                path = table + path
            for length in range(1, len(path) + 1):
                lines.setdefault(path[:length], line)
            position = keys.end()
        end = _end_of_statement(text, position)
        line += text.count("\n", position, end)
        position = end
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of ``path``, or of the nearest table around it; ``None`` when none of them is known."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _parts(dotted: str) -> KeyPath:
    import tomllib

    return tuple(
        part if part[0] not in "\"'" else tomllib.loads(f"key = {part}")["key"] for part in _PART.findall(dotted)
    )


def _end_of_statement(text: str, position: int) -> int:
    """Return where the line after this statement begins; a newline inside brackets or a text ends nothing."""
    depth = 0
    for piece in _PIECE.finditer(text, position):
        mark = piece.group()
        if mark == "\n" and depth <= 0:
            return piece.end()
        depth += (mark in "[{") - (mark in "]}")
    return len(text)
