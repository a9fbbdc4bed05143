"""The store in Vault keeps the contract, against a real OpenBao server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.canary import canary
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.vault import Engine, engine_fixture, vault_server_fixture  # noqa: F401  # Fixtures.
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.testing import StoreContract, StoreOutageContract


class TestVaultStore(StoreContract):
    @pytest.fixture
    def store(self, engine: Engine) -> Iterator[Store]:
        with engine.open() as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, engine: Engine) -> Iterator[Store]:
        with engine.open() as other:
            yield other

    @pytest.fixture
    def vendor_current(self, engine: Engine) -> Callable[[SecretName], object]:
        def read(name: SecretName) -> object:
            data = engine.plain_read(name)
            return None if data is None else data["value"]

        return read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestVaultStoreThatDoesNotAnswer(StoreOutageContract):
    """Connections to its port are refused."""

    @pytest.fixture
    def unreachable_store(self, engine: Engine) -> Iterator[Store]:
        with (
            CuttingProxy("127.0.0.1", engine.server.port) as proxy,
            engine.open(proxy=proxy) as store,
            proxy.refusing(),
        ):
            yield store
