"""A history's findings: the same secret at the same path is one, however many versions of the file hold it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage, Finding, Occurrence, Place
from vantage_secrets.leaks.history.attribution import by_path, of_commit, summed_up
from vantage_secrets.leaks.history.completeness import followed, leads_past_commits, submodule_count, tell_missing
from vantage_secrets.leaks.history.log import Log
from vantage_secrets.leaks.history.object_cache import FROM_CACHE, Answer, ObjectCache, key_of
from vantage_secrets.leaks.history.objects import ObjectInfo, list_objects, size_of
from vantage_secrets.leaks.history.plan import Plan
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.recording import Found, Recorder

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Settings


_UNREADABLE = b"missing"
"""What Git writes behind the id of an object that it has and cannot read."""
_Kinds = dict[bytes, list[bytes]]
"""``id type size`` of objects, by their type."""


def _id_of(header: bytes) -> bytes:
    return header[: header.index(b" ")]


class _InObject(NamedTuple):
    """A finding in an object, before it is known where the object sits; ``own`` for a commit's or tag's own text."""

    found: Found
    own: Occurrence | None


class HistoryScan:
    """A scan of one repository's history.

    Args:
        repository: Where it is.
        examiner: What to look for.
        recorder: Takes the findings.
        coverage: What was read is counted there, and what was not is told there.
        settings: Those of the whole scan.
        cache: What was read before, and what is kept of this scan.
        state: What the answer is kept under.
    """

    def __init__(
        self,
        repository: Repository,
        examiner: Examiner,
        recorder: Recorder,
        coverage: Coverage,
        settings: Settings,
        cache: ObjectCache | None,
        state: str,
    ) -> None:
        self._repository = repository
        self._label = str(repository.path)
        self._examiner = examiner
        self._recorder = recorder
        self._whole = coverage
        self._coverage = Coverage()
        self._settings = settings
        self._cache = cache
        self._state = state
        self._keys: list[tuple[str, bytes]] = []
        self._known: list[_InObject] = []

    def run(self) -> None:
        """Examine every object that was not examined before, and record what is found."""
        _key = self._recorder.key  # loaded before processes are made that each need it
        scan = ObjectScan(
            self._repository,
            self._examiner,
            self._found_in,
            self._label,
            self._coverage,
            self._settings.cores,
            self._settings.progress,
        )
        log = Log(self._repository)
        try:
            kinds = self._listed()
            texts = scan.begin(self._unseen([*kinds[b"commit"], *kinds[b"tag"]]))  # while Git goes through the log
        except BaseException:
            log.stop()
            raise
        try:
            plan = Plan(log)
        except BaseException:
            log.stop()
            texts.stop()
            raise
        scan.finish(texts)
        self._read(kinds, log, plan, scan)
        self._tell_missing(kinds, log, plan)
        found = self._attributed(log, [each for some in scan.found.values() for each in some] + self._known)
        if self._cache:
            self._keep(self._cache, scan.unread, scan.found, found)
        self._whole.include(self._coverage)
        self._recorder.record(found)

    def _read(self, kinds: _Kinds, log: Log, plan: Plan, scan: ObjectScan[_InObject]) -> None:
        """Read trees, then blobs, since trees that are read may tell what a blob is."""
        suspicious, scan.structured = plan.look_at_names(self._examiner)
        named = set() if log.failure else plan.trees - suspicious
        scan.run(self._unseen(header for header in kinds[b"tree"] if _id_of(header) not in named))
        told = self._unseen(header for header in kinds[b"tree"] if _id_of(header) in named)
        self._coverage.add("tree", sum(1 for _header in told))
        path_of = plan.paths()
        blobs = {_id_of(header): header for header in kinds[b"blob"]}
        in_order = [blobs.pop(id_) for id_ in path_of if id_ in blobs]
        scan.run(self._unseen([*in_order, *blobs.values()], scan.structured), path_of)

    def _tell_missing(self, kinds: _Kinds, log: Log, plan: Plan) -> None:
        reason = log.failure
        missing = plan.missing(header for some in kinds.values() for header in some) if not reason else []
        if reason or leads_past_commits(self._repository):
            followed_missing, failure = followed(self._repository)
            missing = sorted({*missing, *followed_missing})
            reason = failure or reason
        if reason:
            self._coverage.miss(Place(self._label, kind="history"), f"Git cannot follow it: {reason}")
        tell_missing(self._repository, self._label, missing, self._coverage)
        submodules = submodule_count(self._repository) if plan.has_submodules else 0
        if submodules:
            note = f"submodules are repositories of their own, which were not read: {submodules:,}"
            self._coverage.notes.append(note)

    def _attributed(self, log: Log, found: list[_InObject]) -> list[Found]:
        """Return findings with their places in the history; without, where Git could not go through it."""
        if log.failure:
            reason = f"which commits have the findings: {log.failure}"
            self._coverage.miss(Place(self._label, kind="history"), reason)
            return [each.found for each in found]
        return attributed(self._repository, log, found)

    def _listed(self) -> _Kinds:
        """Return the headers of all objects that Git can list, by their kind."""
        headers, failure = list_objects(self._repository)
        if failure:
            self._coverage.miss(Place(self._label, kind="history"), f"Git cannot list its objects: {failure}")
        kinds: _Kinds = {b"blob": [], b"tree": [], b"commit": [], b"tag": [], _UNREADABLE: []}
        for header in headers:
            kinds[header.split(b" ", 2)[1]].append(header)
        for header in kinds.pop(_UNREADABLE):
            place = Place(self._label, object_id=_id_of(header).decode(), kind="object")
            self._coverage.miss(place, "Git cannot read it")
        return kinds

    def _unseen(self, headers: Iterable[bytes], structured: Mapping[bytes, bytes] | None = None) -> Iterator[bytes]:
        """Yield the headers of the objects that must be read: new ones, and those that have another name now.

        Args:
            headers: Of objects.
            structured: A name for those that are examined by it.
        """
        known_count = 0
        for header in headers:
            id_ = _id_of(header)
            key = key_of(id_, structured.get(id_, b"")) if structured else id_
            if self._cache and self._cache.is_seen(key):
                known_count += 1
                known = self._cache.findings_of(id_.decode())
                self._known += [_InObject(self._here(found), own) for found, own in known]
            elif size_of(header) > self._settings.size_max:
                info = ObjectInfo.of(header)
                place = Place(self._label, object_id=info.id, kind=info.kind)
                self._coverage.miss(
                    place, f"{info.size / 1e6:,.1f} MB, larger than {self._settings.size_max / 1e6:,.0f} MB"
                )
            else:
                self._keys.append((id_.decode(), key))
                yield header
        if known_count:
            self._coverage.add(FROM_CACHE, known_count)

    def _here(self, finding: Finding) -> Found:
        """Return a finding of the cache, which may have been made in another repository."""
        return Found(finding._replace(place=finding.place._replace(source=self._label)), b"")

    def _found_in(self, examined: Examined) -> list[_InObject]:
        info, document = examined.info, examined.document
        own = of_commit(info.id, document.data) if info.kind in ("commit", "tag") else None
        return [_InObject(found, own) for found in self._recorder.findings_in(document, examined.detections)]

    def _keep(self, cache: ObjectCache, unread: set[str], new: dict[str, list[_InObject]], found: list[Found]) -> None:
        """Keep what was examined; not what a comment may allow today and no longer tomorrow."""
        changing = {id_ for id_, some in new.items() if any(each.found.finding.reason for each in some)}
        kept = {
            id_: [(each.found.finding, each.own) for each in some] for id_, some in new.items() if id_ not in changing
        }
        try:
            cache.add(
                self._repository.id_bytes,
                [key for id_, key in self._keys if id_ not in unread and id_ not in changing],
                kept,
            )
            if self._coverage.is_complete and not changing:
                object_count = sum(self._coverage.counts.values())
                notes = list(self._coverage.notes)
                cache.keep_answer(self._state, Answer([each.finding for each in found], object_count, notes))
        except OSError as error:
            self._coverage.notes.append(
                f"The cache could not be written ({error.strerror or 'refused'}): the next scan reads all of it again."
            )


def attributed(repository: Repository, log: Log, found: list[_InObject]) -> list[Found]:
    """Return findings with their places in the history, those of one secret at one path put together.

    Args:
        repository: Where the objects are.
        log: Its log.
        found: The findings in each object.
    """
    sightings = log.sightings_of({each.found.finding.place.object_id for each in found if not each.own})
    texts = {each.own.commit for each in found if each.own}
    reachable = texts.intersection(_reachable_texts(repository, log)) if texts else set()
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


def _reachable_texts(repository: Repository, log: Log) -> set[str]:
    """Return the commits and tags that a ref leads to."""
    tags = repository.output("for-each-ref", "--format=%(objectname)").decode().split()
    return {*tags, *(commit.decode() for commit, _root in log.commits())}


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
