"""The contract of a target: what a credential opens, and how to change it there.

Every verb is safe to repeat, because a rotation that was killed is repaired by running it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from vantage_secrets.secret import SecretName, SecretReading, SecretValue


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
    """

    summary: str
    overlap: Overlap
    accepted_count: int | None = None


class Target(ABC):
    """Where one kind of credential is checked.

    Every verb raises :class:`~vantage_secrets.errors.TargetUnavailableError` when the target does not answer;
    that proves nothing about a credential.

    Attributes:
        kind: The manifest's ``kind`` that this target serves, such as ``api-key``.
        overlap: What it offers at its best; :meth:`probe` tells what it offers now.
    """

    kind: ClassVar[str]
    overlap: ClassVar[Overlap]

    @abstractmethod
    def probe(self, name: SecretName) -> Probe:
        """Look, and change nothing."""

    @abstractmethod
    def generate(self, current: SecretReading | None) -> SecretValue:
        """Return a new credential of this kind that nobody has seen; it is not installed yet."""

    @abstractmethod
    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        """Make the target accept ``pending``, and ``keep`` as before."""

    @abstractmethod
    def verify(self, pending: SecretReading) -> None:
        """Log in afresh with ``pending``.

        Raises:
            CredentialRefusedError: The target answered, and refused it.
        """

    @abstractmethod
    def limit(self, previous: SecretReading, *, until: datetime) -> datetime:
        """Let the target itself end the acceptance of ``previous``, so that it ends even if we die.

        Never lengthens a life: a credential that ends earlier keeps its own end.

        Returns:
            When ``previous`` ends, aware UTC.
        """

    @abstractmethod
    def revoke(self, previous: SecretReading) -> None:
        """Make the target refuse ``previous`` from now on."""

    @abstractmethod
    def verify_refused(self, previous: SecretReading) -> None:
        """Try ``previous`` afresh and see it refused.

        Raises:
            CredentialAcceptedError: It still opens the door.
        """

    @abstractmethod
    def last_used(self, name: SecretName, version_id: str) -> datetime | None:
        """Return when that version last opened the door, aware UTC; ``None`` when it never did or nobody can tell."""

    @abstractmethod
    def close(self) -> None:
        """Release connections. Safe to repeat."""
