"""Long things in pieces that overlap: memory stays bounded, and nothing is cut in two."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vantage_secrets.leaks.finding import Place
from vantage_secrets.leaks.sources.contract import Document

PIECE_BYTES = 8_388_608
"""How much is read for one piece."""

OVERLAP_BYTES = 65_536
"""How much the piece after has of the one before. Half of it is the context that each finding has on either side, so
that a finding longer than that, 32 KiB, may be lost at a seam. A multiple of four: UTF-16 and UTF-32 stay aligned."""

_MARGIN = OVERLAP_BYTES // 2


def read_in_pieces(read: Callable[[int], bytes], place: Place) -> Iterator[Document]:
    """Yield what ``read`` gives up to its end, whole when it is short; nothing when it is empty.

    Args:
        read: As a file's: returns up to that many bytes, fewer at will, none at the end.
        place: The place of all pieces.
    """
    data, more = read_fully(read, PIECE_BYTES), b""
    line_offset = column_offset = owns_from = 0
    while data:
        # A first read that came short has met the end.
        more = read_fully(read, PIECE_BYTES) if len(data) >= PIECE_BYTES else b""
        if not more:
            yield Document(place, data, line_offset, column_offset, owns_from)
            return
        owns_to = len(data) - _MARGIN
        yield Document(place, data, line_offset, column_offset, owns_from, owns_to)
        start = len(data) - OVERLAP_BYTES
        line_offset, column_offset = position_at(data, start, line_offset, column_offset)
        owns_from = owns_to - start
        data = data[start:] + more


def position_at(data: bytes | bytearray, start: int, line_offset: int, column_offset: int) -> tuple[int, int]:
    """Return line and column offset of ``data[start:]`` when those of ``data`` are as given."""
    newline = data.rfind(b"\n", 0, start)
    column = start - newline - 1 if newline >= 0 else column_offset + start
    return line_offset + data.count(b"\n", 0, start), column


def read_fully(read: Callable[[int], bytes], size: int) -> bytes:
    """Return the next ``size`` bytes, fewer only at the end."""
    data = read(size)
    if len(data) == size or not data:
        return data
    parts, missing = [data], size - len(data)
    while missing and (data := read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)
