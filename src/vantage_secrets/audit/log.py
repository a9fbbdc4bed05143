"""The audit log as the rest of the package uses it: durable, shared by threads, processes and forks.

Threads that append at once share one write and one sync: whoever gets the turn writes for all who wait.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from vantage_secrets.audit.chain import CHECKPOINT_EVERY, CHECKPOINT_RECORDS, SEGMENT_BYTES, ChainWriter
from vantage_secrets.audit.event import AuditEvent
from vantage_secrets.audit.record import encode_event
from vantage_secrets.audit.spool import SpoolWriter
from vantage_secrets.audit.turns import Ticket, Turns
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.errors import AuditError, AuditUnwritableError, InvalidInputError

_LOGS: weakref.WeakSet[AuditLog] = weakref.WeakSet()


class AuditLog:
    """An append-only, hash-chained log in a folder; an :class:`~vantage_secrets.audit.event.AuditSink`.

    Safe from several threads and processes at once, and in a child after a fork. The constructor makes the folder,
    mode 0700, if only the last part of its path is missing; nothing else is touched before the first event.
    A log that was closed opens itself again with the next event.

    Args:
        folder: Where the segments are.
        on_unwritable: What happens to an event when the log cannot be written: ``refuse`` raises, ``spool`` keeps it
            in a private file in ``spool``, for :func:`vantage_secrets.audit.collection.collect_spool`.
        spool: Folder for such files; needed when ``on_unwritable`` is ``spool``.
        signing_key: File of the private key for checkpoints; ``signing.key`` in the folder when not given. Without
            a key there are no checkpoints.
        segment_bytes: Size at which a new segment begins, in bytes, 1,024 to 268,435,456.
        checkpoint_records: Sign a checkpoint after so many records, 1 or more.
        checkpoint_every: Sign a checkpoint with the first record after so long.
        clock: Where the time comes from, for checkpoints and the log's own events.

    Raises:
        InvalidInputError: A size is out of range, or ``spool`` is missing where it is needed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_unwritable: Literal["spool", "refuse"] = "refuse",
        spool: Path | None = None,
        signing_key: Path | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        checkpoint_records: int = CHECKPOINT_RECORDS,
        checkpoint_every: timedelta = CHECKPOINT_EVERY,
        clock: Clock = utc_now,
    ) -> None:
        """Check the settings and make the folder if it can be made."""
        if not 1_024 <= segment_bytes <= 1 << 28 or checkpoint_records < 1:
            raise InvalidInputError(
                "A segment has 1,024 to 268,435,456 bytes, and a checkpoint covers 1 record or more."
            )
        if on_unwritable == "spool" and spool is None:
            raise InvalidInputError(
                "The audit log has no spool folder.", hint='Set [audit] spool, or on_unwritable = "refuse".'
            )
        self.folder = folder
        self._chain = ChainWriter(
            folder,
            segment_bytes=segment_bytes,
            signing_key=signing_key,
            checkpoint_records=checkpoint_records,
            checkpoint_every=checkpoint_every,
            clock=clock,
        )
        self._spool = SpoolWriter(spool) if spool is not None and on_unwritable == "spool" else None
        self._turns = Turns(self._write)
        self._files = threading.Lock()  # Against a close while a group is written.
        _make_folder(folder)
        _LOGS.add(self)

    def append(self, event: AuditEvent) -> None:
        """Make ``event`` durable: when this returns, it is on disk, in the log or in the spool.

        Raises:
            AuditUnwritableError: It is on disk in neither; the message says what stood in the way.
            InvalidInputError: The event's time has no time zone.
        """
        self._submit(Ticket((encode_event(event),), may_spool=True))

    def append_encoded(self, bodies: Sequence[bytes]) -> None:
        """Make records of encoded events durable in the log itself, all in one group, and never spool them.

        Raises:
            AuditUnwritableError: The log cannot be written; none of them is in it.
        """
        self._submit(Ticket(bodies, may_spool=False))

    def close(self) -> None:
        """Sign a checkpoint for what was written and release the files. Safe to repeat."""
        with self._files:
            try:
                self._chain.close()
            except (OSError, AuditError):
                pass  # Every event is on disk already; 'verify' says what a later checkpoint would have covered.
            finally:
                if self._spool is not None:
                    self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _submit(self, ticket: Ticket) -> None:
        self._turns.take(ticket)
        if ticket.refusal is not None:
            message, hint = ticket.refusal
            raise AuditUnwritableError(message, hint=hint)

    def _write(self, group: list[Ticket]) -> None:
        """Settle the tickets of a group; called by one thread at a time."""
        try:
            with self._files:
                try:
                    self._chain.write([body for ticket in group for body in ticket.bodies])
                except (OSError, AuditError) as exc:
                    self._divert(group, exc)
        except BaseException:
            _refuse(group, "The audit log was interrupted while it was written.", None)
            raise

    def _divert(self, group: list[Ticket], problem: OSError | AuditError) -> None:
        """Spool what may be spooled, and refuse the rest."""
        message, hint = _describe(self.folder, problem)
        to_spool = [ticket for ticket in group if ticket.may_spool and self._spool is not None]
        _refuse([ticket for ticket in group if ticket not in to_spool], message, hint)
        if not to_spool or self._spool is None:
            return
        try:
            self._spool.write([body for ticket in to_spool for body in ticket.bodies])
        except OSError as exc:
            why = f"{message} The spool {self._spool.folder} cannot be written either: {_reason(exc)}."
            _refuse(to_spool, why, "Make room or give this user the right to write one of the two.")

    def _start_again_after_fork(self) -> None:
        """Forget what belongs to the parent: its lock, its files, and what its other threads wanted written."""
        self._turns = Turns(self._write)
        self._files = threading.Lock()  # Against a close while a group is written.
        self._chain.abandon()
        if self._spool is not None:
            self._spool.close()


def _refuse(group: list[Ticket], message: str, hint: str | None) -> None:
    for ticket in group:
        ticket.refusal = (message, hint)


def _describe(folder: Path, problem: OSError | AuditError) -> tuple[str, str | None]:
    if isinstance(problem, AuditError):
        return f"The audit log takes no events. {problem.message}", problem.hint
    return f"The audit log {folder} cannot be written: {_reason(problem)}.", None


def _reason(problem: OSError) -> str:
    words = {
        errno.EACCES: "permission denied",
        errno.ENOENT: "the folder is missing",
        errno.EROFS: "the file system is read-only",
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
    }
    return words.get(problem.errno or 0, problem.strerror or type(problem).__name__)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        return  # It is there, or the first event will find out and say why it is not.


def _after_fork() -> None:
    for log in list(_LOGS):
        log._start_again_after_fork()


os.register_at_fork(after_in_child=_after_fork)
