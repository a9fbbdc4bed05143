"""The objects that a push brought: as a source of a scan, with the commit that brought each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vantage_secrets.leaks.finding import Attribution, Coverage, Finding, Occurrence, Place
from vantage_secrets.leaks.history.objects import ObjectInfo, ObjectReader, describe_objects, pieces
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, TAIL_BYTES, archive_kind
from vantage_secrets.leaks.watch.pushes import RefUpdate

_NEW = ("rev-list", "--objects", "--in-commit-order", "--reverse", "--stdin")
"""Each commit, oldest first, and behind it the objects that it is the first to have, each with its path."""
_ABOUT = ("log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %ct %an <%ae>")
_COMMITS_AT_ONCE = 500


class PushedSource:
    """What is in a push and was not in the repository before.

    It works in a ``post-receive`` hook, where the refs have moved, and in a ``pre-receive`` hook, where they have not
    and the objects wait in quarantine (git-receive-pack(1), QUARANTINE ENVIRONMENT).

    Args:
        path: A folder of the repository.
        updates: The refs that the push moves.
        size_max: Largest object that is read, in bytes.

    Raises:
        InvalidInputError: There is no repository.
    """

    def __init__(self, path: Path, updates: Sequence[RefUpdate], *, size_max: int) -> None:
        self._repository = Repository(path)
        self._label = str(path)
        self._updates = updates
        self._size_max = size_max
        self._paths: dict[str, str] = {}
        self._commits: dict[str, str] = {}

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield each new blob, tree, commit and tag, and what is inside the blobs that are archives.

        Raises:
            InvalidInputError: Git cannot tell what is new.
        """
        self._list()

        def miss(info: ObjectInfo, reason: str) -> None:
            coverage.miss(self._place(info), reason)

        headers = describe_objects(self._repository, self._paths)
        for id_ in self._paths.keys() - {ObjectInfo.of(header).id for header in headers}:
            miss(ObjectInfo(id_, "blob", 0), "the object is missing")
        with ObjectReader(self._repository, miss).reading() as read:
            for piece in pieces(self._small_enough(headers, coverage)):
                for part, content in read(piece):
                    for position, header in enumerate(part.headers):
                        begin, end = part.span_of(position)
                        yield from self._object(ObjectInfo.of(header), content[begin:end], coverage)

    def attributed(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return ``findings`` with the commit of the push that was the first to bring each."""
        found = list(findings)
        wanted = {commit for each in found if (commit := self._commits.get(each.place.object_id))}
        about = self._about(sorted(wanted))
        return tuple(self._with_commit(each, about) for each in found)

    def _list(self) -> None:
        """Find out what is new, and which commit and path it belongs to."""
        commit = ""
        for line in self._listed().splitlines():
            id_, blank, path = line.decode("utf-8", "replace").partition(" ")
            if not blank:  # only commits stand alone
                commit = id_
            self._paths[id_] = path
            self._commits[id_] = commit

    def _listed(self) -> bytes:
        moved = {update.ref for update in self._updates}
        refs = self._repository.output("for-each-ref", "--format=%(objectname) %(refname)").decode("utf-8", "replace")
        others = [id_ for id_, _blank, ref in (line.partition(" ") for line in refs.splitlines()) if ref not in moved]
        before = [*others, *(update.old for update in self._updates if not update.is_creation)]
        after = [update.new for update in self._updates if not update.is_deletion]
        if not after:
            return b""
        words = "".join([*(f"{id_}\n" for id_ in after), *(f"^{id_}\n" for id_ in before)])
        with os.fdopen(os.memfd_create("revisions"), "w+b") as source:
            source.write(words.encode())
            source.seek(0)
            process, errors = self._repository.start(*_NEW, stdin=source.fileno())
            with errors:
                listed = process.communicate()[0]
                if process.returncode:
                    errors.seek(0)
                    raise self._repository.failure(errors.read())
        return listed

    def _small_enough(self, headers: Iterable[bytes], coverage: Coverage) -> Iterator[bytes]:
        for header in headers:
            info = ObjectInfo.of(header)
            if info.size > self._size_max:
                reason = f"{info.size / 1e6:,.1f} MB, larger than {self._size_max / 1e6:,.0f} MB"
                coverage.miss(self._place(info), reason)
            else:
                yield header

    def _place(self, info: ObjectInfo) -> Place:
        path = "" if info.kind in ("commit", "tag") else self._paths.get(info.id, "")
        return Place(self._label, path, info.id, info.kind)

    def _object(self, info: ObjectInfo, data: bytes, coverage: Coverage) -> Iterator[Document]:
        document = Document(self._place(info), data)
        coverage.add(info.kind, 1, len(data))
        yield document
        if info.kind == "blob" and archive_kind(data[:HEAD_BYTES], data[-TAIL_BYTES:]):
            from vantage_secrets.leaks.sources.archives import members_of

            yield from members_of(document, coverage)

    def _about(self, commits: Sequence[str]) -> dict[str, Occurrence]:
        found = {}
        for begin in range(0, len(commits), _COMMITS_AT_ONCE):
            some = commits[begin : begin + _COMMITS_AT_ONCE]
            for line in self._repository.output(*_ABOUT, *some).decode("utf-8", "replace").splitlines():
                commit, committed_at, author = line.split(" ", 2)
                found[commit] = Occurrence(commit, "", author, int(committed_at))
        return found

    def _with_commit(self, finding: Finding, about: dict[str, Occurrence]) -> Finding:
        there = about.get(self._commits.get(finding.place.object_id, ""))
        if there is None:
            return finding
        path = finding.place.path
        only = there._replace(path=path)
        paths = (path,) if path else ()
        attribution = Attribution(only, only, 1, paths, (there.author,), is_reachable=True)
        return finding._replace(attribution=attribution)
