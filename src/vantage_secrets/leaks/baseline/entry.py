"""What a baseline remembers of one finding, and where a finding is, so that it is found again."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple

from vantage_secrets.leaks.finding import Finding, Place

OURS = "vantage-secrets"

_IN_FILES = ("file", "blob", "tree", "staged", "member")
_OF_OBJECTS = ("commit", "tag")


class Verdict(StrEnum):
    """What a person said about an entry."""

    OPEN = "open"
    """Nothing yet."""
    TRUE = "true"
    """It is a real secret."""
    FALSE = "false"
    """It is none."""


class Entry(NamedTuple):
    """One value at one place.

    Attributes:
        location: The file's path, seen from the baseline's folder; a commit's or tag's id; else the source in words.
        fingerprint: Of the value; empty when another tool reported it without the value.
        rule: Id of the rule that found it.
        line: Where it was when it was last seen; helps people, and is no part of what it is.
        object_id: Git's object, when a history has it: the one that holds it, or the commit that brought it.
        verdict: What a person said.
        note: What that person added; one line.
        added: The day it came into the baseline, as in ``2026-01-31``.
        judged: The day of the verdict; empty while there is none.
        reported_by: The tool that found it.
    """

    location: str
    fingerprint: str
    rule: str
    line: int = 0
    object_id: str = ""
    verdict: Verdict = Verdict.OPEN
    note: str = ""
    added: str = ""
    judged: str = ""
    reported_by: str = OURS

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it this entry: the place, and the value, or the rule and line where the value is not known."""
        return self.location, self.fingerprint or f"{self.reported_by} {self.rule} {self.line}"


def location_of(place: Place, folder: str) -> str:
    """Return where ``place`` is, the same however the scan was started.

    Args:
        place: A finding's place.
        folder: The baseline's folder; paths are written as seen from there.
    """
    if place.kind in _OF_OBJECTS or (place.kind == "blob" and not place.path):
        return place.object_id
    if place.kind not in _IN_FILES or "://" in place.source:
        return "/".join(filter(None, (place.source, place.path)))
    # What is inside an archive may be called anything, so that part is left as it is.
    outer, mark, inner = place.path.partition("!") if place.kind == "member" else (place.path, "", "")
    return os.path.relpath(os.path.join(place.source, outer), folder).replace(os.sep, "/") + mark + inner  # noqa: PTH118


def locations_of(finding: Finding, folder: str) -> list[str]:
    """Return where ``finding`` is: its own place first, then the other paths that its history had for it."""
    place = finding.place
    own = location_of(place, folder)
    paths = finding.attribution.paths if finding.attribution is not None and place.path else ()
    others = {location_of(place._replace(path=path), folder) for path in paths}
    return [own, *sorted(others - {own})]


def entry_of(finding: Finding, folder: str, today: str) -> Entry:
    """Return a new entry for ``finding``, with no verdict yet."""
    first = finding.attribution.first if finding.attribution is not None else None
    return Entry(
        location=location_of(finding.place, folder),
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        line=finding.line,
        object_id=finding.place.object_id or (first.commit if first is not None else ""),
        added=today,
        reported_by=finding.reported_by,
    )
