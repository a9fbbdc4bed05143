"""The SDK's errors as ours, in one place.

SECURITY: of an answer only its status and its codes are looked at, and only words of ours are said: what is raised
holds no body, no URL and no error of the SDK, which keeps the whole answer.
"""

from __future__ import annotations

from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from vantage_secrets.errors import (
    InvalidInputError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    VersionConflictError,
)
from vantage_secrets.stores.azure.answers import Action, Nothing

_LOGIN_HINT: Final = (
    "Log in with 'az login', or give the process a managed identity or AZURE_TENANT_ID, AZURE_CLIENT_ID and a "
    "certificate or secret."
)
_INNER: Final = {
    "SecretDisabled": Nothing.DISABLED,
    "ObjectIsDeletedButRecoverable": Nothing.DELETED,
    "ObjectIsBeingDeleted": Nothing.UNDER_WAY,
    "ObjectIsBeingRecovered": Nothing.UNDER_WAY,
}
_NETWORK_CODES: Final = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})


def explained(exc: AzureError | ValueError, action: Action, place: str) -> StoreError | InvalidInputError | Nothing:
    """Return what an error of the SDK means for ``action`` on the secret ``place`` (empty: on the whole vault)."""
    if isinstance(exc, ValueError):
        return StoreAccessDeniedError(
            "The SDK refuses to log in there: the server asks for a token for another address than its own.",
            hint="Check the vault's URL; for a server of your own set the option verify_challenge_resource=false.",
        )
    if isinstance(exc, ServiceRequestError | ServiceResponseError):
        return _no_answer(exc)
    if isinstance(exc, HttpResponseError) and exc.status_code is not None:
        return _answered(exc.status_code, *_codes(exc), action, place)
    if isinstance(exc, ClientAuthenticationError):  # azure-identity found no login, or the login was refused.
        return StoreAccessDeniedError("No login to Azure could be had.", hint=_LOGIN_HINT)
    return StoreError(f"The Azure SDK failed with {type(exc).__name__}.", hint="Run 'vantage-secrets doctor'.")


def _no_answer(exc: AzureError) -> StoreUnavailableError:
    seen: BaseException | None = exc
    while seen is not None:
        if "CERTIFICATE_VERIFY_FAILED" in str(seen):
            return StoreUnavailableError(
                "The server at the vault's address has a certificate that is not trusted here.",
                hint="Check the URL; for a private authority set the option ca_file or REQUESTS_CA_BUNDLE.",
            )
        seen = seen.__cause__ or seen.__context__
    return StoreUnavailableError(
        "The vault did not answer in time.", hint="Check the vault's name and the network, then try again."
    )


def _codes(exc: HttpResponseError) -> tuple[str, str]:
    """Return code and inner code, empty where the body has none."""
    inner: Any = exc.error.innererror if exc.error else None
    code = exc.error.code if exc.error else None
    return str(code or ""), str(inner.get("code") or "") if isinstance(inner, dict) else ""


def _answered(
    status: int, code: str, inner: str, action: Action, place: str
) -> StoreError | InvalidInputError | Nothing:
    where = f"'{place}'" if place else "the vault"
    if inner in _INNER:
        return _INNER[inner]
    if status == 404:
        return Nothing.ABSENT
    if status == 401:
        return StoreAccessDeniedError("The vault takes the login no more, or never did.", hint=_LOGIN_HINT)
    if status == 403:
        return _refused(inner or code, action, where)
    if status == 429:
        return StoreBusyError(
            "The vault answers no more requests for now (429).",
            hint="Try again in some seconds; a vault takes 4,000 reads and 300 writes in ten seconds.",
        )
    if status == 409:
        return VersionConflictError(f"Another operation on {where} is under way in the vault.")
    if status == 400:
        return InvalidInputError(f"The vault does not take what was sent for {where}.")
    return StoreUnavailableError(f"The vault answered with status {status}.")


def _refused(code: str, action: Action, where: str) -> StoreAccessDeniedError:
    if code in _NETWORK_CODES:
        return StoreAccessDeniedError(
            "The vault's firewall lets no requests from here through.",
            hint="Run this inside the vault's network, or add this address to the vault's network rules.",
        )
    return StoreAccessDeniedError(
        f"The vault refuses this login the action 'Microsoft.KeyVault/vaults/secrets/{action.value}' on {where}.",
        hint="Ask for a role with that action; after a change of roles Azure takes up to ten minutes.",
    )
