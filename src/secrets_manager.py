"""The migration guide's own import name, over the same client as ``vantage_secrets``.

Its lines work as they stand::

    from secrets_manager import SecretManager, get_secret

    api_key = get_secret("vantage/api-key")

New code takes ``vantage_secrets.get_secret``, whose value does not show itself in logs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import vantage_secrets

if TYPE_CHECKING:
    from vantage_secrets import SecretClient, SecretValue

__all__ = ["SecretManager", "get_secret"]


def get_secret(name: str) -> str:
    """Return the current value of a secret as plain text.

    SECURITY: plain text shows itself when it is printed or logged; ``vantage_secrets.get_secret`` returns a value
    that does not.

    Args:
        name: Its canonical name (``vantage/api-key``) or its key in the manifest (``VANTAGE_API_KEY``).

    Raises:
        InvalidSecretValueError: The value is binary or has named fields.
        VantageSecretsError: As :func:`vantage_secrets.get_secret`.
    """
    return vantage_secrets.get_secret(name).reveal_text()


class SecretManager:
    """Follows one secret through its rotations: what is current, and what is still accepted.

    It rotates nothing by itself: ``vantage-secrets rotate`` does, and this object takes over what that promoted, at
    the latest after ``refresh_interval``, and at once when somebody presents the new value.

    Attributes:
        refresh_interval: Seconds after which the store is asked again before a value is used; may be set on the
            class or on one object.

    Args:
        name: The secret.
        client: Where to read; the process's own client by default.
    """

    refresh_interval: float = 300

    def __init__(self, name: str = "vantage/api-key", *, client: SecretClient | None = None) -> None:
        """Read nothing yet."""
        self.name = name
        self._client = client

    @property
    def current_secret(self) -> SecretValue:
        """The current value.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.get`.
        """
        return self._reader().read(self.name, max_age=self._max_age()).value

    def rotate_secret(self) -> bool:
        """Take over the newest version from the store now; return whether it is another one than before.

        The value before stays accepted by :meth:`validate_secret` through the secret's grace. To make a new version,
        run ``vantage-secrets rotate NAME``: that changes the credential at its target too.

        Raises:
            StoreUnavailableError: The store is away; the value before stays in use.
            VantageSecretsError: What else the store said.
        """
        return bool(self._reader().refresh(self.name))

    def validate_secret(self, provided: str | None) -> bool:
        """Return whether ``provided`` is the current value, or the one before while the overlap lasts.

        Constant time; nothing, an empty text and anything that is no text are never accepted.

        Raises:
            VantageSecretsError: As :meth:`vantage_secrets.SecretClient.validate`.
        """
        return self._reader().validate(self.name, provided, max_age=self._max_age())

    def _reader(self) -> SecretClient:
        return self._client or vantage_secrets.default_client()

    def _max_age(self) -> timedelta:
        return timedelta(seconds=self.refresh_interval)
