"""What is inside archives and compressed files, nested ones too, within limits.

Everything is streamed: nothing is unpacked to a disk, and a member's name leads nowhere but into its place. A zip
needs its end first; one inside something compressed is therefore held in memory, up to ``HELD_BYTES_MAX``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from vantage_secrets.leaks.finding import Coverage, Finding, Place
from vantage_secrets.leaks.sources.contract import Document, Readable
from vantage_secrets.leaks.sources.pieces import read_fully, read_in_pieces
from vantage_secrets.leaks.sources.recognition import (
    EXPANDABLE,
    HEAD_BYTES,
    TAIL_BYTES,
    archive_kind,
    is_lfs_pointer,
    shown,
)

HELD_BYTES_MAX = 67_108_864
"""Largest zip inside something compressed, in bytes."""

_RATIO_FROM_BYTES = 16_777_216
"""What expands to less than this is no bomb, whatever its ratio."""

_CHUNK_BYTES = 1_048_576

_ENTRY_BYTES_MAX = 512
"""What a member takes in a zip's directory: 46 bytes and its name; generous."""

_ENDINGS = {".gz": "", ".bz2": "", ".xz": "", ".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".svgz": ".svg"}


class Limits(NamedTuple):
    """How far one archive is followed, with all that is nested in it.

    Attributes:
        depth: How many archives inside one another; a compressed tar counts as one.
        member_count: How many members altogether.
        expanded_bytes: How much they may come to altogether.
        member_bytes: How large one of them may be.
        ratio: How many times larger than the archive its content may be. Deflate reaches 1,032; text, 10 to 30.
    """

    depth: int = 5
    member_count: int = 200_000
    expanded_bytes: int = 4_294_967_296
    member_bytes: int = 268_435_456
    ratio: int = 250


class LimitError(Exception):
    """The limits of an archive are reached; the text says which one, for people."""


class Budget:
    """What is left of the limits while one archive is read.

    Args:
        limits: The limits.
        size: Of the archive, in bytes; ``None`` where it is not known, and then no ratio is looked at.
    """

    def __init__(self, limits: Limits, size: int | None) -> None:
        """Have used nothing yet."""
        self.limits = limits
        self._bytes_max, self._reason = limits.expanded_bytes, f"more than {sized(limits.expanded_bytes)} of content"
        if size is not None and max(size * limits.ratio, _RATIO_FROM_BYTES) < self._bytes_max:
            self._bytes_max = max(size * limits.ratio, _RATIO_FROM_BYTES)
            self._reason = f"content more than {limits.ratio} times as large as the archive"
        self._bytes = self._members = 0

    def take_member(self) -> None:
        """Count a member.

        Raises:
            LimitError: It is one too many.
        """
        self._members += 1
        if self._members > self.limits.member_count:
            raise LimitError(f"more than {self.limits.member_count:,} members")

    def metered(self, file: Readable) -> Metered:
        """Return what is read from ``file`` from now on, counted as expanded."""
        return Metered(file, self)

    def take_bytes(self, count: int) -> None:
        """Count bytes that stand in no file.

        Raises:
            LimitError: They are too many.
        """
        self._bytes += count
        if self._bytes > self._bytes_max:
            raise LimitError(self._reason)


class Metered:
    """A stream that spends a budget.

    Args:
        file: The stream.
        budget: What it spends.
    """

    def __init__(self, file: Readable, budget: Budget) -> None:
        """Read nothing yet."""
        self._file = file
        self._budget = budget

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end.

        Raises:
            LimitError: The budget is spent.
        """
        data = self._file.read(size)
        self._budget.take_bytes(len(data))
        return data


def members_of(document: Document, coverage: Coverage, limits: Limits | None = None) -> Iterator[Document]:
    """Yield what is inside a document that is an archive, each member at ``path!member``; nothing for any other.

    The archive's own bytes are not among it. What cannot be read goes into ``coverage``, and what was read until then
    has been yielded.

    Args:
        document: All of something; a piece of something long has no members.
        coverage: Takes each member as ``member``, and what was not read.
        limits: How far; by default ``Limits()``.
    """
    kind = archive_kind(document.data[:HEAD_BYTES], document.data[-TAIL_BYTES:])
    if kind and not document.is_piece:
        yield from members_of_file(io.BytesIO(document.data), kind, document.place, coverage, limits)


def members_of_file(
    file: Readable,
    kind: str,
    place: Place,
    coverage: Coverage,
    limits: Limits | None = None,
    *,
    size: int | None = None,
) -> Iterator[Document]:
    """Yield what is inside an open file, as :func:`members_of` does.

    Args:
        file: At its beginning.
        kind: What ``archive_kind`` says of it.
        place: The file's.
        coverage: Takes each member as ``member``, and what was not read.
        limits: How far; by default ``Limits()``.
        size: Of the file, in bytes, where it is known of one that cannot seek.
    """
    if isinstance(file, io.IOBase) and file.seekable():
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    try:
        yield from expand(file, kind, place, coverage, Budget(limits or Limits(), size))
    except LimitError as exc:
        coverage.miss(place, f"{exc}; the rest was not read")


def expand(
    file: Readable, kind: str, place: Place, coverage: Coverage, budget: Budget, depth: int = 1
) -> Iterator[Document]:
    """Yield what is inside an archive of that kind that begins where ``file`` stands.

    Raises:
        LimitError: The budget is spent; what was read until then has been yielded.
    """
    if kind not in EXPANDABLE:
        coverage.miss(place, f"{kind}, which cannot be expanded here")
        return
    if depth > budget.limits.depth:
        coverage.miss(place, f"an archive inside {budget.limits.depth} others")
        return
    inside = _Inside(place, coverage, budget, depth)
    try:
        if kind == "tar":
            yield from _tar_members(file, inside)
        elif kind == "zip":
            yield from _zip_members(file, inside)
        else:
            yield from _compressed(file, kind, inside)
    except LimitError:
        raise
    except Exception as exc:  # Damage shows in whatever way the reader of the format did not think of.
        # SECURITY: its type and not its text, which may hold what stood in the archive.
        coverage.miss(place, f"damaged {kind} archive ({type(exc).__name__}); the rest was not read")


def told_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without those in an archive's own bytes that one of its members has too.

    A tar holds its members as they are; the member's place is the better one.
    """
    listed = list(findings)
    inner = set[tuple[str, str, str, str]]()
    for finding in listed:
        path, mark, _ = finding.place.path.rpartition("!")
        while mark:
            inner.add((finding.place.source, path, finding.place.object_id, finding.fingerprint))
            path, mark, _ = path.rpartition("!")
    return [
        one for one in listed if (one.place.source, one.place.path, one.place.object_id, one.fingerprint) not in inner
    ]


def sized(size: int) -> str:
    """Return a number of bytes for people: ``256 MB``, in powers of 1,024, as ``ls -h`` has them."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} bytes"


class _Inside(NamedTuple):
    """Where an archive is, and what is left of its limits."""

    place: Place
    coverage: Coverage
    budget: Budget
    depth: int

    def member(self, name: str) -> Place:
        path = f"{self.place.path}!{shown(name)}" if self.place.path else shown(name)
        return self.place._replace(path=path, kind="member")

    def miss(self, name: str, reason: str) -> None:
        self.coverage.miss(self.member(name), reason)


class Rest:
    """A stream whose beginning was read already.

    Args:
        head: What was read of it.
        file: What is left.
    """

    def __init__(self, head: bytes, file: Readable) -> None:
        """Keep both."""
        self._head = head
        self._file = file

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._file.read(size)


def _tar_members(file: Readable, inside: _Inside) -> Iterator[Document]:
    from vantage_secrets.leaks.sources.tar_headers import open_tar

    can_seek = _can_seek(file)
    with open_tar(file, can_seek=can_seek) as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all, 2 kB each
            inside.budget.take_member()
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            if member.issparse():  # its holes are in no file
                yield from _member(inside.budget.metered(content), member.name, member.size, inside, can_seek=False)
            else:
                yield from _member(content, member.name, member.size, inside, can_seek=can_seek)
        archive.require_zeros_to_the_end()


def _zip_members(file: Any, inside: _Inside) -> Iterator[Document]:
    import zipfile

    if not _can_seek(file):
        held = io.BytesIO()
        while data := file.read(_CHUNK_BYTES):
            held.write(data)
            if held.tell() > HELD_BYTES_MAX:
                reason = f"a zip of more than {sized(HELD_BYTES_MAX)} inside a compressed file"
                inside.coverage.miss(inside.place, reason)
                return
        file = held
    _require_readable_directory(file, inside.budget.limits.member_count)
    begins_with_member = file.read(4) == b"PK\x03\x04"
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = sorted(archive.infolist(), key=lambda one: one.header_offset)
        if begins_with_member and (not members or members[0].header_offset):
            # A cut zip that ends behind a zip inside it has that one's directory.
            inside.coverage.miss(inside.place, "it begins with members that its directory does not have")
        comments = b"\n".join(filter(None, [archive.comment, *(one.comment for one in members)]))
        if comments:
            yield Document(inside.member("comments"), comments)
        for member in members:
            inside.budget.take_member()
            if not member.is_dir():
                yield from _zip_member(archive, member, inside)


def _zip_member(archive: Any, member: Any, inside: _Inside) -> Iterator[Document]:
    """Yield one member; one that cannot be read does not end the archive."""
    if member.flag_bits & 1:
        inside.miss(member.filename, "encrypted")
        return
    try:
        with archive.open(member) as file:
            content = inside.budget.metered(file)
            yield from _member(content, member.filename, member.file_size, inside, can_seek=False)
    except NotImplementedError:
        inside.miss(member.filename, f"compressed by method {member.compress_type}, which cannot be expanded here")
    except LimitError:
        raise
    except Exception as exc:  # As in ``expand``.
        inside.miss(member.filename, f"damaged ({type(exc).__name__})")


def _require_readable_directory(file: Any, member_count: int) -> None:
    """Look at a zip's end before ``zipfile`` reads its directory, all of it into memory.

    Raises:
        LimitError: The directory is larger than so many members need.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - 65_557))  # the longest comment, and the end record; APPNOTE 4.3.16
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if size == 0xFFFFFFFF:  # it stands in the record of zip64, APPNOTE 4.3.14
        wide = tail.rfind(b"PK\x06\x06", 0, at)
        size = int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 else end
    if size > member_count * _ENTRY_BYTES_MAX:
        raise LimitError(f"a directory of {sized(size)}")


def _compressed(file: Readable, kind: str, inside: _Inside) -> Iterator[Document]:
    """Yield the content of one compressed file, or what is inside it when it is a tar."""
    from vantage_secrets.leaks.sources.decompression import Decompressed

    content = inside.budget.metered(Decompressed(file, kind))
    head = read_fully(content.read, HEAD_BYTES)
    if archive_kind(head) == "tar":
        yield from _tar_members(Rest(head, content), inside)
        return
    inside.budget.take_member()
    yield from _member(Rest(head, content), _name_inside(inside.place.path), 0, inside, can_seek=False)


def _name_inside(path: str) -> str:
    """Return what a compressed file's content is called: the file's name without its ending, where it has one."""
    name = path.rpartition("/")[2].rpartition("!")[2]
    for ending, instead in _ENDINGS.items():
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)] + instead
    return "content"


def _member(content: Any, name: str, size: int, inside: _Inside, *, can_seek: bool) -> Iterator[Document]:
    """Yield one member's content in pieces, or, where it is an archive, what is inside it.

    Args:
        content: Where it is read.
        name: As the archive has it.
        size: What the archive says, in bytes; 0 where it says nothing.
        inside: The archive.
        can_seek: Whether ``content`` may be read again.
    """
    head = read_fully(content.read, HEAD_BYTES)
    kind = archive_kind(head)
    if kind:
        inner = Rest(head, content)
        if can_seek:
            content.seek(0)
            inner = content
        yield from expand(inner, kind, inside.member(name), inside.coverage, inside.budget, inside.depth + 1)
    elif size > inside.budget.limits.member_bytes:
        inside.miss(name, f"larger than {sized(inside.budget.limits.member_bytes)}")
    else:
        yield from _read_member(Rest(head, content), inside.member(name), inside)


def _read_member(content: Readable, place: Place, inside: _Inside) -> Iterator[Document]:
    size, limit = 0, inside.budget.limits.member_bytes
    for document in read_in_pieces(content.read, place):
        size += len(document.data) - document.owns_from
        if size > limit:  # the archive lied, or had said nothing
            inside.coverage.miss(place, f"larger than {sized(limit)}; the rest was not read")
            break
        if is_lfs_pointer(document.data):
            inside.coverage.miss(place, "Git LFS pointer: its content is not here")
        yield document
    inside.coverage.add("member", 1, size)


def _can_seek(file: Any) -> bool:
    return isinstance(file, io.IOBase) and file.seekable()
