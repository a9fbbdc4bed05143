"""Reports of GitGuardian's ggshield, ``secret scan … --json``.

The fields: https://github.com/GitGuardian/ggshield, ``ggshield/verticals/secret/output/schemas.py``. Values are masked
there unless it was run with ``--show-secrets``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vantage_secrets.leaks.finding import Confidence
from vantage_secrets.leaks.importers.reported import Record, Reported, person, seconds_of

EXPECTED = "a JSON object with total_incidents, and entities_with_incidents or scans"

_NO_SECRETS = frozenset(
    {"client_id", "connection_uri", "database", "host", "port", "scheme", "username", "account_id", "url"}
)
"""Parts of an incident that lead to the secret and are none."""
_COMMIT_URL = "commit://"


def claims(records: Sequence[Record]) -> bool:
    """Return whether this is one of ggshield's."""
    return len(records) == 1 and "total_incidents" in records[0]


def read(records: Sequence[Record]) -> Iterator[Reported]:
    """Yield what is reported, one for each secret part of each occurrence."""
    for record in records:
        yield from _scan(record)


def _scan(scan: Record) -> Iterator[Reported]:
    about = scan.get("extra_info") or {}
    commit = str(scan.get("id", "")) if scan.get("type") == "commit" else ""
    for entity in scan.get("entities_with_incidents") or ():
        path = str(entity["filename"])
        if path.startswith(_COMMIT_URL):
            commit, _slash, path = path.removeprefix(_COMMIT_URL).partition("/")
        for incident in entity["incidents"]:
            for match in incident["occurrences"]:
                if match.get("type") not in _NO_SECRETS:
                    yield _reported(incident, match, path)._replace(
                        commit=commit if commit != "staged" else "",
                        author=person(about.get("author"), about.get("email")) if commit else "",
                        committed_at=seconds_of(about.get("date")),
                    )
    for inner in scan.get("scans") or ():
        yield from _scan(inner)


def _reported(incident: Record, match: Record, path: str) -> Reported:
    secret = str(match["match"])
    return Reported(
        rule=str(incident["type"]),
        title=str(incident["type"]),
        path=path,
        secret=None if not secret or "**" in secret else secret,
        line=int(match.get("line_start") or 1),
        column=int(match.get("index_start") or 0) + 1,  # it counts from 0
        end_line=int(match.get("line_end") or 0),
        end_column=int(match["index_end"]) + 1 if "index_end" in match else 0,
        confidence=Confidence.HIGH if incident.get("validity") == "valid" else Confidence.MEDIUM,
    )
