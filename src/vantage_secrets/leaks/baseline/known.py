"""The baseline: findings that are known, so that only new ones end a scan with exit code 1.

What is known is *this value at this place*. The same value in another file is new, since somebody has copied a secret;
only a value that a person judged to be none is none everywhere. The rule plays no part, so a baseline outlives a rule's
renaming; nor does the line. A known finding stays in the report, and a real secret is said to be one there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vantage_secrets.errors import InvalidInputError
from vantage_secrets.leaks.baseline.document import parsed, replace_file, written
from vantage_secrets.leaks.baseline.entry import OURS, Entry, Verdict, entry_of, locations_of
from vantage_secrets.leaks.finding import Finding, Status
from vantage_secrets.leaks.fingerprint import FingerprintKey


class Baseline:
    """Known findings of one key. It is changed in memory, and on the disk by :meth:`save` only.

    Attributes:
        path: Its file; paths of entries are written as seen from that file's folder.
        key_id: The key of all its fingerprints.
    """

    def __init__(self, path: Path, key_id: str, entries: Iterable[Entry] = (), *, content: bytes | None = None) -> None:
        """Make a baseline; ``content`` is what its file holds, ``None`` when there is no file yet."""
        self.path = path
        self.key_id = key_id
        self._content = content
        self._folder = str(path.absolute().parent)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._by_fingerprint: dict[str, list[tuple[str, str]]] = {}
        for entry in entries:
            # A merge may have kept an entry of both sides: the one that somebody judged counts.
            there = self._entries.get(entry.identity)
            if there is None or there.verdict is Verdict.OPEN:
                self._put(entry)

    @classmethod
    def load(cls, path: Path, key: FingerprintKey | None = None) -> Baseline:
        """Return the baseline that ``path`` holds.

        Args:
            path: Its file.
            key: The key that findings to be judged have; ``None`` to read it only.

        Raises:
            InvalidInputError: The file cannot be read, is no baseline, or was made with another key.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidInputError(
                f"The baseline '{path}' cannot be read: {error.strerror}.",
                hint="Make one with: vantage-secrets baseline create",
            ) from None
        key_id, entries = parsed(content, str(path))
        baseline = cls(path, key_id, entries, content=content)
        if key is not None:
            baseline.check_key(key)
        return baseline

    def check_key(self, key: FingerprintKey) -> None:
        """Return when findings with ``key`` can be compared with the entries.

        Raises:
            InvalidInputError: The baseline was made with another key.
        """
        if key.key_id != self.key_id:
            raise InvalidInputError(
                f"The baseline '{self.path}' was made with the fingerprint key {self.key_id}; this is {key.key_id}"
                f"{f', from {key.origin}' if key.origin else ''}.",
                hint="Name the key that it was made with: --key-file, VANTAGE_SECRETS_FINGERPRINT_KEY_FILE or "
                "VANTAGE_SECRETS_FINGERPRINT_KEY. Whoever made the baseline has it.",
            )

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, sorted by place."""
        return tuple(sorted(self._entries.values(), key=lambda entry: (entry.location, entry.line, entry.identity)))

    def judge(self, finding: Finding, value: bytes) -> Finding:  # noqa: ARG002 - other baselines need the value
        """Return ``finding`` with its status, and with what is known of it as the reason.

        Only a new one is looked at; a suppressed one stays as it is.

        Args:
            finding: What a scan found.
            value: What it found it in; not used here.
        """
        if finding.status is not Status.NEW:
            return finding
        entry = next(self._known(finding), None)
        if entry is not None:
            if entry.verdict is Verdict.FALSE and finding.known is not None and finding.known.is_dangerous:
                # SECURITY: it is a value of the stores, byte for byte, whatever somebody once thought.
                return finding._replace(reason=f"Judged no secret on {entry.judged}, but it is {finding.known.secret}")
            return finding._replace(status=Status.BASELINE, reason=_reason(entry))
        elsewhere = self._by_fingerprint.get(finding.fingerprint)
        if elsewhere and finding.fingerprint:
            where = f"The baseline has this value at {elsewhere[0][0]}; this place is new"
            return finding._replace(reason="; ".join(filter(None, (finding.reason.rstrip("."), where))))
        return finding

    def _known(self, finding: Finding) -> Iterator[Entry]:
        """Yield the entries that cover ``finding``, those of its own place first."""
        # SECURITY: an entry without a fingerprint covers nothing. It names a line, and tomorrow another secret may
        # stand in that line.
        if not finding.fingerprint:
            return
        for location in locations_of(finding, self._folder):
            if (location, finding.fingerprint) in self._entries:
                yield self._entries[location, finding.fingerprint]
        for identity in self._by_fingerprint.get(finding.fingerprint, ()):
            if self._entries[identity].verdict is Verdict.FALSE:
                yield self._entries[identity]

    def find(self, finding: Finding) -> Entry | None:
        """Return the entry of this value at this place, ``None`` when there is none."""
        for location in locations_of(finding, self._folder):
            entry = self._entries.get(entry_of(finding, self._folder, "")._replace(location=location).identity)
            if entry is not None:
                return entry
        return None

    def add(self, finding: Finding, today: str) -> bool:
        """Take ``finding`` in, or note where it is now; returns whether it is new.

        Args:
            finding: What was found.
            today: The present day, UTC, as in ``2026-01-31``.
        """
        there, fresh = self.find(finding), entry_of(finding, self._folder, today)
        if there is None:
            self._put(fresh)
            return True
        line = fresh.line if fresh.location == there.location else there.line
        self._put(there._replace(line=line, object_id=there.object_id or fresh.object_id))
        return False

    def put(self, entry: Entry) -> None:
        """Keep ``entry``, in the place of one for the same value at the same place."""
        self._put(entry)

    def judged(self, entry: Entry, verdict: Verdict, note: str, today: str) -> Entry:
        """Keep a person's verdict on ``entry``, and return the entry as it is now."""
        day = "" if verdict is Verdict.OPEN else today
        self._put(entry._replace(verdict=verdict, note=note, judged=day))
        return self._entries[entry.identity]

    def stale(self, findings: Iterable[Finding], covers: Callable[[Entry], bool]) -> tuple[Entry, ...]:
        """Return the entries whose value is not where it was.

        Entries that another tool reported are never among them, since our scan need not find the same.

        Args:
            findings: All that a scan found, known and suppressed ones too.
            covers: Whether that scan read an entry's place.
        """
        present = {
            (location, finding.fingerprint) for finding in findings for location in locations_of(finding, self._folder)
        }
        return tuple(
            entry
            for entry in self.entries
            if entry.reported_by == OURS and entry.identity not in present and covers(entry)
        )

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget ``entries``."""
        for entry in entries:
            del self._entries[entry.identity]
            self._by_fingerprint[entry.fingerprint].remove(entry.identity)

    def save(self) -> None:
        """Write the file, wholly or not at all; writes nothing when nothing changed.

        Raises:
            VersionConflictError: The file is not what was loaded: somebody else changed it, and nothing is lost.
            StoreUnavailableError: The file cannot be written.
        """
        content = written(self.key_id, self._entries.values())
        if content != self._content:
            replace_file(self.path, content, self._content)
            self._content = content

    def _put(self, entry: Entry) -> None:
        if entry.identity not in self._entries:
            self._by_fingerprint.setdefault(entry.fingerprint, []).append(entry.identity)
        self._entries[entry.identity] = entry


def _reason(entry: Entry) -> str:
    words = {
        Verdict.OPEN: f"known since {entry.added}, not judged yet",
        Verdict.TRUE: f"real, known since {entry.added}",
        Verdict.FALSE: f"judged no secret on {entry.judged}",
    }[entry.verdict]
    return f"{words}: {entry.note}" if entry.note else words


def covered(paths: Iterable[Path], folder: Path, *, history: bool) -> Callable[[Entry], bool]:
    """Return whether a scan read an entry's place, so that silence about it means that it is gone.

    Args:
        paths: What was scanned.
        folder: The baseline's folder.
        history: Whether it was a scan of all objects; only such a scan can tell that an object is gone.
    """
    scanned = [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]

    def covers(entry: Entry) -> bool:
        if bool(entry.object_id) is not history:
            return False
        is_here = not entry.location.startswith("../")
        return any(
            is_here if path == "." else f"{entry.location}/".startswith((f"{path}/", f"{path}!")) for path in scanned
        )

    return covers
