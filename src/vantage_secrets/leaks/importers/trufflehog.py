"""Reports of trufflehog 3, ``--json``: JSON lines, one object a finding.

The fields: https://github.com/trufflesecurity/trufflehog, ``pkg/output/json.go`` and ``proto/source_metadata.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vantage_secrets.leaks.finding import Confidence
from vantage_secrets.leaks.importers.reported import Record, Reported, seconds_of

EXPECTED = "JSON lines, as --json prints them, with DetectorName, SourceMetadata and Raw"

_LOCAL = ("Git", "Filesystem")
_ORIGINS = ("repository", "bucket", "image", "link", "channel_name", "project", "url")
"""Fields that say what was scanned, for sources that are no folder of ours."""


def claims(records: Sequence[Record]) -> bool:
    """Return whether these are trufflehog's own."""
    return any("DetectorName" in record and "SourceMetadata" in record for record in records)


def read(records: Sequence[Record]) -> Iterator[Reported]:
    """Yield what each record reports; lines of its log among them are passed over."""
    for record in records:
        if "DetectorName" not in record and "level" in record:
            continue
        ((kind, about),) = record["SourceMetadata"]["Data"].items()
        origin = next((str(about[field]) for field in _ORIGINS if about.get(field)), kind)
        decoder = str(record.get("DecoderName") or "PLAIN").lower()
        yield Reported(
            rule=str(record["DetectorName"]),
            title=f"{record['DetectorName']} credential",
            path=str(about.get("file") or ""),
            secret=str(record["Raw"]) or None,
            line=int(about.get("line") or 1),
            source="" if kind in _LOCAL else origin,
            commit=str(about.get("commit") or ""),
            author=str(about.get("email") or ""),
            committed_at=seconds_of(about.get("timestamp")),
            confidence=Confidence.HIGH if record.get("Verified") else Confidence.MEDIUM,
            decoded=() if decoder == "plain" else (decoder,),
        )
