"""YAML in block style, read line by line from its indentation; flow style is left to the rules' regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import DEPTH, Entry
from vantage_secrets.leaks.credential_files.shapes.spans import lines, trimmed, unquoted

_KEY = re.compile(rb"""(?:"([^"]*+)"|'([^']*+)'|([^\s"'#{\[&*!|>%@`-][^:]*+(?::[^\s:][^:]*+)*+))\s*+:(?=\s|\Z)""")
_BLOCK = re.compile(rb"(?:![\w!-]*+\s++)?[|>][0-9+-]{0,2}\s*+(?:#.*)?\Z")
_BLANKS = re.compile(rb"[ \t]*+")
_PROPERTY = re.compile(rb"(?:[&!][^\s]*+\s++)++")


class _Level:
    """A mapping's key or a list's item that is open, and the indentation it stands at."""

    __slots__ = ("count", "indent", "name")

    def __init__(self, indent: int, name: bytes) -> None:
        self.indent = indent
        self.name = name
        self.count = 0


def yaml_entries(data: bytes) -> Iterator[Entry]:
    """Yield each scalar; a block scalar (``|``, ``>``) spans from its first to its last line.

    The first name of each path, and of a top-level key, is the document's number in the file, so that the documents
    of one file do not mix.
    """
    reader = _Reader(data)
    for begin, end in lines(data):
        yield from reader.take(begin, end)
    yield from reader.finish()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.document = 0
        self.levels: list[_Level] = []
        self.block: Entry | None = None
        self.block_indent = -1

    def take(self, begin: int, end: int) -> Iterator[Entry]:
        """Read one line."""
        first, last = trimmed(self.data, begin, end)
        if first == last:
            return
        if self.block is not None and first - begin > self.block_indent:
            # An entry without text yet has its begin behind its end.
            self.block = self.block._replace(begin=self.block.begin if self.block.end else first, end=last)
            return
        yield from self.finish()
        text = self.data[first:last]
        if text.startswith(b"#"):
            return
        if first == begin and text.startswith((b"---", b"...")):
            self.document += 1
            self.levels.clear()
            return
        yield from self._content(begin, first, last)

    def finish(self) -> Iterator[Entry]:
        """Yield the block scalar that is open, when it has text."""
        if self.block is not None and self.block.end:
            yield self.block
        self.block = None

    def _content(self, line: int, first: int, last: int) -> Iterator[Entry]:
        while self.data.startswith(b"-", first) and self.data[first + 1 : first + 2] in b" \t\r\n":
            self._item(first - line)
            # Looked for in place: a copy of the rest for each dash of a line of dashes would take quadratic time.
            blanks = _BLANKS.match(self.data, first + 1, last)
            first = blanks.end() if blanks else last
        if first == last:
            return
        match = _KEY.match(self.data, first, last)
        if match is None:
            yield from self._scalar(first, last)
            return
        self._leave(first - line)
        self.levels.append(_Level(first - line, match[match.lastindex or 0].strip()))
        yield from self._scalar(match.end(), last)

    def _scalar(self, begin: int, end: int) -> Iterator[Entry]:
        begin, end = trimmed(self.data, begin, end)
        if begin == end or not self.levels:
            return
        names = [level.name for level in self.levels[:DEPTH]]
        path, key = (b"%d" % self.document, *names[:-1]), self.levels[-1].name
        if _BLOCK.match(self.data, begin, end):
            if not self.data.startswith(b"!vault", begin):  # SECURITY: Ansible's ciphertext is meant to be committed.
                self.block, self.block_indent = Entry(path, key, 0, 0), self.levels[-1].indent
            return
        tag = _PROPERTY.match(self.data, begin, end)
        if not self.data.startswith(b"*", begin):
            yield Entry(path, key, *unquoted(self.data, tag.end() if tag else begin, end, b" #"))

    def _item(self, indent: int) -> None:
        """Open the next item of the list at ``indent``."""
        count = 0
        while self.levels and self.levels[-1].indent >= indent:
            level = self.levels[-1]
            if level.indent == indent and not level.name.isdigit():
                break  # the list's own key may stand at the same indentation as its dashes
            if level.indent == indent:
                count = level.count + 1
            self.levels.pop()
        item = _Level(indent, b"%d" % count)
        item.count = count
        self.levels.append(item)

    def _leave(self, indent: int) -> None:
        """Close what stands at ``indent`` or deeper."""
        while self.levels and self.levels[-1].indent >= indent:
            self.levels.pop()
