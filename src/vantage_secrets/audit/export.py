"""Taking the log elsewhere: JSON Lines that can be verified there, or CSV for a spreadsheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import BinaryIO, Literal, Unpack

from vantage_secrets.audit.checkpoint import Checkpoint
from vantage_secrets.audit.record import AuditRecord, decode_line, instant_text
from vantage_secrets.audit.search import Filters, selected_lines
from vantage_secrets.audit.source import Source, open_source

COLUMNS = (
    "seq", "at", "actor", "action", "subject", "outcome", "version_id", "where", "why", "spool_id", "hash",
)  # fmt: skip
"""The columns of a CSV export, in order."""


def export(
    log: Path,
    file: BinaryIO,
    *,
    format: Literal["jsonl", "csv"] = "jsonl",  # noqa: A002 - what a caller would call it
    **filters: Unpack[Filters],
) -> int:
    """Write records to ``file`` and return how many.

    ``jsonl`` begins with a line that holds the checkpoints and the public key; the log's own lines follow unchanged.
    :func:`vantage_secrets.audit.verify.verify` takes such a file, unless filters made it a selection. ``csv`` is
    UTF-8 with a header; its hashes can be looked up in the log, but a chain cannot be verified from CSV.

    Args:
        log: A log's folder.
        file: Open for writing bytes; it is neither synced nor closed.
        format: ``jsonl`` or ``csv``.
        **filters: See :class:`vantage_secrets.audit.search.Filters`.

    Raises:
        AuditError: The log cannot be read.
        AuditIntegrityError: A line or a checkpoint cannot be read.
        InvalidInputError: An instant has no time zone.
    """
    source = open_source(log)
    if format == "csv":
        return _write_csv(source, file, filters)
    header = {
        "is_whole": all(wanted is None for wanted in filters.values()),
        "public_key": source.public_key,
        "checkpoints": [Checkpoint.from_json(line)._asdict() for line in source.checkpoint_lines],
    }
    file.write(json.dumps({"export": header}).encode() + b"\n")
    count = 0
    for count, (_, line) in enumerate(selected_lines(source, **filters), 1):  # noqa: B007 - the count is the result
        file.write(line + b"\n")
    return count


class _Utf8:
    """What :mod:`csv` writes text to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "backslashreplace"))  # A lone surrogate has no UTF-8.


def _write_csv(source: Source, file: BinaryIO, filters: Filters) -> int:
    writer = csv.writer(_Utf8(file))
    writer.writerow(COLUMNS)
    count = 0
    for count, (segment, line) in enumerate(selected_lines(source, **filters), 1):  # noqa: B007
        writer.writerow(_cells(decode_line(line, segment.path.name)))
    return count


def _cells(record: AuditRecord) -> list[str]:
    event = record.event
    texts = (event.actor, event.action, event.subject, event.outcome, event.version_id, event.where, event.why)
    return [
        str(record.seq),
        instant_text(event.at),
        *(_neutral(str(text)) for text in texts),
        _neutral(record.spool_id),
        record.hash,
    ]


def _neutral(text: str) -> str:
    # SECURITY: a spreadsheet runs a cell that begins so as a formula (OWASP, CSV injection).
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
