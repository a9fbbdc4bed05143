"""What a scan says: findings with their places, and what was read. No value is in any of it.

Named tuples throughout: a pre-commit hook starts a new process each time, and ``dataclasses`` alone would cost it a
tenth of its time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Confidence(StrEnum):
    """How sure it is that the text is a secret."""

    HIGH = "high"
    """It has the format that its vendor documents, or it is one of our own values."""
    MEDIUM = "medium"
    """A context that means a secret, and a text that looks like one."""
    LOW = "low"
    """It may be one."""


class Status(StrEnum):
    """What became of a finding; only ``new`` ones end a scan with exit code 1."""

    NEW = "new"
    """Nobody has judged it yet."""
    BASELINE = "baseline"
    """The baseline has it; the reason says what was judged, such as that it is a real secret, known since a day."""
    SUPPRESSED = "suppressed"
    """A comment in its line allows it, with a reason."""


class Place(NamedTuple):
    """Where something was read.

    Attributes:
        source: What was asked for, as a person would name it: a repository's or folder's path, ``standard input``,
            ``process 4711``, ``clickhouse system.query_log``, ``kafka topic events``.
        path: The path inside the source, ``/`` between folders; a member of an archive is ``outer.tar!inner/name``;
            empty where there is none (a commit message, say).
        object_id: Git's name of the object, hexadecimal; empty outside a history.
        kind: ``file``, ``blob``, ``commit``, ``tag``, ``tree``, ``staged``, ``stream``, ``environment``, ``member``
            (of an archive), ``row`` or ``record``.
        detail: What else finds it again, such as ``partition 2, offset 17``; never a value.
    """

    source: str
    path: str = ""
    object_id: str = ""
    kind: str = "file"
    detail: str = ""


class KnownVersion(NamedTuple):
    """The verdict on a finding that is one of our own values.

    Attributes:
        secret: The secret's environment variable, as the manifest has it, such as ``KAFKA_SASL_PASSWORD``.
        version_id: The store's name of the version.
        stage: ``pending``, ``current``, ``previous`` or ``retired``.
        verdict: ``CURRENT``, ``PENDING``, ``IN OVERLAP until 2026-01-31 12:00 UTC`` (without an end when none is
            known) or ``RETIRED since 2026-01-31 12:00 UTC``.
        owner: Who the manifest says it belongs to; may be empty.
        consumers: Who reads it, from the manifest.
        spelling: How the value was written there: ``raw``, ``base64``, ``hex``, ``url``, ``json``, ``xml`` or
            ``utf-16``.
    """

    secret: str
    version_id: str
    stage: str
    verdict: str
    owner: str = ""
    consumers: tuple[str, ...] = ()
    spelling: str = "raw"

    @property
    def is_dangerous(self) -> bool:
        """Whether the value still opens a door."""
        return self.stage != "retired"


class Occurrence(NamedTuple):
    """A commit that has a finding's object.

    Attributes:
        commit: Its id, hexadecimal.
        path: The path of the object in it; empty for a commit's or tag's own text.
        author: Name and address as the commit has them.
        committed_at: Seconds since 1970-01-01 UTC.
    """

    commit: str
    path: str
    author: str
    committed_at: int


class Attribution(NamedTuple):
    """Where a finding sits in a history.

    Attributes:
        first: The oldest commit that brought it.
        last: The newest commit that brought it, to this or another path.
        commit_count: How many commits brought it.
        paths: All paths it was brought to, sorted.
        authors: All authors who brought it, sorted.
        is_reachable: False when no branch, tag, note or stash leads to it.
    """

    first: Occurrence | None
    last: Occurrence | None
    commit_count: int
    paths: tuple[str, ...]
    authors: tuple[str, ...]
    is_reachable: bool


class Finding(NamedTuple):
    """One secret at one place.

    Attributes:
        rule: Id of the rule, such as ``github-token``; ``known-value`` for our own values.
        title: What it is, for people.
        fingerprint: Keyed fingerprint of the value (``leaks.fingerprint``); the same value has the same one anywhere.
        place: Where.
        line: 1 for the first line. For a decoded finding, where the encoded text begins.
        column: In characters where the line is UTF-8, in bytes where not; 1 for the first.
        end_line: The line of its last character.
        end_column: The column after its last character.
        confidence: How sure.
        length: Of the value, in bytes.
        decoded: Encodings from outside in, such as ``("base64", "json")``; empty when it stood there as it is.
        known: Which of our values it is, when it is one.
        status: What became of it.
        reason: Why it is suppressed, or the baseline's note.
        attribution: Where it sits in the history, for ``--history``.
        advice: What to do about this kind, such as where it is revoked; may be empty.
        reported_by: The tool that found it; ours by default.
        validity: What its vendor says, when a person let it be asked: ``active``, ``inactive``, or ``unknown`` when
            there is no answer; else empty.
    """

    rule: str
    title: str
    fingerprint: str
    place: Place
    line: int
    column: int
    end_line: int
    end_column: int
    confidence: Confidence
    length: int
    decoded: tuple[str, ...] = ()
    known: KnownVersion | None = None
    status: Status = Status.NEW
    reason: str = ""
    attribution: Attribution | None = None
    advice: str = ""
    reported_by: str = "vantage-secrets"
    validity: str = ""


class Unread(NamedTuple):
    """Something that was asked for and not read, so that nobody takes silence for cleanliness.

    Attributes:
        place: What.
        reason: Why, for people: ``larger than 1.0 GB``, ``permission denied``, ``object is missing``.
    """

    place: Place
    reason: str


class Coverage:
    """What was read and what was not; sources fill it as they go. Additions are safe from several threads."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        """How many of each kind were read: ``file``, ``blob``, ``commit``, ``member``, …, and ``known from cache``."""
        self.byte_count = 0
        self.unread: list[Unread] = []
        self.notes: list[str] = []
        """What the reader should know though everything was read, such as a cache that could not be written."""

    def add(self, kind: str, count: int = 1, byte_count: int = 0) -> None:
        """Count something that was read."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.byte_count += byte_count

    def miss(self, place: Place, reason: str) -> None:
        """Record something that was not read."""
        self.unread.append(Unread(place, reason))

    def include(self, other: Coverage) -> None:
        """Add what another one counted and missed."""
        for kind, count in other.counts.items():
            self.add(kind, count)
        self.byte_count += other.byte_count
        self.unread += other.unread
        self.notes += other.notes

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for was read."""
        return not self.unread


class Report(NamedTuple):
    """The whole result of a scan.

    Attributes:
        findings: All of them, suppressed ones and those of the baseline too, sorted by place.
        coverage: What was read.
        targets: What was asked for, in words.
        rule_count: How many rules ran.
        ruleset: Digest of the rules, short.
        known_count: How many of our own values were searched for.
        started_at: Seconds since 1970-01-01 UTC.
        seconds: How long it took.
    """

    findings: tuple[Finding, ...]
    coverage: Coverage
    targets: tuple[str, ...]
    rule_count: int
    ruleset: str
    known_count: int
    started_at: float
    seconds: float

    @property
    def new(self) -> tuple[Finding, ...]:
        """The findings that somebody must deal with."""
        return tuple(finding for finding in self.findings if finding.status is Status.NEW)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings, 3 not everything could be read; findings come first, since they are certain."""
        if self.new:
            return 1
        return 0 if self.coverage.is_complete else 3
