"""The embedded store keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.canary import canary
from vantage_secrets.stores.contract import Store
from vantage_secrets.stores.embedded import create_embedded, open_embedded
from vantage_secrets.testing import StoreContract, StoreOutageContract


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
