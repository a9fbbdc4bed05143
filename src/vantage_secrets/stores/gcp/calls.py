"""The calls that Google Secret Manager has: bounded, checked by CRC32C, with errors of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from vantage_secrets.errors import (
    SecretNotFoundError,
    StoreError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from vantage_secrets.stores.gcp.errors import ChangedMeanwhileError, translated

PAGE_COUNT: Final = 250
"""Secrets per page of a list: with annotations at their limit a page has 4 MB."""

RETRY_SECONDS: Final = 3.0
"""How long a call is tried again that was throttled or met nobody."""


class Payload(NamedTuple):
    """What a version holds, and which number Google gave it."""

    number: int
    data: bytes


class Newest(NamedTuple):
    """The newest version of a secret, whatever became of it."""

    number: int
    state: str


class Calls:
    """Google's methods, one for one. Safe to use from several threads.

    Args:
        client: The SDK's client.
        timeout: How long one call may take with all its tries, seconds.
    """

    def __init__(self, client: Any, timeout: float) -> None:
        import google_crc32c
        from google.api_core import exceptions, retry
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.secretmanager_v1.types import AccessSecretVersionRequest

        self._client = client
        self._timeout = timeout
        self._closed = False
        self._crc32c: Callable[[bytes], int] = google_crc32c.value
        self._request_access = AccessSecretVersionRequest
        # ValueError: what gRPC raises when the channel was closed meanwhile.
        self._failures = (exceptions.GoogleAPIError, GoogleAuthError, ValueError)
        busy, away = exceptions.ResourceExhausted, exceptions.ServiceUnavailable
        # The SDK's own policy tries `access` again for 60 s, whatever the timeout is, and nothing else at all.
        self._again = _retry(retry.Retry, retry.if_exception_type(busy, away), timeout)
        # What was throttled was not done; a call that met nobody may have been.
        self._again_if_throttled = _retry(retry.Retry, retry.if_exception_type(busy), timeout)

    def access(self, version: str, what: str) -> Payload:
        """Return the payload of a version, by number, alias or ``latest``.

        Raises:
            SecretNotFoundError: There is no such secret or version.
            ChangedMeanwhileError: The version is disabled or destroyed.
            StoreIntegrityError: The checksum does not fit.
        """
        request = self._request_access(name=version)
        answer = self._do(self._client.access_secret_version, request, what, retry=self._again)
        found = type(answer).pb(answer)  # The message below proto-plus, whose fields cost a tenth.
        data = found.payload.data
        if found.payload.data_crc32c != self._crc32c(data):
            raise StoreIntegrityError(
                f"The checksum of what Google returned does not fit ({what}).", hint="Run the same command again."
            )
        return Payload(int(found.name.rpartition("/")[2]), data)

    def get(self, secret: str, what: str, *, patient: bool = True) -> Any:
        """Return a ``Secret`` with its annotations; one call of the metadata quota.

        Args:
            secret: Full name.
            what: For error texts.
            patient: Whether to try again when it is throttled or nobody answers.
        """
        return self._do(self._client.get_secret, {"name": secret}, what, retry=self._again if patient else None)

    def secrets(self, parent: str, wanted: str, what: str) -> Iterator[Any]:
        """Yield each ``Secret`` that fits the filter, the newest first; one call a page."""
        token = ""
        while True:
            request = {"parent": parent, "filter": wanted, "page_size": PAGE_COUNT, "page_token": token}
            page = next(iter(self._do(self._client.list_secrets, request, what, retry=self._again).pages))
            yield from page.secrets
            token = page.next_page_token
            if not token:
                return

    def newest(self, secret: str, what: str, count: int = 1) -> list[Newest]:
        """Return number and state of the newest versions, the newest first."""
        request = {"parent": secret, "page_size": count}
        page = next(iter(self._do(self._client.list_secret_versions, request, what, retry=self._again).pages))
        return [Newest(int(one.name.rpartition("/")[2]), one.state.name) for one in page.versions]

    def create(self, parent: str, secret_id: str, secret: dict[str, Any], what: str) -> Any:
        """Make a secret without versions, and return it.

        Raises:
            AlreadyThereError: There is one.
        """
        request = {"parent": parent, "secret_id": secret_id, "secret": secret}
        return self._do(self._client.create_secret, request, what, retry=self._again_if_throttled)

    def update(self, secret: dict[str, Any], what: str) -> Any:
        """Write labels, annotations and aliases under the etag that ``secret`` has; return the new ``Secret``.

        Raises:
            ChangedMeanwhileError: The etag is not the current one.
        """
        request = {"secret": secret, "update_mask": {"paths": ["labels", "annotations", "version_aliases"]}}
        return self._do(self._client.update_secret, request, what, retry=self._again_if_throttled, under_etag=True)

    def add(self, secret: str, data: bytes, what: str) -> int:
        """Add a version, which is the newest at once; return its number."""
        request = {"parent": secret, "payload": {"data": data, "data_crc32c": self._crc32c(data)}}
        found = self._do(self._client.add_secret_version, request, what, retry=self._again_if_throttled)
        if not found.client_specified_payload_checksum:
            raise StoreIntegrityError(f"Google did not check what it stored ({what}).")
        return int(found.name.rpartition("/")[2])

    def destroy(self, secret: str, number: int, what: str) -> None:
        """See to it that a version has no payload any more; one that has none already, or is not there, is fine."""
        try:
            request = {"name": f"{secret}/versions/{number}"}
            self._do(self._client.destroy_secret_version, request, what, retry=self._again)
        except SecretNotFoundError:
            return
        except ChangedMeanwhileError as exc:
            if exc.state != "DESTROYED":
                raise

    def delete(self, secret: str, what: str) -> bool:
        """Delete a secret with its versions; return whether it was there."""
        try:
            self._do(self._client.delete_secret, {"name": secret}, what, retry=self._again)
        except SecretNotFoundError:
            return False
        return True

    def permitted(self, secret: str, permissions: list[str], what: str) -> set[str]:
        """Return which of ``permissions`` this login has on a secret."""
        request = {"resource": secret, "permissions": permissions}
        found = self._do(self._client.test_iam_permissions, request, what, retry=self._again)
        return set(found.permissions)

    def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self._closed = True
        self._client.transport.close()

    def _do(self, method: Callable[..., Any], request: Any, what: str, *, retry: Any, under_etag: bool = False) -> Any:
        if self._closed:
            raise StoreUnavailableError("The store is closed.", hint="Open it again.")
        failure: StoreError
        try:
            return method(request=request, retry=retry, timeout=self._timeout)
        except self._failures as exc:
            failure = translated(exc, what, under_etag=under_etag)
        # SECURITY: raised outside of the handler, so that neither cause nor context keeps what Google wrote.
        raise failure


def _retry(kind: Callable[..., Any], predicate: Callable[[Exception], bool], timeout: float) -> Any:
    """Return a policy that waits random times below 0.1, 0.2, 0.4 … 1 second between tries."""
    bound = min(RETRY_SECONDS, timeout)
    return kind(predicate=predicate, initial=0.1, maximum=1.0, multiplier=2.0, timeout=bound)
