"""Opening a store in Azure Key Vault by its URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from vantage_secrets.clock import Clock, parse_duration, utc_now
from vantage_secrets.errors import InvalidInputError, InvalidURLError, MissingExtraError
from vantage_secrets.stores.azure.store import AzureStore

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_OPTIONS: Final = ("vault_url", "ca_file", "verify_challenge_resource", "timeout")
_TIMEOUT: Final = "15s"
_VAULT: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{2,23}", re.ASCII)
"""A vault's name: 3 to 24 letters, digits and hyphens, a letter first."""
_PUBLIC_CLOUD: Final = "vault.azure.net"


def open_azure(
    url: str,
    *,
    environment: str,
    options: Mapping[str, str],
    prompt: Callable[[], str] | None = None,  # noqa: ARG001  # Azure logs in without us.
    clock: Clock = utc_now,
    credential: TokenCredential | None = None,
) -> AzureStore:
    """Return the store in the vault that ``url`` names. Makes no request yet.

    Args:
        url: ``azure://VAULT`` for ``https://VAULT.vault.azure.net``; ``azure://HOST`` or ``azure://HOST:PORT`` for a
            vault in another cloud, behind another name, or a test server.
        environment: Stands in a tag on everything written; secrets of another one are not written over.
        options: ``vault_url`` (where the vault is, in place of what the URL says), ``ca_file`` (certificates to trust
            in place of the usual ones), ``verify_challenge_resource`` (``false`` for a server whose challenge names
            another domain), ``timeout`` (bound of each call, all tries together, such as ``15s``).
        prompt: Not used.
        clock: Tells the time that versions bear.
        credential: The login; without it azure-identity's ``DefaultAzureCredential``.

    Raises:
        InvalidURLError: The URL names no vault.
        InvalidInputError: There is an option that this store does not have, or one has no such value.
        MissingExtraError: The SDK is not installed.
    """
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidInputError(
            f"The Azure store has no option '{unknown[0]}'.", hint=f"Use one of: {', '.join(sorted(_OPTIONS))}."
        )
    vault_url = _checked(options["vault_url"]) if "vault_url" in options else vault_url_in(url)
    seconds = parse_duration(options.get("timeout", _TIMEOUT)).total_seconds()
    if not seconds:
        raise InvalidInputError("The option 'timeout' leaves no time for an answer.", hint="Set it to 1s or more.")
    try:
        from vantage_secrets.stores.azure.vault import KeyVault
    except ModuleNotFoundError as exc:
        raise _missing(exc, "azure-keyvault-secrets") from exc
    vault = KeyVault(
        vault_url,
        credential or _default_credential(),
        seconds=seconds,
        ca_file=options.get("ca_file"),
        verify_challenge_resource=_is_true(options.get("verify_challenge_resource", "true")),
    )
    return AzureStore(url, vault, environment=environment, clock=clock)


def vault_url_in(url: str) -> str:
    """Return where the vault that ``url`` names is, as ``https://…``.

    Raises:
        InvalidURLError: It names none.
    """
    scheme, _separator, place = url.partition("://")
    place = place.rstrip("/")
    if scheme == "azure" and _VAULT.fullmatch(place):
        return f"https://{place}.{_PUBLIC_CLOUD}"
    if scheme == "azure" and re.fullmatch(r"[a-zA-Z0-9.-]+(:\d{1,5})?", place) and ("." in place or ":" in place):
        return f"https://{place}"
    raise InvalidURLError(
        f"'{url[:100]}' names no vault.", hint="Use azure://VAULT, such as azure://vantage-production."
    )


def _checked(vault_url: str) -> str:
    parts = urlsplit(vault_url)
    # SECURITY: a login is sent there, so nothing but TLS; and a name with a password in it is a mistake.
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        raise InvalidURLError(
            "The option 'vault_url' is no vault's URL.", hint="Use one such as https://vantage.vault.azure.net."
        )
    return f"https://{parts.netloc}"


def _is_true(text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidInputError("The option 'verify_challenge_resource' is true or false.")
    return text == "true"


def _default_credential() -> TokenCredential:
    try:
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError as exc:
        raise _missing(exc, "azure-identity") from exc
    return DefaultAzureCredential()


def _missing(exc: ModuleNotFoundError, package: str) -> ModuleNotFoundError | MissingExtraError:
    """Return the error that names the package; a module of ours that is missing is a mistake of ours."""
    ours = (exc.name or "").startswith("vantage_secrets")
    return exc if ours else MissingExtraError(package, "azure")
