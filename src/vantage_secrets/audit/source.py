"""Where a log is read from: its folder, or a file that it was exported to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vantage_secrets.audit.checkpoint import CHECKPOINTS_NAME, PUBLIC_KEY_NAME, Checkpoint, checkpoint_lines
from vantage_secrets.audit.segments import Segment, segments_in
from vantage_secrets.errors import AuditError, AuditIntegrityError


@dataclass(frozen=True, slots=True)
class Source:
    """A log to read.

    Attributes:
        segments: Its files of records, the oldest first.
        checkpoint_lines: Its checkpoints, unparsed.
        checkpoints_name: Where they stand, for messages.
        public_key: The key beside it, ``ed25519:BASE64``; empty when there is none.
    """

    segments: list[Segment]
    checkpoint_lines: list[bytes]
    checkpoints_name: str
    public_key: str

    def placed_lines(self) -> Iterator[tuple[Segment, int, bytes]]:
        """Yield every line with its segment and its number in that file, counted from 1."""
        for segment in self.segments:
            for number, line in enumerate(segment.lines(), segment.skipped_lines + 1):
                yield segment, number, line


def open_source(log: Path) -> Source:
    """Return what ``log`` names: a folder of segments, or an exported file.

    Raises:
        AuditError: It cannot be read.
        AuditIntegrityError: A file is not the export of a whole log.
    """
    try:
        if log.is_file():
            return _exported(log)
        key_file = log / PUBLIC_KEY_NAME
        # The checkpoints before the segments: what is added meanwhile must not look cut off.
        lines = checkpoint_lines(log)
        key = key_file.read_text("ascii", "replace").strip() if key_file.exists() else ""
    except OSError as exc:
        raise AuditError(
            f"The audit log {log} cannot be read: {exc.strerror}.", hint="Ask its owner for the right to read it."
        ) from exc
    return Source(segments_in(log), lines, CHECKPOINTS_NAME, key)


def _exported(file: Path) -> Source:
    with file.open("rb") as opened:
        first = opened.readline()
    try:
        header = json.loads(first)["export"]
        checkpoints = [Checkpoint.from_fields(fields) for fields in header["checkpoints"]]
        key, is_whole = str(header["public_key"]), header["is_whole"] is True
    except (ValueError, KeyError, TypeError):
        raise AuditIntegrityError(
            f"{file} is not an exported audit log.", hint="Name a log's folder, or a file written by 'audit export'."
        ) from None
    if not is_whole:
        raise AuditIntegrityError(
            f"{file} holds a selection of records, and a chain can be verified only as a whole.",
            hint="Export without a filter to get a file that can be verified.",
        )
    segment = Segment(file, 1, file.stat().st_size, skipped_lines=1)
    return Source([segment], [checkpoint.to_json().encode() for checkpoint in checkpoints], file.name, key)
