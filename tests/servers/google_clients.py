"""The fake of Google Secret Manager as fixtures, and the vendor's bare client for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcTransport

from tests.servers.google_secret_manager import FakeSecretManager


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


@pytest.fixture(scope="session")
def google_server() -> Iterator[FakeSecretManager]:
    """One server for the whole run."""
    with FakeSecretManager() as fake:
        with grpc.insecure_channel(fake.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
        yield fake


@pytest.fixture
def google(google_server: FakeSecretManager) -> FakeSecretManager:
    """The server with nothing in it and every switch turned back."""
    google_server.reset()
    return google_server


@pytest.fixture
def owner(google: FakeSecretManager) -> Iterator[SecretManagerServiceClient]:
    """The vendor's bare client, as the project's owner."""
    with plain_client(google.address) as client:
        yield client
