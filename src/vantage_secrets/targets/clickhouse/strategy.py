"""How old and new overlap: one small interface, three ways."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar

from vantage_secrets.credential import Credential
from vantage_secrets.errors import RotationError
from vantage_secrets.secret import SecretValue
from vantage_secrets.targets.contract import Overlap

PASSWORD_BYTES = 32
"""Random bytes of a password: 256 bits, so that a fast hash of it is as good as a slow one."""


def new_password() -> SecretValue:
    """Return a password that nobody has seen: 43 letters, digits, ``-`` and ``_``."""
    return SecretValue(secrets.token_urlsafe(PASSWORD_BYTES))


class Strategy(ABC):
    """One way to change an account's password so that old and new overlap. Every verb is safe to repeat.

    The verbs are those of :class:`~vantage_secrets.targets.contract.Target`, and raise what those raise.

    Attributes:
        name: What the manifest calls it.
        overlap: What it offers.
    """

    name: ClassVar[str]
    overlap: ClassVar[Overlap]

    @abstractmethod
    def generate(self, current: SecretValue | None) -> SecretValue:
        """Return the next credential; it is not installed yet."""

    @abstractmethod
    def install(self, pending: Credential, keep: Credential | None) -> None:
        """Make every server accept ``pending``, and ``keep`` as before, and nothing else of this account."""

    @abstractmethod
    def limit(self, previous: Credential, until: datetime, keep: Credential | None) -> datetime:
        """Let the servers end ``previous`` by themselves, never later than they would have.

        ``keep`` is what must go on working.
        """

    @abstractmethod
    def revoke(self, previous: Credential, keep: Credential | None) -> None:
        """Make every server refuse ``previous``."""

    @abstractmethod
    def accepted_count(self) -> int | None:
        """Return how many credentials are accepted now, where that can be told."""

    @abstractmethod
    def tells_versions_apart(self) -> bool:
        """Whether the user's name says which version was used."""


class Pair:
    """The two users that alternate for an account, ``ACCOUNT_a`` and ``ACCOUNT_b``.

    Args:
        account: The account as the manifest names it. It may be a user too, whose password came before the first
            rotation, or out of a person's hand.
    """

    def __init__(self, account: str) -> None:
        """Name them."""
        self.account = account
        self.users = (f"{account}_a", f"{account}_b")

    @property
    def everyone(self) -> tuple[str, ...]:
        """All three names, the account first."""
        return (self.account, *self.users)

    def next(self, current: SecretValue | None) -> SecretValue:
        """Return a fresh credential for the user that ``current`` is not for."""
        user = self.users[0]
        if current is not None and Credential.of(current, account=self.account).username == user:
            user = self.users[1]
        return Credential(user, new_password()).as_value()

    def check(self, pending: Credential, keep: Credential | None) -> None:
        """Check that two credentials belong to two users of this account.

        Raises:
            RotationError: They do not.
        """
        for one in (pending, keep):
            if one is not None and one.username not in self.everyone:
                raise RotationError(
                    f"The value is for user '{one.username}', and this account is '{self.account}', in turn "
                    f"{' and '.join(self.users)}.",
                    hint="Correct the account or the strategy in the manifest, or set a value with that username.",
                )
        if keep is not None and keep.username == pending.username:
            raise RotationError(
                f"The pending and the current value are both for user '{pending.username}', which has one password.",
                hint="Give the pending one up with --abandon; rotate makes one for the other user.",
            )
