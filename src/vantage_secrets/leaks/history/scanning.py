"""Examine objects as they are read, on several cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vantage_secrets.leaks.examination import Candidates, Detection, Examiner
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.objects import ObjectInfo, ObjectReader, Piece, describe_objects, pieces
from vantage_secrets.leaks.history.repository import Repository


class Examined(NamedTuple):
    """An object with secrets in it.

    Attributes:
        info: The object.
        data: Its content.
        detections: What was found; offsets are in ``data``.
        name: Its file name, when that gave it a structure; else empty.
    """

    info: ObjectInfo
    data: bytes
    detections: list[Detection]
    name: str = ""


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
        self._named: dict[str, str] = {}
        self.unread: set[str] = set()
        """Ids of objects that could not be read."""

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
        return list(self._found.values())

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
        for rule, end in self._examiner.survey(view):
            position = piece.position_of(end)
            begin, last = piece.span_of(position)
            if begin < end <= last:
                found.setdefault(position, []).append((rule, end - begin))
        return found

    def _keep(self, info: ObjectInfo, data: bytes, candidates: Candidates, name: str = "") -> None:
        place = Place(self._label, name, info.id, info.kind)
        detections = self._examiner.examine(data, name, candidates, lambda reason: self._coverage.miss(place, reason))
        if detections:
            with self._lock:
                self._found[info.id] = Examined(info, data, detections, name)

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
