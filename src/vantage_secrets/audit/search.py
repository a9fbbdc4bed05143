"""Finding records: by who, what, which secret, how it ended and when. Reads a log without taking its lock.

Lines are compared as bytes, and only those that fit are parsed. Hashes are not checked here: that is
:mod:`vantage_secrets.audit.verify`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from json.encoder import encode_basestring_ascii as quote
from pathlib import Path
from typing import Final, TypedDict, Unpack

from vantage_secrets.audit.event import Action, Outcome
from vantage_secrets.audit.record import (
    ACTOR_LENGTH_MAX,
    HASH_END,
    SUBJECT_LENGTH_MAX,
    VERSION_ID_LENGTH_MAX,
    AuditRecord,
    clean,
    decode_line,
    instant_text,
)
from vantage_secrets.audit.segments import Segment, segments_in
from vantage_secrets.audit.source import Source, open_source

POLL_SECONDS: Final = 0.5
"""How often a follower looks for new records, in seconds."""

_AT = b',"at":"'


class Filters(TypedDict, total=False):
    """What records must fit; each one that is given, exactly.

    Attributes:
        actor: Who.
        action: What.
        subject: To what.
        outcome: How it ended.
        version_id: Which version of the secret.
        since: Not before, aware.
        until: Before, aware.
    """

    actor: str | None
    action: Action | None
    subject: str | None
    outcome: Outcome | None
    version_id: str | None
    since: datetime | None
    until: datetime | None


def search(
    log: Path, *, limit: int | None = None, newest_first: bool = False, **filters: Unpack[Filters]
) -> Iterator[AuditRecord]:
    """Yield the records that fit all ``filters``, the oldest first, as they are found.

    Args:
        log: A log's folder.
        limit: How many at the most.
        newest_first: Begin at the end; reads a whole segment into memory at a time.
        **filters: See :class:`Filters`.

    Raises:
        AuditError: The log cannot be read.
        AuditIntegrityError: A line that fits is no record; all before it were yielded.
        InvalidInputError: An instant has no time zone.
    """
    found = selected_lines(open_source(log), newest_first=newest_first, **filters)
    for segment, line in islice(found, limit):
        yield decode_line(line, segment.path.name)


def selected_lines(
    source: Source, *, newest_first: bool = False, **filters: Unpack[Filters]
) -> Iterator[tuple[Segment, bytes]]:
    """Yield the unparsed lines that fit, each with its segment; see :func:`search`."""
    selection = _Selection(filters)
    for segment in reversed(source.segments) if newest_first else source.segments:
        lines = _backwards(segment) if newest_first else segment.lines()
        for line in lines:
            if selection.has(line):
                yield segment, line


def _backwards(segment: Segment) -> Iterator[bytes]:
    lines = list(segment.lines())
    lines.reverse()
    return iter(lines)


class _Selection:
    """What a line must contain; a quotation mark inside a field is escaped, so no field can imitate another."""

    def __init__(self, filters: Filters) -> None:
        texts = (
            ("actor", filters.get("actor"), ACTOR_LENGTH_MAX),
            ("action", filters.get("action"), 64),
            ("subject", filters.get("subject"), SUBJECT_LENGTH_MAX),
            ("outcome", filters.get("outcome"), 64),
            ("version_id", filters.get("version_id"), VERSION_ID_LENGTH_MAX),
        )
        self._parts = [
            f',"{name}":{quote(clean(str(text), length))}'.encode() for name, text, length in texts if text is not None
        ]
        since, until = filters.get("since"), filters.get("until")
        self._since = instant_text(since).encode() if since is not None else b""
        self._until = instant_text(until).encode() if until is not None else b""

    def has(self, line: bytes) -> bool:
        for part in self._parts:
            if part not in line:
                return False
        if not self._since and not self._until:
            return True
        start = line.find(_AT, HASH_END) + len(_AT)
        at = line[start : start + 27]
        return self._since <= at and (not self._until or at < self._until)


def tail(
    log: Path, count: int, *, follow: bool = False, wait: Callable[[float], None] = time.sleep
) -> Iterator[AuditRecord]:
    """Yield the last ``count`` records, the oldest of them first, and with ``follow`` then each new one, without end.

    Args:
        log: A log's folder.
        count: How many, 0 or more.
        follow: Go on with new records; close the iterator to end that.
        wait: Called with :data:`POLL_SECONDS` between two looks.

    Raises:
        AuditError: The log cannot be read.
        AuditIntegrityError: A line is no record.
    """
    source = open_source(log)
    last = list(islice(selected_lines(source, newest_first=True), count))
    for segment, line in reversed(last):
        yield decode_line(line, segment.path.name)
    number, offset = 1, 0
    if source.segments:
        newest = source.segments[-1]
        number, offset = newest.number, newest.size_bytes - newest.unfinished_bytes()
    while follow:
        for segment in segments_in(log):
            if segment.number > number:
                number, offset = segment.number, 0
            if segment.number == number:
                added = _read_whole_lines(segment, offset)
                offset += len(added)
                yield from (decode_line(line, segment.path.name) for line in added.split(b"\n")[:-1])
        wait(POLL_SECONDS)


def _read_whole_lines(segment: Segment, offset: int) -> bytes:
    with segment.path.open("rb", buffering=0) as file:
        added = os.pread(file.fileno(), max(0, segment.size_bytes - offset), offset)
    return added[: added.rfind(b"\n") + 1]
