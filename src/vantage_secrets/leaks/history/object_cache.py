"""What was read before, so that a second scan reads only what is new; several repositories share it.

Objects never change, so an object that was examined with the same rules need not be read again. For each set of rules,
of our own values and fingerprint key there is a folder with

- ``seen-*``: ids of objects that were examined, as they are, one after the other;
- ``found-*``: for each object with findings its id and the findings, a JSON line each;
- ``state-*``: the findings of a repository, named after a digest of its objects and refs: as long as nothing in it
  changes, they are the answer.

Findings hold no value, so none of this does. Each scan writes files of its own, so that two at once do not meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vantage_secrets.leaks.finding import (
    Attribution,
    Confidence,
    Finding,
    KnownVersion,
    Occurrence,
    Place,
    Status,
)
from vantage_secrets.leaks.history.repository import Repository

_FILES_MAX = 16
"""More files than this of one kind are put together into one."""
_STATES_MAX = 64
"""So many answers are kept, the youngest."""


class ObjectCache:
    """What was read with one set of rules.

    Args:
        folder: Where it is kept; made when something is written.
        id_bytes: Length of an object's id.
    """

    def __init__(self, folder: Path, id_bytes: int) -> None:
        self._folder = folder / f"{id_bytes}"
        self._id_bytes = id_bytes
        self._seen: set[bytes] | None = None
        self._found: dict[str, list[Any]] | None = None

    def answer(self, state: str) -> tuple[list[Finding], int] | None:
        """Return the findings of a repository in that state, and how many objects it has, if that is known."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads((self._folder / f"state-{state}.json").read_bytes())
            return [finding_of(each) for each in content["findings"]], content["objects"]
        return None

    def is_seen(self, header: bytes) -> bool:
        """Return whether an object, ``id type size``, was examined before."""
        if self._seen is None:
            self._seen = self._read_seen()
        return bytes.fromhex(header[: 2 * self._id_bytes].decode()) in self._seen

    def findings_of(self, id_: str) -> list[tuple[Finding, Occurrence | None]]:
        """Return what was found in an object that was examined before."""
        if self._found is None:
            self._found = self._read_found()
        kept = self._found.get(id_, [])
        return [(finding_of(plain), Occurrence(*own) if own else None) for plain, own in kept]

    def add(self, ids: Iterable[str], found: dict[str, list[tuple[Finding, Occurrence | None]]]) -> None:
        """Keep which objects were examined and what was found in them.

        Raises:
            OSError: The disk is full or takes no files; nothing is half there.
        """
        seen = bytes.fromhex("".join(ids))
        if found:  # first: an object that is seen without its findings would be clean
            lines = [json.dumps([id_, found[id_]]) for id_ in found]
            self._write(f"found-{os.urandom(8).hex()}", "\n".join(lines).encode())
        if seen:
            self._write(f"seen-{os.urandom(8).hex()}", seen)
        self._put_together()

    def keep_answer(self, state: str, findings: Iterable[Finding], object_count: int) -> None:
        """Keep the findings of a repository in that state.

        Raises:
            OSError: The disk is full or takes no files.
        """
        content = {"findings": list(findings), "objects": object_count}
        self._write(f"state-{state}.json", json.dumps(content).encode())
        kept = sorted(self._folder.glob("state-*"), key=lambda path: path.stat().st_mtime)
        for old in kept[:-_STATES_MAX]:
            old.unlink(missing_ok=True)

    def _files(self, kind: str) -> list[Path]:
        return sorted(self._folder.glob(f"{kind}-*"))

    def _read_seen(self) -> set[bytes]:
        size = self._id_bytes
        parts = [part for path in self._files("seen") if (part := _content(path)) and len(part) % size == 0]
        return {part[at : at + size] for part in parts for at in range(0, len(part), size)}

    def _read_found(self) -> dict[str, list[Any]]:
        return dict(self._found_lines(self._files("found")))

    def _found_lines(self, paths: Iterable[Path]) -> Iterator[tuple[str, list[Any]]]:
        for path in paths:
            for line in _content(path).splitlines():
                id_, found = json.loads(line)
                yield id_, found

    def _put_together(self) -> None:
        """Put many files into one; what another scan writes meanwhile is not touched, and nothing is lost."""
        for kind, between in (("found", b"\n"), ("seen", b"")):
            paths = self._files(kind)
            if len(paths) > _FILES_MAX:
                self._write(f"{kind}-{os.urandom(8).hex()}", between.join(_content(path) for path in paths))
                for path in paths:
                    path.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{name}.{os.getpid()}"
        try:
            with draft.open("xb") as file:
                file.write(content)
            draft.replace(self._folder / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _content(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):  # another scan has put it together with others
        return path.read_bytes()
    return b""


def state_of(repository: Repository) -> str:
    """Return a digest of which objects and refs a repository has: while nothing is added or moved, it stays the same.

    A pack's name is the digest of its content (gitformat-pack); a loose object's is its own.
    """
    text = [repository.output("for-each-ref", "--format=%(refname) %(objectname)").decode("utf-8", "replace")]
    for folder in _object_folders(repository.common_folder / "objects"):
        for entry in os.scandir(folder):
            if entry.name == "pack":
                text += [
                    f"{each.name} {each.stat().st_size}" for each in os.scandir(entry) if each.name.endswith(".pack")
                ]
            elif len(entry.name) == 2:  # the first two digits of the ids of the objects in it
                text += [entry.name + each.name for each in os.scandir(entry)]
    text.append(str(repository.path))
    return hashlib.sha256("\n".join([text[0], *sorted(text[1:])]).encode()).hexdigest()[:32]


def _object_folders(folder: Path) -> Iterator[Path]:
    yield folder
    alternates = folder / "info" / "alternates"
    if alternates.is_file():
        for line in alternates.read_text("utf-8", "surrogateescape").splitlines():
            if line and not line.startswith("#"):
                yield from _object_folders(folder / line)


def finding_of(plain: list[Any]) -> Finding:
    """Return the finding that was written as JSON, which makes lists of named tuples."""
    finding = Finding(*plain)
    known = finding.known and KnownVersion(*finding.known)
    attribution = finding.attribution and Attribution(*finding.attribution)
    return finding._replace(
        place=Place(*finding.place),
        confidence=Confidence(finding.confidence),
        decoded=tuple(finding.decoded),
        known=known._replace(consumers=tuple(known.consumers)) if known else None,
        status=Status(finding.status),
        attribution=_with_tuples(attribution) if attribution else None,
    )


def _with_tuples(attribution: Attribution) -> Attribution:
    return attribution._replace(
        first=Occurrence(*attribution.first) if attribution.first else None,
        last=Occurrence(*attribution.last) if attribution.last else None,
        paths=tuple(attribution.paths),
        authors=tuple(attribution.authors),
    )
