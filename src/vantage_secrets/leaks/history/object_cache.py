"""What was read before, so that a second scan reads only what is new; several repositories share it.

Objects never change, so an object that was examined with the same rules need not be read again. For each set of rules,
of our own values and fingerprint key there is a folder with

- ``read-*``: which objects were examined, and what was found in those that have findings. Both are in one file with
  its digest: an object that is known without its findings would be clean, so a damaged file counts for nothing;
- ``state-*``: the findings of a repository, named after a digest of its objects and refs: as long as nothing in it
  changes, they are the answer.

Findings hold no value, so none of this does. Each scan writes files of its own, so that two at once do not meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vantage_secrets.leaks.finding import (
    Attribution,
    Confidence,
    Finding,
    KnownVersion,
    Occurrence,
    Place,
    Status,
)

FROM_CACHE = "known from cache"
"""What the coverage calls objects that an earlier scan examined."""
_FILES_MAX = 16
"""More files than this are put together into one."""
_STATES_MAX = 64
"""So many answers are kept, the youngest."""
_DIGEST_BYTES = 32


def key_of(id_: bytes, name: bytes) -> bytes:
    """Return what an object is remembered by: its id, and one of its own for each name that it was examined by.

    Args:
        id_: Hexadecimal.
        name: A file name that says what structure the object has; empty for none.
    """
    if not name:
        return id_
    return hashlib.blake2b(id_ + b" " + name, digest_size=len(id_) // 2).hexdigest().encode()


class Answer(NamedTuple):
    """What a scan of a whole repository came to, when it could read everything.

    Attributes:
        findings: What it found.
        object_count: How many objects there are.
        notes: What it noted.
    """

    findings: list[Finding]
    object_count: int
    notes: list[str]


class ObjectCache:
    """What was read with one set of rules.

    Args:
        folder: Where it is kept; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[bytes] | None = None
        self._lines: list[bytes] = []
        self._found: dict[str, list[Any]] | None = None

    def answer(self, state: str) -> Answer | None:
        """Return what is known of a repository in that state, if it is."""
        content = _content(self._folder / f"state-{state}")
        if not content:
            return None
        kept = json.loads(content)
        return Answer([finding_of(each) for each in kept["findings"]], kept["objects"], kept["notes"])

    def is_seen(self, key: bytes) -> bool:
        """Return whether an object was examined before, by its key (``key_of``)."""
        if self._seen is None:
            self._seen = self._read_seen(len(key) // 2)
        return unhexlify(key) in self._seen

    def findings_of(self, id_: str) -> list[tuple[Finding, Occurrence | None]]:
        """Return what was found in an object that was examined before."""
        if self._found is None:
            self._found = {}
            for line in self._lines:
                known_id, some = json.loads(line)
                kept = self._found.setdefault(known_id, [])
                kept += [each for each in some if each not in kept]
        return [(finding_of(plain), Occurrence(*own) if own else None) for plain, own in self._found.get(id_, [])]

    def add(
        self, id_bytes: int, keys: Iterable[bytes], found: dict[str, list[tuple[Finding, Occurrence | None]]]
    ) -> None:
        """Keep which objects were examined and what was found in them.

        Args:
            id_bytes: Length of an object's id.
            keys: Of the objects, see ``key_of``.
            found: The findings by the objects' ids.

        Raises:
            OSError: The disk is full or takes no files; nothing is half there.
        """
        seen = unhexlify(b"".join(keys))
        if seen or found:
            self._write(_new_name(id_bytes), _packed([json.dumps([id_, found[id_]]) for id_ in found], seen))
        self._put_together(id_bytes)

    def keep_answer(self, state: str, answer: Answer) -> None:
        """Keep what is known of a repository in that state.

        Raises:
            OSError: The disk is full or takes no files.
        """
        content = {"findings": answer.findings, "objects": answer.object_count, "notes": answer.notes}
        self._write(f"state-{state}", json.dumps(content).encode())
        kept = sorted(self._folder.glob("state-*"), key=lambda path: path.stat().st_mtime)
        for old in kept[:-_STATES_MAX]:
            old.unlink(missing_ok=True)

    def _files(self, size: int) -> list[Path]:
        """Return the files of what was read in repositories with ids of ``size`` bytes."""
        return sorted(self._folder.glob(f"read-{size}-*"))

    def _read_seen(self, size: int) -> set[bytes]:
        seen = set[bytes]()
        for path in self._files(size):
            lines, ids = _unpacked(_content(path))
            self._lines += lines
            seen.update(ids[at : at + size] for at in range(0, len(ids), size))
        return seen

    def _put_together(self, id_bytes: int) -> None:
        """Put many files into one; what another scan writes meanwhile is not touched, and nothing is lost."""
        paths = self._files(id_bytes)
        if len(paths) > _FILES_MAX:
            parts = [_unpacked(_content(path)) for path in paths]
            lines = list(dict.fromkeys(line.decode() for some, _ids in parts for line in some))
            self._write(_new_name(id_bytes), _packed(lines, b"".join(ids for _some, ids in parts)))
            for path in paths:
                path.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{name}.{os.getpid()}"
        try:
            with draft.open("xb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            draft.replace(self._folder / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _new_name(id_bytes: int) -> str:
    return f"read-{id_bytes}-{os.urandom(8).hex()}"


def _packed(lines: Sequence[str], ids: bytes) -> bytes:
    text = "\n".join(lines).encode()
    return len(text).to_bytes(8, "big") + text + ids


def _unpacked(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines of findings and the ids that ``_packed`` put together."""
    end = 8 + int.from_bytes(content[:8], "big")
    return content[8:end].splitlines(), content[end:]


def _content(path: Path) -> bytes:
    """Return what was written to a file; nothing when it is not there, or is not what was written."""
    with contextlib.suppress(OSError):  # another scan may have put it together with others
        content = path.read_bytes()
        if hashlib.sha256(content[_DIGEST_BYTES:]).digest() == content[:_DIGEST_BYTES]:
            return content[_DIGEST_BYTES:]
    return b""


def state_of(path: Path, folder: Path, common_folder: Path) -> str:
    """Return a digest of which objects and refs a repository has: while nothing is added or moved, it stays the same.

    A pack's name is the digest of its content (gitformat-pack); a loose object's is its own.

    Args:
        path: What findings are told to be in.
        folder: Its ``.git`` folder.
        common_folder: Where objects and refs are.
    """
    texts = [str(path).encode("utf-8", "surrogateescape"), _content_of(folder / "HEAD")]
    texts += [_content_of(common_folder / name) for name in ("packed-refs", "reftable/tables.list")]
    for below, _folders, names in sorted(os.walk(common_folder / "refs")):
        for ref in (Path(below, name) for name in sorted(names)):
            texts += [str(ref).encode("utf-8", "surrogateescape"), _content_of(ref)]
    objects: list[str] = []
    for place in _object_folders(path, common_folder):
        for entry in os.scandir(place):
            if entry.name == "pack":
                objects += [
                    f"{each.name} {each.stat().st_size}" for each in os.scandir(entry) if each.name.endswith(".pack")
                ]
            elif len(entry.name) == 2:  # the first two digits of the ids of the objects in it
                objects += [entry.name + each.name for each in os.scandir(entry)]
    return hashlib.sha256(b"\0".join([*texts, *(name.encode() for name in sorted(objects))])).hexdigest()[:32]


def plain_folder(path: Path) -> Path | None:
    """Return the Git folder of a repository of the simplest kind, without asking Git; nothing of any other."""
    for folder in (path / ".git", path):
        if folder.is_dir() and all((folder / name).exists() for name in ("HEAD", "objects", "refs")):
            return None if (folder / "commondir").exists() else folder
    return None


def _content_of(file: Path) -> bytes:
    with contextlib.suppress(OSError):
        return file.read_bytes()
    return b""


def _object_folders(path: Path, common_folder: Path) -> Iterator[Path]:
    """Yield where a repository has objects; in a hook of a push, the new ones wait outside of it."""
    yield from _with_alternates(common_folder / "objects")
    for variable in ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"):
        for folder in filter(None, os.environ.get(variable, "").split(":")):
            yield from _with_alternates(path / folder)


def _with_alternates(folder: Path) -> Iterator[Path]:
    yield folder
    alternates = folder / "info" / "alternates"
    if alternates.is_file():
        for line in alternates.read_text("utf-8", "surrogateescape").splitlines():
            if line and not line.startswith("#"):
                yield from _with_alternates(folder / line)


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
