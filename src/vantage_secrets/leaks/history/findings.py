"""A history's findings: the same secret at the same path is one, however many versions of the file hold it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.leaks.examination import Examiner
from vantage_secrets.leaks.finding import Coverage, Occurrence, Place
from vantage_secrets.leaks.history.attribution import by_path, of_commit, reachable_commits, sightings_of, summed_up
from vantage_secrets.leaks.history.objects import ObjectInfo, list_objects, size_of
from vantage_secrets.leaks.history.repository import Repository
from vantage_secrets.leaks.history.scanning import Examined, ObjectScan
from vantage_secrets.leaks.recording import Found, Recorder
from vantage_secrets.leaks.sources.contract import Document

if TYPE_CHECKING:
    from vantage_secrets.leaks.scanner import Settings


def scan_history(path: Path, examiner: Examiner, recorder: Recorder, coverage: Coverage, settings: Settings) -> None:
    """Examine every object of a repository and record what is found.

    Raises:
        InvalidInputError: There is no repository, or Git cannot read it.
    """
    repository = Repository(path)
    label = str(path)
    scan = ObjectScan(repository, examiner, label, coverage, settings.progress)

    def of_size(headers: Iterable[bytes]) -> Iterator[bytes]:
        for header in headers:
            if size_of(header) <= settings.size_max:
                yield header
            else:
                info = ObjectInfo.of(header)
                coverage.miss(Place(label, object_id=info.id, kind=info.kind), _too_large(info.size, settings.size_max))

    examined = scan.run(of_size(list_objects(repository)), settings.cores)
    found = [each for one in examined for each in _found_in(one, label, recorder)]
    recorder.record(attributed(repository, found))


def _too_large(size: int, size_max: int) -> str:
    return f"{size / 1e6:,.1f} MB, larger than {size_max / 1e6:,.0f} MB"


class _InObject(NamedTuple):
    """A finding in an object, before it is known where the object sits."""

    found: Found
    own: Occurrence | None
    """For a commit's or tag's own text."""


def _found_in(examined: Examined, label: str, recorder: Recorder) -> Iterator[_InObject]:
    info = examined.info
    place = Place(label, examined.name, info.id, info.kind)
    own = of_commit(info.id, examined.data) if info.kind in ("commit", "tag") else None
    for found in recorder.findings_in(Document(place, examined.data), examined.detections):
        yield _InObject(found, own)


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
            groups.setdefault(key, []).extend((each.found, occurrence) for occurrence in occurrences or [None])
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
