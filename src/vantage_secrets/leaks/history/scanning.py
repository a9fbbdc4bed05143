"""Examine objects as they are read, on several cores."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from vantage_secrets.leaks.examination import Candidates, Detection, Examiner
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.differences import Difference
from vantage_secrets.leaks.history.objects import ObjectInfo, ObjectReader, Piece, pieces
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.survey import survey
from vantage_secrets.leaks.history.workers import Processes
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, LFS_BYTES_MAX, LFS_MARK, TAIL_BYTES, archive_kind

Kept = TypeVar("Kept")


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


class VersionAnswer(NamedTuple):
    """What is in a version of a file, and what that depends on.

    Attributes:
        detections: What was found.
        areas: Begins and ends of the text that this depends on; nothing where not all could be read.
    """

    detections: list[Detection]
    areas: list[tuple[int, int]] | None

    def moved(self, changed: Sequence[Difference] | None) -> VersionAnswer | None:
        """Return the answer for another version without new candidates; nothing where a difference may change it."""
        if changed is None or self.areas is None:
            return None
        if any(begin <= each.old_end and each.old_begin <= end for each in changed for begin, end in self.areas):
            return None

        def shifted(offset: int) -> int:
            return offset + sum(
                each.end - each.begin - each.old_end + each.old_begin for each in changed if each.old_end <= offset
            )

        return VersionAnswer(
            [each._replace(begin=shifted(each.begin), end=shifted(each.end)) for each in self.detections],
            [(shifted(begin), shifted(end)) for begin, end in self.areas],
        )


class _Result(Generic[Kept]):
    """What examining a piece came to."""

    def __init__(self) -> None:
        self.coverage = Coverage()
        self.found: list[tuple[str, list[Kept]]] = []
        self.structured: dict[bytes, bytes] = {}
        self.unread: set[str] = set()


class ObjectScan(Generic[Kept]):
    """Passes over the objects of a repository.

    Args:
        repository: Where they are.
        examiner: What to look for.
        keep: Makes of an object with secrets what is to be kept of it; called in the process that read it, so that its
            content needs not be passed on.
        label: The repository's name in reports.
        coverage: What was read is counted there, and what was not is told there.
        cores: How many processes are at work at once.
        progress: Told how many bytes were examined since the last time.
    """

    def __init__(
        self,
        repository: Repository,
        examiner: Examiner,
        keep: Callable[[Examined], list[Kept]],
        label: str,
        coverage: Coverage,
        cores: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._repository = repository
        self._examiner = examiner
        self._keep = keep
        self._label = label
        self._coverage = coverage
        self._cores = cores
        self._progress = progress
        self._path_of: Mapping[bytes, bytes] = {}
        self.found: dict[str, list[Kept]] = {}
        """What was kept, by the ids of the objects that hold secrets."""
        self.structured: dict[bytes, bytes] = {}
        """Blobs with a structure that their name tells, with that name; trees that are read add to it."""
        self.unread: set[str] = set()
        """Ids of objects that could not be read, or not all of them."""

    def run(self, headers: Iterable[bytes], path_of: Mapping[bytes, bytes] | None = None) -> None:
        """Examine objects; see ``begin``."""
        self.finish(self.begin(headers, path_of))

    def begin(
        self, headers: Iterable[bytes], path_of: Mapping[bytes, bytes] | None = None
    ) -> Processes[Piece, _Result[Kept]]:
        """Begin to examine objects; ``finish`` waits for the end.

        Args:
            headers: Which, in the order to read them in.
            path_of: A path for some; those of one path, one after another, are versions of a file.
        """
        self._path_of = path_of or {}
        self._examiner.prepare()
        return Processes(self._cores, list(pieces(headers)), self._work)

    def finish(self, processes: Processes[Piece, _Result[Kept]]) -> None:
        """Wait for what was begun, and note what it came to."""
        for piece, result in processes.results():
            if result is None:
                self._lose(piece)
                continue
            self._coverage.include(result.coverage)
            for id_, kept in result.found:
                self.found.setdefault(id_, []).extend(kept)
            self.structured.update(result.structured)
            self.unread |= result.unread
            if self._progress:
                self._progress(piece.byte_count)

    def _lose(self, piece: Piece) -> None:
        """Tell that nobody knows what is in a piece: the process that had it was ended."""
        self.unread.update(ObjectInfo.of(header).id for header in piece.headers)
        reason = f"a process was ended that was to examine {len(piece.headers):,} objects"
        self._coverage.miss(Place(self._label, kind="history"), reason)

    def _work(self, waiting: Iterator[Piece]) -> Iterator[_Result[Kept]]:
        result: _Result[Kept]

        def miss(info: ObjectInfo, reason: str) -> None:
            self._miss(result, info, reason)

        with ObjectReader(self._repository, miss).reading() as read:
            for piece in waiting:
                result = _Result()
                for part, content in read(piece):
                    self._examine(result, part, content)
                yield result

    def _miss(self, result: _Result[Kept], info: ObjectInfo, reason: str) -> None:
        result.unread.add(info.id)
        result.coverage.miss(Place(self._label, object_id=info.id, kind=info.kind), reason)

    def _examine(self, result: _Result[Kept], piece: Piece, content: mmap.mmap) -> None:
        surveyed = survey(piece, content, self._path_of, self._examiner)
        known: dict[int, VersionAnswer] = {}
        for position in sorted({*surveyed.candidates, *self._structured_in(piece)}):
            header = piece.headers[position]
            info, name = ObjectInfo.of(header), self.structured.get(header[: header.index(b" ")], b"")
            before = known.get(position - 1) if position not in surveyed.fresh and not name else None
            answer = before and before.moved(surveyed.differences.get(position))
            if answer and not answer.detections:
                known[position] = answer
                continue
            begin, end = piece.span_of(position)
            data = content[begin:end]
            candidates = surveyed.candidates.get(position, ())
            if info.kind == "tree":
                self._note_names(result, data, candidates)
            known[position] = self._look_at(result, info, data, candidates, name.decode("utf-8", "replace"), answer)
        self._look_inside(result, piece, content)
        listed = b"\n".join(piece.headers)
        for kind in ("blob", "tree", "commit", "tag"):
            result.coverage.add(kind, listed.count(f" {kind} ".encode()))
        result.coverage.byte_count += piece.byte_count - len(listed) - len(piece.headers) - 1

    def _structured_in(self, piece: Piece) -> list[int]:
        """Return the positions of the objects whose name says that they have a structure."""
        if not self.structured:
            return []
        return [at for at, header in enumerate(piece.headers) if header[: header.index(b" ")] in self.structured]

    def _look_at(
        self,
        result: _Result[Kept],
        info: ObjectInfo,
        data: bytes,
        candidates: Candidates,
        name: str,
        answer: VersionAnswer | None,
    ) -> VersionAnswer:
        """Keep what is found in an object, which may be known from the version before; return it."""
        if answer is None:
            areas: list[tuple[int, int]] = []
            is_read = True

            def miss(reason: str) -> None:
                nonlocal is_read
                is_read = False
                self._miss(result, info, reason)

            answer = VersionAnswer(
                self._examiner.examine(data, name, candidates, miss, areas), areas if is_read else None
            )
        if answer.detections:
            document = Document(Place(self._label, name, info.id, info.kind), data)
            result.found.append((info.id, self._keep(Examined(info, document, answer.detections))))
        return answer

    def _look_inside(self, result: _Result[Kept], piece: Piece, content: mmap.mmap) -> None:
        """Examine what is inside the blobs that are archives, and tell those that stand for something elsewhere."""
        for position, header in enumerate(piece.headers):
            begin, end = piece.span_of(position)
            if b" blob " not in header or begin == end:
                continue
            head = content[begin : min(end, begin + HEAD_BYTES)]
            if archive_kind(head, content[max(begin, end - TAIL_BYTES) : end]):
                self._expand(result, ObjectInfo.of(header), content[begin:end])
            elif end - begin < LFS_BYTES_MAX and head.startswith(LFS_MARK):
                self._miss(result, ObjectInfo.of(header), "Git LFS pointer: its content is not here")

    def _expand(self, result: _Result[Kept], info: ObjectInfo, data: bytes) -> None:
        from vantage_secrets.leaks.sources.archives import members_of

        inside = Coverage()
        for member in members_of(Document(Place(self._label, "", info.id, info.kind), data), inside):
            place = member.place

            def miss(reason: str, place: Place = place) -> None:
                inside.miss(place, reason)

            detections = self._examiner.examine(member.data, place.path, miss=miss)
            if detections:
                result.found.append((info.id, self._keep(Examined(info, member, detections))))
        result.coverage.include(inside)
        if inside.unread:
            result.unread.add(info.id)

    def _note_names(self, result: _Result[Kept], tree: bytes, candidates: Candidates) -> None:
        """Note the blobs that the tree gives a name of a known structure; an entry is ``mode name NUL id``."""
        matcher = self._examiner.matcher
        for rule, end in candidates:
            if matcher.names_from <= rule < matcher.marks_from:
                nul = tree.find(b"\0", end - 1)
                id_ = tree[nul + 1 : nul + 1 + self._repository.id_bytes].hex().encode()
                result.structured.setdefault(id_, tree[tree.rfind(b" ", 0, nul) + 1 : nul])
