"""The log's folder: which segment files there are, and their lines. Reading only; takes no lock.

A reader needs no lock because lines are only ever added at the end: it looks at the checkpoints first, then at
the list of segments, then at their sizes, and so sees at least the records that the checkpoints speak of.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from vantage_secrets.audit.record import LINE_BYTES_MAX
from vantage_secrets.errors import AuditError

BLOCK_BYTES: Final = 1 << 20
"""How much is read at once, in bytes."""

_NAME = re.compile(r"([0-9]{8,})\.jsonl")


def segment_name(number: int) -> str:
    """Return the file name of the segment with that number: ``00000001.jsonl``."""
    return f"{number:08d}.jsonl"


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of the segments in ``folder``, ascending.

    Raises:
        OSError: The folder cannot be read.
    """
    found = (_NAME.fullmatch(name) for name in os.listdir(folder))  # noqa: PTH208 - names alone are wanted
    return sorted(int(match[1]) for match in found if match)


class Segment(NamedTuple):
    """One file of records as it was when it was looked at.

    Attributes:
        path: The file.
        number: Its number, counted from 1.
        size_bytes: How long it was; what was added since is not read.
        skipped_lines: How many lines at its beginning are no records (an export has one).
    """

    path: Path
    number: int
    size_bytes: int
    skipped_lines: int = 0

    def blocks(self) -> Iterator[bytes]:
        """Yield the file's whole lines, about 1 MiB at a time, and last, if there is one, a line without an end."""
        rest, left = b"", self.size_bytes
        with self.path.open("rb", buffering=0) as file:
            while left and (read := file.read(min(BLOCK_BYTES, left))):
                left -= len(read)
                end = read.rfind(b"\n") + 1
                if end:
                    yield rest + read[:end]
                    rest = read[end:]
                else:
                    rest += read
                    if len(rest) > BLOCK_BYTES:  # No line is nearly that long: what follows is not the log's.
                        break
        if rest:
            yield rest

    def lines(self) -> Iterator[bytes]:
        """Yield the records' lines without their newlines; a last line without an end is left out."""
        skip = self.skipped_lines
        for block in self.blocks():
            lines = block.split(b"\n")
            lines.pop()  # What follows the last newline: nothing, or a line without an end.
            yield from lines[skip:] if skip else lines
            skip = max(0, skip - len(lines))

    def unfinished_bytes(self) -> int:
        """Return the length of what follows the last newline: 0 unless a writer died there, or is writing now."""
        with self.path.open("rb", buffering=0) as file:
            start = max(0, self.size_bytes - LINE_BYTES_MAX)
            end = os.pread(file.fileno(), self.size_bytes - start, start)
        return len(end) - (end.rfind(b"\n") + 1)


def segments_in(folder: Path) -> list[Segment]:
    """Return the segments of the log in ``folder``, the oldest first.

    Raises:
        AuditError: There is no such folder, or it cannot be read.
    """
    try:
        numbers = segment_numbers(folder)
        paths = [folder / segment_name(number) for number in numbers]
        return [Segment(path, number, path.stat().st_size) for path, number in zip(paths, numbers, strict=True)]
    except OSError as exc:
        raise AuditError(
            f"The audit log {folder} cannot be read: {exc.strerror}.",
            hint="Name the log's folder, or ask its owner for the right to read it.",
        ) from exc
