"""A history's findings: the same secret at the same path is one, however many versions of the file hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage, Finding, Occurrence, Place
from vantage_secrets.leaks.history.attribution import by_path, of_commit, reachable_commits, sightings_of, summed_up
from vantage_secrets.leaks.history.completeness import Completeness
from vantage_secrets.leaks.history.object_cache import Answer, ObjectCache, state_of
from vantage_secrets.leaks.history.objects import ObjectInfo, list_objects, size_of
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.recording import Found, Recorder

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Settings


_UNREADABLE = b" missing"
"""What Git writes behind the id of an object that it has and cannot read."""
_FROM_CACHE = "known from cache"
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
            self._whole.add(_FROM_CACHE, answer.object_count)
            self._whole.notes += answer.notes
            self._recorder.record(Found(finding, b"") for finding in answer.findings)
            return
        check = Completeness(self._repository, self._label)
        try:
            scan = ObjectScan(self._repository, self._examiner, self._label, self._coverage, self._settings.progress)
            examined = scan.run(self._to_read(), self._settings.cores)
        except BaseException:
            check.stop()
            raise
        check.tell(self._coverage)
        new: dict[str, list[_InObject]] = {}
        for one in examined:
            new.setdefault(one.info.id, []).extend(self._found_in(one))
        found = self._attributed([each for some in new.values() for each in some] + self._known)
        if self._cache:
            self._keep(self._cache, state, scan.unread, new, found)
        self._whole.include(self._coverage)
        self._recorder.record(found)

    def _open_cache(self) -> ObjectCache | None:
        """Return the cache of what is looked for; none when the values themselves are needed, which no cache has."""
        settings = self._settings
        if (
            settings.cache_folder is None
            or not settings.keeps_objects
            or settings.listener
            or getattr(settings.baseline, "needs_values", False)
        ):
            return None
        key = self._recorder.key
        if key.note:  # it lives as long as this process
            return None
        looked_for = hashlib.sha256(f"{self._examiner.digest} {key.key_id} {settings.size_max}".encode()).hexdigest()
        return ObjectCache(settings.cache_folder / f"objects-{looked_for[:32]}", self._repository.id_bytes)

    def _attributed(self, found: list[_InObject]) -> list[Found]:
        """Return findings with their places in the history; without, where Git cannot go through it."""
        try:
            return attributed(self._repository, found)
        except InvalidInputError as error:
            self._coverage.miss(Place(self._label, kind="history"), f"which commits have the findings: {error.message}")
            return [each.found for each in found]

    def _listed(self) -> Iterator[bytes]:
        """Yield the header of each object that Git can list."""
        try:
            for header in list_objects(self._repository):
                if header.endswith(_UNREADABLE):
                    id_ = header.partition(b" ")[0].decode()
                    self._coverage.miss(Place(self._label, object_id=id_, kind="object"), "Git cannot read it")
                else:
                    yield header
        except InvalidInputError as error:
            self._coverage.miss(Place(self._label, kind="history"), error.message)

    def _to_read(self) -> Iterator[bytes]:
        """Yield the headers of the objects that must be read."""
        known_count = 0
        for header in self._listed():
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
        info, document = examined.info, examined.document
        own = of_commit(info.id, document.data) if info.kind in ("commit", "tag") else None
        for found in self._recorder.findings_in(document, examined.detections):
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
                notes = list(self._coverage.notes)
                cache.keep_answer(state, Answer([each.finding for each in found], object_count, notes))
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
    placed_ids = {each.found.finding.place.object_id: each.found.finding.place.kind for each in found if not each.own}
    sightings = sightings_of(repository, placed_ids) if placed_ids else {}
    reachable = reachable_commits(repository, (each.own.commit for each in found if each.own))
    groups: dict[_Group, list[tuple[Found, Occurrence | None]]] = {}
    for each in found:
        finding = each.found.finding
        member = f"!{finding.place.path}" if finding.place.kind == "member" else ""
        for path, occurrences in _places_of(each, sightings, reachable):
            key = _Group(finding.rule, finding.fingerprint, path, member, each.own.commit if each.own else "")
            groups.setdefault(key, []).extend((each.found, occurrence) for occurrence in occurrences or (None,))
    # A secret that is known at a path needs no second finding for versions of the file that no ref leads to any more.
    placed = {(key.rule, key.fingerprint) for key in groups if key.path}
    return [
        _put_together(key, members)
        for key, members in groups.items()
        if key.path or key.commit or (key.rule, key.fingerprint) not in placed
    ]


class _Group(NamedTuple):
    """What findings that are put together have in common; ``commit`` for those in a commit's or tag's own text."""

    rule: str
    fingerprint: str
    path: str
    member: str
    commit: str


def _places_of(
    each: _InObject, sightings: dict[str, list[Occurrence]], reachable: set[str]
) -> Iterable[tuple[str, list[Occurrence]]]:
    if each.own is not None:
        return [("", [each.own] if each.own.commit in reachable else [])]
    place = each.found.finding.place
    return by_path(sightings, place.object_id).items()


def _put_together(group: _Group, members: list[tuple[Found, Occurrence | None]]) -> Found:
    """Return one finding for all its versions: where it stands in the newest of them."""
    newest = max(members, key=_age)[0]
    finding = newest.finding
    attribution = summed_up(occurrence for _found, occurrence in members if occurrence is not None)
    path = group.path + group.member if group.path else finding.place.path
    place = finding.place._replace(path=path)
    return Found(finding._replace(place=place, attribution=attribution), newest.value)


def _age(member: tuple[Found, Occurrence | None]) -> tuple[int, str]:
    found, occurrence = member
    return (occurrence.committed_at if occurrence else 0), found.finding.place.object_id
