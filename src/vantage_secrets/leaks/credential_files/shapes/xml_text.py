"""XML as tags and texts with their places. Entities stay as they are written: nothing is expanded or fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import DEPTH, Entry
from vantage_secrets.leaks.credential_files.shapes.spans import trimmed

_PART = re.compile(
    rb"(?s)<!--.*?(?:-->|\Z)|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)|<[?!][^<>]*+>?"
    rb"|</(?P<close>[^\s<>]*+)[^<>]*+>?|<(?P<open>[^\s<>/]*+)(?P<attributes>[^<>]*+)>?|(?P<text>[^<]++)"
)
_ATTRIBUTE = re.compile(rb"""(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""")


def xml_entries(data: bytes) -> Iterator[Entry]:
    """Yield each element's text, with the element as key, and each attribute, with ``@name`` as key.

    The element of an attribute is the last name of its path; a prefix (``x:name``) stays.
    """
    path: list[bytes] = []
    for part in _PART.finditer(data):
        kind = part.lastgroup
        if kind == "close":
            if path:
                path.pop()
        elif kind == "attributes":
            path.append(part["open"])
            parents = tuple(path[:DEPTH])
            for found in _ATTRIBUTE.finditer(data, *part.span("attributes")):
                yield Entry(parents, b"@" + found[1], *found.span(found.lastindex or 0))
            if part["attributes"].endswith(b"/"):
                path.pop()
        elif kind in ("cdata", "text") and path:
            begin, end = trimmed(data, *part.span(kind))
            if begin < end:
                yield Entry(tuple(path[: min(len(path) - 1, DEPTH)]), path[-1], begin, end)
