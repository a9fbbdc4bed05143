"""The vendor's bare client, and our store, connected to the fake of Google Secret Manager."""

from __future__ import annotations

from typing import Any

import grpc
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from tests.servers.google_secret_manager import PROJECT
from vantage_secrets.clock import Clock, utc_now
from vantage_secrets.secret import SecretName, SecretVersion, Spelling
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.gcp import GoogleStore, open_gcp
from vantage_secrets.stores.gcp.opening import connect
from vantage_secrets.stores.gcp.place import Place
from vantage_secrets.testing import store_steps

PREFIX = "team-a"
NAME = SecretName("vantage/api-key")
AUTOMATIC: dict[str, Any] = {"replication": {"automatic": {}}}


def plain_client(address: str, *, token: str = "") -> SecretManagerServiceClient:
    """Return the vendor's bare client, connected in the clear, as the owner or as the member that ``token`` names."""
    channel = grpc.insecure_channel(address)
    if token:
        channel = grpc.intercept_channel(channel, _Bearer(token))
    return SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Adds a token to each call, as credentials do on a channel that is encrypted."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=[*(details.metadata or ()), self._header]), request)


def open_at(address: str, *, environment: str = "test", prefix: str = PREFIX, **options: str) -> GoogleStore:
    """Return our store at ``address``, as the owner."""
    settings = {"endpoint": address, **options}
    return open_gcp(f"gcp://{PROJECT}/{prefix}", environment=environment, options=settings)


def open_as(address: str, credentials: Any, *, timeout: float = 10.0, clock: Clock = utc_now) -> GoogleStore:
    """Return our store at ``address`` with a login, or with another clock; ``None`` is the owner."""
    calls = connect(address, credentials, timeout)
    place = Place(PROJECT, PREFIX)
    return GoogleStore(place, calls, environment="test", template=AUTOMATIC, endpoint=address, clock=clock)


def secret_id(name: SecretName) -> str:
    """Return the id that Google has for ``name``."""
    return f"{PREFIX}_{name.spelled(Spelling.GOOGLE)}"


def full_name(name: SecretName) -> str:
    """Return the full name that Google has for ``name``."""
    return f"projects/{PROJECT}/secrets/{secret_id(name)}"


def make_current(store: Store, content: Any, name: SecretName = NAME) -> SecretVersion:
    """Stage and promote a value, as a rotation does."""
    return store_steps.make_current(store, name, content)


def change(client: SecretManagerServiceClient, path: str, value: Any) -> None:
    """Change one field of the secret with the vendor's bare client."""
    request = {"secret": {"name": full_name(NAME), path: value}, "update_mask": {"paths": [path]}}
    client.update_secret(request=request)
