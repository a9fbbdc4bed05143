"""What another tool reported, in one shape, and how it becomes a finding."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from vantage_secrets.leaks.finding import Attribution, Confidence, Finding, Occurrence, Place
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.sources.recognition import shown

Record = Mapping[str, Any]

_TEXT_MAX = 200
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_CONFIDENCES = {"high": Confidence.HIGH, "low": Confidence.LOW}


class Reported(NamedTuple):
    """One secret as another tool reported it.

    Attributes:
        rule: That tool's name of the rule.
        title: What it is, for people.
        path: Where, as that tool wrote it; empty where there is none, as for a commit's message.
        secret: The value; ``None`` when the report does not have it.
        line: 1 for the first.
        column: 1 for the first, as that tool counts: in bytes as a rule.
        end_line: The line of its last character; 0 when the report does not say.
        end_column: The column after its last character; 0 when the report does not say.
        source: What was scanned, when the report says so and it is no folder of ours.
        commit: Id of the commit; empty outside a history.
        author: Name and address.
        committed_at: Seconds since 1970-01-01 UTC; 0 when the report does not say.
        confidence: How sure.
        decoded: The encoding that it was in, if any.
    """

    rule: str
    title: str
    path: str
    secret: str | None
    line: int = 1
    column: int = 1
    end_line: int = 0
    end_column: int = 0
    source: str = ""
    commit: str = ""
    author: str = ""
    committed_at: int = 0
    confidence: Confidence = Confidence.MEDIUM
    decoded: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # SECURITY: a traceback or a log must not show the value.
        return f"Reported({self.rule!r}, {self.path!r})"


def finding_of(reported: Reported, tool: str, key: FingerprintKey, source: str) -> tuple[Finding, bytes | None]:
    """Return the finding, and its value when the report has it.

    Args:
        reported: What was reported.
        tool: Who reported it.
        key: The key of the fingerprint.
        source: Where that tool was run.
    """
    value = reported.secret.encode("utf-8", "surrogatepass") if reported.secret else None
    line, column = max(1, reported.line), max(1, reported.column)
    found = Finding(
        rule=_clean(reported.rule, reported.secret),
        title=_clean(reported.title, reported.secret),
        fingerprint=key.fingerprint(value) if value else "",
        place=_place_of(reported, source),
        line=line,
        column=column,
        end_line=max(line, reported.end_line),
        end_column=reported.end_column or column + (len(reported.secret or "") if reported.end_line <= line else 0),
        confidence=reported.confidence,
        length=len(value or b""),
        decoded=reported.decoded,
        attribution=_attribution_of(reported),
        reported_by=tool,
    )
    return found, value


def _place_of(reported: Reported, source: str) -> Place:
    path = reported.path if reported.path.isprintable() else shown(reported.path)
    if reported.source:
        return Place(reported.source, path, kind="record")
    if reported.commit:
        return Place(source, path, "" if path else reported.commit, "blob" if path else "commit")
    return Place(source, path)


def _attribution_of(reported: Reported) -> Attribution | None:
    if not reported.commit:
        return None
    author = _clean(reported.author, reported.secret)
    occurrence = Occurrence(reported.commit, reported.path, author, reported.committed_at)
    paths = (reported.path,) if reported.path else ()
    return Attribution(occurrence, occurrence, 1, paths, (author,) if author else (), is_reachable=True)


def _clean(text: str, secret: str | None) -> str:
    # SECURITY: what a report says about a value is shown; neither the value nor escape sequences go with it.
    masked = text.replace(secret, "•••") if secret else text
    return "".join(mark if mark.isprintable() else " " for mark in masked)[:_TEXT_MAX]


def confidence_of(word: object) -> Confidence:
    """Return the confidence that ``high``, ``low`` or another word stands for."""
    return _CONFIDENCES.get(str(word).lower(), Confidence.MEDIUM)


def person(name: object, address: object) -> str:
    """Return name and address as commits have them."""
    return " ".join(filter(None, (str(name or ""), f"<{address}>" if address else "")))


def seconds_of(text: object) -> int:
    """Return the instant that ``text`` writes, as seconds since 1970-01-01 UTC; 0 when it writes none.

    Dates alone, RFC 3339, and Go's and Git's own ways of writing it, as the tools have them.
    """
    from datetime import UTC, datetime

    found = _INSTANT.match(str(text))
    try:
        if found is None:
            return int(datetime.strptime(str(text), "%a %b %d %H:%M:%S %Y %z").timestamp())
        parsed = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00:00'}{found[3] or 'Z'}")
        return int(parsed.astimezone(UTC).timestamp())
    except ValueError:
        return 0
