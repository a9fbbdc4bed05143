"""Standard input, or any other stream: of any length, told as it comes."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.contract import Document, reason_of
from vantage_secrets.leaks.sources.pieces import OVERLAP_BYTES, PIECE_BYTES, position_at
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, TAIL_BYTES, archive_kind

WAIT_SECONDS = 0.5
"""How long whole lines wait for more to come before they are scanned."""

_MARGIN = OVERLAP_BYTES // 2
_CHUNK_BYTES = 1_048_576


class StreamSource:
    """What comes out of a file descriptor, until it ends.

    Whole lines are yielded when nothing followed for ``WAIT_SECONDS``, or have waited so long; the beginning of a line
    waits for its end. An archive is expanded as it comes.

    Args:
        descriptor: Where it is read; it stays open.
        name: What a person calls it.
    """

    def __init__(self, descriptor: int = 0, *, name: str = "standard input") -> None:
        """Read nothing yet."""
        self._descriptor = descriptor
        self._place = Place(name, kind="stream")

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield the stream in pieces; ends when it does."""
        try:
            head = self._head()
            kind = archive_kind(head, head[-TAIL_BYTES:])
            if kind:
                yield from self._archive(head, kind, coverage)
            else:
                yield from self._pieces(head, coverage)
        except OSError as exc:
            coverage.miss(self._place, f"{reason_of(exc)}; the rest was not read")

    def _head(self) -> bytes:
        """Return the beginning: enough to know an archive, unless it is a line already."""
        head = b""
        while len(head) < HEAD_BYTES and b"\n" not in head:
            data = os.read(self._descriptor, _CHUNK_BYTES)
            if not data:
                break
            head += data
        return head

    def _archive(self, head: bytes, kind: str, coverage: Coverage) -> Iterator[Document]:
        from vantage_secrets.leaks.sources.archives import Rest, members_of_file

        rest = Rest(head, _Descriptor(self._descriptor))
        yield from members_of_file(rest, kind, self._place, coverage)
        coverage.add("stream")

    def _pieces(self, head: bytes, coverage: Coverage) -> Iterator[Document]:
        buffer, owned, line_offset, column_offset = bytearray(head), 0, 0, 0
        is_over, due = not head, time.monotonic() + WAIT_SECONDS
        coverage.add("stream", 1, len(head))
        while not is_over or len(buffer) > owned:
            cut = _cut(buffer, owned, is_over=is_over, is_due=time.monotonic() >= due)
            if cut is not None:
                end, owns_to = cut
                data = bytes(buffer[:end])
                yield Document(self._place, data, line_offset, column_offset, owned, owns_to if owns_to < end else None)
                start = max(0, owns_to - _MARGIN)
                line_offset, column_offset = position_at(data, start, line_offset, column_offset)
                del buffer[:start], data
                owned, due = owns_to - start, time.monotonic() + WAIT_SECONDS
            elif not is_over and self._has_more(due - time.monotonic()):
                more = os.read(self._descriptor, _CHUNK_BYTES)
                if len(buffer) == owned:  # the first to wait
                    due = time.monotonic() + WAIT_SECONDS
                buffer += more
                is_over = not more
                coverage.add("stream", 0, len(more))

    def _has_more(self, seconds: float) -> bool:
        """Return whether there is something to read, or the end; waits at most so long, for ever below zero.

        Below zero is the beginning of a line that has waited already.
        """
        timeout = seconds if seconds > 0 else None
        return bool(select.select([self._descriptor], [], [], timeout)[0])


def _cut(buffer: bytearray, owned: int, *, is_over: bool, is_due: bool) -> tuple[int, int] | None:
    """Return where a piece ends, and how much of it is its own; ``None`` while it is worth waiting."""
    size = len(buffer)
    if is_over:
        return size, size
    if size - owned >= PIECE_BYTES:
        return size, size - _MARGIN
    if is_due:
        newline = buffer.rfind(b"\n", owned)
        if newline >= 0:
            return newline + 1, newline + 1
    return None


class _Descriptor:
    """A descriptor as something to read from."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int, /) -> bytes:
        return os.read(self._descriptor, size)
