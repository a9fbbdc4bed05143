"""Where findings sit: which commits brought an object, by whom, to which paths, as the log tells (``history.log``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vantage_secrets.leaks.finding import Attribution, Occurrence

_PERSON = re.compile(rb"^(?:committer|tagger) (.*) (\d+) [+-]\d{4}$", re.MULTILINE)
_AUTHOR = re.compile(rb"^author (.*) (\d+) [+-]\d{4}$", re.MULTILINE)


def of_commit(id_: str, data: bytes) -> Occurrence:
    """Return the occurrence that a commit's or tag's own text is."""
    at = _PERSON.search(data)
    by = _AUTHOR.search(data) or at
    author = by[1].decode("utf-8", "replace") if by else ""
    return Occurrence(id_, "", author, int(at[2]) if at else 0)


def summed_up(occurrences: Iterable[Occurrence]) -> Attribution:
    """Return the attribution of a finding from the commits that bring it."""
    ordered = sorted(set(occurrences), key=_age)
    if not ordered:
        return Attribution(None, None, 0, (), (), is_reachable=False)
    return Attribution(
        ordered[0],
        ordered[-1],
        len({occurrence.commit for occurrence in ordered}),
        tuple(sorted({occurrence.path for occurrence in ordered if occurrence.path})),
        tuple(sorted({occurrence.author for occurrence in ordered if occurrence.author})),
        is_reachable=True,
    )


def _age(occurrence: Occurrence) -> tuple[int, str]:
    return occurrence.committed_at, occurrence.commit


def by_path(occurrences: Mapping[str, list[Occurrence]], id_: str) -> dict[str, list[Occurrence]]:
    """Return an object's occurrences for each path it was brought to; one without a path when there are none."""
    paths: dict[str, list[Occurrence]] = {}
    for occurrence in occurrences.get(id_, []):
        paths.setdefault(occurrence.path, []).append(occurrence)
    return paths or {"": []}
