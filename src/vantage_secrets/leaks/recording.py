"""From detections to findings: line, column, fingerprint, what comments and the baseline say. The values end here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from vantage_secrets.leaks.examination import Detection
from vantage_secrets.leaks.finding import Finding, Status
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.sources.contract import Document
from vantage_secrets.leaks.suppression import suppression_for


class Judge(Protocol):
    """What may change a finding's status: a baseline."""

    def judge(self, finding: Finding, value: bytes) -> Finding:
        """Return ``finding`` with its status and reason."""
        ...


class Found(NamedTuple):
    """A finding and its value, which never leaves the process."""

    finding: Finding
    value: bytes

    def __repr__(self) -> str:
        # SECURITY: a traceback or a log must not show the value.
        return f"Found({self.finding.rule!r}, {self.finding.place!r})"


class Recorder:
    """Collects what a scan finds. Safe to use from several threads.

    Args:
        key: Gives the fingerprint key; called when there is a finding for the first time.
        today: The present day, UTC, as in ``2027-01-31``.
        baseline: What knows findings from before.
        listener: Told each finding with its value, in memory.
    """

    def __init__(
        self,
        key: Callable[[], FingerprintKey],
        today: str,
        baseline: Judge | None = None,
        listener: Callable[[Finding, bytes], None] | None = None,
    ) -> None:
        self._load_key = key
        self._key: FingerprintKey | None = None
        self._today = today
        self._baseline = baseline
        self._listener = listener
        self._lock = threading.Lock()
        self._findings: list[Finding] = []

    @property
    def key(self) -> FingerprintKey:
        """The key of the fingerprints."""
        if self._key is None:
            with self._lock:
                self._key = self._key or self._load_key()
        return self._key

    def findings_in(self, document: Document, detections: Iterable[Detection]) -> list[Found]:
        """Return the findings of one document, without recording them; those that are a neighbour piece's are dropped.

        Args:
            document: Where the detections are.
            detections: What was found in it, in the order of the text.
        """
        lines = _Lines(document)
        owned = (each for each in detections if not document.is_piece or document.owns(each.end))
        return [self._found(document, detection, lines) for detection in owned]

    def record(self, found: Iterable[Found]) -> None:
        """Keep findings for the report."""
        for finding, value in found:
            judged = finding
            if self._baseline is not None and finding.status is Status.NEW:
                judged = self._baseline.judge(finding, value)
            with self._lock:
                self._findings.append(judged)
                if self._listener is not None:
                    self._listener(judged, value)

    def sorted_findings(self) -> tuple[Finding, ...]:
        """Return all that was recorded, by place."""
        return tuple(sorted(self._findings, key=_by_place))

    def _found(self, document: Document, detection: Detection, lines: _Lines) -> Found:
        line, column = lines.position_of(detection.begin)
        end_line, end_column = lines.position_of(detection.end)
        said = suppression_for(document.data, detection.begin, detection.end, detection.rule, self._today)
        finding = Finding(
            detection.rule,
            detection.title,
            self.key.fingerprint(detection.value),
            document.place,
            line,
            column,
            end_line,
            end_column,
            detection.confidence,
            len(detection.value),
            detection.decoded,
            detection.known,
            Status.SUPPRESSED if said is not None and said.holds else Status.NEW,
            said.reason if said is not None else "",
            advice=detection.advice,
        )
        return Found(finding, detection.value)


class _Lines:
    """Tells line and column of offsets that mostly grow."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._line = 1 + document.line_offset
        self._offset = 0

    def position_of(self, offset: int) -> tuple[int, int]:
        data = self._document.data
        if offset < self._offset:
            self._line, self._offset = 1 + self._document.line_offset, 0
        self._line += data.count(b"\n", self._offset, offset)
        self._offset = offset
        begin = data.rfind(b"\n", 0, offset) + 1
        before = data[begin:offset]
        lead = self._document.column_offset if begin == 0 else 0
        try:
            return self._line, lead + len(before.decode()) + 1
        except UnicodeDecodeError:
            return self._line, lead + len(before) + 1


def _by_place(finding: Finding) -> tuple[object, ...]:
    place = finding.place
    return place.source, place.path, place.kind, place.detail, finding.line, finding.column, finding.rule
