"""Candidates in many objects at once; of a version of a file, only what differs from the version before is searched.

Where two versions have the same text, the one has the candidates of the other, as far as what stands beside cannot
matter: a candidate's expression sees no more than ``Examiner.margin`` bytes before where it ends. So what is searched
of a version is each difference with so much around it, and all other candidates are taken over, moved to where they
are now. The result is the same as that of a search of everything (``tests/property/test_leak_survey.py``).
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from vantage_secrets.leaks.examination import Candidates, Examiner
from vantage_secrets.leaks.history.differences import Difference, differences
from vantage_secrets.leaks.history.objects import Piece

_BETWEEN = b"\n\n"
"""Stands between segments: with one line end, text in UTF-16 that ends and text that begins would be one run."""
_end_of = itemgetter(1)


class Survey(NamedTuple):
    """What was found in a piece; objects are told by their positions in it.

    Attributes:
        candidates: Those of each object that has any; offsets are in the object.
        differences: How versions of a file differ from the version that is before them in the piece.
        fresh: Objects with candidates that are not the ones of the version before.
    """

    candidates: dict[int, Candidates]
    differences: dict[int, list[Difference]]
    fresh: set[int]


def survey(piece: Piece, content: mmap.mmap | bytes, path_of: Mapping[bytes, bytes], examiner: Examiner) -> Survey:
    """Return the candidates of the objects of a piece.

    Args:
        piece: Objects; versions of one file stand one after another.
        content: What Git wrote of them.
        path_of: Where a version of a file sits; objects without are searched as a whole.
        examiner: What to look for.
    """
    margin = examiner.margin
    differences_of = dict(_differences(piece, content, path_of, margin))
    segments = _Segments()
    with memoryview(content) as view:
        for position in range(len(piece.headers)):
            begin, end = piece.span_of(position)
            if position in differences_of:
                for each in differences_of[position]:
                    segments.add(view, position, begin, end, each, margin)
            elif begin < end:
                segments.add_whole(view, position, begin, end)
        found = dict(segments.search(examiner))
    fresh = set(found)
    for position, changed in differences_of.items():
        before = found.get(position - 1)
        if before:
            moved = [*_moved(before, changed, margin), *found.get(position, ())]
            if moved:
                found[position] = sorted(moved, key=_end_of)
    return Survey(found, differences_of, fresh)


def _differences(
    piece: Piece, content: mmap.mmap | bytes, path_of: Mapping[bytes, bytes], margin: int
) -> Iterator[tuple[int, list[Difference]]]:
    """Yield the positions of objects that follow a version of the same file, each with how it differs from that."""
    last_path: bytes | None = None
    last = b""
    for position, header in enumerate(piece.headers):
        path = path_of.get(header[: header.index(b" ")])
        if path is None:
            last_path = None
            continue
        begin, end = piece.span_of(position)
        data = content[begin:end]
        if path == last_path:
            yield position, differences(last, data, 2 * margin + 2)
        last_path, last = path, data


def _moved(candidates: Candidates, changed: Sequence[Difference], margin: int) -> Iterator[tuple[int, int]]:
    """Yield the candidates of the version before that still stand, where they stand now."""
    ends = [end for _index, end in candidates]
    first, shift = 0, 0
    for each in changed:
        last = bisect_right(ends, each.old_begin - 1)
        for index, end in candidates[first:last]:
            yield index, end + shift
        first, shift = bisect_left(ends, each.old_end + margin), each.end - each.old_end
    for index, end in candidates[first:]:
        yield index, end + shift


class _Segments:
    """Parts of objects, to be searched in one pass."""

    def __init__(self) -> None:
        self._parts: list[memoryview | bytes] = [b""]
        self._begins: list[int] = []
        self._origins: list[tuple[int, int, int, int]] = []
        self._length = len(_BETWEEN)

    def add_whole(self, view: memoryview, position: int, begin: int, end: int) -> None:
        self._append(view[begin:end], position, 0, 0, end - begin)

    def add(self, view: memoryview, position: int, begin: int, end: int, changed: Difference, margin: int) -> None:
        """Add a difference with as much around it as a candidate there may depend on."""
        low = max(begin, begin + changed.begin - margin - 1)
        high = min(end, begin + changed.end + margin + 1)
        if low < high:
            self._append(view[low:high], position, low - begin, changed.begin, changed.end + margin - 1)

    def _append(self, part: memoryview, position: int, offset: int, first: int, last: int) -> None:
        self._parts.append(part)
        self._begins.append(self._length)
        self._origins.append((position, offset, first, last))
        self._length += len(part) + len(_BETWEEN)

    def search(self, examiner: Examiner) -> Mapping[int, Candidates]:
        """Return the candidates by the position of their objects, with offsets there."""
        self._parts.append(b"")
        found: dict[int, list[tuple[int, int]]] = {}
        for index, end in examiner.survey(_BETWEEN.join(self._parts)):
            at = bisect_left(self._begins, end) - 1
            if at < 0:
                continue
            position, offset, first, last = self._origins[at]
            where = end - self._begins[at] + offset
            if first <= where <= last:
                found.setdefault(position, []).append((index, where))
        return {position: sorted(some, key=_end_of) for position, some in found.items()}
