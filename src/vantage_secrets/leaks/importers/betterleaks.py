"""Reports of betterleaks 2: an object with ``findings``, or JSON lines with a ``finding`` each.

The fields are those that betterleaks 2.0.0-rc.4 writes, ``schema_version`` 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vantage_secrets.leaks.importers.gitleaks import inside, shown_or_none
from vantage_secrets.leaks.importers.reported import Record, Reported, confidence_of, person, seconds_of

EXPECTED = "a JSON object with schema_version and findings, or JSON lines with a finding each"


def claims(records: Sequence[Record]) -> bool:
    """Return whether these are betterleaks' own."""
    return bool(records) and all("schema_version" in record for record in records)


def read(records: Sequence[Record]) -> Iterator[Reported]:
    """Yield what each record reports; a credential of two parts, such as an id and its key, gives two."""
    for record in records:
        for finding in record.get("findings", [record["finding"]] if "finding" in record else []):
            yield _reported(finding, finding, finding["rule_id"])
            for group in finding.get("component_sets") or ():
                for component in group["components"]:
                    yield _reported(component, finding, component["rule_id"])


def _reported(part: Record, whole: Record, rule: str) -> Reported:
    place, match, about = part["location"], part["match"], whole.get("attributes", {})
    secret = str(match["value"])
    column, end_column = inside(str(match["full"]), secret, int(place["start_column"]), int(place["end_column"]) + 1)
    return Reported(
        rule=str(rule),
        title=str(whole.get("description") or rule),
        path=str(place["path"]),
        secret=shown_or_none(secret),
        line=int(place["start_line"]),
        column=column,
        end_line=int(place["end_line"]),
        end_column=end_column,
        commit=str(about.get("git.sha", "")),
        author=person(about.get("git.author_name"), about.get("git.author_email")),
        committed_at=seconds_of(about.get("git.date")),
        confidence=confidence_of(whole.get("confidence")),
    )
