"""A target in memory that can be asked what it accepts, and can be away or lie; and receipts in memory."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from tests.canary import canary
from vantage_secrets.clock import Clock
from vantage_secrets.credential import Credential
from vantage_secrets.errors import CredentialAcceptedError, CredentialRefusedError, TargetUnavailableError
from vantage_secrets.receipts import Holder
from vantage_secrets.secret import SecretName, SecretReading, SecretValue
from vantage_secrets.targets.contract import LastUse, Overlap, Probe, Target

ACCOUNT = "vantage"


class ModelTarget(Target):
    """Accounts with passwords and ends, in one dictionary.

    Args:
        overlap: ``TWO_CREDENTIALS``: one account with several passwords; ``ALTERNATING_USERS``: two with one each.
        clock: The present.

    Attributes:
        away: While true, every verb raises ``TargetUnavailableError``.
        is_lying: While true, it says yes to everything and changes nothing.
    """

    kind: ClassVar[str] = "model"

    def __init__(self, overlap: Overlap, clock: Clock) -> None:
        self.overlap = overlap  # type: ignore[misc]  # of this instance
        self.away = False
        self.is_lying = False
        self._clock = clock
        self._ends: dict[tuple[str, str], datetime | None] = {}
        self._used: dict[tuple[str, str], datetime] = {}

    def opens(self, value: SecretValue) -> bool:
        """Whether a login succeeds; counts as a use."""
        key = key_of(value)
        end = self._ends.get(key, self._clock())
        if end is not None and end <= self._clock():
            return False
        self._used[key] = self._clock()
        return True

    @property
    def accepted(self) -> set[tuple[str, str]]:
        """What opens the door now."""
        return {key for key, end in self._ends.items() if end is None or end > self._clock()}

    def probe(self) -> Probe:
        self._answer()
        return Probe("a model", self.overlap, len(self.accepted))

    def generate(self, current: SecretReading | None) -> SecretValue:
        password = SecretValue(canary(secrets.token_hex(8)))
        if self.overlap is Overlap.TWO_CREDENTIALS:
            return password
        now = Credential.of(current.value, account=ACCOUNT).username if current else ""
        return Credential(f"{ACCOUNT}-b" if now.endswith("-a") else f"{ACCOUNT}-a", password).as_value()

    def install(self, pending: SecretReading, *, keep: SecretReading | None) -> None:
        self._answer()
        if self.is_lying:
            return
        if self.overlap is Overlap.ALTERNATING_USERS:  # one password an account
            user = key_of(pending.value)[0]
            self._ends = {key: end for key, end in self._ends.items() if key[0] != user}
        if keep is not None:
            self._ends.setdefault(key_of(keep.value), None)
        self._ends[key_of(pending.value)] = None

    def verify(self, pending: SecretReading) -> None:
        self._answer()
        if not self._accepts(pending):
            raise CredentialRefusedError("no")

    def limit(self, previous: SecretReading, *, until: datetime, keep: SecretReading | None) -> datetime:
        self._answer()
        key = key_of(previous.value)
        if self.is_lying or key not in self._ends:
            return until
        end = min(self._ends[key] or until, until)
        self._ends[key] = end
        return end

    def revoke(self, previous: SecretReading, *, keep: SecretReading | None) -> None:
        self._answer()
        if not self.is_lying:
            self._ends.pop(key_of(previous.value), None)

    def verify_refused(self, previous: SecretReading) -> None:
        self._answer()
        if self._accepts(previous):
            raise CredentialAcceptedError("still open")

    def last_used(self, reading: SecretReading) -> LastUse:
        self._answer()
        return LastUse(is_known=True, at=self._used.get(key_of(reading.value)))

    def close(self) -> None:
        """Nothing is open."""

    def _accepts(self, reading: SecretReading) -> bool:
        return key_of(reading.value) in self.accepted

    def _answer(self) -> None:
        if self.away:
            raise TargetUnavailableError("away")


def key_of(value: SecretValue) -> tuple[str, str]:
    credential = Credential.of(value, account=ACCOUNT)
    digest = hashlib.sha256(credential.password.reveal_text().encode())  # what a failed test may show
    return credential.username, digest.hexdigest()[:12]


@dataclass
class ModelConsumer:
    """A service that reads now and then, and uses what it read."""

    service: str
    reading: SecretReading | None = None
    since: datetime | None = None
    has_vanished: bool = False


@dataclass
class ModelReceipts:
    """What the consumers would have left in the control database."""

    consumers: list[ModelConsumer] = field(default_factory=list)

    def holders(self, secret: SecretName, *, now: datetime, at: datetime | None = None) -> tuple[Holder, ...]:
        return tuple(
            Holder(
                service=consumer.service,
                instance=f"host/{consumer.service}/1",
                version_id=consumer.reading.version.id,
                since=consumer.since or now,
                seen_at=now - timedelta(days=1) if consumer.has_vanished else now,
                is_known=not consumer.has_vanished,
            )
            for consumer in self.consumers
            if consumer.reading is not None
        )

    def services(self, secret: SecretName) -> frozenset[str]:
        return frozenset(consumer.service for consumer in self.consumers if consumer.reading is not None)
