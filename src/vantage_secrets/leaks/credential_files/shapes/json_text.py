"""JSON, also with comments and trailing commas, read token by token so that each value's place is known."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import DEPTH, Entry

_TOKEN = re.compile(rb'(?s)"((?:[^"\\]++|\\.)*+)(?:"|\Z|\\\Z)|//[^\r\n]*+|([{}\[\],:])|([^\s{}\[\],:"]++)')
"""A string, a comment, a mark, a bare word. The string that never ends is one, else looking for its end again at each
of its escaped quotes would take quadratic time."""


def json_entries(data: bytes) -> Iterator[Entry]:
    """Yield each string, number or word that an object or a list holds; RFC 8259, leniently."""
    path: list[bytes] = []  # the names of what is open
    counts: list[int] = []  # -1 for an object, else how many items its list has had
    key = b""
    is_value = True
    for token in _TOKEN.finditer(data):
        group = token.lastindex
        if group == 2:
            mark = token[2]
            if mark in b"{[":
                path.append(key)
                counts.append(-1 if mark == b"{" else 0)
            elif mark in b"}]" and path:
                path.pop()
                counts.pop()
            elif mark == b"," and counts and counts[-1] >= 0:
                counts[-1] += 1
            in_object = not counts or counts[-1] < 0
            is_value = mark == b":" or not in_object
            key = key if mark == b":" else (b"" if in_object else b"%d" % counts[-1])
        elif group is not None and is_value:
            yield Entry(tuple(path[1 : DEPTH + 1]), key, *token.span(group))
        elif group is not None:
            key = token[group]
