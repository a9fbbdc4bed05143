"""Folders and files as they are on the disk now: everything below, whatever Git or an editor leaves out."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.contract import Document, reason_of
from vantage_secrets.leaks.sources.pieces import PIECE_BYTES, read_in_pieces
from vantage_secrets.leaks.sources.recognition import (
    HEAD_BYTES,
    LFS_BYTES_MAX,
    LFS_MARK,
    TAIL_BYTES,
    archive_kind,
    shown,
)

if TYPE_CHECKING:
    from vantage_secrets.leaks.sources.archives import Limits

SIZE_MAX_BYTES = 268_435_456
"""Larger files are not read unless asked for: 256 MB."""

_WHOLE_BYTES = 2 * PIECE_BYTES
"""Files up to this size are read as one document."""

_GIT_FOLDER = frozenset({"HEAD", "objects", "refs"})
"""What a folder of Git's own has; gitrepository-layout(5)."""

# A FIFO that takes the place of a file between two calls would block for ever, a link would lead elsewhere.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TreeSource:
    """Everything below some folders, and some files.

    Read are files with a dot, vendored folders, lock files and what Git ignores: they leak as well. Of a folder of
    Git's own, the objects are left to a scan of the history; its settings, logs and hooks are read. Symbolic links are
    followed only where they are given as a path. A file with several names is read once.

    Args:
        paths: Folders and files.
        exclude: Patterns of ``fnmatch`` for what is left out, a folder with all that is in it: for the path inside the
            source where a pattern has a ``/``, else for the name.
        size_max: Largest file that is read, in bytes.
        limits: How far archives are followed; by default ``archives.Limits()``.

    Raises:
        InvalidInputError: A path is not there, or is neither a folder nor a file.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        exclude: Sequence[str] = (),
        size_max: int = SIZE_MAX_BYTES,
        limits: Limits | None = None,
    ) -> None:
        """Look whether the paths are there."""
        self._roots = [_root(path) for path in dict.fromkeys(paths)]
        self._excluded = _matcher(exclude)
        self._size_max = size_max
        self._limits = limits

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield each file, and what is inside those that are archives."""
        walk = _Walk(coverage, self._excluded, self._size_max, self._limits)
        for folder, name in self._roots:
            if name:
                yield from walk.file(shown(folder), name, f"{folder}/{name}", _FLAGS & ~os.O_NOFOLLOW)
            else:
                yield from walk.folder(folder)
        walk.tell()


class _Walk:
    """One way through the folders."""

    def __init__(
        self, coverage: Coverage, excluded: re.Pattern[str] | None, size_max: int, limits: Limits | None
    ) -> None:
        self._coverage = coverage
        self._limits = limits
        self._excluded = excluded
        self._size_max = size_max
        self._seen = set[tuple[int, int]]()
        self._left_out: dict[str, int] = {}

    def folder(self, root: str) -> Iterator[Document]:
        """Yield what is below ``root``, names in order."""
        source, waiting = shown(root), [""]
        while waiting:
            inside = waiting.pop()
            folder = f"{root}/{inside}" if inside else root
            entries = self._entries(folder, source, inside)
            subfolders = []
            for entry in self._without_git_objects(entries, source, inside):
                name = entry.name
                path = f"{inside}/{name}" if inside else name
                if self._excluded is not None and self._excluded.match(f"{path}\0{name}"):
                    self._leave_out("left out as asked")
                elif entry.is_dir(follow_symlinks=False):
                    subfolders.append(path)
                elif entry.is_symlink():
                    self._leave_out("symbolic links, which are not followed")
                elif _may_be_file(entry):
                    yield from self.file(source, path, f"{folder}/{name}")
                else:
                    self._leave_out("sockets, FIFOs or devices, which are not regular files")
            waiting.extend(reversed(subfolders))

    def file(self, source: str, inside: str, path: str, flags: int = _FLAGS) -> Iterator[Document]:
        """Yield one file, and what is inside it."""
        place = Place(source, inside if inside.isprintable() else shown(inside))
        try:
            descriptor = os.open(path, flags)
        except OSError as exc:
            self._coverage.miss(place, reason_of(exc))
            return
        try:
            told = os.fstat(descriptor)
            if told.st_nlink > 1 and self._is_seen(told):
                return
            if told.st_size > self._size_max:
                self._miss_large(place)
            elif told.st_size > _WHOLE_BYTES:
                yield from self._large(descriptor, told, place)
            else:
                yield from self._whole(descriptor, told.st_size, place)
        except OSError as exc:
            self._coverage.miss(place, reason_of(exc))
        finally:
            os.close(descriptor)

    def tell(self) -> None:
        """Note how much was left out, of which kind."""
        for reason, count in sorted(self._left_out.items()):
            self._coverage.notes.append(f"{count:,} {reason}")

    def _whole(self, descriptor: int, size: int, place: Place) -> Iterator[Document]:
        # One byte more than there is: what comes short of it has met the end. Files of /proc say that they are empty.
        data = os.read(descriptor, (size or 4_095) + 1)
        if len(data) != size:
            data = self._read_on(descriptor, data, place)
            if len(data) < size:
                self._coverage.miss(place, "became shorter while it was read")
        self._coverage.add("file", 1, len(data))
        if not data:
            return
        document = Document(place, data)
        yield document
        if data.startswith(LFS_MARK) and len(data) < LFS_BYTES_MAX:
            self._coverage.miss(place, "Git LFS pointer: its content is not here")
        elif archive_kind(data[:HEAD_BYTES], data[-TAIL_BYTES:]):
            from vantage_secrets.leaks.sources.archives import members_of

            yield from members_of(document, self._coverage, self._limits)

    def _read_on(self, descriptor: int, data: bytes, place: Place) -> bytes:
        """Return the whole of a file that is not as long as it said, up to the largest size."""
        parts, size = [data], len(data)
        while more := os.read(descriptor, PIECE_BYTES):
            parts.append(more)
            size += len(more)
            if size > min(self._size_max, _WHOLE_BYTES):
                self._coverage.miss(place, "grew while it was read; the rest was not read")
                break
        return b"".join(parts)

    def _large(self, descriptor: int, told: os.stat_result, place: Place) -> Iterator[Document]:
        """Yield a file in pieces, up to the size that it had."""
        left = told.st_size

        def read(size: int) -> bytes:
            nonlocal left
            data = os.read(descriptor, min(size, left))
            left -= len(data)
            return data

        yield from read_in_pieces(read, place)
        self._coverage.add("file", 1, told.st_size - left)
        now = os.fstat(descriptor)
        if left or (now.st_size == told.st_size and now.st_mtime_ns != told.st_mtime_ns):
            self._coverage.miss(place, "changed while it was read")
        kind = archive_kind(
            os.pread(descriptor, HEAD_BYTES, 0), os.pread(descriptor, TAIL_BYTES, told.st_size - TAIL_BYTES)
        )
        if kind:
            from vantage_secrets.leaks.sources.archives import members_of_file

            with os.fdopen(os.dup(descriptor), "rb") as file:
                yield from members_of_file(file, kind, place, self._coverage, self._limits)

    def _entries(self, folder: str, source: str, inside: str) -> list[os.DirEntry[str]]:
        """Return what a folder has, by name; what cannot be read is recorded."""
        entries: list[os.DirEntry[str]] = []
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    entries.append(entry)  # one that fails keeps those before it
        except OSError as exc:
            self._coverage.miss(Place(source, shown(inside), kind="folder"), reason_of(exc))
        entries.sort(key=lambda entry: entry.name)
        return entries

    def _without_git_objects(self, entries: list[os.DirEntry[str]], source: str, inside: str) -> list[os.DirEntry[str]]:
        if not _GIT_FOLDER.issubset(entry.name for entry in entries):
            return entries
        self._coverage.notes.append(f"{shown(inside) or source}: --history reads the objects of this Git repository")
        return [entry for entry in entries if entry.name != "objects"]

    def _is_seen(self, told: os.stat_result) -> bool:
        key = (told.st_dev, told.st_ino)
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _miss_large(self, place: Place) -> None:
        from vantage_secrets.leaks.sources.archives import sized

        self._coverage.miss(place, f"larger than {sized(self._size_max)}")

    def _leave_out(self, reason: str) -> None:
        self._left_out[reason] = self._left_out.get(reason, 0) + 1


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Return whether to open it: what cannot be looked at is tried, and then recorded."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return True


def _root(path: str) -> tuple[str, str]:
    """Return folder and name of a file, or a folder and nothing.

    Raises:
        InvalidInputError: It is neither.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # a link that is given is followed
    except (OSError, ValueError) as exc:
        reason = reason_of(exc) if isinstance(exc, OSError) else "it is no path"
        raise InvalidInputError(
            f"'{shown(path)}' cannot be scanned: {reason}.", hint="Give folders or files that are there."
        ) from None
    if stat.S_ISDIR(mode):
        return path.rstrip("/") or "/", ""
    if not stat.S_ISREG(mode):
        raise InvalidInputError(
            f"'{shown(path)}' is neither a folder nor a regular file.",
            hint="Give what comes out of it to standard input: vantage-secrets scan --stdin",
        )
    folder, _, name = path.rpartition("/")
    return folder or ("/" if path.startswith("/") else "."), name


def _matcher(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Return what matches ``path NUL name`` of whatever one of the patterns leaves out, or ``None`` without any."""
    if not patterns:
        return None
    from fnmatch import translate

    parts = []
    for pattern in patterns:
        bare = translate(pattern.strip("/")).removesuffix("\\Z")
        parts.append(f"{bare}\\0" if "/" in pattern.rstrip("/") else f"[^\\0]*\\0{bare}\\Z")
    return re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL)
