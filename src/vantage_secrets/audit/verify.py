"""Whether the log is what was written: the chain from the first record to the last, and the signed checkpoints.

On the good path no line is parsed: each costs one SHA-256 and two comparisons. Only when a line does not fit
does :mod:`vantage_secrets.audit.diagnosis` look at what was done to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from vantage_secrets.audit.checkpoint import Checkpoint, CheckpointVerifier
from vantage_secrets.audit.diagnosis import Problem, ProblemKind, diagnose, removed_segment
from vantage_secrets.audit.record import GENESIS, HASH_END, PREFIX
from vantage_secrets.audit.segments import Segment
from vantage_secrets.audit.source import Source, open_source
from vantage_secrets.errors import AuditIntegrityError


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found; the log is intact when ``problem`` is ``None``.

    Attributes:
        records_count: Records that are what was written, counted from the first one to the first problem.
        segments_count: Segment files that there are.
        checkpoints_count: Checkpoints of the log's own that are well signed and speak of these records.
        records_after_checkpoint_count: Records that no checkpoint covers: someone who may write the files could
            have rewritten or cut off these.
        unfinished_bytes: Length of a line at the end that was never finished, which the next writer will cut off.
        last_hash: The last good record's hash, 64 hex digits; 64 zeros when there is none.
        public_key: What the checkpoints were checked against; empty when there was no key.
        key_is_pinned: Whether that key was given by the caller and not found beside the log.
        problem: The first problem, or ``None``.
    """

    records_count: int
    segments_count: int
    checkpoints_count: int
    records_after_checkpoint_count: int
    unfinished_bytes: int
    last_hash: str
    public_key: str
    key_is_pinned: bool
    problem: Problem | None

    def raise_for_problem(self) -> None:
        """Do nothing when the log is intact.

        Raises:
            AuditIntegrityError: It is not; the message is the problem's.
        """
        if self.problem is not None:
            raise AuditIntegrityError(self.problem.text)


def verify(log: Path, *, public_key: str | None = None, checkpoint: Checkpoint | None = None) -> Verification:
    """Return whether every record of a log is what was written. Needs only the right to read; takes no lock.

    Args:
        log: A log's folder, or a file that :func:`vantage_secrets.audit.export.export` wrote in ``jsonl``.
        public_key: The key that must have signed the checkpoints, ``ed25519:BASE64``. SECURITY: without it the key
            beside the log is believed, which proves nothing about someone who could write there.
        checkpoint: A checkpoint that was kept elsewhere: the log must still contain what it says.

    Raises:
        AuditError: The log cannot be read.
        AuditIntegrityError: An exported file is no export, or not a whole log.
        InvalidInputError: ``public_key`` is no key.
    """
    source = open_source(log)
    key = source.public_key if public_key is None else public_key.strip()
    verifier = CheckpointVerifier(key) if key or public_key is not None else None
    checkpoints, problem = _signed_checkpoints(source, verifier)
    if checkpoint is not None and verifier is not None and not verifier.accepts(checkpoint):
        problem = problem or _unsigned("the checkpoint kept elsewhere", 1, checkpoint)
    walk = _Walk(source, [*checkpoints, *([checkpoint] if checkpoint else [])])
    walk.run()
    if problem is None and key and not source.checkpoint_lines and walk.seq:
        text = f"{source.checkpoints_name}: the log has a signing key but no checkpoint; they were removed."
        problem = Problem(ProblemKind.CHECKPOINTS_REMOVED, source.checkpoints_name, 1, 0, text)
    covered = [found.seq for found in checkpoints if found.seq <= walk.seq]
    return Verification(
        records_count=walk.seq,
        segments_count=len(source.segments),
        checkpoints_count=len(covered),
        records_after_checkpoint_count=walk.seq - max(covered, default=0),
        unfinished_bytes=source.segments[-1].unfinished_bytes() if source.segments else 0,
        last_hash=walk.digest.decode(),
        public_key=key,
        key_is_pinned=public_key is not None,
        problem=walk.problem or problem,
    )


def _signed_checkpoints(source: Source, verifier: CheckpointVerifier | None) -> tuple[list[Checkpoint], Problem | None]:
    """Return the checkpoints up to the first bad one, and what is bad about that one."""
    good: list[Checkpoint] = []
    name = source.checkpoints_name
    if verifier is None and source.checkpoint_lines:
        text = f"{name}: there are checkpoints but no public key to check them with; it was removed."
        return good, Problem(ProblemKind.KEY_REMOVED, name, 1, 0, text)
    for number, line in enumerate(source.checkpoint_lines, 1):
        try:
            checkpoint = Checkpoint.from_json(line)
        except AuditIntegrityError:
            text = f"{name}:{number}: this line is no checkpoint."
            return good, Problem(ProblemKind.BAD_CHECKPOINT, name, number, 0, text)
        if verifier is not None and not verifier.accepts(checkpoint):
            return good, _unsigned(name, number, checkpoint)
        if good and checkpoint.seq < good[-1].seq:
            text = f"{name}:{number}: the checkpoint for record {checkpoint.seq} follows one for {good[-1].seq}."
            return good, Problem(ProblemKind.BAD_CHECKPOINT, name, number, checkpoint.seq, text)
        good.append(checkpoint)
    return good, None


def _unsigned(name: str, number: int, checkpoint: Checkpoint) -> Problem:
    text = f"{name}:{number}: the checkpoint for record {checkpoint.seq} was not signed by the log's key."
    return Problem(ProblemKind.BAD_SIGNATURE, name, number, checkpoint.seq, text)


class _Walk:
    """Goes along the chain from its beginning to the first problem."""

    def __init__(self, source: Source, checkpoints: list[Checkpoint]) -> None:
        self.seq = 0
        self.digest = GENESIS
        self.problem: Problem | None = None
        self._source = source
        self._stops = sorted(checkpoints, key=lambda checkpoint: checkpoint.seq, reverse=True)
        self._trusted_seq = 0  # The last record that a checkpoint vouched for.

    def run(self) -> None:
        """Walk until the end or the first problem."""
        self._pass_checkpoints("", 0)
        for expected, segment in enumerate(self._source.segments, 1):
            if self.problem is None and segment.number != expected:
                self.problem = removed_segment(segment.path.name, expected, self.seq + 1)
            if self.problem is None:
                self._segment(segment)
            is_last = segment is self._source.segments[-1]
            if self.problem is None and not is_last and segment.unfinished_bytes():
                number = sum(1 for _ in segment.lines()) + segment.skipped_lines + 1
                self._report(ProblemKind.CHANGED, segment.path.name, number, f"record {self.seq + 1} was changed.")
        if self.problem is None and self._stops:
            self._report_cut_off()

    def _segment(self, segment: Segment) -> None:
        lines = segment.lines()
        number = segment.skipped_lines
        while True:
            run = self._stops[-1].seq - self.seq if self._stops else sys.maxsize
            count, self.digest, fits = _follow(islice(lines, run), self.digest, self.seq)
            self.seq += count
            number += count
            if not fits:
                self.problem = diagnose(self._source, self.seq + 1, self.digest)
                self._step_back(self.problem.seq - 1)
                return
            if count < run:
                return
            self._pass_checkpoints(segment.path.name, number)
            if self.problem is not None:
                return

    def _pass_checkpoints(self, file: str, number: int) -> None:
        """Compare the present record with the checkpoints that speak of it."""
        while self._stops and self._stops[-1].seq == self.seq:
            if self._stops.pop().hash != self.digest.decode():
                first = self._trusted_seq + 1
                what = f"a record from {first} to {self.seq} was changed, and the hashes after it were calculated anew."
                self._step_back(self._trusted_seq)
                self._report(ProblemKind.REWRITTEN, file, number, what)
                return
        self._trusted_seq = self.seq

    def _step_back(self, seq: int) -> None:
        """Stand at an earlier record: what follows it fits, but is not to be trusted."""
        if seq != self.seq:
            lines = islice(self._source.placed_lines(), seq - 1, None) if seq else iter(())
            line = next(lines, (None, 0, PREFIX + GENESIS))[2]
            self.seq, self.digest = seq, line[len(PREFIX) : HASH_END]

    def _report_cut_off(self) -> None:
        last_seq = self._stops[0].seq
        last = self._source.segments[-1] if self._source.segments else None
        file = last.path.name if last else "00000001.jsonl"
        number = sum(1 for _ in last.lines()) + last.skipped_lines if last else 0
        what = f"the end was cut off: records {self.seq + 1} to {last_seq}, which a checkpoint speaks of, are missing."
        self._report(ProblemKind.CUT_OFF, file, number + 1, what)

    def _report(self, kind: ProblemKind, file: str, number: int, what: str) -> None:
        self.problem = Problem(kind, file, number, self.seq + 1, f"{file}:{number}: {what}")


def _follow(lines: Iterable[bytes], digest: bytes, seq: int) -> tuple[int, bytes, bool]:
    """Return how many lines fit after ``digest``, the hash of the last one, and whether all did."""
    count = 0
    for line in lines:
        covered = line[HASH_END:]
        following = sha256(digest + covered).hexdigest().encode()
        count += 1
        if line[:HASH_END] != PREFIX + following or not covered.startswith(b'","seq":%d,' % (seq + count)):
            return count - 1, digest, False
        digest = following
    return count, digest, True
