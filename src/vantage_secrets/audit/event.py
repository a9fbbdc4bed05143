"""One entry of the audit trail: who did what to which secret, and how it ended. Never a value."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol


class Action(StrEnum):
    """What was done, as ``part:subject:verb``; the list is closed, so that a search can be complete."""

    SECRET_READ = "store:secret:read"
    VERSION_STAGE = "store:version:stage"
    VERSION_PROMOTE = "store:version:promote"
    VERSION_RETIRE = "store:version:retire"
    SECRET_DELETE = "store:secret:delete"
    KEY_ROTATE = "store:key:rotate"
    TARGET_INSTALL = "target:credential:install"
    TARGET_VERIFY = "target:credential:verify"
    TARGET_LIMIT = "target:credential:limit"
    TARGET_REVOKE = "target:credential:revoke"
    TARGET_VERIFY_REFUSED = "target:credential:verify-refused"
    SECRET_DELIVER = "delivery:secret:deliver"
    RECEIPT_DISMISS = "receipts:receipt:dismiss"
    COMMAND_RUN = "cli:command:run"
    LOG_RECOVER = "audit:log:recover"
    SPOOL_COLLECT = "audit:spool:collect"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    DENIED = "denied"
    """The store answered, and said no."""
    ABSENT = "absent"
    """The store answered, and there was nothing."""
    FAILED = "failed"


class AuditEvent(NamedTuple):
    """Who did what to which secret, where, why, and how it ended.

    Attributes:
        at: When, aware UTC.
        actor: Who, as ``user@host`` or a service's name.
        action: What, one of :class:`Action`.
        subject: To what: a secret's canonical name, a command's name, or a path; may be empty.
        version_id: Which version of the secret; empty when none is meant.
        outcome: How it ended.
        where: The process that did it, as ``host/program/pid``.
        why: The reason, one line: a command line's own words, ``refresh``, or the code of the error.
    """

    at: datetime
    actor: str
    action: Action
    subject: str
    outcome: Outcome
    version_id: str = ""
    where: str = ""
    why: str = ""


class AuditSink(Protocol):
    """Where events go."""

    def append(self, event: AuditEvent) -> None:
        """Make ``event`` durable: when this returns, it is on disk. Safe from several threads and processes.

        Raises:
            AuditUnwritableError: The log cannot be written, and it was told to refuse rather than to spool.
        """

    def close(self) -> None:
        """Write what is due and release the files. Safe to repeat."""
