"""What the Kubernetes client raises, as errors of ours: the one place, and no response body leaves it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import (
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from vantage_secrets.stores.kubernetes.place import Place

_REASON: Final = re.compile(r"[A-Za-z]{1,40}", re.ASCII)
_PASSING: Final = frozenset({0, 429, 500, 502, 503, 504})
_TLS, _LOGIN, _CLIENT = "TLS", "login", "client"  # What failed on our side of the wire.


class Verb(StrEnum):
    """What is asked of the API server, in RBAC's words."""

    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    WATCH = "watch"
    REVIEW = "review"
    """A question about the login itself; in RBAC's words, creating a review."""


class Failure(NamedTuple):
    """Why a call did not do what it should.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: Kubernetes' own word for it, such as ``NotFound``, or the name of the client's error.
        kind: What kind of object the answer speaks of, such as ``secrets``; empty when it is no answer of Kubernetes'.
        field: Which field of the object was refused.
        retry_after: How long the server wants us to wait, seconds.
    """

    status: int
    reason: str
    kind: str = ""
    field: str = ""
    retry_after: float = 0.0

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed in a moment."""
        return (
            self.status in _PASSING
            and self.reason not in (_TLS, _LOGIN)
            and self.kind != _CLIENT
            and not self.is_too_large
        )

    @property
    def is_absence(self) -> bool:
        """Whether Kubernetes says that there is no such Secret, and not something else that nobody knows this path."""
        return self.status == 404 and self.kind == "secrets"

    @property
    def is_conflict(self) -> bool:
        """Whether another writer was first."""
        return self.status == 409 and self.kind == "secrets"

    @property
    def is_too_large(self) -> bool:
        """Whether the whole object is larger than the cluster's database takes (etcd: 1.5 MiB a request)."""
        return self.status == 413 or self.reason == "RequestEntityTooLarge"


def failure_of(exc: Exception) -> Failure:
    """Return what an exception of the client says, and nothing that it holds of values or tokens."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    if isinstance(exc, ApiException) and exc.status:
        return _answer(exc)
    if isinstance(exc, ApiException) or "SSLError" in _names(exc):
        return Failure(0, _TLS)
    if isinstance(exc, ConfigException) or (isinstance(exc, OSError) and exc.filename is not None):
        return Failure(0, _LOGIN)
    if isinstance(exc, HTTPError | OSError):
        return Failure(0, type(exc).__name__)
    return Failure(0, type(exc).__name__, kind=_CLIENT)


def error_for(failure: Failure, verb: Verb, place: Place) -> StoreError:
    """Return the error of ours for a failure that is neither absence nor conflict."""
    if failure.status == 401 or failure.reason == _LOGIN:
        return StoreAccessDeniedError(
            "The API server does not know this login: its token or certificate expired, or is another cluster's."
            if failure.status
            else "The login for the Kubernetes API cannot be read.",
            hint="Log in again ('kubectl auth whoami' tells how you are seen), then run the same command.",
        )
    if failure.status == 403:
        return _refused(verb, place)
    if failure.status == 429:
        return StoreBusyError("The API server throttles this login for longer than the time allowed.")
    if failure.is_too_large:
        return StoreFullError(
            f"The {place} would be larger than the cluster's database takes; nothing was written.",
            hint="Keep further secrets in another Secret object.",
        )
    if failure.status == 404 and failure.kind == "namespaces":
        return StoreUnavailableError(
            f"There is no namespace '{place.namespace}'.", hint=f"kubectl create namespace {place.namespace}"
        )
    if failure.status == 422:
        return _invalid(failure, place)
    if failure.reason == _TLS:
        return StoreUnavailableError(
            "The API server's certificate is not one that this login trusts, or TLS failed.",
            hint="Check certificate-authority and server in the kubeconfig.",
        )
    if failure.kind == _CLIENT:
        # SECURITY: only the error's name; the client's own checks quote the values that they were given.
        return StoreError(
            f"The Kubernetes client failed ({failure.reason}).",
            hint="pip install --upgrade 'vantage-secrets[kubernetes]'",
        )
    return _outage(failure)


def _refused(verb: Verb, place: Place) -> StoreError:
    if verb is Verb.CREATE:
        return StoreAccessDeniedError(
            f"There is no {place}, and the API server does not let this login create one.",
            hint=f"Have it made once: kubectl create secret generic {place.secret} -n {place.namespace}",
        )
    return StoreAccessDeniedError(
        f"The API server refuses '{verb}' on the {place}.",
        hint=f"Grant it in a Role; check with: kubectl auth can-i {verb} secret/{place.secret} -n {place.namespace}",
    )


def _invalid(failure: Failure, place: Place) -> StoreError:
    if failure.field == "data" and failure.reason == "FieldValueForbidden":
        return StoreReadOnlyError(f"The {place} is immutable; nothing was written.")
    if failure.reason == "FieldValueTooLong":
        return StoreFullError(f"The {place} would be larger than Kubernetes takes; nothing was written.")
    return StoreError(
        f"The API server takes the {place} as invalid; nothing was written.",
        hint=f"Look at it: kubectl get secret {place.secret} -n {place.namespace} -o yaml",
    )


def _outage(failure: Failure) -> StoreError:
    if not failure.status:
        return StoreUnavailableError(f"The Kubernetes API server does not answer ({failure.reason}).")
    if failure.kind or failure.status >= 500:
        said = f" ({failure.reason})" if failure.reason else ""
        return StoreUnavailableError(f"The Kubernetes API server failed with status {failure.status}{said}.")
    return StoreUnavailableError(
        f"What answers is no Kubernetes API server, or not its Secrets: status {failure.status}.",
        hint="Check 'server' in the kubeconfig.",
    )


def _answer(exc: Any) -> Failure:
    """Return what an answer with an error says; of its body only words from Kubernetes' own lists."""
    status: dict[str, Any] = {}
    with suppress(ValueError, TypeError):
        found = json.loads(exc.body)
        status = found if isinstance(found, dict) and found.get("kind") == "Status" else {}
    details = status.get("details") or {}
    cause = (details.get("causes") or [{}])[0]
    word = str(cause.get("reason") or status.get("reason") or "")
    reason = word if _REASON.fullmatch(word) else ""
    if "request is too large" in str(status.get("message")):  # etcd's words; Kubernetes has no reason for it.
        reason = "RequestEntityTooLarge"
    return Failure(
        int(exc.status),
        reason,
        str(details.get("kind") or ("Status" if status else "")),
        str(cause.get("field") or ""),
        _seconds((exc.headers or {}).get("Retry-After")),
    )


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def _names(exc: BaseException) -> set[str]:
    """Return the names of the error's class and of what it wraps."""
    reason = getattr(exc, "reason", None)
    return {type(exc).__name__} | (_names(reason) if isinstance(reason, BaseException) else set())
