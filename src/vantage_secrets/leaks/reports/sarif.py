"""A report as SARIF 2.1.0 (OASIS Standard, errata 01), with what code scanning on GitHub asks for beyond the schema.

GitHub wants a physical location with a line on every result, texts for every rule, and ``security-severity``. So what
has no file (a commit's message, a process, a row) gets an address of its own, beside a logical location with its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from vantage_secrets.leaks.finding import Confidence, Coverage, Finding, Place, Report, Status
from vantage_secrets.leaks.reports import wording
from vantage_secrets.leaks.reports.json_report import attribution_fields, known_fields
from vantage_secrets.leaks.reports.wording import printable
from vantage_secrets.leaks.rule import Rule

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "vantageSecrets/v1"
"""Name of a result's keyed fingerprint; a slash and the version of the algorithm end it (section 3.27.17)."""

_LEVELS = {Confidence.HIGH: "error", Confidence.MEDIUM: "warning", Confidence.LOW: "note"}
_SEVERITIES = {Confidence.HIGH: "8.0", Confidence.MEDIUM: "5.5", Confidence.LOW: "3.0"}
"""GitHub reads them as CVSS scores: over 7.0 is high, 4.0 to 6.9 medium, 0.1 to 3.9 low."""
_PATHS_ALSO = 20
"""Most other paths of one result; the rest is in the count."""


def to_sarif(report: Report, rules: Sequence[Rule]) -> str:
    """Return ``report`` as one SARIF run, with a line's end at its end.

    Args:
        report: What a scan found.
        rules: The rules that ran; rules that are only in findings (our own values, other tools') are added.
    """
    descriptors = {rule.id: _descriptor(rule) for rule in rules}
    for finding in report.findings:
        if finding.rule not in descriptors:
            descriptors[finding.rule] = _descriptor_of(finding)
    indexes = {rule: index for index, rule in enumerate(descriptors)}
    run = {
        "tool": {
            "driver": {
                "name": "vantage-secrets",
                "version": wording.program_version(),
                "semanticVersion": wording.program_version(),
                "rules": list(descriptors.values()),
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": [_result(finding, indexes) for finding in report.findings],
        "properties": {
            "targets": [printable(target) for target in report.targets],
            "ruleset": report.ruleset,
            "knownValuesCount": report.known_count,
            "read": dict(report.coverage.counts),
            "readBytesCount": report.coverage.byte_count,
        },
    }
    return json.dumps({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _descriptor(rule: Rule) -> dict[str, Any]:
    confidence = Confidence(rule.confidence)
    advice = rule.advice or "Replace the value where it is valid, then remove it from here."
    descriptor = {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}, where others may read it."},
        "help": {"text": f"{advice} Format: {rule.source}"},
        "defaultConfiguration": {"level": _LEVELS[confidence]},
        "properties": {
            "tags": ["security", "secret", rule.category],
            "precision": confidence.value,
            "security-severity": _SEVERITIES[confidence],
        },
    }
    return {**descriptor, "helpUri": rule.source} if rule.source.startswith("https://") else descriptor


def _descriptor_of(finding: Finding) -> dict[str, Any]:
    """Return what can be said of a rule that is not among ours, from a finding of it."""
    origin = "values of the stores" if finding.known else printable(finding.reported_by)
    category = "known-values" if finding.known else "other-tools"
    stand_in = Rule(printable(finding.rule), printable(finding.title), category, origin, "", finding.confidence.value)
    return _descriptor(stand_in._replace(advice=finding.advice))


def _result(finding: Finding, indexes: Mapping[str, int]) -> dict[str, Any]:
    result = {
        "ruleId": printable(finding.rule),
        "ruleIndex": indexes[finding.rule],
        "level": _level(finding),
        "message": {"text": _message(finding)},
        "locations": [_location(finding.place, finding)],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint} if finding.fingerprint else {},
        # Section 3.27.23: when one result of a run has this property, all have it.
        "suppressions": _suppressions(finding),
        "properties": _properties(finding),
    }
    related = _related(finding)
    return {**result, "relatedLocations": related} if related else result


def _level(finding: Finding) -> str:
    if finding.known:
        return "error" if finding.known.is_dangerous else "warning"
    return _LEVELS[finding.confidence]


def _message(finding: Finding) -> str:
    parts = [finding.title]
    if finding.known:
        parts.append(wording.known_sentence(finding.known).rstrip("."))
    if validity := wording.validity(finding):
        parts.append(validity[:1].upper() + validity[1:])
    if encodings := wording.encodings(finding):
        parts.append(encodings[:1].upper() + encodings[1:])
    return _literal(". ".join(parts)) + "."


def _location(place: Place, finding: Finding | None = None) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(place)}
    if finding:
        physical["region"] = _region(finding)
    location: dict[str, Any] = {"physicalLocation": physical}
    if not wording.path_of(place):
        location["logicalLocations"] = [{"fullyQualifiedName": printable(wording.where(place)), "kind": place.kind}]
    return location


def _artifact(place: Place) -> dict[str, str]:
    path = wording.path_of(place)
    if path.startswith("/"):
        return {"uri": f"file://{_quoted(path)}"}
    words = path or "/".join(filter(None, (place.kind, place.object_id or place.source, place.path, place.detail)))
    return {"uri": _quoted(words), "uriBaseId": "%SRCROOT%"}


def _quoted(path: str) -> str:
    return quote(printable(path), safe="/!")


def _region(finding: Finding) -> dict[str, int]:
    if finding.line < 1:
        return {"startLine": 1}
    if finding.column < 1 or (finding.end_line, finding.end_column) < (finding.line, finding.column):
        return {"startLine": finding.line}
    return {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }


def _suppressions(finding: Finding) -> list[dict[str, str]]:
    if finding.status is Status.NEW:
        return []
    kind = "inSource" if finding.status is Status.SUPPRESSED else "external"
    suppression = {"kind": kind, "status": "accepted"}
    return [{**suppression, "justification": printable(finding.reason)} if finding.reason else suppression]


def _properties(finding: Finding) -> dict[str, Any]:
    properties: dict[str, Any] = {"confidence": finding.confidence.value, "reportedBy": printable(finding.reported_by)}
    if finding.validity:
        properties["validity"] = finding.validity
    if finding.place.object_id:
        properties["objectId"] = finding.place.object_id
    if finding.reason and finding.status is Status.NEW:
        properties["note"] = printable(finding.reason)
    if finding.known:
        properties["known"] = known_fields(finding.known)
    if finding.attribution:
        properties["attribution"] = attribution_fields(finding.attribution)
    return properties


def _related(finding: Finding) -> list[dict[str, Any]]:
    if not finding.attribution:
        return []
    others = [path for path in finding.attribution.paths if path != finding.place.path][:_PATHS_ALSO]
    return [
        {
            "id": number,
            "message": {"text": "The same content was here."},
            **_location(finding.place._replace(path=path)),
        }
        for number, path in enumerate(others, 1)
    ]


def _invocation(report: Report) -> dict[str, Any]:
    return {
        "executionSuccessful": report.coverage.is_complete,
        "exitCode": report.exit_code,
        "exitCodeDescription": wording.exit_meaning(report.exit_code),
        "startTimeUtc": wording.instant(report.started_at),
        "endTimeUtc": wording.instant(report.started_at + report.seconds),
        "toolExecutionNotifications": _notifications(report.coverage),
    }


def _notifications(coverage: Coverage) -> list[dict[str, Any]]:
    unread = [
        {
            "level": "error",
            "message": {"text": _literal(f"Not read: {wording.where(miss.place)}: {miss.reason}")},
            "locations": [_location(miss.place)],
        }
        for miss in coverage.unread
    ]
    return unread + [{"level": "note", "message": {"text": _literal(note)}} for note in coverage.notes]


def _literal(text: str) -> str:
    """Return ``text`` for a message in which nothing is a place for an argument or a link (sections 3.11.5, 3.11.6).

    SECURITY: a file can be called like a link, and a viewer would show only the link's text.
    """
    return printable(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")
