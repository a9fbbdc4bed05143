"""Reports as a scan would make them, for the tests of what is written."""

from __future__ import annotations

from hashlib import sha256

from vantage_secrets.leaks.finding import (
    Attribution,
    Confidence,
    Coverage,
    Finding,
    KnownVersion,
    Occurrence,
    Place,
    Report,
    Status,
)
from vantage_secrets.leaks.rule import Rule

STARTED_AT = 1_767_225_600.25
"""2026-01-01 00:00:00.25 UTC."""

RULES = (
    Rule(
        "github-token",
        "GitHub personal access token",
        "source_hosts",
        "https://docs.example/tokens?a=1&b=2",
        "ghp_[a-z]{4}",
        advice="Revoke it under Settings, Developer settings.",
    ),
    Rule("generic-password", "Password", "generic", "seen in many files", "password=(.*)", confidence="medium"),
    Rule("weak-hint", "Something like a key", "generic", "seen in many files", "key=(.*)", confidence="low"),
)


def digest(text: str) -> str:
    """Return what looks like a fingerprint; no value is behind it."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def finding(path: str = "config/app.env", line: int = 3, *, rule: str = "github-token", **fields: object) -> Finding:
    """Return a finding of one of ``RULES``, with ``fields`` instead of what it would have."""
    of = next((known for known in RULES if known.id == rule), None)
    made = Finding(
        rule=rule,
        title=of.title if of else rule,
        fingerprint=digest(f"{rule} {path} {line}"),
        place=Place(".", path),
        line=line,
        column=14,
        end_line=line,
        end_column=54,
        confidence=Confidence(of.confidence) if of else Confidence.HIGH,
        length=40,
        advice=of.advice if of else "",
    )
    return made._replace(**fields)  # type: ignore[arg-type]


def known(stage: str = "current", verdict: str = "CURRENT", **fields: object) -> KnownVersion:
    """Return the verdict that a value is one of ours."""
    made = KnownVersion("KAFKA_SASL_PASSWORD", "3", stage, verdict, "platform", ("worker", "collector"))
    return made._replace(**fields)  # type: ignore[arg-type]


def attribution(*paths: str, is_reachable: bool = True) -> Attribution:
    """Return where something sits that two people brought in four commits."""
    first = Occurrence("1f" * 20, paths[0], "Author <author@dev.example>", 1_700_000_000)
    last = Occurrence("2e" * 20, paths[-1], "Second <second@dev.example>", 1_760_000_000)
    return Attribution(first, last, 4, tuple(sorted(paths)), (first.author, last.author), is_reachable)


def coverage(**counts: int) -> Coverage:
    """Return a complete coverage, 1,070 files by default."""
    made = Coverage()
    for kind, number in (counts or {"file": 1_070}).items():
        made.add(kind, number, 11_500 * number)
    return made


def report(*findings: Finding, covered: Coverage | None = None, targets: tuple[str, ...] = (".",)) -> Report:
    """Return a report of ``findings``."""
    return Report(findings, covered or coverage(), targets, 488, "a1b2c3d4", 12, STARTED_AT, 0.417)


def rich_report() -> Report:
    """Return a report with everything in it that a report can have."""
    covered = coverage(file=1_070, member=3, blob=20_500)
    covered.miss(Place(".", "data/dump.bin"), "larger than 256.0 MB")
    covered.miss(Place(".", "", "3d" * 20, "blob"), "object is missing")
    covered.notes.append("The object cache could not be written: no space left.")
    ours = {"title": "One of our own values", "rule": "known-value", "fingerprint": digest("ours")}
    retired = known("retired", "RETIRED since 2025-11-02 09:00 UTC", version_id="1", spelling="fingerprint")
    overlap = known("previous", "IN OVERLAP until 2026-01-31 12:00 UTC", version_id="2", spelling="base64")
    return report(
        finding("config/app.env", 3),
        finding("config/app.env", 12, known=known(), **ours),
        finding("config/app.env", 20, known=known(), **ours),
        finding("config/app.env", 31, rule="generic-password"),
        finding("config/old.env", 2, status=Status.BASELINE, reason="rotated in the autumn"),
        finding(
            "deploy/kube.yaml", 8, known=overlap, decoded=("base64", "json"), **{**ours, "fingerprint": digest("2")}
        ),
        finding("docs/guide.md", 40, rule="weak-hint", status=Status.SUPPRESSED, reason="an example of the docs"),
        finding("docs/old.md", 40, known=retired, **{**ours, "fingerprint": digest("1")}),
        finding(
            "src/settings.py",
            7,
            rule="generic-password",
            place=Place(".", "src/settings.py", "ab" * 20, "blob"),
            attribution=attribution("src/settings.py", "src/old_settings.py", is_reachable=False),
        ),
        finding("", 1, place=Place(".", "", "cd" * 20, "commit"), attribution=attribution("")),
        finding("", 1, place=Place("process 4711 (worker)", "GITHUB_TOKEN", kind="environment")),
        finding("", 1, place=Place("kafka topic events", "", kind="record", detail="partition 2, offset 17")),
        finding(
            "images/app.tar!layer/etc/app.conf", 5, place=Place(".", "images/app.tar!layer/etc/app.conf", kind="member")
        ),
        finding("lib/util.py", 9, rule="stripe-key", reported_by="gitleaks", fingerprint=""),
        covered=covered,
    )
