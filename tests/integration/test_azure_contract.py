"""The store in Azure Key Vault keeps the contract, unchanged, against the fake of Key Vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from tests.canary import canary
from tests.servers.azure_credential import StaticCredential
from tests.servers.azure_key_vault import FakeKeyVault
from tests.servers.certificate import Certificate
from tests.servers.cutting_proxy import CuttingProxy
from vantage_secrets.secret import SecretName, Spelling
from vantage_secrets.stores.azure import AzureStore, open_azure
from vantage_secrets.stores.contract import Store
from vantage_secrets.testing import StoreContract, StoreOutageContract

pytest_plugins = ("tests.servers.azure",)

OpenStore = Callable[..., AzureStore]


class TestAzureStore(StoreContract):
    @pytest.fixture
    def store(self, open_azure_store: OpenStore) -> Store:
        return open_azure_store()

    @pytest.fixture
    def other_store(self, store: Store, open_azure_store: OpenStore) -> Store:
        return open_azure_store()

    @pytest.fixture
    def vendor_current(self, azure_sdk: Callable[..., SecretClient]) -> Callable[[SecretName], object]:
        client = azure_sdk()

        def read(name: SecretName) -> object:
            try:
                return client.get_secret(name.spelled(Spelling.AZURE)).value
            except ResourceNotFoundError:
                return None

        return read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestAzureStoreThatDoesNotAnswer(StoreOutageContract):
    """The vault answers 503 to everything."""

    @pytest.fixture
    def unreachable_store(self, key_vault: FakeKeyVault, open_azure_store: OpenStore) -> Store:
        key_vault.outage = True
        return open_azure_store(timeout="1s")


class TestAzureStoreWithoutAConnection(StoreOutageContract):
    """Nothing takes connections at the vault's address."""

    @pytest.fixture
    def unreachable_store(self, key_vault: FakeKeyVault, certificate: Certificate) -> Iterator[Store]:
        with closing(CuttingProxy("127.0.0.1", key_vault.port)) as proxy, proxy.refusing():
            options: dict[str, Any] = {"ca_file": str(certificate.ca_file), "timeout": "1s"}
            url = f"azure://{proxy.address}"
            with open_azure(url, environment="test", options=options, credential=StaticCredential()) as store:
                yield store
