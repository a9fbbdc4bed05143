"""Findings as a scan would make them, for tests of what becomes of findings."""

from __future__ import annotations

from pathlib import Path

from vantage_secrets.leaks.finding import Confidence, Finding, KnownVersion, Place
from vantage_secrets.leaks.fingerprint import FingerprintKey

KEY = FingerprintKey(b"a key of the tests, 32 bytes long")
FILE_NAME = ".vantage-secrets-baseline.json"
TODAY = "2026-06-15"


def finding(value: str, place: Place, *, rule: str = "generic-password", line: int = 1, column: int = 1) -> Finding:
    return Finding(
        rule=rule,
        title="A password",
        fingerprint=KEY.fingerprint(value.encode()),
        place=place,
        line=line,
        column=column,
        end_line=line,
        end_column=column + len(value),
        confidence=Confidence.MEDIUM,
        length=len(value.encode()),
    )


def in_file(folder: Path, path: str) -> Place:
    return Place(str(folder), path)


def known(secret: str = "KAFKA_SASL_PASSWORD", stage: str = "current") -> KnownVersion:
    return KnownVersion(secret, "3", stage, stage.upper())
