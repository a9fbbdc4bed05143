"""Fixtures around the fake of Google Secret Manager; a test module names this one in ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.google_clients import open_at, plain_client
from tests.servers.google_secret_manager import FakeSecretManager
from vantage_secrets.stores.gcp import GoogleStore


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


@pytest.fixture
def google_store(google: FakeSecretManager) -> Iterator[GoogleStore]:
    """Our store with nothing in it, as the project's owner."""
    with open_at(google.address) as store:
        yield store


@pytest.fixture
def google_proxy(google: FakeSecretManager) -> Iterator[CuttingProxy]:
    """What cuts requests on their way to the server."""
    host, _colon, port = google.address.partition(":")
    with CuttingProxy(host, int(port), http2=True) as proxy:
        yield proxy
