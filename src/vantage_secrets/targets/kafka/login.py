"""Who logs in at Kafka, and who is next: two principals in turn, or one principal's two mechanisms."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from vantage_secrets.credential import PASSWORD, USERNAME, Credential
from vantage_secrets.errors import InvalidSecretValueError
from vantage_secrets.secret import SecretValue

MECHANISM = "mechanism"
"""The named field that a value has beside user name and password where mechanisms alternate."""

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
"""As clients and brokers spell them; RFC 7677 and Kafka's own."""


class Login(NamedTuple):
    """What a client logs in with."""

    username: str
    password: SecretValue
    mechanism: str

    @classmethod
    def of(cls, value: SecretValue, *, account: str, mechanism: str) -> Login:
        """Return the login that a secret's value is; ``mechanism`` counts where the value names none.

        Raises:
            InvalidSecretValueError: It has named fields, but not those of a credential, or an unknown mechanism.
        """
        username, password = Credential.of(value, account=account)
        fields = value.reveal()
        if isinstance(fields, dict):
            mechanism = fields.get(MECHANISM, mechanism).upper()
        if mechanism not in MECHANISMS:
            raise InvalidSecretValueError(
                "The value's field 'mechanism' names no SCRAM mechanism.", hint=f"Use one of {', '.join(MECHANISMS)}."
            )
        return cls(username, password, mechanism)


def principals(account: str) -> tuple[str, str]:
    """Return the two principals that take turns for ``account``."""
    return f"{account}-a", f"{account}-b"


def next_principal(account: str, current: Login | None) -> SecretValue:
    """Return a new password for the principal of the two that ``current`` is not."""
    first, second = principals(account)
    username = second if current is not None and current.username == first else first
    return SecretValue({USERNAME: username, PASSWORD: new_password()})


def next_mechanism(account: str, current: Login | None, first: str) -> SecretValue:
    """Return a new password under the mechanism that ``current`` has not; ``account`` and ``first`` without one."""
    username, mechanism = account, first
    if current is not None:
        username = current.username
        mechanism = next(name for name in MECHANISMS if name != current.mechanism)
    return SecretValue({USERNAME: username, PASSWORD: new_password(), MECHANISM: mechanism})


def new_password() -> str:
    """Return 256 random bits as text that needs no quoting in a JAAS line."""
    return secrets.token_urlsafe(32)
