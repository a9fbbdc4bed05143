"""The calls of Key Vault that the store makes, through the vendor's own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from azure.core.exceptions import AzureError
from azure.keyvault.secrets import SecretClient, SecretProperties

from vantage_secrets.errors import StoreError, StoreUnavailableError
from vantage_secrets.stores.azure.answers import Action, Kept, Nothing
from vantage_secrets.stores.azure.encoding import Content
from vantage_secrets.stores.azure.errors import explained
from vantage_secrets.stores.azure.records import Record
from vantage_secrets.stores.azure.retries import BoundedRetries

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

T = TypeVar("T")


class KeyVault:
    """A vault's secrets. Every call raises ``StoreError`` for refusal and outage; absence is an answer.

    Args:
        url: ``https://…``.
        credential: Any credential of azure-identity, or an object with its ``get_token``.
        seconds: How long one call may take, all tries together.
        ca_file: Certificates to trust in place of the usual ones.
        verify_challenge_resource: Whether the SDK insists that the vault asks for a token for its own domain.
    """

    def __init__(
        self,
        url: str,
        credential: TokenCredential,
        *,
        seconds: float,
        ca_file: str | None = None,
        verify_challenge_resource: bool = True,
    ) -> None:
        self.url = url
        self.seconds = seconds
        self._closed = False
        self._client = SecretClient(
            url,
            credential,
            retry_policy=BoundedRetries(seconds),
            verify_challenge_resource=verify_challenge_resource,
            logging_enable=False,  # SECURITY: never; it writes bodies, which hold values, into the log.
            **({"connection_verify": ca_file} if ca_file else {}),
        )

    def get(self, place: str, version: str = "") -> Kept | Nothing:
        """Return a version with its value, without ``version`` the newest: absent, disabled, or what it holds."""
        found = self._call(Action.READ, place, lambda: self._client.get_secret(place, version or None))
        if isinstance(found, Nothing):
            return found
        return Kept(_record(found.properties), Content(found.value or "", found.properties.content_type))

    def versions(self, place: str) -> tuple[Record, ...]:
        """Return every version of a name, in no order that means anything; none when it is not there."""
        listed = self._client.list_properties_of_secret_versions
        found = self._call(Action.LOOK, place, lambda: [_record(one) for one in listed(place)])
        return () if isinstance(found, Nothing) else tuple(found)

    def secrets(self) -> Iterator[Record]:
        """Yield every name in the vault with what its newest version says, page by page."""
        pages = self._client.list_properties_of_secrets().by_page()
        while True:
            page = self._call(Action.LOOK, "", lambda: [_record(one) for one in next(pages, ())])
            if isinstance(page, Nothing) or not page:
                return
            yield from page

    def put(self, place: str, content: Content, tags: Mapping[str, str]) -> Record | Nothing:
        """Write a version, which is the newest at once; return it, or why the name cannot be used now."""
        write = self._client.set_secret
        return self._record_of(
            self._call(
                Action.WRITE,
                place,
                lambda: write(place, content.text, content_type=content.kind, tags=dict(tags)).properties,
            )
        )

    def change(self, record: Record, tags: Mapping[str, str], *, enabled: bool | None = None) -> Record | Nothing:
        """Replace all tags of a version, and its state where ``enabled`` says so."""
        update = self._client.update_secret_properties
        return self._record_of(
            self._call(
                Action.CHANGE,
                record.place,
                lambda: update(record.place, record.version, tags=dict(tags), enabled=enabled),
            )
        )

    def delete(self, place: str) -> None:
        """Let the vault begin to delete a name; nothing happens where it is not there, or deleted already."""
        self._call(Action.DELETE, place, lambda: self._client.begin_delete_secret(place))

    def deleted(self, place: str) -> Record | Nothing:
        """Return what the vault keeps of a deleted name for recovery."""
        return self._record_of(
            self._call(Action.LOOK, place, lambda: self._client.get_deleted_secret(place).properties)
        )

    def purge(self, place: str) -> None:
        """Remove a deleted name for good."""
        self._call(Action.PURGE, place, lambda: self._client.purge_deleted_secret(place))

    def close(self) -> None:
        """Close the connections; every call raises afterwards."""
        self._closed = True
        self._client.close()

    def _call(self, action: Action, place: str, call: Callable[[], T]) -> T | Nothing:
        if self._closed:
            raise StoreUnavailableError("The store is closed.", hint="Open it again.")
        try:
            return call()
        except (AzureError, ValueError) as exc:
            found = explained(exc, action, place)
        # SECURITY: raised here, outside of the handler, so that the SDK's error with its answer is not the context.
        if isinstance(found, Nothing):
            return found
        raise found

    @staticmethod
    def _record_of(found: SecretProperties | Nothing) -> Record | Nothing:
        return found if isinstance(found, Nothing) else _record(found)


def _record(found: SecretProperties) -> Record:
    # Each attribute is decoded anew whenever it is asked for, so each is asked for once.
    created_on, level, name = found.created_on, found.recovery_level, found.name
    if not name or not created_on:
        raise StoreError("The server at the vault's address does not answer as Key Vault does.", hint="Check the URL.")
    return Record(
        place=name.lower(),  # Names in a vault are case-insensitive.
        version=found.version or "",
        enabled=found.enabled is not False,
        created_at=_aware(created_on),
        updated_at=_aware(found.updated_on or created_on),
        tags=found.tags or {},
        recovery_level=getattr(level, "value", level) or "",
    )


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
