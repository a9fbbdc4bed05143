"""Writing the chain: one thread of one process at a time, between processes by a lock on a file.

Knows nothing of threads, forks and spools; :mod:`vantage_secrets.audit.log` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from fcntl import LOCK_EX, LOCK_UN, flock
from hashlib import sha256
from pathlib import Path
from typing import Final

from vantage_secrets.audit.checkpoint import (
    SIGNING_KEY_NAME,
    Signer,
    append_checkpoint,
    last_checkpoint,
    sync_folder,
)
from vantage_secrets.audit.event import Action, AuditEvent, Outcome
from vantage_secrets.audit.place import here
from vantage_secrets.audit.record import (
    GENESIS,
    HASH_END,
    LINE_BYTES_MAX,
    PREFIX,
    claimed_seq,
    encode_event,
    link,
    number_body,
)
from vantage_secrets.audit.segments import segment_name, segment_numbers
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import AuditError, AuditIntegrityError

LOCK_NAME: Final = "lock"

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""Size at which a segment is followed by a new one, in bytes: about 45,000 records."""

CHECKPOINT_RECORDS: Final = 10_000
"""Records after which a checkpoint is signed."""

CHECKPOINT_EVERY: Final = timedelta(seconds=60)
"""Time after which the next record is followed by a checkpoint."""


class _Tail:
    """The end of the log as this process knows it."""

    __slots__ = ("digest", "handle", "inode", "next_path", "number", "path", "seq", "size_bytes")

    def __init__(self, handle: int, path: str, next_path: str, number: int, before: tuple[int, bytes]) -> None:
        self.handle = handle
        self.path = path
        self.next_path = next_path
        self.number = number
        self.inode = os.fstat(handle).st_ino
        self.size_bytes = 0
        self.seq, self.digest = before


class ChainWriter:
    """Adds records to the log in a folder. Not safe from several threads; safe from several processes.

    Args:
        folder: The log's folder; it must be there.
        segment_bytes: A segment that has reached this size is followed by a new one.
        signing_key: The private key's file; ``signing.key`` in the folder when ``None``, and then it may be missing.
        checkpoint_records: Sign a checkpoint after so many records.
        checkpoint_every: Sign a checkpoint with the first record after so long.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        signing_key: Path | None = None,
        checkpoint_records: int = CHECKPOINT_RECORDS,
        checkpoint_every: timedelta = CHECKPOINT_EVERY,
        clock: Clock = utc_now,
    ) -> None:
        """Touch nothing yet."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._signing_key = signing_key
        self._checkpoint_records = checkpoint_records
        self._checkpoint_every = checkpoint_every
        self._clock = clock
        self._lock: int | None = None
        self._tail: _Tail | None = None
        self._signer: Signer | None = None
        self._signed_seq = 0
        self._signed_at: datetime | None = None

    def write(self, bodies: Sequence[bytes]) -> None:
        """Add one record for each body, in order; when this returns, all are on disk. All or none, but for a crash.

        Raises:
            OSError: The log cannot be written; what had been written of these is cut off again.
            AuditError: The folder or the signing key may be changed by others.
            AuditIntegrityError: The log's end is not what its last checkpoint says.
        """
        with self._locked():
            tail = self._ready_tail()
            self._append(tail, bodies)
            if tail.size_bytes >= self._segment_bytes:
                self._rotate(tail)
            elif self._checkpoint_is_due(tail):
                self._checkpoint(tail)

    def close(self) -> None:
        """Sign a checkpoint if there are records after the last one, and release the files. Safe to repeat."""
        try:
            if self._tail is not None:
                with self._locked():
                    tail = self._ready_tail()
                    if tail.seq > self._signed_seq:
                        self._checkpoint(tail)
        finally:
            self.abandon()

    def sign_first_checkpoint(self) -> None:
        """Make the log if there is none, sign a checkpoint if there is none, and release the files.

        Raises:
            OSError: The log cannot be written.
            AuditError: As for :meth:`write`.
        """
        try:
            with self._locked():
                self._ready_tail()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Release the files and nothing else, as a forked child must."""
        self._drop_tail()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._lock = os.open(self._folder / LOCK_NAME, flags, 0o600)
        handle = self._lock
        flock(handle, LOCK_EX)
        try:
            yield
        finally:
            flock(handle, LOCK_UN)

    def _ready_tail(self) -> _Tail:
        """Return the log's end as it is now; the lock is held."""
        tail = self._tail
        if tail is not None and not os.path.exists(tail.next_path):  # noqa: PTH110 - once a group, and a str is faster
            with suppress(FileNotFoundError):
                found = os.stat(tail.path)  # noqa: PTH116
                if found.st_ino == tail.inode and found.st_size == tail.size_bytes:
                    return tail
                if (
                    found.st_ino == tail.inode
                    and found.st_size > tail.size_bytes
                    and self._catch_up(tail, found.st_size)
                ):
                    return tail
        self._drop_tail()
        return self._open_tail()

    def _catch_up(self, tail: _Tail, size_bytes: int) -> bool:
        """Take over what another process added; return False when it left an unfinished line."""
        last, unfinished = _last_line(tail.handle, size_bytes)
        seq = claimed_seq(last)
        if unfinished or seq is None or seq <= tail.seq:
            return False
        tail.size_bytes, tail.seq, tail.digest = size_bytes, seq, last[len(PREFIX) : HASH_END]
        return True

    def _open_tail(self) -> _Tail:
        _refuse_if_open(self._folder, self._folder.stat().st_mode)
        numbers = segment_numbers(self._folder)
        number = numbers[-1] if numbers else 1
        before = self._end_of(numbers[-2]) if len(numbers) > 1 else (0, GENESIS)
        tail = self._open_segment(number, before)
        try:
            unfinished = self._read_end(tail)
            self._match_checkpoint(tail, unfinished)
            self._tail = tail
            if unfinished:
                self._recover(tail, unfinished)
        except BaseException:
            self._tail = None
            os.close(tail.handle)
            raise
        return tail

    def _open_segment(self, number: int, before: tuple[int, bytes]) -> _Tail:
        path = self._folder / segment_name(number)
        is_new = not path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(path, flags, 0o600)
        try:
            found = os.fstat(handle)
            _refuse_if_open(path, found.st_mode)
            if is_new:
                sync_folder(self._folder)
        except BaseException:
            os.close(handle)
            raise
        next_path = str(self._folder / segment_name(number + 1))
        return _Tail(handle, str(path), next_path, number, before)

    def _read_end(self, tail: _Tail) -> bytes:
        """Set ``tail`` to the last whole line; return what follows it."""
        size_bytes = os.fstat(tail.handle).st_size
        last, unfinished = _last_line(tail.handle, size_bytes)
        tail.size_bytes = size_bytes - len(unfinished)
        if last:
            seq = claimed_seq(last)
            if seq is None:
                raise AuditIntegrityError(f"The last line of {tail.path} is no record.")
            tail.seq, tail.digest = seq, last[len(PREFIX) : HASH_END]
        elif tail.size_bytes:
            raise AuditIntegrityError(f"The last line of {tail.path} is no record.")
        return unfinished

    def _end_of(self, number: int) -> tuple[int, bytes]:
        """Return number and hash of the last record of a finished segment."""
        path = self._folder / segment_name(number)
        with path.open("rb", buffering=0) as file:
            last, _ = _last_line(file.fileno(), path.stat().st_size)
        seq = claimed_seq(last)
        if seq is None:
            raise AuditIntegrityError(f"The last line of {path} is no record.")
        return seq, last[len(PREFIX) : HASH_END]

    def _drop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            os.close(tail.handle)

    def _append(self, tail: _Tail, bodies: Sequence[bytes]) -> None:
        seq, digest = tail.seq, tail.digest
        lines: list[bytes] = []
        for body in bodies:
            seq += 1
            covered = number_body(seq, body)
            digest = link(digest, covered)
            lines += (PREFIX, digest, covered, b"\n")
        data = b"".join(lines)
        try:
            write_all(tail.handle, data)
            os.fdatasync(tail.handle)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(tail.handle, tail.size_bytes)
            self._drop_tail()
            raise
        tail.size_bytes += len(data)
        tail.seq, tail.digest = seq, digest

    def _recover(self, tail: _Tail, unfinished: bytes) -> None:
        """Cut off a line that a writer did not finish, and record that."""
        os.ftruncate(tail.handle, tail.size_bytes)
        why = f"cut off {len(unfinished)} bytes of an unfinished record, SHA-256 {sha256(unfinished).hexdigest()}"
        who, where = here()
        subject = Path(tail.path).name
        event = AuditEvent(self._clock(), who, Action.LOG_RECOVER, subject, Outcome.SUCCESS, where=where, why=why)
        self._append(tail, [encode_event(event)])

    def _rotate(self, tail: _Tail) -> None:
        """Sign what is there and go on in a new segment."""
        self._checkpoint(tail)
        with suppress(OSError):  # The records are on disk; the next call tries again.
            following = self._open_segment(tail.number + 1, (tail.seq, tail.digest))
            self._drop_tail()
            self._tail = following

    def _match_checkpoint(self, tail: _Tail, unfinished: bytes) -> None:
        """Compare the log's end with its last checkpoint, and sign the first checkpoint if there is none."""
        last = last_checkpoint(self._folder)
        if last is not None and (last.seq > tail.seq or (last.seq == tail.seq and last.hash != tail.digest.decode())):
            torn = " and ends in an unfinished line" if unfinished else ""
            raise AuditIntegrityError(
                f"The audit log {self._folder} ends with record {tail.seq}{torn}, "
                f"but its last checkpoint is for record {last.seq}.",
                hint="Keep the folder as evidence and run 'vantage-secrets audit verify'; nothing was repaired.",
            )
        self._find_signer()
        self._signed_seq, self._signed_at = (last.seq, self._clock()) if last else (0, None)
        if last is None:
            self._checkpoint(tail)

    def _find_signer(self) -> None:
        if self._signing_key is not None:
            self._signer = Signer(self._signing_key)
            return
        with suppress(FileNotFoundError, PermissionError):
            self._signer = Signer(self._folder / SIGNING_KEY_NAME)

    def _checkpoint_is_due(self, tail: _Tail) -> bool:
        if tail.seq - self._signed_seq >= self._checkpoint_records or self._signed_at is None:
            return True
        return self._clock() - self._signed_at >= self._checkpoint_every

    def _checkpoint(self, tail: _Tail) -> None:
        self._signed_at = self._clock()
        if self._signer is None:
            return
        try:
            checkpoint = self._signer.sign(tail.seq, tail.digest, self._signed_at)
            append_checkpoint(self._folder, checkpoint)
        except OSError:  # The records are on disk, which is what was promised; a later checkpoint will cover them.
            return
        self._signed_seq = tail.seq


def _refuse_if_open(path: Path, mode: int) -> None:
    # SECURITY: what everyone may write is no evidence; where everyone may write, files can be exchanged.
    if mode & 0o002:
        raise AuditError(
            f"The audit log's {path} may be written by everyone.",
            hint=f"Run 'chmod o-w {path}', and then 'vantage-secrets audit verify'.",
        )


def _last_line(handle: int, size_bytes: int) -> tuple[bytes, bytes]:
    """Return the last whole line without its newline, and what follows it; empty when there is none."""
    start = max(0, size_bytes - 2 * LINE_BYTES_MAX)
    end = os.pread(handle, size_bytes - start, start)
    whole, newline, unfinished = end.rpartition(b"\n")
    return (whole.rpartition(b"\n")[2], unfinished) if newline else (b"", end)


def write_all(handle: int, data: bytes) -> None:
    """Write all of ``data``, however little of it is taken at a time.

    Raises:
        OSError: A part of it, or all, was not written.
    """
    written = os.write(handle, data)
    while written < len(data):  # A nearly full disk takes a part and refuses the rest.
        written += os.write(handle, data[written:])
