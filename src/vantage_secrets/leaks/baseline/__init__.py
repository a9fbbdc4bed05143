"""Findings that are known already: our own baseline, and that of detect-secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from vantage_secrets.leaks.finding import Finding
from vantage_secrets.leaks.fingerprint import FingerprintKey


class KnownFindings(Protocol):
    """Anything that says of a finding whether it is known."""

    def judge(self, finding: Finding, value: bytes) -> Finding:
        """Return ``finding`` with its status and the reason for it."""
        ...


def load_known(path: Path, key: FingerprintKey) -> KnownFindings:
    """Return the baseline that ``path`` holds, ours or one of detect-secrets.

    Raises:
        InvalidInputError: The file cannot be read, is no baseline, or was made with another key.
    """
    from vantage_secrets.leaks.baseline.detect_secrets import DetectSecretsBaseline
    from vantage_secrets.leaks.baseline.known import Baseline

    old = DetectSecretsBaseline.recognise(path)
    return old if old is not None else Baseline.load(path, key)
