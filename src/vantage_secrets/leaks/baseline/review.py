"""What a person is shown who judges the open entries of a baseline, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.baseline.context import Line, masked_lines
from vantage_secrets.leaks.baseline.entry import Entry, Verdict, locations_of
from vantage_secrets.leaks.baseline.known import Baseline
from vantage_secrets.leaks.finding import Finding

NOTE_MAX = 200


class Item(NamedTuple):
    """One entry to be judged.

    Attributes:
        entry: The entry.
        finding: Where the scan found it now; ``None`` when it did not.
        lines: The lines around it, with values masked; none when there is nothing that could safely be shown.
    """

    entry: Entry
    finding: Finding | None
    lines: list[Line]


class Review:
    """Takes the findings of a scan, with their values in memory, and shows the open entries of ``baseline``."""

    def __init__(self, baseline: Baseline) -> None:
        """Begin with no findings."""
        self._baseline = baseline
        self._folder = baseline.path.absolute().parent
        self._found: dict[str, list[tuple[Finding, bytes]]] = {}

    def files(self) -> list[Path]:
        """Return the files that are to be scanned: those of the open entries that are there."""
        outer = {self._file_of(entry) for entry in self._baseline.entries if entry.verdict is Verdict.OPEN}
        return sorted(path for path in outer if path.is_file())

    def take(self, finding: Finding, value: bytes) -> None:
        """Take one finding of the scan."""
        for location in locations_of(finding, str(self._folder)):
            self._found.setdefault(location, []).append((finding, value))

    def open_entries(self) -> list[Entry]:
        """Return what is to be judged, sorted by place."""
        return [entry for entry in self._baseline.entries if entry.verdict is Verdict.OPEN]

    def item(self, entry: Entry) -> Item:
        """Return ``entry`` with what can be shown of it."""
        finding = next((finding for finding, _value in self._values_of(entry)), None)
        if finding is None or finding.place.kind != "file":
            # SECURITY: without the value nothing can be masked, so nothing is shown.
            return Item(entry, finding, [])
        try:
            content = self._file_of(entry).read_bytes()
        except OSError:
            return Item(entry, finding, [])
        return Item(entry, finding, masked_lines(content, finding, self._found[entry.location]))

    def judge(self, entry: Entry, verdict: Verdict, note: str, today: str) -> Entry:
        """Keep the verdict on ``entry`` in the file at once.

        Raises:
            InvalidInputError: The note is no line of text, or it holds the value; nothing was changed.
            VersionConflictError: Somebody else changed the file meanwhile.
            StoreUnavailableError: The file cannot be written.
        """
        if len(note) > NOTE_MAX or not note.isprintable():
            raise InvalidInputError(f"A note is one line of at most {NOTE_MAX} characters.")
        if any(value in note.encode() for _finding, value in self._values_of(entry) if value):
            raise InvalidInputError("The note holds the value itself; it was not kept.")
        judged = self._baseline.judged(entry, verdict, note, today)
        self._baseline.save()
        return judged

    def _values_of(self, entry: Entry) -> list[tuple[Finding, bytes]]:
        found = self._found.get(entry.location, [])
        return [pair for pair in found if entry.fingerprint and pair[0].fingerprint == entry.fingerprint]

    def _file_of(self, entry: Entry) -> Path:
        path = self._folder / entry.location
        return path if path.is_file() else self._folder / entry.location.partition("!")[0]
