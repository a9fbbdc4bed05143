"""Reports of gitleaks, and of those who kept its format: a JSON array, one object a finding.

The fields: https://github.com/gitleaks/gitleaks, ``report/finding.go``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vantage_secrets.leaks.importers.reported import Record, Reported, person, seconds_of

_MASK = "REDACTED"

EXPECTED = "a JSON array of objects with RuleID, File and Secret"


def claims(records: Sequence[Record]) -> bool:
    """Return whether these are gitleaks' own."""
    return all("RuleID" in record and "File" in record for record in records)


def read(records: Sequence[Record]) -> Iterator[Reported]:
    """Yield what each record reports."""
    for record in records:
        line, end_line = int(record["StartLine"]), int(record["EndLine"])
        match, secret = str(record.get("Match", "")), str(record["Secret"])
        # It counts a first line's columns from 1 and other lines' from 2, and its end is the last character.
        column = int(record["StartColumn"]) - (line > 1)
        end_column = int(record["EndColumn"]) + (end_line == 1)
        column, end_column = inside(match, secret, column, end_column)
        yield Reported(
            rule=str(record["RuleID"]),
            title=str(record.get("Description") or record["RuleID"]),
            path=str(record["File"]),
            secret=shown_or_none(secret),
            line=line,
            column=column,
            end_line=end_line,
            end_column=end_column,
            commit=str(record.get("Commit") or ""),
            author=person(record.get("Author"), record.get("Email")),
            committed_at=seconds_of(record.get("Date")),
        )


def inside(match: str, secret: str, column: int, end_column: int) -> tuple[int, int]:
    """Return the columns of ``secret``, from those of the ``match`` that it is a part of, within one line."""
    at = match.find(secret)
    if at <= 0 or "\n" in match:
        return column, end_column
    return column + at, column + at + len(secret)


def shown_or_none(secret: str) -> str | None:
    """Return a secret, ``None`` when it was redacted: ``REDACTED`` or its first characters and three dots."""
    return None if not secret or secret == _MASK or secret.endswith("...") else secret
