"""The contract of a source: what it yields, and what it does about what it cannot read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from vantage_secrets.leaks.finding import Coverage, Place


class Document(NamedTuple):
    """Bytes to scan: all of something, or a piece of something long.

    Pieces overlap, so that nothing is cut in two, and each finding belongs to exactly one of them: to the one that
    owns its last byte (:meth:`owns`). A finding that the piece does not own is the neighbour's, and is dropped here.

    Attributes:
        place: Where the bytes stood. All pieces of one thing have the same.
        data: The bytes.
        line_offset: How many lines end before ``data``; 0 for what is whole.
        column_offset: How many bytes of the first line of ``data`` lie before it; 0 for what is whole.
        owns_from: Index in ``data`` of the first byte that is its own.
        owns_to: Index after the last byte that is its own, or ``None`` for the end of ``data``.
    """

    place: Place
    data: bytes
    line_offset: int = 0
    column_offset: int = 0
    owns_from: int = 0
    owns_to: int | None = None

    @property
    def is_piece(self) -> bool:
        """Whether there is more of it in other documents."""
        return bool(self.owns_from or self.line_offset or self.column_offset) or self.owns_to is not None

    def owns(self, end: int) -> bool:
        """Return whether a finding that ends before index ``end`` of ``data`` is to be told from this piece."""
        return self.owns_from < end <= (len(self.data) if self.owns_to is None else self.owns_to)


def reason_of(exc: OSError) -> str:
    """Return in words why the operating system did not let something be read."""
    if isinstance(exc, FileNotFoundError):
        return "it is not there"
    return (exc.strerror or type(exc).__name__).lower()


class Readable(Protocol):
    """What bytes are read from: any binary file."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        ...


class Source(Protocol):
    """Something that can be read through once, from its beginning."""

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield everything that can be read, each with its place.

        One thing that cannot be read ends nothing: it goes into ``coverage`` by ``miss``, what was read by ``add``.
        Not safe from several threads: one thread iterates, and may hand the documents on.

        Raises:
            InvalidInputError: What was asked for is not there, or is nothing that can be read.
            TargetError: A server that was asked for did not answer, or refused the login.
            MissingExtraError: A package that this source needs is not installed.
        """
        ...
