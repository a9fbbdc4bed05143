"""The AWS store keeps the contract, with and without a recovery window, at moto's server as it is corrected here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.canary import canary
from tests.servers.aws import MotoServer, free_port, open_store, use_login
from tests.servers.aws_fixtures import Plain, aws, empty_moto, moto  # noqa: F401
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.testing import StoreContract, StoreOutageContract
from vantage_secrets.testing.store_changing import StoreChangingContract


class _AtMoto:
    recovery_window = "30"

    @pytest.fixture
    def store(self, empty_moto: MotoServer) -> Iterator[Store]:  # noqa: F811
        with open_store(empty_moto.address, recovery_window=self.recovery_window) as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, empty_moto: MotoServer) -> Iterator[Store]:  # noqa: F811
        with open_store(empty_moto.address, recovery_window=self.recovery_window) as other:
            yield other

    @pytest.fixture
    def vendor_current(self, aws: Plain) -> Callable[[SecretName], object]:  # noqa: F811
        return aws.current

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestAwsStore(_AtMoto, StoreContract):
    """The whole contract."""


class TestAwsStoreThatDeletesAtOnce(_AtMoto, StoreChangingContract):
    """The half of the contract that changes something."""

    recovery_window = "0"


class TestAwsStoreThatDoesNotAnswer(StoreOutageContract):
    """Nothing listens at its address."""

    @pytest.fixture
    def unreachable_store(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        address = f"http://127.0.0.1:{free_port()}"
        use_login(monkeypatch, address)
        with open_store(address, timeout="5s") as store:
            yield store
