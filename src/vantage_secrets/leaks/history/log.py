"""What ``git log`` says of a history: which commits brought which objects, under which names.

It runs while the objects are listed, and answers four questions at a tenth of what reading objects costs: in which
order the versions of a file followed each other, under which names, whether anything that a ref leads to is not there,
and which commits brought a finding.

Every tree and blob that a ref leads to is named in it: a commit without parents names all it has, another one what
differs from *each* of its parents, and what is as in one of them was named there or before. So trees need not be read
to know the names in them.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from vantage_secrets.leaks.finding import Occurrence
from vantage_secrets.leaks.history.repository import Repository, first_line

_WORDS = (
    *("log", "--all", "--raw", "-c", "-t", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--root"),
    *("-O/dev/null", "--ignore-submodules=none", "--no-show-signature", "--encoding=UTF-8"),
)
_PART_BYTES = 262_144
"""So much of the log is taken apart at once."""
TREE = b"040000"
"""The mode of a folder."""
SUBMODULE = b"160000"
"""The mode of a commit of another repository."""
GONE = b"000000"
"""The mode of what a commit took away."""


class Log:
    """The log of all refs, under way from when it is made.

    Args:
        repository: Whose log it is.
    """

    def __init__(self, repository: Repository) -> None:
        id_ = b"[0-9a-f]{%d}" % (2 * repository.id_bytes)
        # Nobody can have put it into a path or a name, and what begins with it is a commit.
        self._mark = b"\x01" + os.urandom(8).hex().encode()
        self._head = re.compile(b"%b(%b) (%b) " % (self._mark, id_, id_))
        # ":mode mode old new status NUL path NUL", and a colon, mode and id more for each parent of a merge.
        self._change = re.compile(rb":(?:[0-7]{6} )+?([0-7]{6}) (?:%b )+(%b) [A-Z]+\0([^\0]*)\0" % (id_, id_))
        self._new = re.compile(rb" (%b) [A-Z]+\0([^\0]*)\0" % id_)
        form = f"--format={self._mark.decode()}%H %T %ct %an <%ae>"
        self._process, self._errors = repository.start(*_WORDS, form)
        self._text = bytearray()
        self.failure = ""
        """Why Git could not go through the history; empty when it could."""

    def brought(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield what the commits brought, newest first, some of it several times; once, and before all other questions.

        Yields:
            The mode, six octal digits that say what it is (gitformat-index(5)); the id; the path from the root.
        """
        text, begin = self._text, 0
        assert self._process.stdout is not None
        with self._errors, self._process.stdout as output:
            while part := os.read(output.fileno(), _PART_BYTES):
                text += part
                if len(text) - begin >= _PART_BYTES and (end := text.rfind(self._mark, begin)) > begin:
                    yield from self._change.findall(text, begin, end)
                    begin = end
            yield from self._change.findall(text, begin)
            if self._process.wait():
                self._errors.seek(0)
                self.failure = first_line(self._errors.read())

    def stop(self) -> None:
        """End it without its answer."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def commits(self) -> list[tuple[bytes, bytes]]:
        """Return the ids of each commit and of its root tree, newest first."""
        return self._head.findall(self._text)

    def sightings_of(self, ids: Iterable[str]) -> dict[str, list[Occurrence]]:
        """Return the commits that brought each of some blobs and trees, newest first."""
        wanted = {id_.encode() for id_ in ids}
        found: dict[str, list[Occurrence]] = {}
        if not wanted:
            return found
        begins = []
        for head in self._head.finditer(self._text):
            begins.append(head.start())
            if head[2] in wanted:
                found.setdefault(head[2].decode(), []).append(self._occurrence(head.start(), b"."))
        for new in self._new.finditer(self._text):
            if new[1] in wanted:
                begin = begins[bisect_right(begins, new.start()) - 1]
                found.setdefault(new[1].decode(), []).append(self._occurrence(begin, new[2]))
        return found

    def _occurrence(self, begin: int, path: bytes) -> Occurrence:
        head = self._text[begin + len(self._mark) : self._text.find(b"\0", begin)]
        commit, _tree, committed_at, author = head.decode("utf-8", "replace").split(" ", 3)
        return Occurrence(commit, path.decode("utf-8", "replace"), author, int(committed_at))
