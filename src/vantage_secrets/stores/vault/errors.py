"""What the server or the way to it said, made into our errors: the one place that knows the SDK's exceptions.

SECURITY: hvac's exceptions keep the response's text and JSON, and those of requests keep the request with its token and
body. None of them survives here, not even as ``__context__``: a call is tried, what it raised is reduced to a
:class:`Failure`, and ours is raised after the handler has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from vantage_secrets.errors import (
    StoreAccessDeniedError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)

_T = TypeVar("_T")

UNSEAL: Final = "Run 'vault operator unseal' or 'bao operator unseal'."
_CONFLICT: Final = "check-and-set parameter did not match"
_NO_ROOM: Final = ("no space left", "value being too large", "exceeds the maximum", "request body too large")
_NOT_YET: Final = ("upgrading from non-versioned", "required index state not present")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed, without what it sent or got.

    Attributes:
        status: HTTP status, or ``None`` when there was no answer.
        said: The server's own words, lower-case; compared and never shown.
        reason: With no answer: what went wrong on the way, in our words.
        metadata: With 404: what KV tells of a deleted version, which holds no data.
    """

    status: int | None
    said: str = field(default="", repr=False)
    reason: str = ""
    metadata: dict[str, Any] | None = None

    @property
    def is_conflict(self) -> bool:
        """Whether check-and-set lost."""
        return self.status == 400 and _CONFLICT in self.said

    @property
    def is_absence(self) -> bool:
        """Whether there is nothing at the path; a mount or a namespace that is not there says so in words."""
        return self.status == 404 and not self.said


def attempt(call: Callable[[], _T]) -> _T | Failure:
    """Return what ``call`` returns, or why it failed, for every exception that the SDK raises."""
    import requests
    from hvac.exceptions import VaultError

    try:
        answer = call()
    except VaultError as exc:
        return _answered(exc)
    except requests.exceptions.SSLError:
        return Failure(None, reason="its certificate cannot be verified")
    except requests.exceptions.Timeout:
        return Failure(None, reason="it took too long")
    except requests.exceptions.RequestException:
        return Failure(None, reason="the connection failed")
    return _unreadable(answer) or answer


def _unreadable(answer: object) -> Failure | None:
    """Return why an answer that is no error cannot be used, or ``None``: hvac returns what is no JSON as it came."""
    if getattr(answer, "is_redirect", False):
        return Failure(307)  # SECURITY: the token goes to no other address than the one that was named.
    if getattr(answer, "status_code", None) == 200:
        return Failure(None, reason="what answers there is neither Vault nor OpenBao")
    return None


def _answered(exc: Any) -> Failure:
    errors = exc.errors if isinstance(exc.errors, list) else []
    data = exc.json.get("data") if isinstance(exc.json, dict) else None
    metadata = None
    if isinstance(data, dict):  # A read answers with data and metadata, a PATCH with the metadata alone.
        metadata = data.get("metadata") if "metadata" in data else data
    return Failure(_status(exc), said=" ".join(map(str, errors)).lower(), metadata=metadata)


def _status(exc: Any) -> int:
    """Return the status that hvac made this class of exception from; it does not keep the number itself."""
    from hvac import exceptions

    known = {
        exceptions.InvalidRequest: 400,
        exceptions.Unauthorized: 401,
        exceptions.Forbidden: 403,
        exceptions.InvalidPath: 404,
        exceptions.RateLimitExceeded: 429,
        exceptions.InternalServerError: 500,
        exceptions.VaultNotInitialized: 501,
        exceptions.BadGateway: 502,
        exceptions.VaultDown: 503,
    }
    return known.get(type(exc), 0)


def as_error(failure: Failure, *, address: str, doing: str, needs: str = "") -> StoreError:
    """Return our error for ``failure``; the caller raises it.

    Args:
        failure: What happened.
        address: Where the server is, for the message.
        doing: What was tried, such as ``read 'vantage/api-key'``.
        needs: The capability and path that a policy must give, such as ``read on "secret/data/vantage/api-key"``.
    """
    status, said = failure.status, failure.said
    if status is None:
        return _unanswered(failure, address)
    if status in (401, 403):
        hint = f"Give the token's policy {needs}, or log in anew if the token has ended." if needs else None
        return StoreAccessDeniedError(f"{address} refuses to {doing}.", hint=hint)
    if any(words in said for words in _NO_ROOM):
        return StoreFullError(f"{address} has no room to {doing}.")
    if status == 429 or any(words in said for words in _NOT_YET):
        return StoreBusyError(
            f"{address} answers no more calls for now; it could not {doing}.",
            hint="Try again in a moment; a rate limit quota may be set (sys/quotas/rate-limit).",
        )
    if status == 404:
        return StoreUnavailableError(
            f"{address} has no such secrets engine or namespace.",
            hint="Check the URL; 'vault secrets list' shows the engines of a namespace.",
        )
    return _out_of_order(status, said, address, doing)


def _unanswered(failure: Failure, address: str) -> StoreUnavailableError:
    hint = None
    if "certificate" in failure.reason:
        hint = "Name the authority's certificate with ?ca_file=/path/ca.pem, or VAULT_CACERT."
    return StoreUnavailableError(f"{address} did not answer: {failure.reason}.", hint=hint)


def _out_of_order(status: int, said: str, address: str, doing: str) -> StoreError:
    if status == 307:
        return StoreUnavailableError(
            f"{address} sends us to another address, and our token is not sent on.",
            hint="Name the active server itself, or a load balancer in front of all.",
        )
    if "sealed" in said:
        return StoreUnavailableError(f"{address} is sealed.", hint=UNSEAL)
    if status >= 500:
        return StoreUnavailableError(f"{address} could not {doing}: it answered with status {status}.")
    return StoreError(
        f"{address} does not take the request to {doing}.",
        hint="It must be a KV engine of version 2: run 'vantage-secrets doctor URL'.",
    )
