"""One scan: sources and histories in, a report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vantage_secrets.leaks.finding import Coverage, Finding, Place, Report
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.matching import open_matcher
from vantage_secrets.leaks.ruleset import rule_files
from vantage_secrets.leaks.sources.contract import Source

if TYPE_CHECKING:
    from vantage_secrets.leaks.known import KnownSearch, RetiredLookup
    from vantage_secrets.leaks.recording import Judge


class Settings(NamedTuple):
    """What is common to the sources of a scan.

    Attributes:
        key: Gives the fingerprint key, when the first finding needs it.
        cache_folder: Where compiled rules and what was read of histories are kept; nothing is kept without one.
        keeps_objects: Whether what was read of histories is kept, and used.
        more_rules: Files of rules besides our own.
        known: Our own values.
        retired: Fingerprints of those we no longer have.
        baseline: What knows findings from before.
        listener: Told each finding with its value, in memory.
        cores: How many to use.
        progress: Told how many bytes were examined since the last time.
        notice: Told, for a person who waits, what takes long just now.
        size_max: Largest object of a history that is read, in bytes.
    """

    key: Callable[[], FingerprintKey]
    cache_folder: Path | None = None
    keeps_objects: bool = True
    more_rules: Sequence[Path] = ()
    known: KnownSearch | None = None
    retired: RetiredLookup | None = None
    baseline: Judge | None = None
    listener: Callable[[Finding, bytes], None] | None = None
    cores: int = 1
    progress: Callable[[int], None] | None = None
    notice: Callable[[str], None] | None = None
    size_max: int = 268_435_456


class Scan:
    """A scan under way: give it sources, then take the report.

    Raises:
        InvalidInputError: A rule has a mistake.
        MissingExtraError: hyperscan is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.coverage = Coverage()
        matcher = open_matcher(rule_files(settings.more_rules), settings.cache_folder, settings.notice)
        # After the matcher, which brings the regular expressions of these modules with it, compiled.
        from vantage_secrets.leaks.examination import Examiner
        from vantage_secrets.leaks.recording import Recorder

        self.examiner = Examiner(matcher, settings.known, settings.retired)
        self._started_at = time.time()
        today = time.strftime("%Y-%m-%d", time.gmtime(self._started_at))
        self.recorder = Recorder(settings.key, today, settings.baseline, settings.listener)
        self._targets: list[str] = []

    def look_for(self, known: KnownSearch | None, retired: RetiredLookup | None) -> None:
        """Look for our own values too, from now on.

        Args:
            known: Those that we have.
            retired: Fingerprints of those that we no longer have.
        """
        self.settings = self.settings._replace(known=known, retired=retired)
        self.examiner = type(self.examiner)(self.examiner.matcher, known, retired)

    def read(self, source: Source, target: str) -> None:
        """Examine everything a source gives.

        Args:
            source: Where the documents come from.
            target: What it is, in words, for the report.
        """
        self._targets.append(target)
        for document in source.documents(self.coverage):

            def miss(reason: str, place: Place = document.place) -> None:
                self.coverage.miss(place, reason)

            detections = self.examiner.examine(document.data, document.place.path, miss=miss)
            if detections:
                self.recorder.record(self.recorder.findings_in(document, detections))
            if self.settings.progress:
                self.settings.progress(len(document.data))

    def read_history(self, path: Path) -> None:
        """Examine every object of the repository at ``path``.

        Raises:
            InvalidInputError: There is no repository.
        """
        from vantage_secrets.leaks.history.reading import read_history

        self._targets.append(f"the history of {path}")
        read_history(path, self.examiner, self.recorder, self.coverage, self.settings)

    def report(self) -> Report:
        """Return the result so far."""
        known = self.settings.known
        findings = self.recorder.sorted_findings()
        if any("!" in finding.place.path for finding in findings):
            from vantage_secrets.leaks.sources.archives import told_once

            findings = tuple(told_once(findings))
        return Report(
            findings,
            self.coverage,
            tuple(self._targets),
            len(self.examiner.matcher.rules),
            self.examiner.matcher.digest,
            len(known) if known is not None else 0,
            self._started_at,
            time.time() - self._started_at,
        )
