"""A user name and its password as one value: published in two steps, they would not belong together for a while."""

from __future__ import annotations

from typing import NamedTuple

from vantage_secrets.errors import InvalidSecretValueError
from vantage_secrets.secret import SecretValue

USERNAME, PASSWORD = "username", "password"
"""The named fields of a secret whose user name changes together with its password."""


class Credential(NamedTuple):
    """What a login takes.

    Attributes:
        username: Who logs in; no secret.
        password: With what.
    """

    username: str
    password: SecretValue

    @classmethod
    def of(cls, value: SecretValue, *, account: str) -> Credential:
        """Return the credential that a secret's value is.

        A value of named fields brings its own user name. Any other value is a password alone, as it came out of a
        ``.env`` file or where the user name never changes, and belongs to ``account``.

        Raises:
            InvalidSecretValueError: The value has named fields, but not ``username`` and ``password``.
        """
        fields = value.reveal()
        if not isinstance(fields, dict):
            return cls(account, value)
        if not {USERNAME, PASSWORD} <= fields.keys():
            raise InvalidSecretValueError(
                f"The value has the named fields {', '.join(sorted(fields))}, and no user name with its password.",
                hint="Set it anew with the fields username and password.",
            )
        return cls(fields[USERNAME], SecretValue(fields[PASSWORD]))

    def as_value(self) -> SecretValue:
        """Return both as the value of one secret."""
        return SecretValue({USERNAME: self.username, PASSWORD: self.password.reveal_text()})
