"""The AWS store keeps the contract, with and without a recovery window, at moto's server as it is corrected here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.canary import canary
from tests.servers.aws import PREFIX, MotoServer, free_port, open_store, plain_client, running_moto, use_login
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Store
from vantage_secrets.testing import StoreContract, StoreOutageContract


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


class _AwsContract(StoreContract):
    recovery_window = "30"

    @pytest.fixture
    def store(self, moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        moto.reset()
        use_login(monkeypatch, moto.address)
        with open_store(moto.address, recovery_window=self.recovery_window) as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, moto: MotoServer) -> Iterator[Store]:
        with open_store(moto.address, recovery_window=self.recovery_window) as other:
            yield other

    @pytest.fixture
    def vendor_current(
        self, store: Store, moto: MotoServer, caplog: pytest.LogCaptureFixture
    ) -> Callable[[SecretName], object]:
        client = plain_client(moto.address)

        def read(name: SecretName) -> object:
            # The SDK logs values at DEBUG; that is not ours to stop in somebody else's call.
            with caplog.at_level(logging.INFO):
                try:
                    answer = client.get_secret_value(SecretId=f"{PREFIX}/{name}")
                except client.exceptions.ResourceNotFoundException:
                    return None
                return answer.get("SecretString", answer.get("SecretBinary"))

        return read

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestAwsStore(_AwsContract):
    pass


class TestAwsStoreThatDeletesAtOnce(_AwsContract):
    recovery_window = "0"


class TestAwsStoreThatDoesNotAnswer(StoreOutageContract):
    """Nothing listens at its address."""

    @pytest.fixture
    def unreachable_store(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        address = f"http://127.0.0.1:{free_port()}"
        use_login(monkeypatch, address)
        with open_store(address, timeout="5s") as store:
            yield store
