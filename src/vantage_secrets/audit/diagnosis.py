"""What was done to a log whose chain does not fit: the first bad record, and which of a few things happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from vantage_secrets.audit.record import GENESIS, HASH_END, PREFIX, claimed_seq, link
from vantage_secrets.audit.segments import segment_name
from vantage_secrets.audit.source import Source


class ProblemKind(StrEnum):
    """What is wrong with a log."""

    CHANGED = "changed"
    """A record's line is not the line that was written."""
    REMOVED = "removed"
    """A record is missing, and later ones are there."""
    INSERTED = "inserted"
    """A line stands between two records that belong together."""
    DUPLICATED = "duplicated"
    """A record's line stands there a second time."""
    REORDERED = "reordered"
    """A record stands further down than it was written."""
    SEGMENT_REMOVED = "segment removed"
    """A whole segment is missing, and later ones are there."""
    CUT_OFF = "cut off"
    """The end is missing: a checkpoint speaks of records that are not there."""
    REWRITTEN = "rewritten"
    """The chain fits in itself, but not to a checkpoint: hashes were calculated anew."""
    BAD_SIGNATURE = "bad signature"
    """A checkpoint was not signed by the key."""
    BAD_CHECKPOINT = "bad checkpoint"
    """A line of the checkpoint file is no checkpoint, or out of order."""
    CHECKPOINTS_REMOVED = "checkpoints removed"
    """There is a key and there are records, but no checkpoint."""
    KEY_REMOVED = "key removed"
    """There are checkpoints, but no public key to check them with."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong with a log.

    Attributes:
        kind: Which of a few things it is.
        file: Name of the file where it shows.
        line: Line in that file, counted from 1.
        seq: Number of the first record that is not what, or where, it was written; 0 for none in particular.
        text: The whole in words, one or two sentences.
    """

    kind: ProblemKind
    file: str
    line: int
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class _Scene:
    """The first line that does not fit, and what surrounds it."""

    seq: int
    previous: bytes
    line: bytes
    claimed: int | None
    following: bytes | None
    comes_later: bool
    copy_comes_later: bool
    copy_came_before: bool

    def only_number_differs(self) -> bool:
        """Return whether the line fits when its number is put right."""
        number = b'","seq":%d,' % (self.claimed or 0)
        covered = b'","seq":%d,' % self.seq + self.line[HASH_END + len(number) :]
        return self.line[len(PREFIX) : HASH_END] == link(self.previous, covered)

    def doubt(self) -> str:
        """Return what else may have happened: a hash that does not fit may be right, and the one before it wrong."""
        hash_alone_differs = _follows(self.following or b"", link(self.previous, self.line[HASH_END:]))
        if self.seq == 1 or self.claimed != self.seq or hash_alone_differs:
            return ""
        return f", or record {self.seq - 1} was replaced by a line whose hash was calculated anew"


def diagnose(source: Source, seq: int, previous: bytes) -> Problem:
    """Return what happened at the place where record ``seq`` should be and another line is.

    Reads the log a few times, and only then.

    Args:
        source: The log.
        seq: Number of the record that should stand there; all before it fit.
        previous: Hash of the record before.
    """
    around = list(islice(source.placed_lines(), max(0, seq - 3), seq))
    segment, number, line = around[-1]
    if seq > 1:
        before_previous = around[-3][2][len(PREFIX) : HASH_END] if seq > 2 else GENESIS
        if line != around[-2][2] and claimed_seq(line) == seq - 1 and _follows(line, before_previous):
            segment, number, _ = around[-2]
            what = f"a line that fits was inserted before record {seq - 1}."
            return _problem(ProblemKind.INSERTED, segment.path.name, number, seq - 1, what)
    kind, what = _classify(_look(source, seq, previous, line))
    return _problem(kind, segment.path.name, number, seq, what)


def _problem(kind: ProblemKind, file: str, line: int, seq: int, what: str) -> Problem:
    return Problem(kind, file, line, seq, f"{file}:{line}: {what}")


def _follows(line: bytes, previous: bytes) -> bool:
    return line[len(PREFIX) : HASH_END] == link(previous, line[HASH_END:])


def _look(source: Source, seq: int, previous: bytes, line: bytes) -> _Scene:
    before = any(earlier == line for _, _, earlier in islice(source.placed_lines(), seq - 1))
    following, comes_later, copy_comes_later = None, False, False
    for _, _, later in islice(source.placed_lines(), seq, None):
        following = later if following is None else following
        comes_later = comes_later or claimed_seq(later) == seq
        copy_comes_later = copy_comes_later or later == line
    return _Scene(seq, previous, line, claimed_seq(line), following, comes_later, copy_comes_later, before)


def _classify(scene: _Scene) -> tuple[ProblemKind, str]:
    seq, claimed = scene.seq, scene.claimed
    if scene.copy_came_before:
        return ProblemKind.DUPLICATED, f"record {claimed} stands here a second time, in the place of record {seq}."
    if scene.copy_comes_later:
        return ProblemKind.INSERTED, f"a copy of record {claimed} was inserted before record {seq}."
    if claimed is not None and claimed > seq and not scene.only_number_differs():
        if scene.comes_later:
            return ProblemKind.REORDERED, f"record {seq} was moved further down; record {claimed} stands in its place."
        if claimed_seq(scene.following or b"") != seq + 1:
            last = f" to {claimed - 1}" if claimed > seq + 1 else ""
            verb = "were" if last else "was"
            return ProblemKind.REMOVED, f"record {seq}{last} {verb} removed; record {claimed} follows."
    following = scene.following or b""
    if claimed_seq(following) == seq and _follows(following, scene.previous):
        return ProblemKind.INSERTED, f"a line was inserted before record {seq}."
    return ProblemKind.CHANGED, f"record {seq} was changed{scene.doubt()}."


def removed_segment(name: str, number: int, seq: int) -> Problem:
    """Return the problem of a missing segment, which begins with record ``seq``."""
    missing = segment_name(number)
    text = f"{missing}: the segment was removed; it begins with record {seq}, and {name} follows."
    return Problem(ProblemKind.SEGMENT_REMOVED, missing, 1, seq, text)
