"""From a baseline of detect-secrets to ours: scan its files again, and carry the verdicts over.

A SHA-1 cannot become a keyed fingerprint without the value. The scan has the values in memory; each that has the SHA-1
of an entry of the same file becomes an entry of ours, with the verdict that was given there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vantage_secrets.leaks.baseline.detect_secrets import DetectSecretsBaseline, OldEntry
from vantage_secrets.leaks.baseline.entry import Verdict, entry_of, locations_of
from vantage_secrets.leaks.baseline.known import Baseline
from vantage_secrets.leaks.finding import Finding

_VERDICTS = {None: Verdict.OPEN, True: Verdict.TRUE, False: Verdict.FALSE}


class Unmatched(NamedTuple):
    """An entry that did not come over.

    Attributes:
        entry: The entry.
        reason: Why, for people.
    """

    entry: OldEntry
    reason: str


class Conversion:
    """Takes findings with their values and fills ``baseline`` with those that ``old`` knows.

    Attributes:
        others: Findings that ``old`` does not know; they are in no baseline.
    """

    def __init__(self, old: DetectSecretsBaseline, baseline: Baseline, today: str) -> None:
        """Begin; ``today`` is the present day, UTC, as in ``2026-01-31``."""
        self.others: list[Finding] = []
        self._old = old
        self._baseline = baseline
        self._today = today
        self._folder = str(old.path.absolute().parent)
        self._matched: set[tuple[str, str]] = set()

    def take(self, finding: Finding, value: bytes) -> None:
        """Take one finding of the scan; ``value`` is compared and forgotten."""
        old = self._old.entry_for(locations_of(finding, self._folder), value)
        if old is None:
            self.others.append(finding)
            return
        self._matched.add((old.path, old.digest))
        entry = entry_of(finding, str(self._baseline.path.absolute().parent), self._old.made or self._today)
        verdict = _VERDICTS[old.is_secret]
        judged = "" if verdict is Verdict.OPEN else self._old.made or self._today
        note = "verified by its vendor" if old.is_verified else ""
        self._baseline.put(entry._replace(verdict=verdict, judged=judged, note=note))

    def unmatched(self, is_there: Callable[[str], bool]) -> list[Unmatched]:
        """Return the entries that no finding had, one for each value in each file.

        Args:
            is_there: Whether there is a file of that path, seen from the folder of the old baseline.
        """
        return [
            Unmatched(
                entry,
                "no rule of ours finds it, or it is not there any more"
                if is_there(entry.path)
                else "the file is not there",
            )
            for entry in self._old.values
            if (entry.path, entry.digest) not in self._matched
        ]
