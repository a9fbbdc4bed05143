"""What the next commit would bring: the staged version of each file that is added or changed, as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.history.objects import ObjectInfo, ObjectReader, describe_objects, pieces
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, TAIL_BYTES, archive_kind

_CHANGED = (
    "diff",
    "--cached",
    "--raw",
    "-z",
    "--no-abbrev",
    "--no-renames",
    "--no-relative",
    "--no-ext-diff",
    "--diff-filter=ACMT",
)
_SUBMODULE = b"160000"


class StagedSource:
    """The index of a repository, where it differs from the commit that is checked out.

    Args:
        path: A folder of the repository.

    Raises:
        InvalidInputError: There is no repository.
    """

    def __init__(self, path: Path) -> None:
        self._repository = Repository(path)
        self._label = str(path)

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield each staged file that is added or changed, and what is inside those that are archives."""
        paths = self._changed()

        def miss(info: ObjectInfo, reason: str) -> None:
            for path in paths[info.id]:
                coverage.miss(Place(self._label, path, info.id, "staged"), reason)

        headers = describe_objects(self._repository, paths)
        for id_ in paths.keys() - {ObjectInfo.of(header).id for header in headers}:
            miss(ObjectInfo(id_, "blob", 0), "the object is missing")
        with ObjectReader(self._repository, miss).reading() as read:
            for piece in pieces(headers):
                for part, content in read(piece):
                    for position, header in enumerate(part.headers):
                        begin, end = part.span_of(position)
                        id_ = ObjectInfo.of(header).id
                        yield from self._files(id_, paths[id_], content[begin:end], coverage)

    def _changed(self) -> dict[str, list[str]]:
        """Return the paths of each object that is staged."""
        fields = self._repository.output(*_CHANGED).split(b"\0")
        paths: dict[str, list[str]] = {}
        for entry, path in zip(fields[::2], fields[1::2], strict=False):
            _old_mode, mode, _old, new, _status = entry.split(b" ")
            if mode != _SUBMODULE:
                paths.setdefault(new.decode(), []).append(path.decode("utf-8", "replace"))
        return paths

    def _files(self, id_: str, paths: list[str], data: bytes, coverage: Coverage) -> Iterator[Document]:
        for path in paths:
            document = Document(Place(self._label, path, id_, "staged"), data)
            coverage.add("staged file", 1, len(data))
            yield document
            if archive_kind(data[:HEAD_BYTES], data[-TAIL_BYTES:]):
                from vantage_secrets.leaks.sources.archives import members_of

                yield from members_of(document, coverage)
