"""Google's answers as errors of ours: the one place where they are told apart."""

from __future__ import annotations

import re
from typing import Final

from vantage_secrets.errors import (
    MissingExtraError,
    SecretNotFoundError,
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreUnavailableError,
    VersionConflictError,
)

LOGIN_HINT: Final = "Log in: gcloud auth application-default login, or give the workload a service account."

LOGIN_REFUSED: Final = "the login was refused"
"""What our part of gRPC's credentials says when a login cannot be renewed."""

_PERMISSION = re.compile(r"secretmanager\.[A-Za-z]+\.[A-Za-z]+")
_STATE = re.compile(r"is in (DISABLED|DESTROYED) state")


class ChangedMeanwhileError(VersionConflictError):
    """The etag was not the current one, or the version is not in a state that allows the call.

    Google's pages name ``FAILED_PRECONDITION`` for an etag that does not match, newer ones ``ABORTED``.

    Attributes:
        state: ``DISABLED`` or ``DESTROYED`` where the answer says so, else empty.
    """

    def __init__(self, message: str, state: str = "") -> None:
        """Keep the version's state beside the message."""
        super().__init__(message)
        self.state = state


class AlreadyThereError(VersionConflictError):
    """What was to be made exists."""


def missing_extra(missing: ModuleNotFoundError) -> MissingExtraError:
    """Return the error that says which package is not installed, and how to install it."""
    module = missing.name or ""
    return MissingExtraError("google-crc32c" if "crc32c" in module else "google-cloud-secret-manager", "gcp")


def translated(failure: BaseException, what: str, *, under_etag: bool = False) -> StoreError:
    """Return ``failure`` as an error of ours.

    SECURITY: nothing of Google's text is passed on but the name of a permission and the state of a version, and
    callers raise what this returns outside of the handler, so that no context keeps the SDK's exception.

    Args:
        failure: What the SDK raised.
        what: What was tried, such as ``reading 'vantage/api-key'``.
        under_etag: Whether an etag was sent: only then a condition that does not hold means another writer.
    """
    failure = getattr(failure, "cause", None) or failure  # A RetryError has the last answer as its cause.
    code = _code(failure)
    state = _STATE.search(str(failure))
    if _is_login(failure, code):
        return StoreAccessDeniedError(f"Google does not accept the login (while {what}).", hint=LOGIN_HINT)
    match code:
        case "NOT_FOUND":
            return SecretNotFoundError(f"Google has nothing there ({what}).")
        case "PERMISSION_DENIED":
            found = _PERMISSION.search(str(failure))
            named = f"the permission {found[0]}" if found else "a permission"
            return StoreAccessDeniedError(
                f"Google refuses {what}: this login lacks {named}, or it does not exist.",
                hint="Ask the owner of the project for a role with it; vantage-secrets doctor shows what is missing.",
            )
        case "FAILED_PRECONDITION" | "ABORTED" if under_etag or state:
            return ChangedMeanwhileError(f"Google refuses {what} as things stand ({code}).", state[1] if state else "")
        case "FAILED_PRECONDITION":
            return StoreUnavailableError(
                f"Google cannot do it as things stand ({what}).",
                hint="Look whether the key in Cloud KMS is enabled, whether Secret Manager may use it, and what the "
                "organisation's policies allow.",
            )
        case "ALREADY_EXISTS":
            return AlreadyThereError(f"It exists already ({what}).")
        case "RESOURCE_EXHAUSTED" | "ABORTED":
            return StoreBusyError(
                f"Google's quota is used up ({what}).",
                hint="Try again in a minute; metadata has 600 requests a minute and project.",
            )
        case "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "INTERNAL" | "UNKNOWN" | "CANCELLED" | "":
            words = code or type(failure).__name__
            return StoreUnavailableError(f"Google Secret Manager does not answer ({words} while {what}).")
        case _:
            return StoreError(f"Google answered {what} with {code}.", hint="Look at the project's audit log.")


def _code(failure: BaseException) -> str:
    """Return the name of gRPC's status code, or nothing when Google did not answer at all."""
    code = getattr(failure, "grpc_status_code", None)
    return str(getattr(code, "name", ""))


def _is_login(failure: BaseException, code: str) -> bool:
    kind = type(failure).__name__
    return (
        code == "UNAUTHENTICATED"
        or kind in ("RefreshError", "DefaultCredentialsError")
        or (code == "UNAVAILABLE" and LOGIN_REFUSED in str(failure))
    )
