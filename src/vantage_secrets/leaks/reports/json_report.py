"""A report for programs: JSON whose shape ``report.schema.json`` beside this file describes.

``schema_version`` grows by one in its first part when a reader must change, in its second when something was added.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vantage_secrets.leaks.finding import Attribution, Finding, KnownVersion, Occurrence, Place, Report, Unread
from vantage_secrets.leaks.reports.wording import CONFIDENCES, instant, printable, program_version

SCHEMA_VERSION = "1.0"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def to_json(report: Report) -> str:
    """Return ``report`` as JSON of schema version 1.0, indented, with a line's end at its end."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "vantage-secrets", "version": program_version()},
        "started_at": instant(report.started_at),
        "seconds": round(report.seconds, 3),
        "targets": _texts(report.targets),
        "rules": {"count": report.rule_count, "digest": report.ruleset},
        "known_values_count": report.known_count,
        "exit_code": report.exit_code,
        "is_complete": report.coverage.is_complete,
        "summary": _summary(report),
        "findings": [finding_fields(finding) for finding in report.findings],
        "coverage": {
            "counts": dict(report.coverage.counts),
            "bytes_count": report.coverage.byte_count,
            "unread": [_unread(unread) for unread in report.coverage.unread],
            "notes": _texts(report.coverage.notes),
        },
    }
    return json.dumps(content, indent=2) + "\n"


def _summary(report: Report) -> dict[str, Any]:
    statuses = [finding.status.value for finding in report.findings]
    return {
        "new": len(report.new),
        "baseline": statuses.count("baseline"),
        "suppressed": statuses.count("suppressed"),
        "dangerous": sum(bool(finding.known and finding.known.is_dangerous) for finding in report.new),
        "new_by_confidence": {
            level.value: sum(finding.confidence is level for finding in report.new) for level in CONFIDENCES
        },
    }


def finding_fields(finding: Finding) -> dict[str, Any]:
    """Return a finding as the schema has it."""
    return {
        "rule": finding.rule,
        "title": finding.title,
        "fingerprint": finding.fingerprint,
        "place": place_fields(finding.place),
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "confidence": finding.confidence.value,
        "length_bytes": finding.length,
        "decoded": list(finding.decoded),
        "known": finding.known and known_fields(finding.known),
        "status": finding.status.value,
        "reason": printable(finding.reason),
        "attribution": finding.attribution and attribution_fields(finding.attribution),
        "advice": finding.advice,
        "reported_by": printable(finding.reported_by),
        "validity": finding.validity,
    }


def place_fields(place: Place) -> dict[str, Any]:
    """Return a place as the schema has it."""
    return {field: printable(text) for field, text in place._asdict().items()}


def known_fields(known: KnownVersion) -> dict[str, Any]:
    """Return the verdict on a value of ours as the schema has it."""
    return {**known._asdict(), "consumers": list(known.consumers), "is_dangerous": known.is_dangerous}


def attribution_fields(attribution: Attribution) -> dict[str, Any]:
    """Return where a finding sits in the history as the schema has it."""
    return {
        "first": attribution.first and _occurrence(attribution.first),
        "last": attribution.last and _occurrence(attribution.last),
        "commit_count": attribution.commit_count,
        "paths": _texts(attribution.paths),
        "authors": _texts(attribution.authors),
        "is_reachable": attribution.is_reachable,
    }


def _occurrence(occurrence: Occurrence) -> dict[str, Any]:
    return {
        "commit": occurrence.commit,
        "path": printable(occurrence.path),
        "author": printable(occurrence.author),
        "committed_at": instant(occurrence.committed_at),
    }


def _unread(unread: Unread) -> dict[str, Any]:
    return {"place": place_fields(unread.place), "reason": printable(unread.reason)}


def _texts(texts: Iterable[str]) -> list[str]:
    return [printable(text) for text in texts]
