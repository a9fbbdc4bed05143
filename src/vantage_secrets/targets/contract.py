"""The contract of a target: what one secret's credentials open, and how to change it there.

Every verb is safe to repeat, because a rotation that was killed is repaired by running it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NamedTuple

from vantage_secrets.clock import Clock
from vantage_secrets.credential import Credential
from vantage_secrets.database import Database
from vantage_secrets.manifest import SecretSpec, TargetSettings
from vantage_secrets.secret import SecretReading, SecretValue


class Overlap(StrEnum):
    """How a target lets an old and a new credential work at the same time."""

    TWO_CREDENTIALS = "two-credentials"
    """One account accepts both."""
    ALTERNATING_USERS = "alternating-users"
    """Two accounts with equal rights, used in turn."""
    NONE = "none"
    """There is none: changing the credential interrupts whoever uses the old one."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a target looks like from here.

    Attributes:
        summary: One line for a person.
        overlap: What this target offers as it is set up now.
        accepted_count: How many credentials it accepts now, where it can tell.
        warnings: What a person should know before a rotation, one sentence each; empty when all is well.
    """

    summary: str
    overlap: Overlap
    accepted_count: int | None = None
    warnings: tuple[str, ...] = ()


class LastUse(NamedTuple):
    """When a credential last opened the door.

    Attributes:
        is_known: Whether the target can tell at all.
        at: When, aware UTC; ``None`` when it never did, or nobody can tell.
    """

    is_known: bool
    at: datetime | None = None


UNKNOWN_USE = LastUse(is_known=False)
"""The answer of a target that cannot tell."""


class TargetContext(NamedTuple):
    """What a target is opened with.

    Attributes:
        spec: The secret whose credentials it serves; ``spec.account`` is the user at the target.
        settings: The manifest's table ``[targets.NAME]``, or ``None`` for a kind that has none.
        database: Returns the control database, opened when first asked for; the caller closes it.
        administrator: Returns the login that may change credentials there, read from the store at each call.
        clock: The present.
    """

    spec: SecretSpec
    settings: TargetSettings | None
    database: Callable[[], Database]
    administrator: Callable[[], Credential]
    clock: Clock


class Target(ABC):
    """Where the credentials of one secret are checked. One instance serves one secret.

    Every verb raises :class:`~vantage_secrets.errors.TargetUnavailableError` when the target does not answer;
    that proves nothing about a credential. A target that answers, and refuses to do what a verb asks or is set up
    so that it cannot be done, is a :class:`~vantage_secrets.errors.RotationError` with the next action in its hint.

    Attributes:
        kind: The manifest's ``kind`` that this target serves, such as ``api-key``.
        overlap: What it offers at its best; :meth:`probe` tells what it offers now.
    """

    kind: ClassVar[str]
    overlap: ClassVar[Overlap]

    @abstractmethod
    def probe(self) -> Probe:
        """Look, and change nothing."""

    @abstractmethod
    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return a new credential of this kind that nobody has seen; it is not installed yet.

        Where two accounts alternate, it is for the one that ``current`` is not for.
        """

    @abstractmethod
    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Make the target accept ``pending``, and ``keep`` as before; nothing else of this secret is accepted."""

    @abstractmethod
    def verify(self, pending: SecretReading) -> None:
        """Log in afresh with ``pending``, on every node of the target.

        Raises:
            CredentialRefusedError: The target answered, and refused it.
        """

    @abstractmethod
    def limit(self, previous: SecretReading, *, until: datetime, keep: SecretReading | None) -> datetime:
        """Let the target itself end the acceptance of ``previous``, so that it ends even if we die.

        ``keep`` goes on being accepted as before: a target that has to state both at once takes it from there.

        Never lengthens a life: a credential that ends earlier keeps its own end. A target that cannot end anything
        by itself changes nothing and returns ``until``.

        Returns:
            When ``previous`` ends, aware UTC.
        """

    @abstractmethod
    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        """Make the target refuse ``previous`` from now on, and go on accepting ``keep``.

        What was opened with ``previous`` is closed where the target can do that without touching ``keep``.
        """

    @abstractmethod
    def verify_refused(self, previous: SecretReading) -> None:
        """Try ``previous`` afresh, on every node, and see it refused.

        Raises:
            CredentialAcceptedError: It still opens the door.
            TargetUnavailableError: A node did not answer: an outage is not a refusal.
        """

    @abstractmethod
    def last_used(self, reading: SecretReading) -> LastUse:
        """Return when that version last opened the door, by whomever except this class's own logins."""

    @abstractmethod
    def close(self) -> None:
        """Release connections of its own. Safe to repeat."""
