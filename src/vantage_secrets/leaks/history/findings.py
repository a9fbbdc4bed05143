"""A history's findings: the same secret at the same path is one, however many versions of the file hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage, Finding, Occurrence, Place
from vantage_secrets.leaks.history.attribution import by_path, of_commit, reachable_commits, sightings_of, summed_up
from vantage_secrets.leaks.history.object_cache import ObjectCache, state_of
from vantage_secrets.leaks.history.objects import ObjectInfo, list_objects, size_of
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.recording import Found, Recorder
from vantage_secrets.leaks.sources.contract import Document

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Settings


_FROM_CACHE = "object known from before"
"""What the coverage calls objects that an earlier scan examined."""


class _InObject(NamedTuple):
    """A finding in an object, before it is known where the object sits; ``own`` for a commit's or tag's own text."""

    found: Found
    own: Occurrence | None


class HistoryScan:
    """A scan of one repository's history.

    Args:
        path: A folder of the repository.
        examiner: What to look for.
        recorder: Takes the findings.
        coverage: What was read is counted there, and what was not is told there.
        settings: Those of the whole scan.

    Raises:
        InvalidInputError: There is no repository, or Git cannot read it.
    """

    def __init__(
        self, path: Path, examiner: Examiner, recorder: Recorder, coverage: Coverage, settings: Settings
    ) -> None:
        self._repository = Repository(path)
        self._label = str(path)
        self._examiner = examiner
        self._recorder = recorder
        self._whole = coverage
        self._coverage = Coverage()
        self._settings = settings
        self._cache = self._open_cache()
        self._ids: list[str] = []
        self._known: list[_InObject] = []

    def run(self) -> None:
        """Examine every object and record what is found; from the cache what was examined before."""
        state = state_of(self._repository) if self._cache else ""
        answer = self._cache.answer(state) if self._cache else None
        if answer is not None:
            findings, object_count = answer
            self._whole.add(_FROM_CACHE, object_count)
            self._recorder.record(Found(finding, b"") for finding in findings)
            return
        scan = ObjectScan(self._repository, self._examiner, self._label, self._coverage, self._settings.progress)
        examined = scan.run(self._to_read(), self._settings.cores)
        new = {one.info.id: list(self._found_in(one)) for one in examined}
        found = attributed(self._repository, [each for some in new.values() for each in some] + self._known)
        if self._cache:
            self._keep(self._cache, state, scan.unread, new, found)
        self._whole.include(self._coverage)
        self._recorder.record(found)

    def _open_cache(self) -> ObjectCache | None:
        """Return the cache of what is looked for; none when the values themselves are needed, which no cache has."""
        settings = self._settings
        if settings.cache_folder is None or settings.listener or getattr(settings.baseline, "needs_values", False):
            return None
        key = self._recorder.key
        if key.note:  # it lives as long as this process
            return None
        looked_for = hashlib.sha256(f"{self._examiner.digest} {key.key_id} {settings.size_max}".encode()).hexdigest()
        return ObjectCache(settings.cache_folder / f"objects-{looked_for[:32]}", self._repository.id_bytes)

    def _to_read(self) -> Iterator[bytes]:
        """Yield the headers of the objects that must be read."""
        known_count = 0
        for header in list_objects(self._repository):
            if self._cache and self._cache.is_seen(header):
                known_count += 1
                id_ = header[: 2 * self._repository.id_bytes].decode()
                self._known += [_InObject(self._here(found), own) for found, own in self._cache.findings_of(id_)]
            elif size_of(header) > self._settings.size_max:
                info = ObjectInfo.of(header)
                place = Place(self._label, object_id=info.id, kind=info.kind)
                self._coverage.miss(
                    place, f"{info.size / 1e6:,.1f} MB, larger than {self._settings.size_max / 1e6:,.0f} MB"
                )
            else:
                self._ids.append(header[: 2 * self._repository.id_bytes].decode())
                yield header
        if known_count:
            self._coverage.add(_FROM_CACHE, known_count)

    def _here(self, finding: Finding) -> Found:
        """Return a finding of the cache, which may have been made in another repository."""
        return Found(finding._replace(place=finding.place._replace(source=self._label)), b"")

    def _found_in(self, examined: Examined) -> Iterator[_InObject]:
        info = examined.info
        place = Place(self._label, examined.name, info.id, info.kind)
        own = of_commit(info.id, examined.data) if info.kind in ("commit", "tag") else None
        for found in self._recorder.findings_in(Document(place, examined.data), examined.detections):
            yield _InObject(found, own)

    def _keep(
        self, cache: ObjectCache, state: str, unread: set[str], new: dict[str, list[_InObject]], found: list[Found]
    ) -> None:
        """Keep what was examined; not what a comment may allow today and no longer tomorrow."""
        changing = {id_ for id_, some in new.items() if any(each.found.finding.reason for each in some)}
        kept = {
            id_: [(each.found.finding, each.own) for each in some] for id_, some in new.items() if id_ not in changing
        }
        try:
            cache.add([id_ for id_ in self._ids if id_ not in unread and id_ not in changing], kept)
            if self._coverage.is_complete and not changing:
                object_count = sum(self._coverage.counts.values())
                cache.keep_answer(state, [each.finding for each in found], object_count)
        except OSError as error:
            self._coverage.notes.append(
                f"The cache could not be written ({error.strerror or 'refused'}): the next scan reads all of it again."
            )


def attributed(repository: Repository, found: list[_InObject]) -> list[Found]:
    """Return findings with their places in the history, those of one secret at one path put together.

    Args:
        repository: Where the objects are.
        found: The findings in each object.
    """
    blobs = {each.found.finding.place.object_id for each in found if each.own is None}
    sightings = sightings_of(repository, blobs) if blobs else {}
    reachable = reachable_commits(repository, (each.own.commit for each in found if each.own))
    groups: dict[tuple[object, ...], list[tuple[Found, Occurrence | None]]] = {}
    for each in found:
        for path, occurrences in _places_of(each, sightings, reachable):
            key = (each.found.finding.rule, each.found.finding.fingerprint, path, each.own and each.own.commit)
            members = groups.setdefault(key, [])
            members += [(each.found, occurrence) for occurrence in occurrences] or [(each.found, None)]
    # A secret that is known at a path needs no second finding for versions of the file that no ref leads to any more.
    placed = {key[:2] for key in groups if key[2]}
    kept = {key: members for key, members in groups.items() if key[2] or key[3] or key[:2] not in placed}
    return [_put_together(str(key[2]), members) for key, members in kept.items()]


def _places_of(
    each: _InObject, sightings: dict[str, list[Occurrence]], reachable: set[str]
) -> Iterable[tuple[str, list[Occurrence]]]:
    if each.own is not None:
        return [("", [each.own] if each.own.commit in reachable else [])]
    place = each.found.finding.place
    return by_path(sightings, place.object_id).items()


def _put_together(path: str, members: list[tuple[Found, Occurrence | None]]) -> Found:
    """Return one finding for all its versions: where it stands in the newest of them."""
    newest = max(members, key=_age)[0]
    finding = newest.finding
    attribution = summed_up(occurrence for _found, occurrence in members if occurrence is not None)
    place = finding.place._replace(path=path or finding.place.path)
    return Found(finding._replace(place=place, attribution=attribution), newest.value)


def _age(member: tuple[Found, Occurrence | None]) -> tuple[int, str]:
    found, occurrence = member
    return (occurrence.committed_at if occurrence else 0), found.finding.place.object_id
