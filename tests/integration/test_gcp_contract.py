"""The store on Google Secret Manager keeps the contract, against a fake of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from google.api_core.exceptions import NotFound
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.google_clients import full_name, open_at
from tests.servers.google_secret_manager import FakeSecretManager
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.gcp import GoogleStore
from vantage_secrets.testing import StoreContract, StoreOutageContract

pytest_plugins = ("tests.servers.google_fixtures",)


class TestGoogleStore(StoreContract):
    race_rounds = 3

    @pytest.fixture
    def store(self, google_store: GoogleStore) -> Store:
        return google_store

    @pytest.fixture
    def other_store(self, google: FakeSecretManager, store: Store) -> Iterator[Store]:
        with open_at(google.address) as other:
            yield other

    @pytest.fixture
    def vendor_current(self, owner: SecretManagerServiceClient) -> Callable[[SecretName], object]:
        def read(name: SecretName) -> object:
            try:
                found = owner.access_secret_version(name=f"{full_name(name)}/versions/latest")
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
    def unreachable_store(self, google_proxy: CuttingProxy) -> Iterator[Store]:
        with open_at(google_proxy.address, timeout="1s") as store:
            assert [*store.list()] == []
            with google_proxy.refusing():
                yield store
