"""What is read of a repository, and in which order.

Blobs that the log names are read file by file, each with its versions one after another: Git reads them so in four
fifths of the time, since it keeps them as differences to each other, and only what differs between them is searched
(``history.survey``). Trees that the log names are not read, unless a name in them looks like a secret.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.history.log import GONE, SUBMODULE, TREE, Log


class Plan:
    """What is read, as far as the log tells.

    Args:
        log: A log that nobody has read yet.

    Attributes:
        trees: Ids of the trees that the log names.
        has_submodules: Whether there are commits of other repositories.
    """

    def __init__(self, log: Log) -> None:
        self.has_submodules = False
        self._blobs: dict[bytes, list[bytes]] = {}
        self._folders: dict[bytes, list[bytes]] = {}
        for mode, id_, path in log.brought():
            if mode == TREE:
                self._folders.setdefault(path, []).append(id_)
            elif mode == SUBMODULE:
                self.has_submodules = True
            elif mode != GONE:
                self._blobs.setdefault(path, []).append(id_)
        commits = log.commits()
        self._folders[b""] = [root for _commit, root in commits]
        self.trees = {id_ for some in self._folders.values() for id_ in some}
        self._commits = [commit for commit, _root in commits]

    def missing(self, headers: Iterable[bytes]) -> list[bytes]:
        """Return the ids of what the log names and is not listed.

        Args:
            headers: ``id type size`` of each object that is listed.
        """
        named = self.trees.union(self._commits, *self._blobs.values())
        return sorted(named.difference(header[: header.index(b" ")] for header in headers))

    def paths(self) -> dict[bytes, bytes]:
        """Return a path for each blob that the log names; those of one path one after another, the newest first."""
        found: dict[bytes, bytes] = {}
        for path, ids in self._blobs.items():
            for id_ in ids:
                found.setdefault(id_, path)
        return found

    def look_at_names(self, examiner: Examiner) -> tuple[set[bytes], dict[bytes, bytes]]:
        """Return the trees that must be read for names that look like secrets, and blobs whose name says what they are.

        Returns:
            Ids of trees; and for each blob with a structure that ``leaks.credential_files`` knows, its name.
        """
        paths = [*self._blobs, *self._folders]
        names = [path.rpartition(b"/")[2] for path in paths]
        first, last = examiner.matcher.names_from, examiner.matcher.marks_from
        suspicious: set[bytes] = set()
        structured: dict[bytes, bytes] = {}
        for position, index in _candidates(names, examiner):
            path = paths[position]
            if not first <= index < last:
                suspicious.update(self._folders.get(path.rpartition(b"/")[0], ()))
            else:
                structured.update(dict.fromkeys(self._blobs.get(path, ()), names[position]))
        return suspicious, structured


def _candidates(names: Sequence[bytes], examiner: Examiner) -> list[tuple[int, int]]:
    """Return the positions of names with candidates, each with what it may be; they are searched as trees have them."""
    ends: list[int] = []
    length = 0
    entries = [b"100644 %b\0" % name for name in names]
    for entry in entries:
        length += len(entry)
        ends.append(length)
    return [(bisect_left(ends, end), index) for index, end in examiner.survey(b"".join(entries))]
