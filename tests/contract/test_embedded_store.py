"""The embedded store keeps the contract, and the contract can be kept by a store that can do less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.errors import UnsupportedOperationError
from vantage_secrets.secret import SecretName, SecretReading, SecretValue, SecretVersion, Stage
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded, open_embedded
from vantage_secrets.testing import MemoryStore, StoreContract, StoreOutageContract


def _open(folder: Path) -> Store:
    options = {"key_file": str(folder / "key")}
    return open_embedded(f"embedded://{folder}/secrets.db", environment="test", options=options)


class TestEmbeddedStore(StoreContract):
    race_rounds = 20

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
            yield store

    @pytest.fixture
    def other_store(self, store: Store, tmp_path: Path) -> Iterator[Store]:
        with _open(tmp_path) as other:
            yield other

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary


class TestEmbeddedStoreThatDoesNotAnswer(StoreOutageContract):
    """Its file was moved away, as by an unmounted disk."""

    @pytest.fixture
    def unreachable_store(self, tmp_path: Path) -> Iterator[Store]:
        with create_embedded(tmp_path / "secrets.db", environment="test", key_file=tmp_path / "key") as store:
            (tmp_path / "secrets.db").rename(tmp_path / "away.db")
            yield store


class _PlainStore(MemoryStore):
    """A store that has the verbs and nothing beyond them."""

    scheme = "plain"
    capabilities = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.url = "plain:"

    def read(self, name: SecretName, *, stage: Stage = Stage.CURRENT, version: str | None = None) -> SecretReading:
        if version is not None:
            raise UnsupportedOperationError("This store does not read by version.")
        return super().read(name, stage=stage)

    def describe(self, name: SecretName) -> tuple[SecretVersion, ...]:
        return tuple(version for version in super().describe(name) if version.stage is not Stage.RETIRED)

    def stage(
        self, name: SecretName, value: SecretValue, token: str, *, created_at: datetime | None = None
    ) -> SecretVersion:
        if isinstance(value.reveal(), bytes):
            raise UnsupportedOperationError("This store takes no bytes.")
        return super().stage(name, value, token, created_at=created_at)


class TestStoreWithoutCapabilities(StoreContract):
    """The contract holds for a store that declares no capability, because it asserts what such a store refuses."""

    @pytest.fixture
    def store(self) -> Store:
        return _PlainStore()

    @pytest.fixture
    def make_value(self) -> Callable[[], str]:
        return canary
