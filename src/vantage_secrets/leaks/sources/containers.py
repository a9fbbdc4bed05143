"""Container images as files: every layer, also what a later layer deletes, and the image's own settings and history.

``docker save`` writes a tar with ``manifest.json``, the OCI layout has ``index.json``; a newer Docker writes both.
Source: OCI image specification 1.1, "Image Layout" and "Image Configuration"; Docker image specification 1.2.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.finding import Coverage, Place
from vantage_secrets.leaks.sources.archives import Limits, Rest, members_of_file
from vantage_secrets.leaks.sources.contract import Document, Readable, reason_of
from vantage_secrets.leaks.sources.pieces import read_fully, read_in_pieces
from vantage_secrets.leaks.sources.recognition import HEAD_BYTES, archive_kind, shown

_JSON_BYTES_MAX = 4_194_304
"""Largest manifest or configuration; OCI distribution specification, "Pushing Manifests"."""

_DETAIL_LENGTH_MAX = 120
_SHOWN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(?==)")


class ImageSource:
    """A container image, or several in one file.

    The layers come in the order of the file; the place of what is found names its layer, the lowest one first.

    Args:
        path: A tar as ``docker save`` or an OCI tool writes it, compressed or not, or a folder of the OCI layout.
        limits: How far each layer is followed; by default ``archives.Limits()``.

    Raises:
        InvalidInputError: There is no such file or folder.
    """

    def __init__(self, path: str, *, limits: Limits | None = None) -> None:
        """Look whether it is there."""
        if not os.path.exists(path):  # noqa: PTH110
            raise InvalidInputError(f"There is no image '{shown(path)}'.", hint="docker save IMAGE -o image.tar")
        self._path = path
        self._limits = limits
        self._source = f"image {shown(path)}"

    def documents(self, coverage: Coverage) -> Iterator[Document]:
        """Yield the files of all layers, and each text of the settings and the history.

        Raises:
            InvalidInputError: It is no image.
        """
        plan = _Plan()
        is_sound = self._read_plan(plan)
        if is_sound and not plan.layers and not plan.settings:
            raise InvalidInputError(
                f"'{shown(self._path)}' is no container image: it has neither manifest.json nor index.json.",
                hint="Write one with: docker save IMAGE -o image.tar",
            )
        seen = set[str]()
        try:
            for entry in _entries(self._path):
                if entry.file is not None:
                    seen.add(entry.name)
                    yield from self._entry(entry, entry.file, plan, coverage)
        except OSError as exc:
            coverage.miss(Place(self._source), f"{reason_of(exc)}; the rest was not read")
        except Exception as exc:  # Damage shows in whatever way; without the text, which may hold what stood there.
            coverage.miss(Place(self._source), f"damaged ({type(exc).__name__}); the rest was not read")
        for name, label in {**plan.layers, **plan.settings}.items():
            if name not in seen:
                coverage.miss(Place(self._source, detail=label), "it is not in the file")

    def _read_plan(self, plan: _Plan) -> bool:
        """Fill ``plan`` from the manifests, and return whether all of the file could be read."""
        found: dict[str, Any] = {}
        try:
            for entry in _entries(self._path):
                if entry.link:
                    plan.links[entry.name] = entry.link
                elif entry.file is not None and entry.size <= _JSON_BYTES_MAX:
                    head = read_fully(entry.file.read, 1)
                    if head in (b"{", b"["):
                        found[entry.name] = _parsed(head + read_fully(entry.file.read, _JSON_BYTES_MAX))
        except InvalidInputError:
            raise
        except Exception:  # It shows again when the layers are read, and is recorded then.
            plan.add_manifests(found)
            return False
        plan.add_manifests(found)
        return True

    def _entry(self, entry: _Entry, file: Readable, plan: _Plan, coverage: Coverage) -> Iterator[Document]:
        if entry.name in plan.settings:
            yield from self._settings(file, plan.settings[entry.name], coverage)
            return
        label = plan.layers.get(entry.name, "")
        place = Place(self._source, "" if label else shown(entry.name), kind="member", detail=label)
        head = read_fully(file.read, HEAD_BYTES)
        kind = archive_kind(head)
        if not kind:
            yield from read_in_pieces(Rest(head, file).read, place)
            coverage.add("member", 1, entry.size)
            return
        whole: Readable = Rest(head, file)
        if isinstance(file, io.IOBase) and file.seekable():
            file.seek(0)
            whole = file
        yield from members_of_file(whole, kind, place, coverage, self._limits, size=entry.size)
        coverage.add("layer")

    def _settings(self, file: Readable, label: str, coverage: Coverage) -> Iterator[Document]:
        data = read_fully(file.read, _JSON_BYTES_MAX)
        place, value = Place(self._source, label, kind="member"), _parsed(data)
        if value is None:
            coverage.miss(place, "it is no JSON, or too long")
            return
        for where, text in _texts(value, ()):
            yield Document(place._replace(detail=where[:_DETAIL_LENGTH_MAX]), text.encode("utf-8", "replace"))
        coverage.add("image settings", 1, len(data))


class _Entry(NamedTuple):
    """Something in an image's file or folder; ``link`` names another entry, whose content it has."""

    name: str
    size: int
    file: Readable | None
    link: str = ""


class _Plan:
    """What the manifests say: names of entries, and what they are, for people."""

    def __init__(self) -> None:
        self.layers: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.links: dict[str, str] = {}

    def add_manifests(self, found: dict[str, Any]) -> None:
        """Take all images that the file names."""
        images = found.get("manifest.json")
        for image in images if isinstance(images, list) else ():
            if isinstance(image, dict):
                self._add(image.get("Config"), image.get("Layers"))
        self._add_index(found.get("index.json"), found, set())

    def _add_index(self, index: Any, found: dict[str, Any], seen: set[str]) -> None:
        for descriptor in _list(index, "manifests"):
            name = _blob(descriptor)
            if name in seen:
                continue
            seen.add(name)
            manifest = found.get(name)
            if isinstance(manifest, dict) and "manifests" in manifest:
                self._add_index(manifest, found, seen)
            elif isinstance(manifest, dict):
                self._add(_blob(manifest.get("config")), [_blob(layer) for layer in _list(manifest, "layers")])
            elif name:  # its layers are nowhere named
                self.settings.setdefault(name, f"manifest {_short(name)}")

    def _add(self, settings: Any, layers: Any) -> None:
        if isinstance(settings, str) and settings:
            self.settings.setdefault(self._resolved(settings), f"settings {_short(settings)}")
        names = [name for name in layers if isinstance(name, str) and name] if isinstance(layers, list) else []
        for number, name in enumerate(names, 1):
            label = f"layer {number} of {len(names)}, {_short(name)}"
            self.layers.setdefault(self._resolved(name), label)

    def _resolved(self, name: str) -> str:
        for _ in range(8):
            if name not in self.links:
                break
            name = self.links[name]
        return name


def _entries(path: str) -> Iterator[_Entry]:
    """Yield what an image's file or folder has; each file is read before the next one is asked for.

    Raises:
        InvalidInputError: It is no folder, and no tar.
    """
    if os.path.isdir(path):  # noqa: PTH112
        yield from _folder_entries(path)
        return
    with open(path, "rb") as file:  # noqa: PTH123  # surrogates in a name
        kind = archive_kind(file.read(HEAD_BYTES))
        file.seek(0)
        if kind == "tar":
            yield from _tar_entries(file, can_seek=True)
        elif kind in ("gzip", "bzip2", "xz"):
            from vantage_secrets.leaks.sources.decompression import Decompressed

            yield from _tar_entries(Decompressed(file, kind), can_seek=False)
        else:
            raise InvalidInputError(
                f"'{shown(path)}' is no tar of a container image{f' but {kind}' if kind else ''}.",
                hint="Write one with: docker save IMAGE -o image.tar",
            )


def _folder_entries(path: str) -> Iterator[_Entry]:
    for folder, _subfolders, names in os.walk(path, onerror=_raise):
        inside = os.path.relpath(folder, path)
        for name in sorted(names):
            full, relative = f"{folder}/{name}", posixpath.normpath(f"{inside}/{name}")
            if os.path.islink(full):  # noqa: PTH114
                target = os.readlink(full)  # noqa: PTH115
                yield _Entry(relative, 0, None, posixpath.normpath(f"{inside}/{target}"))
            elif os.path.isfile(full):  # noqa: PTH113
                with open(full, "rb") as file:  # noqa: PTH123
                    yield _Entry(relative, os.fstat(file.fileno()).st_size, file)


def _tar_entries(file: Readable, *, can_seek: bool) -> Iterator[_Entry]:
    from vantage_secrets.leaks.sources.tar_headers import open_tar

    with open_tar(file, can_seek=can_seek) as archive:
        while member := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            name = posixpath.normpath(member.name)
            if member.isreg():
                content: Any = archive.extractfile(member)
                yield _Entry(name, member.size, content if can_seek else Rest(b"", content))
            elif member.issym():
                yield _Entry(name, 0, None, posixpath.normpath(f"{posixpath.dirname(name)}/{member.linkname}"))
            elif member.islnk():
                yield _Entry(name, 0, None, posixpath.normpath(member.linkname))
        archive.require_zeros_to_the_end()


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield each text in a JSON value, a member of an object with its name, and where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(f"{key}={inner}" if isinstance(inner, str) else inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _texts(inner, (*path, str(number)))
    elif isinstance(value, str):
        name = _SHOWN_NAME.match(value) if "Env" in path else None
        yield shown("/".join(path)) + (f" ({name[0]})" if name else ""), value


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _blob(descriptor: Any) -> str:
    """Return the name of the entry that a descriptor of OCI's points to."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return f"blobs/{digest.replace(':', '/')}" if isinstance(digest, str) else ""


def _short(name: str) -> str:
    found = re.search(r"[0-9a-f]{12}", name)
    return found[0] if found else shown(name)


def _raise(exc: OSError) -> None:
    raise exc
