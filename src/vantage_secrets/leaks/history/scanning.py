"""Examine objects as they are read, on several cores."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vantage_secrets.leaks.examination import Candidates, Detection, Examiner
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.objects import ObjectInfo, ObjectReader, Piece, describe_objects, pieces
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, LFS_BYTES_MAX, LFS_MARK, TAIL_BYTES, archive_kind


class Examined(NamedTuple):
    """An object with secrets in it.

    Attributes:
        info: The object.
        document: Its content, or a member of it when it is an archive; the path is a file name when that gave it a
            structure, a member's path inside the archive, else empty.
        detections: What was found; offsets are in the document.
    """

    info: ObjectInfo
    document: Document
    detections: list[Detection]


class ObjectScan:
    """One pass over the objects of a repository.

    Args:
        repository: Where they are.
        examiner: What to look for.
        label: The repository's name in reports.
        coverage: What was read is counted there, and what was not is told there.
        progress: Told how many bytes were examined since the last time.
    """

    def __init__(
        self,
        repository: Repository,
        examiner: Examiner,
        label: str,
        coverage: Coverage,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._repository = repository
        self._examiner = examiner
        self._label = label
        self._coverage = coverage
        self._progress = progress
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._found: dict[str, Examined] = {}
        self._inside: list[Examined] = []
        self._named: dict[str, str] = {}
        self.unread: set[str] = set()
        """Ids of objects that could not be read, or not all of them."""

    def run(self, headers: Iterable[bytes], cores: int) -> list[Examined]:
        """Return the objects that hold secrets.

        Args:
            headers: Which objects, in the order to read them in (``objects.list_objects``); read as they come.
            cores: How many processes of Git to read with, each with a thread that examines.
        """
        waiting = pieces(headers)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self._work(waiting)
            except BaseException as error:  # raised again below, in the thread that waits
                failures.append(error)

        threads = [threading.Thread(target=work) for _core in range(1, cores)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        self._examine_named()
        return [*self._found.values(), *self._inside]

    def _work(self, waiting: Iterator[Piece]) -> None:
        with ObjectReader(self._repository, self._miss).reading() as read:
            while True:
                with self._listing:
                    piece = next(waiting, None)
                if piece is None:
                    return
                for part, view in read(piece):
                    self._examine(part, view)

    def _miss(self, info: ObjectInfo, reason: str) -> None:
        with self._lock:
            self.unread.add(info.id)
            self._coverage.miss(Place(self._label, object_id=info.id, kind=info.kind), reason)

    def _examine(self, piece: Piece, view: memoryview) -> None:
        for position, candidates in self._candidates_of(piece, view).items():
            info = ObjectInfo.of(piece.headers[position])
            begin, end = piece.span_of(position)
            data = bytes(view[begin:end])
            if info.kind == "tree":
                self._note_names(data, candidates)
            self._keep(info, data, candidates)
        self._look_inside(piece, view)
        self._count(piece)
        if self._progress:
            self._progress(piece.byte_count)

    def _count(self, piece: Piece) -> None:
        listed = b"\n".join(piece.headers)
        with self._lock:
            for kind in ("blob", "tree", "commit", "tag"):
                self._coverage.add(kind, listed.count(f" {kind} ".encode()))
            self._coverage.byte_count += piece.byte_count - len(listed) - len(piece.headers) - 1

    def _candidates_of(self, piece: Piece, view: memoryview) -> dict[int, list[tuple[int, int]]]:
        """Return the candidates of each object that has any, with offsets in the object."""
        found: dict[int, list[tuple[int, int]]] = {}
        begins, ends = piece.begins, piece.ends
        for rule, end in self._examiner.survey(view):
            position = bisect_left(ends, end)
            begin = begins[position]
            if begin < end:
                found.setdefault(position, []).append((rule, end - begin))
        return found

    def _keep(self, info: ObjectInfo, data: bytes, candidates: Candidates, name: str = "") -> None:
        document = Document(Place(self._label, name, info.id, info.kind), data)
        detections = self._examiner.examine(data, name, candidates, lambda reason: self._miss(info, reason))
        if detections:
            with self._lock:
                self._found[info.id] = Examined(info, document, detections)

    def _look_inside(self, piece: Piece, view: memoryview) -> None:
        """Examine what is inside the blobs that are archives, and tell those that stand for something elsewhere."""
        for position, header in enumerate(piece.headers):
            begin, end = piece.span_of(position)
            if b" blob " not in header or begin == end:
                continue
            head = bytes(view[begin : min(end, begin + HEAD_BYTES)])
            if archive_kind(head, bytes(view[max(begin, end - TAIL_BYTES) : end])):
                self._expand(ObjectInfo.of(header), bytes(view[begin:end]))
            elif end - begin < LFS_BYTES_MAX and head.startswith(LFS_MARK):
                self._miss(ObjectInfo.of(header), "Git LFS pointer: its content is not here")

    def _expand(self, info: ObjectInfo, data: bytes) -> None:
        from vantage_secrets.leaks.sources.archives import members_of

        inside = Coverage()
        for member in members_of(Document(Place(self._label, "", info.id, info.kind), data), inside):
            place = member.place

            def miss(reason: str, place: Place = place) -> None:
                inside.miss(place, reason)

            detections = self._examiner.examine(member.data, place.path, miss=miss)
            if detections:
                with self._lock:
                    self._inside.append(Examined(info, member, detections))
        with self._lock:
            self._coverage.include(inside)
            if inside.unread:
                self.unread.add(info.id)

    def _note_names(self, tree: bytes, candidates: Candidates) -> None:
        """Note the blobs that the tree gives a name of a known structure; an entry is ``mode name NUL id``."""
        matcher = self._examiner.matcher
        for rule, end in candidates:
            if matcher.names_from <= rule < matcher.marks_from:
                nul = tree.find(b"\0", end - 1)
                id_ = tree[nul + 1 : nul + 1 + self._repository.id_bytes].hex()
                name = tree[tree.rfind(b" ", 0, nul) + 1 : nul].decode("utf-8", "replace")
                with self._lock:
                    self._named.setdefault(id_, name)

    def _examine_named(self) -> None:
        """Examine once more, now by their structure, the blobs whose name says that they have one."""
        headers = [header for header in describe_objects(self._repository, self._named) if b" blob " in header]
        with ObjectReader(self._repository, self._miss).reading() as read:
            for piece in pieces(headers):
                for part, view in read(piece):
                    self._examine_structures(part, view)

    def _examine_structures(self, piece: Piece, view: memoryview) -> None:
        candidates = self._candidates_of(piece, view)
        for position, header in enumerate(piece.headers):
            info = ObjectInfo.of(header)
            begin, end = piece.span_of(position)
            self._keep(info, bytes(view[begin:end]), candidates.get(position, []), self._named[info.id])
