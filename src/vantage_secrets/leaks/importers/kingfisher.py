"""Reports of kingfisher, ``--format json`` and ``jsonl``.

The fields are those that kingfisher 2.14 writes: ``rule`` and ``finding`` in each object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vantage_secrets.leaks.importers.reported import Record, Reported, confidence_of, person, seconds_of

EXPECTED = "a JSON object with findings, or JSON lines, with a rule and a finding in each"


def claims(records: Sequence[Record]) -> bool:
    """Return whether these are kingfisher's own."""
    return any(
        ("rule" in record and "finding" in record) or ("findings" in record and "metadata" in record)
        for record in records
    )


def read(records: Sequence[Record]) -> Iterator[Reported]:
    """Yield what each record reports; a credential of two parts, such as an id and its key, gives two."""
    for record in records:
        # JSON lines end with one about the scan, without a finding.
        for item in record.get("findings", [record] if "finding" in record else []):
            yield from _reported(item["rule"], item["finding"])


def _reported(rule: Record, finding: Record) -> Iterator[Reported]:
    commit = (finding.get("git_metadata") or {}).get("commit") or {}
    author = commit.get("author") or {}
    line, snippet = int(finding["line"]), str(finding["snippet"])
    first = Reported(
        rule=str(rule["id"]),
        title=str(rule.get("description") or rule.get("name") or rule["id"]),
        path=str(finding["path"]),
        secret=_shown_or_none(snippet),
        line=line,
        column=int(finding["column_start"]) + 1,  # it counts from 0, and its end is the last character
        end_line=line + snippet.count("\n"),
        end_column=int(finding["column_end"]) + 2,
        commit=str(commit.get("id", "")),
        author=person(author.get("name"), author.get("email")),
        committed_at=seconds_of(commit.get("date")),
        confidence=confidence_of(finding.get("confidence")),
    )
    yield first
    for name, other in (finding.get("dependent_captures") or {}).items():
        yield first._replace(
            rule=f"{first.rule} {name}", secret=_shown_or_none(str(other)), column=1, end_line=line, end_column=0
        )


def _shown_or_none(secret: str) -> str | None:
    return None if not secret or secret.startswith("[REDACTED") else secret
