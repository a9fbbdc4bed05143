"""Bringing the events of those who could not write the log into its chain."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.log import AuditLog
from vantage_secrets.audit.place import here
from vantage_secrets.audit.record import encode_event, event_of
from vantage_secrets.audit.segments import segments_in
from vantage_secrets.audit.spool import SPOOL_SUFFIX
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import AuditError, InvalidInputError

REJECTED_SUFFIX: Final = ".rejected"

_GROUP_RECORDS = 500
_TOKEN = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Collection:
    """What was brought into the log.

    Attributes:
        files_count: Spool files that were dealt with and are gone.
        events_count: Events that are in the log now and were not before.
        known_count: Events that an earlier, interrupted collection had brought in already; they were dropped.
        rejected_count: Lines that are no events; their files were kept, with the ending ``.rejected``.
    """

    files_count: int = 0
    events_count: int = 0
    known_count: int = 0
    rejected_count: int = 0

    def __add__(self, other: Collection) -> Collection:
        return Collection(
            self.files_count + other.files_count,
            self.events_count + other.events_count,
            self.known_count + other.known_count,
            self.rejected_count + other.rejected_count,
        )


def collect_spool(log: AuditLog, spool: Path, *, clock: Clock = utc_now) -> Collection:
    """Bring every spooled event into the log once, and remove the spool's files.

    Safe to repeat, also when it was killed in the middle: an event's identifier goes into the log with it, a file is
    removed only when all of it is in the log, and what is there already is not written again. Safe beside processes
    that spool, and beside another collection. Writes one SPOOL_COLLECT event for each file.

    Raises:
        AuditUnwritableError: The log cannot be written; the files are still there.
        AuditError: The spool or one of its files cannot be read; files before it are collected.
    """
    total = Collection()
    try:
        for path in sorted(spool.glob(f"*{SPOOL_SUFFIX}")):
            with _opened(path) as handle:
                if handle is not None:
                    total += _collect_file(log, path, handle, clock)
    except OSError as exc:
        raise AuditError(
            f"The audit spool cannot be collected: {exc.filename or spool}: {exc.strerror}.",
            hint="Run the collection as a user who may read and remove the spool's files.",
        ) from exc
    return total


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Yield the locked file; ``None`` when another collection was first, or when it is no spool file."""
    if _TOKEN.fullmatch(path.stem) is None:
        yield None
        return
    # SECURITY: others may write to the spool's folder; a link must not lead to a file of ours, nor a pipe hold us up.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        flock(handle, LOCK_EX)
        found = os.fstat(handle)
        yield handle if stat.S_ISREG(found.st_mode) and found.st_nlink else None
    finally:
        os.close(handle)


def _collect_file(log: AuditLog, path: Path, handle: int, clock: Clock) -> Collection:
    token = path.stem
    with os.fdopen(os.dup(handle), "rb") as file:
        lines = file.read().split(b"\n")[:-1]  # A line without an end was never acknowledged.
    known = _known_ids(log.folder, token)
    known_count = rejected_count = 0
    fresh: list[bytes] = []
    for line in lines:
        spooled = _decode(line, token)
        if spooled is None:
            rejected_count += 1
        elif spooled[0] in known:
            known_count += 1
        else:
            known.add(spooled[0])
            fresh.append(encode_event(spooled[1], spooled[0]))
    for start in range(0, len(fresh), _GROUP_RECORDS):
        log.append_encoded(fresh[start : start + _GROUP_RECORDS])
    result = Collection(1, len(fresh), known_count, rejected_count)
    log.append_encoded([encode_event(_report(result, path, os.fstat(handle).st_uid, clock))])
    if rejected_count:
        path.rename(path.with_suffix(REJECTED_SUFFIX))
    else:
        path.unlink()
    return result


def _report(result: Collection, path: Path, uid: int, clock: Clock) -> AuditEvent:
    actor, where = here()
    why = f"uid {uid}: {result.events_count} new, {result.known_count} known, {result.rejected_count} rejected"
    outcome = Outcome.FAILED if result.rejected_count else Outcome.SUCCESS
    return AuditEvent(clock(), actor, Action.SPOOL_COLLECT, path.name, outcome, where=where, why=why)


def _known_ids(folder: Path, token: str) -> set[str]:
    """Return the identifiers of a spool file that are in the log."""
    pattern = re.compile(b',"spooled":"(%b-[0-9]+)"}' % token.encode())
    return {
        found.decode()
        for segment in segments_in(folder)
        for block in segment.blocks()
        for found in pattern.findall(block)
    }


def _decode(line: bytes, token: str) -> tuple[str, AuditEvent] | None:
    try:
        fields = json.loads(line)
        spool_id = fields["id"]
        if re.fullmatch(rf"{token}-[0-9]{{1,18}}", spool_id) is None:
            return None
        event = event_of(fields)
        encode_event(event)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInputError):
        return None
    return spool_id, event
