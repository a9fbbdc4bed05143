"""Keep credentials in a secrets manager, rotate them without downtime, and prove the old ones dead.

An application needs one line, and a ``vantage-secrets.toml`` in its folder or above::

    from vantage_secrets import get_secret

    api_key = get_secret("vantage/api-key").reveal_text()

The other names are imported when they are first used, so that ``import vantage_secrets`` costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vantage_secrets import errors as errors
    from vantage_secrets.client import SecretClient as SecretClient
    from vantage_secrets.credential import Credential as Credential
    from vantage_secrets.secret import SecretName as SecretName
    from vantage_secrets.secret import SecretReading as SecretReading
    from vantage_secrets.secret import SecretValue as SecretValue
    from vantage_secrets.secret import SecretVersion as SecretVersion
    from vantage_secrets.secret import Stage as Stage

__version__ = "0.1.0"

__all__ = [
    "Credential",
    "SecretClient",
    "SecretName",
    "SecretReading",
    "SecretValue",
    "SecretVersion",
    "Stage",
    "__version__",
    "default_client",
    "errors",
    "get_credential",
    "get_secret",
]

_HOMES = {
    "Credential": "vantage_secrets.credential",
    "SecretClient": "vantage_secrets.client",
    "SecretName": "vantage_secrets.secret",
    "SecretReading": "vantage_secrets.secret",
    "SecretValue": "vantage_secrets.secret",
    "SecretVersion": "vantage_secrets.secret",
    "Stage": "vantage_secrets.secret",
}

# The default client's own dictionary of fresh values once there is one: a cached read is one look-up in it.
_fresh_values: Mapping[str, SecretValue] = {}


def get_secret(name: str) -> SecretValue:
    """Return the current value of a secret of the nearest manifest.

    The first read of a secret asks the store; later ones are one dictionary look-up, kept fresh in the background.
    Safe from any thread and after a fork.

    Args:
        name: Its canonical name (``vantage/api-key``) or its key in the manifest (``VANTAGE_API_KEY``).

    Raises:
        ManifestNotFoundError: There is no ``vantage-secrets.toml`` here, above, or where ``VANTAGE_SECRETS_MANIFEST``
            says.
        UnknownSecretError: The manifest has no such key.
        SecretNotFoundError: The store holds no such secret.
        StoreAccessDeniedError: The store refuses to read it.
        StoreUnavailableError: The store is away, and the secret was never read before.
        ValueUnavailableError: The store is away for longer than the manifest's ``[client] max_stale``.
    """
    try:
        return _fresh_values[name]
    except KeyError:
        return _look_up(name)


def get_credential(name: str, *, account: str = "") -> Credential:
    """Return the current value of a secret of the nearest manifest as user name and password, which belong together.

    Args:
        name: Its canonical name or its key in the manifest.
        account: Whose password it is, where neither the value nor the manifest says so.

    Raises:
        InvalidInputError: Nothing says whose password it is.
        InvalidSecretValueError: The value has named fields, but not ``username`` and ``password``.
        VantageSecretsError: As :func:`get_secret`.
    """
    return default_client().credential(name, account=account)


def default_client() -> SecretClient:
    """Return the process's own client, made from the nearest manifest when it is first asked for.

    Raises:
        ManifestError: There is no manifest, or it has a mistake.
        StoreError: The store cannot be opened.
    """
    from vantage_secrets import bootstrap

    return bootstrap.default_client()


def _look_up(name: str) -> SecretValue:
    global _fresh_values
    client = default_client()
    value = client.get(name)
    # A closed client's dictionary is empty, so that the next read comes here again and finds its successor.
    _fresh_values = client.fresh_values
    return value


def __getattr__(name: str) -> object:
    if name == "errors" or name in _HOMES:
        from importlib import import_module

        found: object = (
            import_module("vantage_secrets.errors") if name == "errors" else getattr(import_module(_HOMES[name]), name)
        )
        globals()[name] = found
        return found
    raise AttributeError(f"module 'vantage_secrets' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
