"""One line of the log: how an event is written, hashed and read back.

A line is a flat JSON object that begins with its hash, so that it can be checked without parsing::

    {"hash":"<64 hex digits>","seq":7,"at":"2026-01-01T12:00:00.000000Z","actor":"build@runner", …}

The hash is the SHA-256 (FIPS 180-4) of the hash of the line before, as its 64 hex digits, followed by
everything in this line that comes after its own hash, without the newline. The line before the first one
has the hash :data:`GENESIS`.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quote
from typing import Final, NamedTuple

from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.errors import AuditIntegrityError, InvalidInputError

PREFIX: Final = b'{"hash":"'
"""What every line begins with."""

HASH_END: Final = len(PREFIX) + 64
"""Where the hash ends in a line, in bytes; what follows is what it covers."""

GENESIS: Final = b"0" * 64
"""The hash before the first record."""

LINE_BYTES_MAX: Final = 32_768
"""Longest line, in bytes: the longest fields, each character escaped as two surrogates of 6 bytes, and the rest."""

ACTOR_LENGTH_MAX: Final = 256
SUBJECT_LENGTH_MAX: Final = 512
VERSION_ID_LENGTH_MAX: Final = 256
WHERE_LENGTH_MAX: Final = 256
WHY_LENGTH_MAX: Final = 1_024
SPOOL_ID_LENGTH_MAX: Final = 64
SHORT_LENGTH: Final = 256
"""Fields that together are no longer than this are each within their limits."""

_SEQ = re.compile(rb'","seq":([1-9][0-9]{0,18}),')
# C0 and C1 controls, line and paragraph separator, and the marks that make text run the other way on a screen.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class AuditRecord(NamedTuple):
    """An event together with its place in the log.

    Attributes:
        seq: Number in the log, counted from 1.
        event: What was recorded.
        hash: SHA-256 of the chain up to here, 64 hex digits.
        spool_id: Identifier that the event had while it was spooled; empty when it was written directly.
    """

    seq: int
    event: AuditEvent
    hash: str
    spool_id: str = ""


def clean(text: str, length_max: int) -> str:
    """Return ``text`` on one line, without control characters, at most ``length_max`` characters long."""
    if len(text) > length_max:
        text = text[: length_max - 1] + "…"
    return text if text.isprintable() else _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def encode_event(event: AuditEvent, spool_id: str = "") -> bytes:
    """Return the part of a line after its number: ``,"at":"…", … }``, pure ASCII, without a newline.

    Raises:
        InvalidInputError: The event's time has no time zone.
    """
    at = event.at if event.at.tzinfo is UTC else _as_utc(event.at)
    actor, subject, version_id, where, why = event.actor, event.subject, event.version_id, event.where, event.why
    together = f"{actor}{subject}{version_id}{where}{why}"
    if len(together) > SHORT_LENGTH or not together.isprintable():  # One look for the usual event, five for others.
        actor, subject = clean(actor, ACTOR_LENGTH_MAX), clean(subject, SUBJECT_LENGTH_MAX)
        version_id, where = clean(version_id, VERSION_ID_LENGTH_MAX), clean(where, WHERE_LENGTH_MAX)
        why = clean(why, WHY_LENGTH_MAX)
    spooled = f',"spooled":{quote(clean(spool_id, SPOOL_ID_LENGTH_MAX))}' if spool_id else ""
    return (
        f',"at":"{at.isoformat(timespec="microseconds")[:26]}Z","actor":{quote(actor)},"action":"{event.action}",'
        f'"subject":{quote(subject)},"outcome":"{event.outcome}","version_id":{quote(version_id)},'
        f'"where":{quote(where)},"why":{quote(why)}{spooled}}}'
    ).encode("ascii")


def _as_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise InvalidInputError("An audit event's time has no time zone.", hint="Use vantage_secrets.clock.utc_now().")
    return at.astimezone(UTC)


def instant_text(at: datetime) -> str:
    """Return ``at`` as lines write it: UTC, microseconds, ``Z``; such texts sort as the instants do.

    Raises:
        InvalidInputError: ``at`` has no time zone.
    """
    return _as_utc(at).isoformat(timespec="microseconds")[:26] + "Z"


def number_body(seq: int, body: bytes) -> bytes:
    """Return what a line's hash covers besides the hash before: the number and then :func:`encode_event`'s part."""
    return b'","seq":%d%b' % (seq, body)


def link(previous: bytes, covered: bytes) -> bytes:
    """Return the hash, 64 hex digits, of a line that follows ``previous`` and contains ``covered``."""
    return sha256(previous + covered).hexdigest().encode()


def claimed_seq(line: bytes) -> int | None:
    """Return the number that stands in ``line``, or ``None`` when it does not have a line's shape."""
    found = _SEQ.match(line, HASH_END) if line.startswith(PREFIX) else None
    return int(found[1]) if found else None


def decode_line(line: bytes, place: str) -> AuditRecord:
    """Return the record in ``line``, whose hash is not checked here.

    Args:
        line: One line without its newline.
        place: Where it stands, for the message, such as ``00000001.jsonl:3``.

    Raises:
        AuditIntegrityError: It is no record that this version can read.
    """
    try:
        fields = json.loads(line)
        return AuditRecord(fields["seq"], event_of(fields), fields["hash"], fields.get("spooled", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditIntegrityError(
            f"{place} is not a record that this version can read.", hint="Run 'vantage-secrets audit verify'."
        ) from None


def event_of(fields: dict[str, str]) -> AuditEvent:
    """Return the event that a line's parsed ``fields`` describe.

    Raises:
        ValueError: A field has a value that it cannot have.
        KeyError: A field is missing.
    """
    return AuditEvent(
        at=datetime.fromisoformat(fields["at"]),
        actor=fields["actor"],
        action=Action(fields["action"]),
        subject=fields["subject"],
        outcome=Outcome(fields["outcome"]),
        version_id=fields["version_id"],
        where=fields["where"],
        why=fields["why"],
    )
