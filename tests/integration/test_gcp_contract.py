"""The store on Google Secret Manager keeps the contract, against a fake of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.google_clients import google, google_server, owner  # noqa: F401  # fixtures
from tests.servers.google_secret_manager import PROJECT, FakeSecretManager
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.gcp import GoogleStore, open_gcp
from vantage_secrets.testing import StoreContract, StoreOutageContract


def open_at(address: str, **options: str) -> GoogleStore:
    url = f"gcp://{PROJECT}/team-a"
    return open_gcp(url, environment="test", options={"endpoint": address, "timeout": "10s", **options})


class TestGoogleStore(StoreContract):
    race_rounds = 3

    @pytest.fixture
    def store(self, google: FakeSecretManager) -> Iterator[Store]:  # noqa: F811
        with open_at(google.address) as store:
            yield store

    @pytest.fixture
    def other_store(self, google: FakeSecretManager, store: Store) -> Iterator[Store]:  # noqa: F811
        with open_at(google.address) as other:
            yield other

    @pytest.fixture
    def vendor_current(self, owner: SecretManagerServiceClient) -> Callable[[SecretName], object]:  # noqa: F811
        def read(name: SecretName) -> object:
            secret_id = f"team-a_{str(name).replace('/', '_')}"
            try:
                found = owner.access_secret_version(name=f"projects/{PROJECT}/secrets/{secret_id}/versions/latest")
            except NotFound:
                return None
            return found.payload.data.decode()

        return read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestGoogleStoreThatDoesNotAnswer(StoreOutageContract):
    """Nothing listens where it was."""

    @pytest.fixture
    def unreachable_store(self, google: FakeSecretManager) -> Iterator[Store]:  # noqa: F811
        host, _colon, port = google.address.partition(":")
        with CuttingProxy(host, int(port), http2=True) as proxy, open_at(proxy.address, timeout="1s") as store:
            assert [*store.list()] == []
            with proxy.refusing():
                yield store
